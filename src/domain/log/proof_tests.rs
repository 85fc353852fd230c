//! Tests of proofs against the definitions of RFC 6962, section 2.1, word for word.

use std::{collections::HashMap, convert::Infallible};

use proptest::prelude::*;

use super::*;
use crate::domain::log::tree::{RightEdge, leaf_hash};

/// A store like the catalog's: leaf hashes, and the roots of complete subtrees at levels 8, 16, ….
struct Store {
    levels: Vec<Vec<Sha256Digest>>,
    roots: Vec<Sha256Digest>,
}

impl Store {
    fn new(size: u64) -> Self {
        let mut edge = RightEdge::new();
        let mut store = Self { levels: vec![Vec::new(); 4], roots: vec![edge.root()] };
        for number in 0..size {
            let leaf = leaf_hash(&number.to_be_bytes());
            store.levels[0].push(leaf);
            for completed in edge.append(leaf) {
                let level = &mut store.levels[usize::from(completed.level / TILE_HEIGHT)];
                assert_eq!(level.len() as u64, completed.index);
                level.push(completed.hash);
            }
            store.roots.push(edge.root());
        }
        store
    }

    fn root(&self, level: u8, index: u64) -> Result<Sha256Digest, Infallible> {
        let stored = Subtree { level, index }.stored();
        assert!(stored.count <= 128);
        let first = usize::try_from(stored.first).unwrap();
        let row = &self.levels[usize::from(stored.level / TILE_HEIGHT)];
        Ok(root_of_complete(&row[first..first + usize::from(stored.count)]).unwrap())
    }

    fn fill(&self, plan: &Plan) -> Vec<Sha256Digest> {
        plan.fill(|level, index| self.root(level, index)).unwrap()
    }

    fn leaves(&self, size: u64) -> &[Sha256Digest] {
        &self.levels[0][..usize::try_from(size).unwrap()]
    }

    fn root_of(&self, size: u64) -> Sha256Digest {
        self.roots[usize::try_from(size).unwrap()]
    }
}

/// The definitions of RFC 6962, word for word, over ranges of leaves; each range's root is computed once.
struct Definition<'a> {
    leaves: &'a [Sha256Digest],
    roots: HashMap<(usize, usize), Sha256Digest>,
}

impl<'a> Definition<'a> {
    fn new(leaves: &'a [Sha256Digest]) -> Self {
        Self { leaves, roots: HashMap::new() }
    }

    /// MTH(D[start:end])
    fn root(&mut self, start: usize, end: usize) -> Sha256Digest {
        if end - start == 0 {
            return empty_root();
        }
        if end - start == 1 {
            return self.leaves[start];
        }
        if let Some(root) = self.roots.get(&(start, end)) {
            return *root;
        }
        let middle = middle(start, end);
        let root = node_hash(&self.root(start, middle), &self.root(middle, end));
        self.roots.insert((start, end), root);
        root
    }

    /// PATH(index - start, D[start:end])
    fn path(&mut self, index: usize, start: usize, end: usize) -> Vec<Sha256Digest> {
        if end - start == 1 {
            return Vec::new();
        }
        let middle = middle(start, end);
        let (mut path, other) = if index < middle {
            (self.path(index, start, middle), self.root(middle, end))
        } else {
            (self.path(index, middle, end), self.root(start, middle))
        };
        path.push(other);
        path
    }

    /// SUBPROOF(old - start, D[start:end], whole)
    fn subproof(&mut self, old: usize, start: usize, end: usize, whole: bool) -> Vec<Sha256Digest> {
        if old == end {
            return if whole { Vec::new() } else { vec![self.root(start, end)] };
        }
        let middle = middle(start, end);
        let (mut path, other) = if old <= middle {
            (self.subproof(old, start, middle, whole), self.root(middle, end))
        } else {
            (self.subproof(old, middle, end, false), self.root(start, middle))
        };
        path.push(other);
        path
    }
}

fn middle(start: usize, end: usize) -> usize {
    start + (end - start).next_power_of_two() / 2
}

#[test]
fn every_proof_of_every_tree_of_up_to_130_leaves_is_that_of_the_definition_and_is_verified() {
    let store = Store::new(130);
    let mut definition = Definition::new(store.leaves(130));
    for size in 0..=130 {
        let end = usize::try_from(size).unwrap();
        let leaves = store.leaves(size);
        let root = store.root_of(size);
        assert_eq!(root, definition.root(0, end));
        assert_eq!(store.fill(&Plan::root(size)), if size == 0 { vec![] } else { vec![root] });
        for (number, leaf) in leaves.iter().enumerate() {
            let index = number as u64;
            let path = store.fill(&Plan::inclusion(index, size).unwrap());
            assert_eq!(path, definition.path(number, 0, end), "{index} of {size}");
            assert_eq!(verify_inclusion(leaf, index, size, &path, &root), Ok(()));
        }
        for old in 0..=size {
            let path = store.fill(&Plan::consistency(old, size).unwrap());
            if old > 0 {
                let number = usize::try_from(old).unwrap();
                assert_eq!(path, definition.subproof(number, 0, end, true), "{old} to {size}");
            }
            let result = verify_consistency((old, &store.root_of(old)), (size, &root), &path);
            assert_eq!(result, Ok(()), "{old} to {size}");
        }
    }
}

#[test]
fn a_proof_is_refused_for_any_other_leaf_size_or_root() {
    let store = Store::new(40);
    for size in 1..=20_u64 {
        for index in 0..size {
            let leaf = store.levels[0][usize::try_from(index).unwrap()];
            let path = store.fill(&Plan::inclusion(index, size).unwrap());
            let holds = |i, s: u64| {
                s < 40 && verify_inclusion(&leaf, i, s, &path, &store.root_of(s)).is_ok()
            };
            for (i, s) in (0..20).flat_map(|i| (0..40).map(move |s| (i, s))) {
                // A tree that differs only in its right part can share a path only with itself.
                assert_eq!(holds(i, s), (i, s) == (index, size), "{index}/{size} as {i}/{s}");
            }
        }
        for old in 1..size {
            let path = store.fill(&Plan::consistency(old, size).unwrap());
            for (o, n) in (1..20).flat_map(|o| (o + 1..40).map(move |n| (o, n))) {
                let (first, second) = (store.root_of(o), store.root_of(n));
                let result = verify_consistency((o, &first), (n, &second), &path);
                assert_eq!(result.is_ok(), (o, n) == (old, size), "{old}-{size} as {o}-{n}");
            }
        }
    }
}

#[test]
fn the_empty_log_and_the_same_log_need_no_proof_and_take_none() {
    let store = Store::new(3);
    let (empty, root) = (empty_root(), store.root_of(3));
    assert_eq!(verify_consistency((0, &empty), (3, &root), &[]), Ok(()));
    assert_eq!(verify_consistency((0, &empty), (0, &empty), &[]), Ok(()));
    assert_eq!(verify_consistency((3, &root), (3, &root), &[]), Ok(()));
    assert!(matches!(
        verify_consistency((0, &root), (3, &root), &[]),
        Err(InvalidProof::OtherOldRoot { .. })
    ));
    assert!(matches!(
        verify_consistency((3, &empty), (3, &root), &[]),
        Err(InvalidProof::OtherRoot { .. })
    ));
    for (old, old_root) in [(0, empty), (3, root)] {
        assert_eq!(
            verify_consistency((old, &old_root), (3, &root), &[root]),
            Err(InvalidProof::TooLong { needed: 0, found: 1 })
        );
    }
    assert_eq!(
        verify_consistency((4, &root), (3, &root), &[]),
        Err(InvalidProof::Impossible(NoProof::Shrunk { old: 4, new: 3 }))
    );
    assert_eq!(
        verify_inclusion(&root, 3, 3, &[], &root),
        Err(InvalidProof::Impossible(NoProof::NoLeaf { index: 3, size: 3 }))
    );
}

#[test]
fn the_largest_tree_has_a_proof_for_its_first_and_last_leaf() {
    for index in [0, 1, u64::MAX / 2, u64::MAX - 1] {
        let plan = Plan::inclusion(index, u64::MAX).unwrap();
        let path = plan.fill(|level, index| Ok::<_, Infallible>(stand_in(level, index))).unwrap();
        assert!(path.len() >= 63, "{}", path.len());
    }
    assert!(Plan::consistency(u64::MAX - 1, u64::MAX).is_ok());
}

fn stand_in(level: u8, index: u64) -> Sha256Digest {
    Sha256Digest::of(format!("{level}/{index}").as_bytes())
}

#[test]
fn only_a_power_of_two_of_hashes_is_a_complete_subtree() {
    let hash = empty_root();
    assert_eq!(root_of_complete(&[]), None);
    assert_eq!(root_of_complete(&[hash]), Some(hash));
    assert_eq!(root_of_complete(&[hash; 3]), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn larger_trees_are_proven_from_stored_levels_and_a_truncated_or_altered_proof_is_refused(
        size in 131_u64..3000, index: u64, old: u64, bit in 0_usize..256, which: prop::sample::Index,
    ) {
        let store = Store::new(size);
        let (index, old) = (index % size, 1 + old % (size - 1));
        let root = store.root_of(size);
        let leaf = store.leaves(size)[usize::try_from(index).unwrap()];

        let end = usize::try_from(size).unwrap();
        let mut definition = Definition::new(store.leaves(size));
        let path = store.fill(&Plan::inclusion(index, size).unwrap());
        let number = usize::try_from(index).unwrap();
        prop_assert_eq!(&path, &definition.path(number, 0, end));
        let verify = |path: &[_]| verify_inclusion(&leaf, index, size, path, &root);
        prop_assert_eq!(verify(&path), Ok(()));
        for broken in broken(&path, which, bit) {
            prop_assert!(verify(&broken).is_err());
        }

        let old_root = store.root_of(old);
        let path = store.fill(&Plan::consistency(old, size).unwrap());
        prop_assert_eq!(
            &path,
            &definition.subproof(usize::try_from(old).unwrap(), 0, end, true)
        );
        let verify = |path: &[_]| verify_consistency((old, &old_root), (size, &root), path);
        prop_assert_eq!(verify(&path), Ok(()));
        for broken in broken(&path, which, bit) {
            prop_assert!(verify(&broken).is_err());
        }
    }
}

/// The path without its first hash, without its last, with one hash more, and with one bit flipped.
fn broken(path: &[Sha256Digest], which: prop::sample::Index, bit: usize) -> Vec<Vec<Sha256Digest>> {
    let mut turned = path.to_vec();
    let at = which.index(path.len());
    let mut bytes = *turned[at].as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    turned[at] = Sha256Digest::from_bytes(bytes);
    let longer = [path, &[empty_root()]].concat();
    vec![path[1..].to_vec(), path[..path.len() - 1].to_vec(), longer, turned]
}
