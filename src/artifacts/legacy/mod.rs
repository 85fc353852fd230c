//! Reads a registry directory of the Python service: its manifest, the export of its catalog, its sidecars and its
//! artifacts. Each is checked against the others. Nothing is written to the directory.
//!
//! `registry.db` is a DuckDB file, which this program cannot read. Its rows come from `catalog-export/`. The file
//! itself must have the SHA-256 in the manifest, so the manifest describes its state. An export of another state then
//! differs from the manifest's counts, production versions or sizes. Some values are only in the export: the
//! promotion times, and the authors and times of the history. They can be checked only against the rules.
//!
//! There are two kinds of faults: faults of one version, which can be left out, and faults of the directory.

mod export;
mod history;
mod version;

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::Read as _,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    RegistryRoot, StoreError, digest,
    root::{ARTIFACTS, CATALOG, Folder, MANIFEST, STAGING},
};
use crate::domain::{
    Policy, Sha256Digest, Status, VersionRecord, history::Transition, text::for_terminal,
};
use export::{HistoryRow, ModelRow, Row, read_rows};
use version::read_version;

const EXPORT: &str = "catalog-export";
const MODELS: &str = "models.csv";
const HISTORY: &str = "promotion_history.csv";

/// The size limit of an export or manifest, in bytes.
const MAX_EXPORT_BYTES: u64 = 1 << 30;

/// A checked version of the directory.
#[derive(Debug)]
pub struct LegacyVersion {
    /// The version's row in the new catalog.
    pub record: VersionRecord,
    /// The exact bytes of its sidecar.
    pub sidecar: Vec<u8>,
    /// The exact bytes of its checksum file.
    pub checksum_file: Vec<u8>,
}

/// A checked registry directory of the Python service.
#[derive(Debug)]
pub struct LegacyRegistry {
    root: RegistryRoot,
    /// The directory's versions.
    pub versions: Vec<LegacyVersion>,
    /// The directory's history, oldest first.
    pub transitions: Vec<Transition>,
    /// The items that are left out; empty with [`Invalid::Refuse`].
    pub left_out: Vec<LeftOut>,
}

/// The treatment of a version that the rules do not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// The whole directory is refused.
    Refuse,
    /// The version and its history are left out.
    LeaveOut,
}

/// An item of the directory that the rules do not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The item's name, for example `risk_model/v1.2.0`.
    pub subject: String,
    /// Every fault of the item, safe to print to a terminal.
    pub faults: Vec<String>,
}

/// Every fault of the directory, one sentence each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct LegacyFaults(pub Vec<String>);

impl From<StoreError> for LegacyFaults {
    fn from(error: StoreError) -> Self {
        Self(vec![for_terminal(&error.to_string()).into_owned()])
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
struct Found {
    /// The faults of the directory.
    of_directory: Vec<String>,
    /// The faults of single versions and rows, by name.
    of_parts: BTreeMap<String, Vec<String>>,
}

impl Found {
    fn add(&mut self, part: impl Into<String>, fault: impl Into<String>) {
        self.of_parts.entry(part.into()).or_default().push(fault.into());
    }
}

#[derive(Deserialize)]
struct LegacyManifest {
    registry_version: String,
    artifact_count: u64,
    production_models: BTreeMap<String, String>,
    total_size_bytes: u64,
    checksum: Sha256Digest,
}

impl LegacyRegistry {
    /// Reads and checks a directory. `progress` receives the number of hashed bytes.
    ///
    /// # Errors
    /// [`LegacyFaults`] with every fault found.
    pub fn read(
        directory: &Path,
        policy: &Policy,
        invalid: Invalid,
        progress: &dyn Fn(u64),
    ) -> Result<Self, LegacyFaults> {
        let root = RegistryRoot::open(directory)?;
        let top = root.folder()?;
        let mut found = Found::default();
        let manifest = read_manifest(&top, &mut found);
        let models = read_rows::<ModelRow>(&top, MODELS, &mut found);
        let steps = read_rows::<HistoryRow>(&top, HISTORY, &mut found);
        if let Some(manifest) = &manifest {
            check_database(&top, manifest, &mut found);
            check_manifest(manifest, &models, &mut found);
        }
        check_folders(&root, &models, &mut found);
        let mut versions = read_versions(&root, &models, policy, &mut found, progress);
        let unknown: HashSet<&str> = models
            .iter()
            .filter(|row| found.of_parts.contains_key(&row.subject))
            .filter_map(|row| row.model_id.as_deref())
            .collect();
        let mut transitions = history::read(&steps, &versions, &unknown, &mut found);
        history::check(&versions, &transitions, &mut found);
        if let Some(manifest) = manifest.filter(|_| found.of_parts.is_empty()) {
            check_sizes(&manifest, &versions, &mut found);
        }
        let Found { of_directory, of_parts } = found;
        if !of_directory.is_empty() || (invalid == Invalid::Refuse && !of_parts.is_empty()) {
            return Err(all(of_directory, of_parts));
        }
        versions.retain(|version| !of_parts.contains_key(&version.record.name()));
        let kept: HashSet<_> = versions.iter().map(|version| version.record.model_id).collect();
        transitions.retain(|step| kept.contains(&step.model_id));
        Ok(Self { root, versions, transitions, left_out: left_out(of_parts) })
    }

    /// Opens the artifact of a version for copying.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open_artifact(&self, record: &VersionRecord) -> Result<File, StoreError> {
        self.root
            .version_folder(&record.model_type, record.version)?
            .open_file(record.artifact_file.as_str())
    }
}

fn left_out(of_parts: BTreeMap<String, Vec<String>>) -> Vec<LeftOut> {
    let fit = |text: &String| for_terminal(text).into_owned();
    of_parts
        .into_iter()
        .map(|(subject, faults)| LeftOut {
            subject: fit(&subject),
            faults: faults.iter().map(fit).collect(),
        })
        .collect()
}

fn all(of_directory: Vec<String>, of_parts: BTreeMap<String, Vec<String>>) -> LegacyFaults {
    let of_parts = left_out(of_parts).into_iter().flat_map(|part| {
        let subject = part.subject;
        part.faults.into_iter().map(move |fault| format!("{subject}: {fault}"))
    });
    let of_directory = of_directory.iter().map(|fault| for_terminal(fault).into_owned());
    LegacyFaults(of_directory.chain(of_parts).collect())
}

fn read_all(folder: &Folder, name: &str, limit: u64) -> Result<Vec<u8>, StoreError> {
    let failed = |error| StoreError::io("read", folder.path().join(name), error);
    let mut bytes = Vec::new();
    folder.open_file(name)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(failed(std::io::Error::other(format!("it is larger than {limit} bytes"))));
    }
    Ok(bytes)
}

fn read_manifest(top: &Folder, found: &mut Found) -> Option<LegacyManifest> {
    let read = || {
        let text = read_all(top, MANIFEST, MAX_EXPORT_BYTES).map_err(|error| error.to_string())?;
        let manifest: LegacyManifest =
            serde_json::from_slice(&text).map_err(|error| format!("{MANIFEST}: {error}"))?;
        if manifest.registry_version.starts_with("1.") {
            return Ok(manifest);
        }
        Err(format!(
            "{MANIFEST}: registry_version is \"{}\", and import takes directories of the Python service, \
             1.x; a registry of this program is copied with its directory",
            manifest.registry_version
        ))
    };
    read().map_err(|fault| found.of_directory.push(fault)).ok()
}

fn check_database(top: &Folder, manifest: &LegacyManifest, found: &mut Found) {
    let hashed = top
        .open_file(CATALOG)
        .map_err(|error| error.to_string())
        .and_then(|file| digest::hash(file, &|_| true).map_err(|error| error.to_string()));
    match hashed {
        Ok((digest, _)) if digest == manifest.checksum => {}
        Ok(_) => found.of_directory.push(format!(
            "{CATALOG} differs from the SHA-256 in {MANIFEST}: it was changed after the manifest was \
             written; stop the Python service, export again, and take all three together"
        )),
        Err(error) => found.of_directory.push(format!("{CATALOG}: {error}")),
    }
}

fn read_versions(
    root: &RegistryRoot,
    models: &[Row<ModelRow>],
    policy: &Policy,
    found: &mut Found,
    progress: &dyn Fn(u64),
) -> Vec<LegacyVersion> {
    let mut versions = Vec::new();
    let mut seen = HashSet::new();
    for row in models {
        let id = row.model_id.as_deref().unwrap_or_default();
        if !seen.insert(row.subject.as_str()) || !seen.insert(id) {
            found.add(&row.subject, format!("{MODELS} has its name or its model_id twice"));
            continue;
        }
        let read = row.value.as_ref().map_err(|fault| vec![fault.clone()]);
        match read.and_then(|values| read_version(root, values, policy, progress)) {
            Ok(version) => versions.push(version),
            Err(faults) => faults.into_iter().for_each(|fault| found.add(&row.subject, fault)),
        }
    }
    versions
}

fn check_manifest(manifest: &LegacyManifest, models: &[Row<ModelRow>], found: &mut Found) {
    let count = models.len() as u64;
    if manifest.artifact_count != count {
        found.of_directory.push(format!(
            "{MANIFEST} counts {} versions, the export holds {count}",
            manifest.artifact_count
        ));
    }
    let Some(rows) = models.iter().map(|row| row.value.as_ref().ok()).collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let production: BTreeMap<String, String> = rows
        .into_iter()
        .filter(|row| row.status == Status::Production.as_str())
        .map(|row| (row.model_type.clone(), row.version.clone()))
        .collect();
    if manifest.production_models != production {
        found.of_directory.push(format!(
            "{MANIFEST} says that {:?} are in production, the export {production:?}",
            manifest.production_models
        ));
    }
}

fn check_sizes(manifest: &LegacyManifest, versions: &[LegacyVersion], found: &mut Found) {
    let total: u64 = versions.iter().map(|version| version.record.total_size_bytes).sum();
    if manifest.total_size_bytes != total {
        found.of_directory.push(format!(
            "{MANIFEST} says {} bytes, the version folders hold {total}",
            manifest.total_size_bytes
        ));
    }
}

/// Checks that every version folder is in the export.
fn check_folders(root: &RegistryRoot, models: &[Row<ModelRow>], found: &mut Found) {
    let known: HashSet<&str> = models.iter().map(|row| row.subject.as_str()).collect();
    let artifacts = match root.artifacts() {
        Ok(artifacts) => artifacts,
        Err(error) => return found.of_directory.push(error.to_string()),
    };
    let names = artifacts.entries().unwrap_or_else(|error| {
        found.of_directory.push(error.to_string());
        Vec::new()
    });
    for of_type in names.into_iter().filter(|name| name != STAGING) {
        match artifacts.folder(&of_type).and_then(|folder| folder.entries()) {
            Ok(entries) => {
                let places = entries.into_iter().map(|version| format!("{of_type}/{version}"));
                for place in places.filter(|place| !known.contains(place.as_str())) {
                    found.add(
                        format!("{ARTIFACTS}/{place}"),
                        "the folder is not in the export; export again, or move it away",
                    );
                }
            }
            Err(error) => found.add(format!("{ARTIFACTS}/{of_type}"), error.to_string()),
        }
    }
}
