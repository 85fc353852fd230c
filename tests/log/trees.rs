//! Roots and proofs, true ones and false ones, both ways.

use model_registry::domain::{
    Sha256Digest,
    log::proof::{Plan, verify_consistency, verify_inclusion},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    claims::{Log, base64, base64_of, hash, hashes, question},
    independent::ask,
};

const ENTRIES: u64 = 66_000;

#[derive(Clone, Serialize, Deserialize)]
struct Inclusion {
    index: u64,
    size: u64,
    leaf: String,
    root: String,
    path: Option<Vec<String>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Consistency {
    old: u64,
    new: u64,
    old_root: String,
    new_root: String,
    path: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Answer {
    roots: Option<Vec<String>>,
    inclusion: Option<Vec<bool>>,
    consistency: Option<Vec<bool>>,
    records: Option<Vec<Inclusion>>,
    trees: Option<Vec<Consistency>>,
}

impl Inclusion {
    fn holds(&self) -> bool {
        let (leaf, root, path) = (hash(&self.leaf), hash(&self.root), hashes(self.path.as_ref()));
        verify_inclusion(&leaf, self.index, self.size, &path, &root).is_ok()
    }
}

impl Consistency {
    fn holds(&self) -> bool {
        let (old, new) = (hash(&self.old_root), hash(&self.new_root));
        let path = hashes(self.path.as_ref());
        verify_consistency((self.old, &old), (self.new, &new), &path).is_ok()
    }
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Every pair of small sizes, and pairs around the widths of tiles and all over the log.
fn pairs() -> Vec<(u64, u64)> {
    let mut pairs: Vec<(u64, u64)> = (1..=26).flat_map(|n| (0..n).map(move |m| (m, n))).collect();
    let mut numbers = Numbers(6962);
    for size in [255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, ENTRIES] {
        pairs.extend([0, 1, 254, size / 2, size - 2, size - 1].map(|index| (index, size)));
        pairs.extend((0..10).map(|_| (numbers.below(size), size)));
    }
    pairs.extend((0..200).map(|_| {
        let size = 1 + numbers.below(ENTRIES);
        (numbers.below(size), size)
    }));
    pairs.retain(|(index, size)| index < size);
    pairs
}

/// The path, and paths that are wrong: cut at either end, longer, one bit turned, out of order.
fn paths(path: &[Sha256Digest], numbers: &mut Numbers) -> Vec<Option<Vec<String>>> {
    let mut all = vec![path.to_vec(), [path, &[Sha256Digest::ZERO]].concat()];
    if !path.is_empty() {
        all.push(path[1..].to_vec());
        all.push(path[..path.len() - 1].to_vec());
        let mut turned = path.to_vec();
        let at = usize::try_from(numbers.below(path.len() as u64)).unwrap();
        let mut bytes = *turned[at].as_bytes();
        bytes[usize::try_from(numbers.below(32)).unwrap()] ^= 1 << numbers.below(8);
        turned[at] = Sha256Digest::from_bytes(bytes);
        all.push(turned);
        all.push(path.iter().rev().copied().collect());
    }
    all.iter().map(|path| Some(base64_of(path))).collect()
}

fn inclusion_claims(log: &Log) -> Vec<Inclusion> {
    let mut numbers = Numbers(9162);
    let mut claims = Vec::new();
    for (index, size) in pairs() {
        let path = log.fill(&Plan::inclusion(index, size).unwrap());
        let claim = Inclusion {
            index,
            size,
            leaf: base64(&log.leaf(index)),
            root: base64(&log.root(size)),
            path: None,
        };
        let paths = paths(&path, &mut numbers);
        let path = paths[0].clone();
        claims.extend(paths.into_iter().map(|path| Inclusion { path, ..claim.clone() }));
        let whole = Inclusion { path, ..claim };
        claims.push(Inclusion { index: index + 1, ..whole.clone() });
        claims.push(Inclusion { index: index.saturating_sub(1), ..whole.clone() });
        claims.push(Inclusion { size: size + 1, ..whole.clone() });
        claims.push(Inclusion { size: size - 1, ..whole.clone() });
        claims.push(Inclusion { root: base64(&log.root(size - 1)), ..whole.clone() });
        claims.push(Inclusion { leaf: base64(&log.root(size - 1)), ..whole });
    }
    claims
}

fn consistency_claims(log: &Log) -> Vec<Consistency> {
    let mut numbers = Numbers(9162);
    let mut claims = Vec::new();
    // Go knows no proof from the empty log.
    for (old, new) in pairs().into_iter().map(|(index, size)| (index + 1, size)) {
        let path = log.fill(&Plan::consistency(old, new).unwrap());
        let claim = Consistency {
            old,
            new,
            old_root: base64(&log.root(old)),
            new_root: base64(&log.root(new)),
            path: None,
        };
        let paths = paths(&path, &mut numbers);
        let path = paths[0].clone();
        claims.extend(paths.into_iter().map(|path| Consistency { path, ..claim.clone() }));
        let whole = Consistency { path, ..claim };
        claims.push(Consistency { old: old + 1, ..whole.clone() });
        claims.push(Consistency { new: new + 1, ..whole.clone() });
        claims.push(Consistency { old_root: base64(&log.root(old - 1)), ..whole.clone() });
        claims.push(Consistency { new_root: base64(&log.root(new - 1)), ..whole.clone() });
        let (old_root, new_root) = (whole.new_root.clone(), whole.old_root.clone());
        claims.push(Consistency { old: new, new: old, old_root, new_root, ..whole });
    }
    claims
}

#[test]
fn roots_and_verdicts_on_true_and_false_proofs_are_the_same_both_ways() {
    let log = Log::new(ENTRIES);
    let sizes: Vec<u64> = (1..=600).chain([65_535, 65_536, 65_537, ENTRIES]).collect();
    let (inclusion, consistency) = (inclusion_claims(&log), consistency_claims(&log));
    let mut question = question(ENTRIES);
    question["sizes"] = json!(sizes);
    question["inclusion"] = json!(inclusion);
    question["consistency"] = json!(consistency);
    let Some(answer) = ask::<Answer>(&question) else { return };

    let roots: Vec<_> = sizes.iter().map(|size| base64(&log.root(*size))).collect();
    assert_eq!(answer.roots.unwrap(), roots);

    let mut accepted = 0;
    for (claim, theirs) in inclusion.iter().zip(answer.inclusion.unwrap()) {
        assert_eq!(claim.holds(), theirs, "{}", json!(claim));
        accepted += usize::from(theirs);
    }
    assert!(accepted >= pairs().len() && accepted < inclusion.len() / 2, "{accepted}");
    let mut accepted = 0;
    for (claim, theirs) in consistency.iter().zip(answer.consistency.unwrap()) {
        assert_eq!(claim.holds(), theirs, "{}", json!(claim));
        accepted += usize::from(theirs);
    }
    assert!(accepted >= pairs().len() && accepted < consistency.len() / 2, "{accepted}");

    let records = answer.records.unwrap();
    assert!(records.len() >= inclusion.len() / 2, "{}", records.len());
    for proof in &records {
        assert!(proof.holds(), "{}", json!(proof));
        let ours = log.fill(&Plan::inclusion(proof.index, proof.size).unwrap());
        assert_eq!(hashes(proof.path.as_ref()), ours, "{}", json!(proof));
    }
    let trees = answer.trees.unwrap();
    assert!(trees.len() >= consistency.len() / 2, "{}", trees.len());
    for proof in &trees {
        assert!(proof.holds(), "{}", json!(proof));
        let ours = log.fill(&Plan::consistency(proof.old, proof.new).unwrap());
        assert_eq!(hashes(proof.path.as_ref()), ours, "{}", json!(proof));
    }
}
