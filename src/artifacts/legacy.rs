//! Reading a registry directory of the Python service: its manifest, its catalog's export, its sidecars
//! and artifacts, each checked against the others. Reads only; nothing is written to the directory.
//!
//! `registry.db` is a DuckDB file, which this program does not read: its rows come from
//! `catalog-export/`, and the file itself is held against the SHA-256 in the manifest, so that an export
//! cannot be of another state than the manifest's without the manifest saying so in its counts, its
//! production versions or its sizes. What the export alone tells (times of promotion, who and when in the
//! history) can be held against nothing but the rules.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::Read as _,
    path::Path,
};

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    RegistryRoot, StoreError, digest,
    root::{ARTIFACTS, CATALOG, CHECKSUM, Folder, MANIFEST, METADATA, STAGING},
};
use crate::domain::{
    ArtifactFile, Metadata, ModelId, ModelType, Policy, Sha256Digest, Status, Timestamp, Version,
    VersionRecord, history::Transition, registration::MAX_SIDECAR_BYTES, text::check_short_text,
};

const EXPORT: &str = "catalog-export";
const MODELS: &str = "models.csv";
const HISTORY: &str = "promotion_history.csv";

/// Largest export or manifest that is read, in bytes.
const MAX_EXPORT_BYTES: u64 = 1 << 30;

/// A version as the directory holds it, checked.
#[derive(Debug)]
pub struct LegacyVersion {
    /// The catalog row that it becomes.
    pub record: VersionRecord,
    /// Its sidecar, byte for byte.
    pub sidecar: Vec<u8>,
    /// Its checksum file, byte for byte.
    pub checksum_file: Vec<u8>,
}

/// A registry directory of the Python service, checked.
#[derive(Debug)]
pub struct LegacyRegistry {
    root: RegistryRoot,
    /// Its versions.
    pub versions: Vec<LegacyVersion>,
    /// Its history, oldest first.
    pub transitions: Vec<Transition>,
}

/// Everything that is wrong with the directory, a sentence each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct LegacyFaults(pub Vec<String>);

impl From<StoreError> for LegacyFaults {
    fn from(error: StoreError) -> Self {
        Self(vec![error.to_string()])
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

#[derive(Deserialize)]
struct ModelRow {
    model_id: String,
    model_type: String,
    version: String,
    status: String,
    artifact_path: String,
    checksum_sha256: String,
    metadata_sha256: String,
    created_at: String,
    promoted_at: Option<String>,
    archived_at: Option<String>,
    config_hash: String,
    snapshot_id: String,
    dataset_version_ids_json: String,
    metrics_json: Option<String>,
    factor_list_json: Option<String>,
    experiment_id: Option<String>,
    run_id: Option<String>,
    dataset_uri: Option<String>,
    qlib_version: Option<String>,
}

#[derive(Deserialize)]
struct HistoryRow {
    id: String,
    model_id: String,
    from_status: String,
    to_status: String,
    changed_at: String,
    changed_by: String,
}

impl LegacyRegistry {
    /// Reads and checks a directory. `progress` hears the bytes hashed.
    ///
    /// # Errors
    /// [`LegacyFaults`], all that was found.
    pub fn read(
        directory: &Path,
        policy: &Policy,
        progress: &dyn Fn(u64),
    ) -> Result<Self, LegacyFaults> {
        let root = RegistryRoot::open(directory)?;
        let top = root.folder()?;
        let manifest = read_manifest(&top)?;
        let export = top.folder(EXPORT)?;
        let mut faults = Vec::new();
        let database = top.open_file(CATALOG)?;
        match digest::hash(database, &|_| true) {
            Ok((found, _)) if found == manifest.checksum => {}
            Ok(_) => faults.push(format!(
                "{CATALOG} differs from the SHA-256 in {MANIFEST}: it was changed after the manifest was \
                 written; stop the Python service, export again, and take all three together"
            )),
            Err(error) => faults.push(format!("{CATALOG}: {error}")),
        }
        let mut versions = Vec::new();
        for row in read_rows::<ModelRow>(&export, MODELS)? {
            let name = format!("{}/{}", row.model_type, row.version);
            match read_version(&root, row, policy, progress) {
                Ok(version) => versions.push(version),
                Err(fault) => faults.push(format!("{name}: {fault}")),
            }
        }
        let transitions = read_history(&export, &versions, &mut faults)?;
        if faults.is_empty() {
            check_manifest(&manifest, &versions, &mut faults);
            check_statuses(&versions, &transitions, &mut faults);
            check_folders(&root, &versions, &mut faults)?;
        }
        if faults.is_empty() {
            Ok(Self { root, versions, transitions })
        } else {
            Err(LegacyFaults(faults))
        }
    }

    /// Opens a version's artifact, to be copied.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open_artifact(&self, record: &VersionRecord) -> Result<File, StoreError> {
        self.root
            .version_folder(&record.model_type, record.version)?
            .open_file(record.artifact_file.as_str())
    }
}

fn read_all(folder: &Folder, name: &str, limit: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    folder
        .open_file(name)?
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| StoreError::io("read", folder.path().join(name), error))?;
    Ok(bytes)
}

fn read_manifest(top: &Folder) -> Result<LegacyManifest, LegacyFaults> {
    let text = read_all(top, MANIFEST, MAX_EXPORT_BYTES)?;
    let manifest: LegacyManifest = serde_json::from_slice(&text)
        .map_err(|error| LegacyFaults(vec![format!("{MANIFEST}: {error}")]))?;
    if manifest.registry_version.starts_with("1.") {
        Ok(manifest)
    } else {
        Err(LegacyFaults(vec![format!(
            "{MANIFEST}: registry_version is \"{}\", and import takes directories of the Python service, \
             1.x; a registry of this program is copied with its directory",
            manifest.registry_version
        )]))
    }
}

fn read_rows<T: serde::de::DeserializeOwned>(
    export: &Folder,
    name: &str,
) -> Result<Vec<T>, LegacyFaults> {
    let bytes = read_all(export, name, MAX_EXPORT_BYTES)?;
    csv::Reader::from_reader(bytes.as_slice())
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(|error| LegacyFaults(vec![format!("{EXPORT}/{name}: {error}")]))
}

/// Names a field in front of a parse error.
fn field<T, E: std::fmt::Display>(name: &str, parsed: Result<T, E>) -> Result<T, String> {
    parsed.map_err(|error| format!("{name}: {error}"))
}

fn time(name: &str, text: &str) -> Result<Timestamp, String> {
    field(name, Timestamp::parse_without_zone(text).or_else(|_| Timestamp::parse(text)))
}

fn optional_time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, String> {
    text.filter(|text| !text.is_empty()).map(|text| time(name, text)).transpose()
}

fn read_version(
    root: &RegistryRoot,
    row: ModelRow,
    policy: &Policy,
    progress: &dyn Fn(u64),
) -> Result<LegacyVersion, String> {
    let model_type = field("model_type", ModelType::parse(&row.model_type))?;
    if policy.rules(&model_type).is_none() {
        return Err(format!("the type is not known; add [types.{model_type}] to the policy file"));
    }
    let version = field("version", Version::parse(&row.version))?;
    let place = format!("{ARTIFACTS}/{model_type}/{version}");
    if row.artifact_path != place && !row.artifact_path.ends_with(&format!("/{place}")) {
        return Err(format!(
            "artifact_path is {}, which does not end in {place}",
            row.artifact_path
        ));
    }
    let folder = field("folder", root.version_folder(&model_type, version))?;
    let artifact_file = the_artifact(&folder)?;
    let sidecar = field(METADATA, read_all(&folder, METADATA, MAX_SIDECAR_BYTES as u64))?;
    let checksum_file = field(CHECKSUM, read_all(&folder, CHECKSUM, 4096))?;
    let opened = field("artifact", folder.open_file(artifact_file.as_str()))?;
    let (checksum, artifact_size_bytes) = field(
        "artifact",
        digest::hash(opened, &|total| {
            progress(total);
            true
        }),
    )?;
    let metadata = Metadata::parse(&sidecar).map_err(|error| error.to_string())?;
    check_columns(&row, &metadata)?;
    let record = VersionRecord {
        model_id: field("model_id", ModelId::parse(&row.model_id))?,
        status: field("status", Status::parse(&row.status))?,
        artifact_size_bytes,
        total_size_bytes: artifact_size_bytes + (sidecar.len() + checksum_file.len()) as u64,
        checksum_sha256: field("checksum_sha256", Sha256Digest::parse(&row.checksum_sha256))?,
        metadata_sha256: field("metadata_sha256", Sha256Digest::parse(&row.metadata_sha256))?,
        config_hash: field("config_hash", Sha256Digest::parse(&row.config_hash))?,
        snapshot_id: row.snapshot_id,
        dataset_version_ids: field(
            "dataset_version_ids_json",
            serde_json::from_str(&row.dataset_version_ids_json),
        )?,
        created_at: time("created_at", &row.created_at)?,
        promoted_at: optional_time("promoted_at", row.promoted_at.as_deref())?,
        archived_at: optional_time("archived_at", row.archived_at.as_deref())?,
        model_type,
        version,
        artifact_file,
    };
    check_files(&record, checksum, &sidecar, &checksum_file)?;
    metadata.agrees_with(&record).map_err(|error| error.to_string())?;
    Ok(LegacyVersion { record, sidecar, checksum_file })
}

fn check_files(
    record: &VersionRecord,
    artifact: Sha256Digest,
    sidecar: &[u8],
    checksum_file: &[u8],
) -> Result<(), String> {
    if artifact != record.checksum_sha256 {
        return Err(format!("{} differs from checksum_sha256 in the export", record.artifact_file));
    }
    if Sha256Digest::of(sidecar) != record.metadata_sha256 {
        return Err(format!("{METADATA} differs from metadata_sha256 in the export"));
    }
    let named = String::from_utf8_lossy(checksum_file);
    if named.split_whitespace().next() != Some(artifact.to_string().as_str()) {
        return Err(format!("{CHECKSUM} does not name the artifact's SHA-256"));
    }
    if record.status == Status::Production && record.promoted_at.is_none() {
        return Err("it is in production and has no promoted_at".to_owned());
    }
    if record.status == Status::Archived && record.archived_at.is_none() {
        return Err("it is archived and has no archived_at".to_owned());
    }
    Ok(())
}

/// What the export repeats of a sidecar must be what the sidecar says.
fn check_columns(row: &ModelRow, metadata: &Metadata) -> Result<(), String> {
    let json = |name: &str, text: Option<&str>| -> Result<Value, String> {
        let text = text.filter(|text| !text.is_empty()).unwrap_or("null");
        field(name, serde_json::from_str(text))
    };
    let optional = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let checks = [
        (
            "metrics_json",
            json("metrics_json", row.metrics_json.as_deref())?
                == Value::Object(metadata.metrics.clone()),
        ),
        (
            "factor_list_json",
            json("factor_list_json", row.factor_list_json.as_deref())?
                == Value::from(metadata.factor_list.clone()),
        ),
        ("experiment_id", optional(&row.experiment_id) == metadata.experiment_id),
        ("run_id", optional(&row.run_id) == metadata.run_id),
        ("dataset_uri", optional(&row.dataset_uri) == metadata.dataset_uri),
        ("qlib_version", optional(&row.qlib_version) == metadata.qlib_version),
    ];
    match checks.into_iter().find(|(_, agrees)| !agrees) {
        None => Ok(()),
        Some((name, _)) => Err(format!("{name} in the export differs from {METADATA}")),
    }
}

fn the_artifact(folder: &Folder) -> Result<ArtifactFile, String> {
    let entries = field("folder", folder.entries())?;
    let mut artifacts = entries.iter().filter(|name| *name != METADATA && *name != CHECKSUM);
    match (artifacts.next(), artifacts.next()) {
        (Some(name), None) => field(name, ArtifactFile::parse(name)),
        (None, _) => Err("its folder holds no model file".to_owned()),
        (Some(one), Some(two)) => {
            Err(format!("its folder holds {one} and {two}; which is the model cannot be told"))
        }
    }
}

fn read_history(
    export: &Folder,
    versions: &[LegacyVersion],
    faults: &mut Vec<String>,
) -> Result<Vec<Transition>, LegacyFaults> {
    let by_id: HashMap<String, &VersionRecord> = versions
        .iter()
        .map(|version| (version.record.model_id.to_string(), &version.record))
        .collect();
    let mut drafts = Vec::new();
    for row in read_rows::<HistoryRow>(export, HISTORY)? {
        let id = row.id.clone();
        match read_transition(row, &by_id) {
            Ok(draft) => drafts.push(draft),
            Err(fault) => faults.push(format!("{HISTORY}, row {id}: {fault}")),
        }
    }
    // Rows of one moment keep the export's order: archived before promoted, as they were written.
    drafts.sort_by_key(|draft| draft.changed_at);
    Ok(drafts)
}

fn read_transition(
    row: HistoryRow,
    by_id: &HashMap<String, &VersionRecord>,
) -> Result<Transition, String> {
    let record = by_id
        .get(&row.model_id)
        .ok_or_else(|| format!("model_id {} is not in {MODELS}", row.model_id))?;
    check_short_text(&row.changed_by).map_err(|what| format!("changed_by {what}"))?;
    let from = Some(row.from_status).filter(|status| !status.is_empty());
    Ok(Transition {
        transition_id: field("id", Uuid::parse_str(&row.id))?,
        model_id: record.model_id,
        model_type: record.model_type.clone(),
        version: record.version,
        from_status: field("from_status", from.as_deref().map(Status::parse).transpose())?,
        to_status: field("to_status", Status::parse(&row.to_status))?,
        changed_at: time("changed_at", &row.changed_at)?,
        changed_by: row.changed_by,
        reason: None,
        gates_skipped: false,
    })
}

fn check_manifest(manifest: &LegacyManifest, versions: &[LegacyVersion], faults: &mut Vec<String>) {
    let count = versions.len() as u64;
    if manifest.artifact_count != count {
        faults.push(format!(
            "{MANIFEST} counts {} versions, the export holds {count}",
            manifest.artifact_count
        ));
    }
    let total: u64 = versions.iter().map(|version| version.record.total_size_bytes).sum();
    if manifest.total_size_bytes != total {
        faults.push(format!(
            "{MANIFEST} says {} bytes, the version folders hold {total}",
            manifest.total_size_bytes
        ));
    }
    let production: BTreeMap<String, String> = versions
        .iter()
        .filter(|version| version.record.status == Status::Production)
        .map(|version| (version.record.model_type.to_string(), version.record.version.to_string()))
        .collect();
    if manifest.production_models != production {
        faults.push(format!(
            "{MANIFEST} says that {:?} are in production, the export {production:?}",
            manifest.production_models
        ));
    }
}

/// Each version's history must be a walk by the rules from its registration to where it stands.
fn check_statuses(
    versions: &[LegacyVersion],
    transitions: &[Transition],
    faults: &mut Vec<String>,
) {
    let mut stands: HashMap<ModelId, Status> = HashMap::new();
    for draft in transitions {
        let before = stands.insert(draft.model_id, draft.to_status);
        let allowed = match (before, draft.from_status) {
            (None, None) => draft.to_status == Status::Staged,
            (Some(before), Some(from)) => before == from && from.may_become(draft.to_status),
            _ => false,
        };
        if !allowed {
            faults.push(format!(
                "{HISTORY}, row {}: {}/{} cannot have gone from {} to {} there",
                draft.transition_id,
                draft.model_type,
                draft.version,
                draft.from_status.map_or("nothing", Status::as_str),
                draft.to_status
            ));
        }
    }
    for LegacyVersion { record, .. } in versions {
        if stands.get(&record.model_id) != Some(&record.status) {
            faults.push(format!(
                "{}: it is {}, and its history does not lead there",
                record.name(),
                record.status
            ));
        }
    }
}

fn check_folders(
    root: &RegistryRoot,
    versions: &[LegacyVersion],
    faults: &mut Vec<String>,
) -> Result<(), LegacyFaults> {
    let known: Vec<String> = versions.iter().map(|version| version.record.name()).collect();
    let artifacts = root.artifacts()?;
    for of_type in artifacts.entries()?.into_iter().filter(|name| name != STAGING) {
        for version in artifacts.folder(&of_type)?.entries()? {
            let name = format!("{of_type}/{version}");
            if !known.contains(&name) {
                faults.push(format!(
                    "{ARTIFACTS}/{name} is not in the export; export again, or move the folder away"
                ));
            }
        }
    }
    Ok(())
}
