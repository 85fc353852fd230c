//! `Manifest`: a summary of the registry. Its `checksum` is the root of the log, which commits to every row of the
//! catalog in either database. Its size does not grow with the number of versions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ModelType, Sha256Digest, Timestamp, Version};

/// The layout that this program writes.
pub const REGISTRY_VERSION: &str = "3.0.0";

/// The previous layout. A registry of this layout is upgraded when it is first opened for change.
pub const UPGRADED_VERSION: &str = "2.0.0";

/// This program does not know the layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the registry's layout is {0:?}; this program knows {UPGRADED_VERSION} and {REGISTRY_VERSION}: use the version of \
     model-registry that wrote it, or a newer one"
)]
pub struct UnknownLayout(pub String);

/// The content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout of the registry directory.
    pub registry_version: String,
    /// The time when the registry was created.
    pub created_at: Timestamp,
    /// The time of the catalog's last change.
    pub last_updated: Timestamp,
    /// The number of versions.
    pub artifact_count: u64,
    /// The version in production of each type that has one.
    pub production_models: BTreeMap<ModelType, Version>,
    /// The size of all files of all versions, in bytes.
    pub total_size_bytes: u64,
    /// The root of the log; in layout 2.0.0, the digest of the catalog.
    pub checksum: Sha256Digest,
    /// The number of entries in the log; absent in layout 2.0.0.
    #[serde(default)]
    pub log_size: u64,
    /// The time of the last backup.
    pub last_backup_at: Option<Timestamp>,
    /// The location of the last backup.
    pub backup_location: Option<String>,
}

/// The part of the manifest that describes the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogSummary {
    /// The root of the log.
    pub root: Sha256Digest,
    /// The number of entries in the log.
    pub log_size: u64,
    /// The number of versions.
    pub artifact_count: u64,
    /// The size of all files of all versions, in bytes.
    pub total_size_bytes: u64,
    /// The version in production of each type that has one.
    pub production_models: BTreeMap<ModelType, Version>,
}

impl Manifest {
    /// The first manifest of a new registry.
    #[must_use]
    pub fn new(now: Timestamp, catalog: &CatalogSummary) -> Self {
        let mut manifest = Self {
            registry_version: REGISTRY_VERSION.to_owned(),
            created_at: now,
            last_updated: now,
            artifact_count: 0,
            production_models: BTreeMap::new(),
            total_size_bytes: 0,
            checksum: Sha256Digest::ZERO,
            log_size: 0,
            last_backup_at: None,
            backup_location: None,
        };
        manifest.record(now, catalog);
        manifest
    }

    /// Updates the manifest to a state of the catalog.
    pub fn record(&mut self, now: Timestamp, catalog: &CatalogSummary) {
        REGISTRY_VERSION.clone_into(&mut self.registry_version);
        self.last_updated = now;
        self.artifact_count = catalog.artifact_count;
        self.production_models.clone_from(&catalog.production_models);
        self.total_size_bytes = catalog.total_size_bytes;
        self.checksum = catalog.root;
        self.log_size = catalog.log_size;
    }

    /// Refuses a layout that this program does not know.
    ///
    /// # Errors
    /// [`UnknownLayout`].
    pub fn check_layout(&self) -> Result<(), UnknownLayout> {
        match self.registry_version.as_str() {
            REGISTRY_VERSION | UPGRADED_VERSION => Ok(()),
            other => Err(UnknownLayout(other.chars().take(40).collect())),
        }
    }

    /// Whether the manifest has the previous layout.
    #[must_use]
    pub fn is_of_the_layout_before(&self) -> bool {
        self.registry_version == UPGRADED_VERSION
    }

    /// The differences between manifest and catalog, one sentence each; empty where they agree.
    #[must_use]
    pub fn differences(&self, catalog: &CatalogSummary) -> Vec<String> {
        let mut found = Vec::new();
        let mut differ = |what: &str, manifest: &dyn ToString, catalog: &dyn ToString| {
            let (manifest, catalog) = (manifest.to_string(), catalog.to_string());
            if manifest != catalog {
                found.push(format!("{what}: the manifest says {manifest}, the catalog {catalog}"));
            }
        };
        differ("artifact_count", &self.artifact_count, &catalog.artifact_count);
        differ("total_size_bytes", &self.total_size_bytes, &catalog.total_size_bytes);
        differ("log_size", &self.log_size, &catalog.log_size);
        differ("checksum", &self.checksum, &catalog.root);
        let types: BTreeSet<_> =
            self.production_models.keys().chain(catalog.production_models.keys()).collect();
        let shown =
            |version: Option<&Version>| version.map_or("none".to_owned(), Version::to_string);
        for model_type in types {
            differ(
                &format!("production version of {model_type}"),
                &shown(self.production_models.get(model_type)),
                &shown(catalog.production_models.get(model_type)),
            );
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> CatalogSummary {
        CatalogSummary {
            root: Sha256Digest::of(b"root"),
            log_size: 3,
            artifact_count: 2,
            total_size_bytes: 10,
            production_models: [(
                ModelType::parse("risk_model").expect("type"),
                Version::parse("v1.0.0").expect("version"),
            )]
            .into(),
        }
    }

    fn manifest() -> Manifest {
        Manifest::new(Timestamp::parse("2026-11-23T00:00:00Z").expect("time"), &summary())
    }

    #[test]
    fn the_manifest_names_each_field_that_differs() {
        assert!(manifest().differences(&summary()).is_empty());
        type Change = fn(&mut Manifest);
        let changes: [(&str, Change); 5] = [
            ("artifact_count", |it| it.artifact_count = 9),
            ("total_size_bytes", |it| it.total_size_bytes = 9),
            ("log_size", |it| it.log_size = 9),
            ("checksum", |it| it.checksum = Sha256Digest::ZERO),
            ("production version of risk_model", |it| it.production_models.clear()),
        ];
        for (field, change) in changes {
            let mut manifest = manifest();
            change(&mut manifest);
            let told = manifest.differences(&summary());
            assert!(told.len() == 1 && told[0].starts_with(field), "{field}: {told:?}");
        }
    }

    #[test]
    fn a_layout_of_the_future_is_refused_by_name() {
        let newer = Manifest { registry_version: "4.0.0".to_owned(), ..manifest() };
        assert!(newer.check_layout().is_err_and(|told| told.to_string().contains("4.0.0")));
        assert_eq!(manifest().check_layout(), Ok(()));
    }
}
