//! Tests of the log reader with a log in memory.

use super::*;
use crate::domain::log::{
    evidence,
    growth::{Growth, NotGrown, check_grown},
    note::{KeyName, SigningKey},
    tile::decode_bundle,
    tree::TILE_HEIGHT,
};

#[derive(Default)]
struct Memory {
    edge: RightEdge,
    entries: Vec<String>,
    levels: [Vec<Sha256Digest>; 3],
}

impl Memory {
    fn new(size: u64) -> Self {
        let mut log = Self::default();
        for sequence in 0..size {
            let version = sequence % 7;
            let entry = format!(
                r#"{{"model_type":"risk_model","sequence":{sequence},"version":"v1.{version}.0"}}"#
            );
            let leaf = leaf_hash(entry.as_bytes());
            log.entries.push(entry);
            log.levels[0].push(leaf);
            for completed in log.edge.append(leaf) {
                log.levels[usize::from(completed.level / TILE_HEIGHT)].push(completed.hash);
            }
        }
        log
    }
}

fn from<T: Clone>(row: &[T], first: u64, count: u16) -> Vec<T> {
    row.iter().skip(usize::try_from(first).unwrap()).take(usize::from(count)).cloned().collect()
}

#[async_trait(?Send)]
impl LogSource for Memory {
    async fn right_edge(&self) -> Result<RightEdge, RegistryError> {
        Ok(self.edge.clone())
    }

    async fn hashes(&self, stored: StoredHashes) -> Result<Vec<Sha256Digest>, RegistryError> {
        let row = &self.levels[usize::from(stored.level / TILE_HEIGHT)];
        Ok(from(row, stored.first, stored.count))
    }

    async fn entries(&self, first: u64, count: u16) -> Result<Vec<String>, RegistryError> {
        Ok(from(&self.entries, first, count))
    }

    async fn entries_of(
        &self,
        _: &ModelType,
        version: Version,
    ) -> Result<Vec<NumberedEntry>, RegistryError> {
        let named = format!("\"{version}\"");
        let numbered = (0..).zip(self.entries.iter().cloned());
        Ok(numbered.filter(|(_, entry)| entry.contains(&named)).collect())
    }
}

fn publisher() -> Publisher {
    let name = KeyName::parse("example.com/models").unwrap();
    Publisher::new(None, Some(SigningKey::from_seed(name, &[4; 32]).unwrap())).unwrap()
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn risk_model() -> ModelType {
    ModelType::parse("risk_model").unwrap()
}

#[actix::test]
async fn evidence_of_a_version_holds_without_the_log() {
    let (log, publisher) = (Memory::new(1000), publisher());
    let proven = prove(&log, &publisher, &risk_model(), version("v1.3.0")).await.unwrap();
    assert_eq!(proven.entries.len(), 143);
    let file = proven.to_json().unwrap();
    let report = evidence::check(file.as_bytes(), publisher.verifier()).unwrap();
    assert_eq!(report.verified_by.as_deref(), Some("example.com/models"));
    let now = checkpoint(&log, &publisher).await.unwrap();
    assert_eq!(report.checkpoint, now);
}

#[actix::test]
async fn a_version_without_entries_is_not_found() {
    let log = Memory::new(20);
    let error = prove(&log, &publisher(), &risk_model(), version("v9.9.9")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelNotFound);
}

#[actix::test]
async fn entries_written_after_the_size_was_read_are_left_out() {
    let mut log = Memory::new(30);
    log.edge = Memory::new(20).edge;
    let proven = prove(&log, &publisher(), &risk_model(), version("v1.3.0")).await.unwrap();
    let indices: Vec<_> = proven.entries.iter().map(|entry| entry.index).collect();
    assert_eq!(indices, [3, 10, 17]);
}

#[actix::test]
async fn growth_is_proven_and_a_smaller_log_is_told_as_it_is() {
    let publisher = publisher();
    let old = checkpoint(&Memory::new(300), &publisher).await.unwrap();
    for (size, expected) in [
        (300, Ok(Growth::Unchanged)),
        (1000, Ok(Growth::Grew { by: 700 })),
        (200, Err(NotGrown::SetBack { old: 300, new: 200 })),
    ] {
        let GrowthProof { checkpoint, proof } =
            growth(&Memory::new(size), &publisher, old.checkpoint()).await.unwrap();
        let found = check_grown(old.checkpoint(), checkpoint.checkpoint(), &proof);
        assert_eq!(found, expected);
    }
}

#[actix::test]
async fn tiles_and_bundles_hold_what_the_log_has_and_no_more() {
    let log = Memory::new(70_000);
    let get = async |path: &str| tile(&log, Tile::parse(path).unwrap()).await.unwrap();
    let leaves = get("tile/0/001").await.unwrap();
    let hashes: Vec<u8> = log.levels[0][256..512].iter().flat_map(|it| *it.as_bytes()).collect();
    assert_eq!(leaves, hashes);
    assert_eq!(get("tile/2/000.p/1").await.unwrap(), log.levels[2][0].as_bytes());
    let bundle = get("tile/entries/273.p/112").await.unwrap();
    let entries: Vec<_> = log.entries[69_888..].iter().map(String::as_bytes).collect();
    assert_eq!(decode_bundle(&bundle).unwrap(), entries);
    for beyond in ["tile/0/273", "tile/0/273.p/113", "tile/2/000", "tile/3/000.p/1", "tile/63/000"]
    {
        assert_eq!(get(beyond).await, None, "{beyond}");
    }
    assert!(get("tile/entries/274.p/1").await.is_none());
}

#[actix::test]
async fn a_damaged_log_proves_nothing_and_serves_no_altered_entry() {
    let damaged = |error: RegistryError| assert_eq!(error.kind(), ErrorKind::IntegrityOnRead);
    let (publisher, version) = (publisher(), version("v1.3.0"));
    let bundle = Tile::parse("tile/entries/000").unwrap();

    let mut log = Memory::new(1000);
    log.entries[3].push(' ');
    damaged(prove(&log, &publisher, &risk_model(), version).await.unwrap_err());
    damaged(tile(&log, bundle).await.unwrap_err());

    let mut log = Memory::new(1000);
    log.levels[0][17] = Sha256Digest::ZERO;
    damaged(prove(&log, &publisher, &risk_model(), version).await.unwrap_err());
    damaged(tile(&log, bundle).await.unwrap_err());

    let mut log = Memory::new(1000);
    log.levels[1].pop();
    damaged(prove(&log, &publisher, &risk_model(), version).await.unwrap_err());
    damaged(tile(&log, Tile::parse("tile/1/000.p/3").unwrap()).await.unwrap_err());
}
