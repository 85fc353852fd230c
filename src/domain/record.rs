//! `VersionRecord`: the catalog's record of one version.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ArtifactFile, Collected, LoadCheck, ModelType, Sha256Digest, Status, Timestamp, Version,
    serde_as_text,
};

/// The identifier of a version, assigned at registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(Uuid);

/// The text is not a model id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a model id is a UUID, for example 3f9ffe7c-8e6b-47ad-acc0-ff2e1247a7ae")]
pub struct InvalidModelId;

impl ModelId {
    /// A new random identifier.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Parses the hyphenated lower-case form.
    ///
    /// # Errors
    /// [`InvalidModelId`] for any other form.
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

/// One row of the catalog: the fields for queries, the hashes of the files on disk, and the status. Everything else
/// about a version is in its sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The model id, assigned at registration.
    pub model_id: ModelId,
    /// The model type.
    pub model_type: ModelType,
    /// The version number, used only once.
    pub version: Version,
    /// The present status.
    pub status: Status,
    /// The model file's name in the version's folder.
    pub artifact_file: ArtifactFile,
    /// The size of the model file, in bytes.
    pub artifact_size_bytes: u64,
    /// The size of all files in the version's folder, in bytes.
    pub total_size_bytes: u64,
    /// SHA-256 of the model file.
    pub checksum_sha256: Sha256Digest,
    /// SHA-256 of `metadata.json`.
    pub metadata_sha256: Sha256Digest,
    /// SHA-256 of the canonical config.
    pub config_hash: Sha256Digest,
    /// The data snapshot that it was trained on.
    pub snapshot_id: String,
    /// The versions of the data sets that it was trained on, by data set.
    pub dataset_version_ids: BTreeMap<String, String>,
    /// The time of registration.
    pub created_at: Timestamp,
    /// The time when it last entered production; `None` if it never did or a rollback staged it again.
    pub promoted_at: Option<Timestamp>,
    /// The time when it was last archived.
    pub archived_at: Option<Timestamp>,
    /// The last load check, which is not a part of the row; `None` where it was never checked.
    #[serde(skip)]
    pub check: Option<Box<LoadCheck>>,
    /// The removal of its files, which is not a part of the row either; `None` where they are there.
    #[serde(skip)]
    pub collected: Option<Collected>,
}

impl VersionRecord {
    /// `<model_type>/<version>`, the name of a version in messages.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.model_type, self.version)
    }

    /// The path of the version's folder, relative to the registry directory.
    #[must_use]
    pub fn artifact_path(&self) -> String {
        format!("artifacts/{}/{}", self.model_type, self.version)
    }
}
