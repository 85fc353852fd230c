//! The same log as the Go program's, and the texts that both exchange.

use std::convert::Infallible;

use base64::{Engine, engine::general_purpose::STANDARD};
use model_registry::domain::{
    Sha256Digest,
    log::{
        note::{KeyName, SigningKey},
        proof::{Plan, Subtree, root_of_complete},
        tree::{RightEdge, TILE_HEIGHT, leaf_hash},
    },
};
use serde_json::{Value, json};

/// A log of "entry 0", "entry 1", …, stored as the catalog stores it.
pub struct Log {
    /// Leaf hashes, and the roots of complete subtrees at levels 8, 16, ….
    pub levels: Vec<Vec<Sha256Digest>>,
    /// The root of each size.
    pub roots: Vec<Sha256Digest>,
}

impl Log {
    pub fn new(size: u64) -> Self {
        let mut edge = RightEdge::new();
        let mut log = Self { levels: vec![Vec::new(); 3], roots: vec![edge.root()] };
        for number in 0..size {
            let leaf = leaf_hash(format!("entry {number}").as_bytes());
            log.levels[0].push(leaf);
            for completed in edge.append(leaf) {
                log.levels[usize::from(completed.level / TILE_HEIGHT)].push(completed.hash);
            }
            log.roots.push(edge.root());
        }
        log
    }

    pub fn fill(&self, plan: &Plan) -> Vec<Sha256Digest> {
        plan.fill(|level, index| {
            let stored = Subtree { level, index }.stored();
            let row = &self.levels[usize::from(stored.level / TILE_HEIGHT)];
            let first = usize::try_from(stored.first).unwrap();
            let hashes = &row[first..first + usize::from(stored.count)];
            Ok::<_, Infallible>(root_of_complete(hashes).unwrap())
        })
        .unwrap()
    }

    pub fn leaf(&self, index: u64) -> Sha256Digest {
        self.levels[0][usize::try_from(index).unwrap()]
    }

    pub fn root(&self, size: u64) -> Sha256Digest {
        self.roots[usize::try_from(size).unwrap()]
    }
}

pub fn base64(hash: &Sha256Digest) -> String {
    STANDARD.encode(hash.as_bytes())
}

pub fn base64_of(hashes: &[Sha256Digest]) -> Vec<String> {
    hashes.iter().map(base64).collect()
}

pub fn hash(base64: &str) -> Sha256Digest {
    Sha256Digest::from_bytes(STANDARD.decode(base64).unwrap().try_into().unwrap())
}

pub fn hashes(base64: Option<&Vec<String>>) -> Vec<Sha256Digest> {
    base64.into_iter().flatten().map(|text| hash(text)).collect()
}

pub fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(KeyName::parse(name).unwrap(), &[seed; 32]).unwrap()
}

/// A question that asks for nothing, to be filled in.
pub fn question(entries: u64) -> Value {
    let secret = SigningKey::write_secret(KeyName::parse("example.com/key").unwrap(), &[3; 32]);
    let root = RightEdge::new().root();
    json!({
        "entries": entries,
        "sizes": [],
        "inclusion": [],
        "consistency": [],
        "checkpoint": format!("go.sum database tree\n0\n{}\n", base64(&root)),
        "notes": [],
        "secret": secrecy::ExposeSecret::expose_secret(&secret.unwrap()),
        "text": "a text\n",
        "paths": [],
    })
}
