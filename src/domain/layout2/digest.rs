//! The digest of a catalog of layout 2.0.0: the SHA-256 of the canonical JSON object `{"history": {head_sha256,
//! length}, "removed": {type: [version]}, "versions": {type: {version: row digest}}}`. A row digest is the SHA-256 of
//! the canonical JSON of the row's fields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::chain::ChainHead;
use crate::domain::{
    ModelType, Sha256Digest, Version, VersionRecord,
    canonical_json::{self, NotFinite},
};

/// Collects the rows of a catalog, one by one.
#[derive(Debug, Default)]
pub struct CatalogDigest {
    versions: BTreeMap<ModelType, BTreeMap<String, Sha256Digest>>,
    removed: BTreeMap<ModelType, BTreeSet<Version>>,
}

impl CatalogDigest {
    /// Adds a version's row.
    ///
    /// # Errors
    /// [`NotFinite`], which no row can cause.
    pub fn add(&mut self, record: &VersionRecord) -> Result<(), NotFinite> {
        let row = serde_json::to_value(record).unwrap_or_default();
        let digest = canonical_json::digest(&row)?;
        let of_type = self.versions.entry(record.model_type.clone()).or_default();
        of_type.insert(record.version.to_string(), digest);
        Ok(())
    }

    /// Adds the number of a removed version.
    pub fn add_removed(&mut self, model_type: ModelType, version: Version) {
        self.removed.entry(model_type).or_default().insert(version);
    }

    /// The digest, with the given end of the history.
    ///
    /// # Errors
    /// [`NotFinite`], which no catalog can cause.
    pub fn finish(&self, history: ChainHead) -> Result<Sha256Digest, NotFinite> {
        canonical_json::digest(
            &json!({ "history": history, "removed": self.removed, "versions": self.versions }),
        )
    }
}
