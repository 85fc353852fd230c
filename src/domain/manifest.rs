//! `Manifest`: the registry's summary of itself, with a digest over its catalog that means the same
//! whatever database holds the catalog.
//!
//! The canonical dump is the JSON object `{"history": {head_sha256, length}, "removed": {type: [version]},
//! "versions": {type: {version: row digest}}}` as [`super::canonical_json`] writes it; a row digest is the SHA-256 of the
//! canonical JSON of the row's fields. `checksum` is the SHA-256 of the dump. The manifest holds the row
//! digests beside the checksum, so that two that differ can say which version does.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord, canonical_json,
    history::ChainHead,
};

/// The layout that this code writes.
pub const REGISTRY_VERSION: &str = "2.0.0";

/// The most differences that a message lists.
const MAX_LISTED: usize = 10;

/// What the manifest remembers of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionEntry {
    /// Its status.
    pub status: Status,
    /// The digest of its row.
    pub row_sha256: Sha256Digest,
}

type Entries = BTreeMap<ModelType, BTreeMap<Version, VersionEntry>>;

/// Numbers that were used by versions that are gone.
pub type Removed = BTreeMap<ModelType, BTreeSet<Version>>;

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout of the registry directory.
    pub registry_version: String,
    /// When the registry was made.
    pub created_at: Timestamp,
    /// When the catalog last changed.
    pub last_updated: Timestamp,
    /// How many versions there are.
    pub artifact_count: u64,
    /// The version in production of each type that has one.
    pub production_models: BTreeMap<ModelType, Version>,
    /// Bytes of all files of all versions.
    pub total_size_bytes: u64,
    /// SHA-256 of the catalog's canonical dump.
    pub checksum: Sha256Digest,
    /// When a backup was last taken.
    pub last_backup_at: Option<Timestamp>,
    /// Where it is.
    pub backup_location: Option<String>,
    /// Where the history ends.
    pub history: ChainHead,
    /// Every version, so that a difference can be named.
    pub versions: Entries,
    /// Numbers that were used by versions that are gone.
    pub removed_versions: Removed,
}

/// A summary of the catalog at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogSummary {
    /// The digest of the canonical dump.
    pub checksum: Sha256Digest,
    /// Where the history ends.
    pub history: ChainHead,
    versions: Entries,
    removed_versions: Removed,
    production_models: BTreeMap<ModelType, Version>,
    artifact_count: u64,
    total_size_bytes: u64,
}

impl CatalogSummary {
    /// Summarises all rows of a catalog.
    #[must_use]
    pub fn of(records: &[VersionRecord], removed_versions: Removed, history: ChainHead) -> Self {
        let mut versions = Entries::new();
        let mut production_models = BTreeMap::new();
        for record in records {
            let entry = VersionEntry { status: record.status, row_sha256: row_digest(record) };
            versions.entry(record.model_type.clone()).or_default().insert(record.version, entry);
            if record.status == Status::Production {
                production_models.insert(record.model_type.clone(), record.version);
            }
        }
        Self {
            checksum: dump_digest(&versions, &removed_versions, history),
            history,
            versions,
            removed_versions,
            production_models,
            artifact_count: records.len() as u64,
            total_size_bytes: records.iter().map(|record| record.total_size_bytes).sum(),
        }
    }
}

fn row_digest(record: &VersionRecord) -> Sha256Digest {
    // Numbers in a record are integers, so the canonical form always exists.
    serde_json::to_value(record)
        .ok()
        .and_then(|value| canonical_json::digest(&value).ok())
        .unwrap_or(Sha256Digest::ZERO)
}

fn dump_digest(versions: &Entries, removed: &Removed, history: ChainHead) -> Sha256Digest {
    let rows: BTreeMap<_, BTreeMap<_, _>> = versions
        .iter()
        .map(|(model_type, entries)| {
            let rows =
                entries.iter().map(|(version, entry)| (version.to_string(), entry.row_sha256));
            (model_type.as_str(), rows.collect())
        })
        .collect();
    canonical_json::digest(&json!({ "history": history, "removed": removed, "versions": rows }))
        .unwrap_or(Sha256Digest::ZERO)
}

impl CatalogSummary {
    /// How many versions there are.
    #[must_use]
    pub fn artifact_count(&self) -> u64 {
        self.artifact_count
    }
}

impl Manifest {
    /// The first manifest of a registry.
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
            last_backup_at: None,
            backup_location: None,
            history: ChainHead::EMPTY,
            versions: Entries::new(),
            removed_versions: Removed::new(),
        };
        manifest.record(now, catalog);
        manifest
    }

    /// Brings the manifest up to a catalog.
    pub fn record(&mut self, now: Timestamp, catalog: &CatalogSummary) {
        self.last_updated = now;
        self.artifact_count = catalog.artifact_count;
        self.production_models.clone_from(&catalog.production_models);
        self.total_size_bytes = catalog.total_size_bytes;
        self.checksum = catalog.checksum;
        self.history = catalog.history;
        self.versions.clone_from(&catalog.versions);
        self.removed_versions.clone_from(&catalog.removed_versions);
    }

    /// Where manifest and catalog differ, a sentence each; empty where they agree.
    #[must_use]
    pub fn differences(&self, catalog: &CatalogSummary) -> Vec<String> {
        let mut found = Vec::new();
        let mut differ = |what: &str, manifest: &dyn ToString, catalog: &dyn ToString| {
            let (manifest, catalog) = (manifest.to_string(), catalog.to_string());
            if manifest != catalog {
                found.push(format!("{what}: the manifest says {manifest}, the catalog {catalog}"));
            }
        };
        differ("registry_version", &self.registry_version, &REGISTRY_VERSION);
        differ("artifact_count", &self.artifact_count, &catalog.artifact_count);
        differ("total_size_bytes", &self.total_size_bytes, &catalog.total_size_bytes);
        differ("history length", &self.history.length, &catalog.history.length);
        differ("history head", &self.history.head_sha256, &catalog.history.head_sha256);
        self.compare_production(catalog, &mut found);
        self.compare_versions(catalog, &mut found);
        if self.removed_versions != catalog.removed_versions {
            found.push("the numbers used by removed versions differ".to_owned());
        }
        if found.is_empty() && self.checksum != catalog.checksum {
            found.push(format!(
                "checksum: the manifest says {}, the catalog {}",
                self.checksum, catalog.checksum
            ));
        }
        if found.len() > MAX_LISTED {
            let more = found.len() - MAX_LISTED;
            found.truncate(MAX_LISTED);
            found.push(format!("and {more} more"));
        }
        found
    }

    fn compare_production(&self, catalog: &CatalogSummary, found: &mut Vec<String>) {
        let types: BTreeSet<_> =
            self.production_models.keys().chain(catalog.production_models.keys()).collect();
        let shown =
            |version: Option<&Version>| version.map_or("none".to_owned(), Version::to_string);
        for model_type in types {
            let (ours, theirs) =
                (self.production_models.get(model_type), catalog.production_models.get(model_type));
            if ours != theirs {
                found.push(format!(
                    "production version of {model_type}: the manifest says {}, the catalog {}",
                    shown(ours),
                    shown(theirs)
                ));
            }
        }
    }

    fn compare_versions(&self, catalog: &CatalogSummary, found: &mut Vec<String>) {
        for (name, ours, theirs) in paired(&self.versions, &catalog.versions) {
            found.push(match (ours, theirs) {
                (Some(ours), Some(theirs)) if ours == theirs => continue,
                (Some(ours), Some(theirs)) if ours.status != theirs.status => format!(
                    "{name}: the manifest says {}, the catalog {}",
                    ours.status, theirs.status
                ),
                (Some(_), Some(_)) => format!("{name}: the catalog's row was changed"),
                (Some(_), None) => format!("{name}: in the manifest, not in the catalog"),
                (None, _) => format!("{name}: in the catalog, not in the manifest"),
            });
        }
    }
}

fn paired<'a>(
    ours: &'a Entries,
    theirs: &'a Entries,
) -> impl Iterator<Item = (String, Option<&'a VersionEntry>, Option<&'a VersionEntry>)> {
    let keys = |entries: &'a Entries| {
        entries.iter().flat_map(|(model_type, versions)| {
            versions.keys().map(move |version| (model_type, *version))
        })
    };
    let all: BTreeSet<_> = keys(ours).chain(keys(theirs)).collect();
    all.into_iter().map(move |(model_type, version)| {
        let find = |entries: &'a Entries| entries.get(model_type).and_then(|all| all.get(&version));
        (format!("{model_type}/{version}"), find(ours), find(theirs))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ArtifactFile, Metadata, metadata::tests::SIDECAR};

    fn record(version: &str, status: Status) -> VersionRecord {
        let metadata = Metadata::parse(SIDECAR.as_bytes()).expect("sidecar");
        VersionRecord {
            model_id: metadata.model_id,
            model_type: metadata.model_type,
            version: Version::parse(version).expect("version"),
            status,
            artifact_file: ArtifactFile::parse("model.pkl").expect("name"),
            artifact_size_bytes: 1,
            total_size_bytes: 10,
            checksum_sha256: metadata.checksum_sha256,
            metadata_sha256: Sha256Digest::of(SIDECAR.as_bytes()),
            config_hash: metadata.config_hash,
            snapshot_id: metadata.snapshot_id,
            dataset_version_ids: metadata.dataset_version_ids,
            created_at: metadata.created_at,
            promoted_at: None,
            archived_at: None,
        }
    }

    fn summary(records: &[VersionRecord]) -> CatalogSummary {
        CatalogSummary::of(records, Removed::new(), ChainHead::EMPTY)
    }

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-23T00:00:00Z").expect("time")
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_their_content_does() {
        let (a, b) = (record("v1.0.0", Status::Production), record("v1.1.0", Status::Staged));
        let one = summary(&[a.clone(), b.clone()]);
        assert_eq!(one, summary(&[b.clone(), a.clone()]));
        let changed = VersionRecord { artifact_size_bytes: 2, ..b };
        assert_ne!(one.checksum, summary(&[a, changed]).checksum);
    }

    #[test]
    fn the_manifest_names_what_differs() {
        let (a, b) = (record("v1.0.0", Status::Production), record("v1.1.0", Status::Staged));
        let before = summary(&[a.clone(), b.clone()]);
        let manifest = Manifest::new(now(), &before);
        assert!(manifest.differences(&before).is_empty());
        assert_eq!(manifest.production_models.len(), 1);

        let archived = VersionRecord { status: Status::Archived, ..a.clone() };
        let told = manifest.differences(&summary(&[archived, b.clone()])).join("; ");
        assert!(
            told.contains("risk_model/v1.0.0: the manifest says production, the catalog archived")
        );
        assert!(told.contains(
            "production version of risk_model: the manifest says v1.0.0, the catalog none"
        ));

        let told = manifest.differences(&summary(std::slice::from_ref(&a))).join("; ");
        assert!(told.contains("risk_model/v1.1.0: in the manifest, not in the catalog"), "{told}");

        let changed = VersionRecord { snapshot_id: "other".to_owned(), ..b };
        let told = manifest.differences(&summary(&[a, changed])).join("; ");
        assert_eq!(told, "risk_model/v1.1.0: the catalog's row was changed");
    }

    #[test]
    fn a_manifest_with_only_its_checksum_changed_still_differs() {
        let catalog = summary(&[]);
        let mut manifest = Manifest::new(now(), &catalog);
        manifest.checksum = Sha256Digest::of(b"x");
        assert_eq!(manifest.differences(&catalog).len(), 1);
    }
}
