//! `VersionRecord`: what the catalog knows of one version.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ArtifactFile, ModelType, Sha256Digest, Status, Timestamp, Version, serde_as_text};

/// The identifier of a version, given once at registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(Uuid);

/// The text is not a model id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a model id is a UUID, for example 3f9ffe7c-8e6b-47ad-acc0-ff2e1247a7ae")]
pub struct InvalidModelId;

impl ModelId {
    /// A new identifier from the system's random numbers.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Reads the hyphenated lower-case form.
    ///
    /// # Errors
    /// [`InvalidModelId`] for any other spelling.
    pub fn parse(text: &str) -> Result<Self, InvalidModelId> {
        let id = Self(Uuid::try_parse(text).map_err(|_| InvalidModelId)?);
        if id.to_string() == text { Ok(id) } else { Err(InvalidModelId) }
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

serde_as_text!(ModelId);

/// One row of the catalog: what must be queried, the hashes of what is on disk, and the status.
/// Everything else about a version is in its sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// Given at registration.
    pub model_id: ModelId,
    /// The type it is a version of.
    pub model_type: ModelType,
    /// Its number, used once.
    pub version: Version,
    /// Where it stands.
    pub status: Status,
    /// The model file's name in the version's folder.
    pub artifact_file: ArtifactFile,
    /// Bytes of the model file.
    pub artifact_size_bytes: u64,
    /// Bytes of all files in the version's folder.
    pub total_size_bytes: u64,
    /// SHA-256 of the model file.
    pub checksum_sha256: Sha256Digest,
    /// SHA-256 of `metadata.json`.
    pub metadata_sha256: Sha256Digest,
    /// SHA-256 of the canonical config.
    pub config_hash: Sha256Digest,
    /// The data snapshot it was trained on.
    pub snapshot_id: String,
    /// The versions of the data sets it was trained on.
    pub dataset_version_ids: BTreeMap<String, String>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it last entered production; `None` while staged.
    pub promoted_at: Option<Timestamp>,
    /// When it last left production for the archive.
    pub archived_at: Option<Timestamp>,
}

impl VersionRecord {
    /// `<model_type>/<version>`, as messages name a version.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.model_type, self.version)
    }

    /// Where the version's folder is, relative to the registry directory.
    #[must_use]
    pub fn artifact_path(&self) -> String {
        format!("artifacts/{}/{}", self.model_type, self.version)
    }
}
