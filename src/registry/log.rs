//! Reading the log: checkpoints, proofs and tiles. The size is read first. Entries below it never change, so no lock
//! is needed.

use std::collections::HashMap;

use async_trait::async_trait;

use super::no_version;
use crate::{
    domain::{
        ModelType, Sha256Digest, Version,
        log::{
            checkpoint::Checkpoint,
            evidence::{Evidence, FORMAT, ProvenEntry},
            proof::{Plan, StoredHashes, Subtree, root_of_complete, verify_inclusion},
            published::PublishedCheckpoint,
            publisher::Publisher,
            tile::{Content, Tile, encode_bundle},
            tree::{RightEdge, leaf_hash},
        },
    },
    error::{ErrorKind, RegistryError},
};

/// The index of an entry and its canonical JSON.
pub type NumberedEntry = (u64, String);

/// The source that the log is read from.
#[async_trait(?Send)]
pub trait LogSource {
    /// The right edge of the log's tree.
    async fn right_edge(&self) -> Result<RightEdge, RegistryError>;

    /// Hashes of one stored level, in order. Returns fewer where the log has fewer.
    async fn hashes(&self, stored: StoredHashes) -> Result<Vec<Sha256Digest>, RegistryError>;

    /// The canonical JSON of at most `count` entries, starting at index `from`.
    async fn entries(&self, from: u64, count: u16) -> Result<Vec<String>, RegistryError>;

    /// The entries of a version, oldest first.
    async fn entries_of(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<Vec<NumberedEntry>, RegistryError>;
}

/// A checkpoint, and the proof that the log grew from an earlier one.
#[derive(Debug, Clone)]
pub struct GrowthProof {
    /// The current checkpoint.
    pub checkpoint: PublishedCheckpoint,
    /// The consistency proof; empty where the sizes are equal or the log is smaller than the earlier state.
    pub proof: Vec<Sha256Digest>,
}

/// The error for a catalog whose data differs from what its log commits to.
fn damaged(what: impl std::fmt::Display) -> RegistryError {
    let detail = format!("the log in the catalog is damaged: {what}; run model-registry verify");
    RegistryError::new(ErrorKind::IntegrityOnRead, detail)
}

/// The current checkpoint of the log.
///
/// # Errors
/// Errors of the source.
pub async fn checkpoint(
    source: &impl LogSource,
    publisher: &Publisher,
) -> Result<PublishedCheckpoint, RegistryError> {
    publish(&source.right_edge().await?, publisher)
}

fn publish(edge: &RightEdge, publisher: &Publisher) -> Result<PublishedCheckpoint, RegistryError> {
    publisher.publish(edge.size(), edge.root()).map_err(RegistryError::internal)
}

/// The evidence of the log's entries about a version.
///
/// # Errors
/// `MODEL_NOT_FOUND` where the log has no entry for it; `CHECKSUM_MISMATCH` where the log is damaged.
pub async fn prove(
    source: &impl LogSource,
    publisher: &Publisher,
    model_type: &ModelType,
    version: Version,
) -> Result<Evidence, RegistryError> {
    let edge = source.right_edge().await?;
    let (size, root) = (edge.size(), edge.root());
    let mut hashes = Hashes::new(source);
    let mut entries = Vec::new();
    for (index, entry) in source.entries_of(model_type, version).await? {
        if index >= size {
            // Written after the size was read.
            break;
        }
        let plan = Plan::inclusion(index, size).map_err(RegistryError::internal)?;
        let path = hashes.fill(&plan).await?;
        verify_inclusion(&leaf_hash(entry.as_bytes()), index, size, &path, &root)
            .map_err(|fault| damaged(format!("entry {index}: {fault}")))?;
        entries.push(ProvenEntry { index, entry, path });
    }
    if entries.is_empty() {
        return Err(no_version(model_type.as_str(), &version.to_string()));
    }
    Ok(Evidence {
        format: FORMAT.to_owned(),
        model_type: model_type.to_string(),
        version: version.to_string(),
        log_size: size,
        checkpoint: publish(&edge, publisher)?.to_string(),
        entries,
    })
}

/// The current checkpoint, with the proof that the log grew from an earlier state.
///
/// # Errors
/// `CHECKSUM_MISMATCH` where the log is damaged.
pub async fn growth(
    source: &impl LogSource,
    publisher: &Publisher,
    old: &Checkpoint,
) -> Result<GrowthProof, RegistryError> {
    let edge = source.right_edge().await?;
    let checkpoint = publish(&edge, publisher)?;
    let proof = match Plan::consistency(old.size, edge.size()) {
        Ok(plan) => Hashes::new(source).fill(&plan).await?,
        Err(_) => Vec::new(),
    };
    Ok(GrowthProof { checkpoint, proof })
}

/// The bytes of a tile or an entry bundle; `None` where the log is too small to contain it.
///
/// # Errors
/// `CHECKSUM_MISMATCH` where the log is damaged.
pub async fn tile(source: &impl LogSource, tile: Tile) -> Result<Option<Vec<u8>>, RegistryError> {
    let size = source.right_edge().await?.size();
    let Some(stored) = tile.stored().filter(|_| tile.is_within(size)) else { return Ok(None) };
    let hashes = read(source, stored).await?;
    if let Content::Hashes(_) = tile.content {
        return Ok(Some(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()));
    }
    let entries = source.entries(stored.first, stored.count).await?;
    // Only entries that the tree commits to are returned.
    let leaves = entries.iter().map(|entry| leaf_hash(entry.as_bytes()));
    if !leaves.eq(hashes) {
        return Err(damaged(format!("an entry of {tile} is not what was logged")));
    }
    let bundle = encode_bundle(entries.iter().map(String::as_bytes)).map_err(damaged)?;
    Ok(Some(bundle))
}

/// Reads all of the stored hashes. Missing hashes are an error.
async fn read(
    source: &impl LogSource,
    stored: StoredHashes,
) -> Result<Vec<Sha256Digest>, RegistryError> {
    let hashes = source.hashes(stored).await?;
    if hashes.len() == usize::from(stored.count) {
        return Ok(hashes);
    }
    let StoredHashes { level, first, count } = stored;
    Err(damaged(format!(
        "of {count} hashes of level {level} from {first} on, {} are there",
        hashes.len()
    )))
}

/// A cache of the roots of complete subtrees. Proofs of one log share most of them.
struct Hashes<'a, S> {
    source: &'a S,
    known: HashMap<Subtree, Sha256Digest>,
}

impl<'a, S: LogSource> Hashes<'a, S> {
    fn new(source: &'a S) -> Self {
        Self { source, known: HashMap::new() }
    }

    async fn fill(&mut self, plan: &Plan) -> Result<Vec<Sha256Digest>, RegistryError> {
        for subtree in plan.subtrees() {
            if self.known.contains_key(&subtree) {
                continue;
            }
            let hashes = read(self.source, subtree.stored()).await?;
            let root = root_of_complete(&hashes)
                .ok_or_else(|| RegistryError::internal("a subtree that is not complete"))?;
            self.known.insert(subtree, root);
        }
        plan.fill(|level, index| {
            let root = self.known.get(&Subtree { level, index }).copied();
            root.ok_or_else(|| RegistryError::internal("a subtree that was not read"))
        })
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
