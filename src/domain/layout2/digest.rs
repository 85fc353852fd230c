//! The digest of layout 2.0.0 over a catalog: the SHA-256 of the canonical JSON object `{"history": {head_sha256,
//! length}, "removed": {type: [version]}, "versions": {type: {version: row digest}}}`; a row digest is the SHA-256 of
//! the canonical JSON of the row's fields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::chain::ChainHead;
use crate::domain::{
    ModelType, Sha256Digest, Version, VersionRecord,
    canonical_json::{self, NotFinite},
};

/// Gathers a catalog's rows, one by one.
#[derive(Debug, Default)]
pub struct CatalogDigest {
    versions: BTreeMap<ModelType, BTreeMap<String, Sha256Digest>>,
    removed: BTreeMap<ModelType, BTreeSet<Version>>,
}

impl CatalogDigest {
    /// Takes a version's row.
    ///
    /// # Errors
    /// [`NotFinite`], which no row holds.
    pub fn add(&mut self, record: &VersionRecord) -> Result<(), NotFinite> {
        let row = serde_json::to_value(record).unwrap_or_default();
        let digest = canonical_json::digest(&row)?;
        let of_type = self.versions.entry(record.model_type.clone()).or_default();
        of_type.insert(record.version.to_string(), digest);
        Ok(())
    }

    /// Takes the number of a version that is gone.
    pub fn add_removed(&mut self, model_type: ModelType, version: Version) {
        self.removed.entry(model_type).or_default().insert(version);
    }

    /// The digest, with a history that ends there.
    ///
    /// # Errors
    /// [`NotFinite`], which no catalog holds.
    pub fn finish(&self, history: ChainHead) -> Result<Sha256Digest, NotFinite> {
        canonical_json::digest(
            &json!({ "history": history, "removed": self.removed, "versions": self.versions }),
        )
    }
}
