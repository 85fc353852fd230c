//! Evidence: a file that proves the log's entries on one version to a reader who has no registry.

use serde::{Deserialize, Serialize};

use super::{
    note::VerifierKey,
    proof::{InvalidProof, verify_inclusion},
    published::{PublishedCheckpoint, Unreadable, Untrusted},
    tree::leaf_hash,
};
use crate::domain::Sha256Digest;

/// The format name in the file.
pub const FORMAT: &str = "model-registry-log-evidence/1";
/// The largest file that is read, in bytes.
pub const EVIDENCE_BYTES: usize = 64 * 1024 * 1024;

/// The file that `log prove` writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The format name: [`FORMAT`].
    pub format: String,
    /// The model type.
    pub model_type: String,
    /// The version number.
    pub version: String,
    /// The size of the log that the paths belong to.
    pub log_size: u64,
    /// The checkpoint: a signed note, or only its text where the log has no key.
    pub checkpoint: String,
    /// The entries of the version, oldest first.
    pub entries: Vec<ProvenEntry>,
}

/// An entry and its inclusion proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenEntry {
    /// Its position in the log.
    pub index: u64,
    /// Its canonical JSON: the bytes that the log hashes.
    pub entry: String,
    /// The hashes from its leaf to the root.
    pub path: Vec<Sha256Digest>,
}

/// The verified content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The checkpoint that the entries were verified against.
    pub checkpoint: PublishedCheckpoint,
    /// The name of the key that verified the checkpoint. `None` where no key was given: the parts of the file then
    /// belong together, but it is not proved whose log it is.
    pub verified_by: Option<String>,
    /// The model type.
    pub model_type: String,
    /// The version number.
    pub version: String,
    /// The entries that are proved to be in the log.
    pub entries: Vec<ProvenEntry>,
}

/// The reason why a file does not prove anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file is too large, or is not evidence in JSON.
    #[error("the file is not evidence from a log: {0}")]
    Malformed(String),
    /// The checkpoint cannot be read.
    #[error("the checkpoint in the file cannot be read: {0}")]
    Checkpoint(#[from] Unreadable),
    /// The checkpoint does not verify with the given key.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The checkpoint and the paths are of different sizes of the log.
    #[error(
        "the entries are proven in a log of {paths} entries, and the checkpoint in the file is of a \
         {} log, of {checkpoint}",
        if checkpoint > paths { "larger" } else { "smaller" }
    )]
    OtherSize {
        /// The size of the log that the file gives for its paths.
        paths: u64,
        /// The size in the checkpoint.
        checkpoint: u64,
    },
    /// The file has no entries.
    #[error("the file holds no entries")]
    NoEntries,
    /// An entry is repeated or out of order.
    #[error("entry {0} is out of order: each entry must appear once, oldest first")]
    Order(u64),
    /// An entry is not about the stated version.
    #[error("entry {index} does not match the file: its {member} differs")]
    OtherSubject {
        /// The entry's position.
        index: u64,
        /// The member of its JSON that differs.
        member: &'static str,
    },
    /// The path is too short, too long, or of another position.
    #[error("entry {index}: {fault}")]
    Path {
        /// The entry's position.
        index: u64,
        /// The fault of its path.
        fault: InvalidProof,
    },
    /// The path gives another root.
    #[error(
        "entry {index} is not in the log of this checkpoint: the entry or its proof was altered, or \
         they are of another log"
    )]
    NotInLog {
        /// The entry's position.
        index: u64,
    },
}

impl Evidence {
    /// The file as JSON: two spaces of indentation a level, and a final line feed.
    ///
    /// # Errors
    /// The errors of `serde_json`, which has none for strings and numbers.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// Parses a file. Nothing is verified: see [`check`].
    ///
    /// # Errors
    /// [`Fault::Malformed`]
    pub fn parse(file: &[u8]) -> Result<Self, Fault> {
        if file.len() > EVIDENCE_BYTES {
            let limit = format!("it is larger than {EVIDENCE_BYTES} bytes");
            return Err(Fault::Malformed(limit));
        }
        let evidence: Self =
            serde_json::from_slice(file).map_err(|error| Fault::Malformed(error.to_string()))?;
        if evidence.format != FORMAT {
            return Err(Fault::Malformed(format!("its format is not {FORMAT:?}")));
        }
        Ok(evidence)
    }
}

/// Verifies a file by itself. With the log's key it proves that the log has these entries; without a key it proves
/// only that the parts of the file belong together.
///
/// # Errors
/// The first [`Fault`] found.
pub fn check(file: &[u8], key: Option<&VerifierKey>) -> Result<Report, Fault> {
    let evidence = Evidence::parse(file)?;
    let published = PublishedCheckpoint::parse(&evidence.checkpoint)?;
    let verified_by = key.map(|key| published.verify(key)).transpose()?;
    let checkpoint = published.checkpoint();
    if evidence.log_size != checkpoint.size {
        return Err(Fault::OtherSize { paths: evidence.log_size, checkpoint: checkpoint.size });
    }
    if evidence.entries.is_empty() {
        return Err(Fault::NoEntries);
    }
    let mut next = 0;
    for proven in &evidence.entries {
        let index = proven.index;
        if index < next {
            return Err(Fault::Order(index));
        }
        let leaf = leaf_hash(proven.entry.as_bytes());
        verify_inclusion(&leaf, index, checkpoint.size, &proven.path, &checkpoint.root).map_err(
            |fault| match fault {
                InvalidProof::OtherRoot { .. } => Fault::NotInLog { index },
                fault => Fault::Path { index, fault },
            },
        )?;
        proven.check_subject(&evidence)?;
        next = index.saturating_add(1);
    }
    Ok(Report {
        verified_by: verified_by.map(|name| name.to_string()),
        checkpoint: published,
        model_type: evidence.model_type,
        version: evidence.version,
        entries: evidence.entries,
    })
}

/// The members of an entry that evidence checks. Other members are ignored.
#[derive(Deserialize)]
struct EntryHead {
    sequence: u64,
    model_type: Option<String>,
    version: Option<String>,
}

impl ProvenEntry {
    /// Verifies that the entry is about the version that the file states.
    fn check_subject(&self, evidence: &Evidence) -> Result<(), Fault> {
        let index = self.index;
        let other = |member| Fault::OtherSubject { index, member };
        let subject: EntryHead = serde_json::from_str(&self.entry).map_err(|_| other("JSON"))?;
        if subject.sequence != index {
            return Err(other("sequence"));
        }
        if subject.model_type.as_ref() != Some(&evidence.model_type) {
            return Err(other("model_type"));
        }
        if subject.version.as_ref() != Some(&evidence.version) {
            return Err(other("version"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
