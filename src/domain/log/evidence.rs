//! Evidence: a file that proves what the log says of one version, to somebody without a registry.

use serde::{Deserialize, Serialize};

use super::{
    note::VerifierKey,
    proof::{InvalidProof, verify_inclusion},
    published::{PublishedCheckpoint, Unreadable, Untrusted},
    tree::leaf_hash,
};
use crate::domain::Sha256Digest;

/// What the file says that it is.
pub const FORMAT: &str = "model-registry-log-evidence/1";
/// The largest file that is read, in bytes.
pub const EVIDENCE_BYTES: usize = 64 * 1024 * 1024;

/// What `log prove` writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// [`FORMAT`].
    pub format: String,
    /// The type of the version.
    pub model_type: String,
    /// The version.
    pub version: String,
    /// The size of the log that the paths lead through.
    pub log_size: u64,
    /// The checkpoint: a signed note, or its text alone where the log has no key.
    pub checkpoint: String,
    /// The entries of the version, oldest first.
    pub entries: Vec<ProvenEntry>,
}

/// An entry and its inclusion proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenEntry {
    /// Its number in the log.
    pub index: u64,
    /// Its canonical JSON: the bytes that the log hashes.
    pub entry: String,
    /// The hashes that lead from its leaf to the root.
    pub path: Vec<Sha256Digest>,
}

/// What a file was seen to prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The checkpoint that the entries were held against.
    pub checkpoint: PublishedCheckpoint,
    /// The name of the key that verified the checkpoint; `None` where no key was given, so that the
    /// file proves that its parts belong together, and not whose they are.
    pub verified_by: Option<String>,
    /// The type of the version.
    pub model_type: String,
    /// The version.
    pub version: String,
    /// The entries, whose texts are proven to be in the log.
    pub entries: Vec<ProvenEntry>,
}

/// Why a file proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is too large, or not the JSON of evidence.
    #[error("the file is no evidence of a log: {0}")]
    Malformed(String),
    /// The checkpoint cannot be read.
    #[error("the checkpoint in the file cannot be read: {0}")]
    Checkpoint(#[from] Unreadable),
    /// The checkpoint is not that of the log whose key was given.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The checkpoint is of another state of the log than the paths.
    #[error(
        "the entries are proven in a log of {paths} entries, and the checkpoint in the file is of a \
         {} log, of {checkpoint}",
        if checkpoint > paths { "larger" } else { "smaller" }
    )]
    OtherSize {
        /// The size that the file gives for its paths.
        paths: u64,
        /// The size in the checkpoint.
        checkpoint: u64,
    },
    /// There is nothing in it.
    #[error("the file holds no entries")]
    NoEntries,
    /// An entry is there twice, or out of order.
    #[error("entry {0} is not in the order of the log: each entry stands once, oldest first")]
    Order(u64),
    /// An entry is not about the version.
    #[error("entry {index} is not what the file says it is: its {member} is another")]
    OtherSubject {
        /// The entry.
        index: u64,
        /// The member of its JSON that differs.
        member: &'static str,
    },
    /// The path is cut, too long, or for another place.
    #[error("entry {index}: {fault}")]
    Path {
        /// The entry.
        index: u64,
        /// What is wrong with its path.
        fault: InvalidProof,
    },
    /// The path leads elsewhere.
    #[error(
        "entry {index} is not in the log of this checkpoint: the entry or its proof was altered, or \
         they are of another log"
    )]
    NotInLog {
        /// The entry.
        index: u64,
    },
}

impl Evidence {
    /// The file, two spaces a level, with a line feed at its end.
    ///
    /// # Errors
    /// Those of `serde_json`, which has none for strings and numbers.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// Reads a file. Nothing of it is verified: see [`check`].
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

/// Verifies a file with nothing else at hand. With the log's key it proves that the log says this;
/// without, that the parts of the file belong together.
///
/// # Errors
/// The first [`Fault`].
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

/// What evidence needs to know of an entry; the others of its members are the reader's.
#[derive(Deserialize)]
struct EntryHead {
    sequence: u64,
    model_type: Option<String>,
    version: Option<String>,
}

impl ProvenEntry {
    /// Verifies that the entry itself says what the file says of it.
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
