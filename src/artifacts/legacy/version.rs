//! Reads one version of the directory and compares its row, its sidecar and its artifact.

use std::fmt::Display;

use serde_json::Value;

use super::{LegacyVersion, export::ModelRow, read_all};
use crate::{
    artifacts::{
        RegistryRoot, digest,
        root::{ARTIFACTS, CHECKSUM, Folder, METADATA},
    },
    domain::{
        ArtifactFile, Metadata, ModelId, ModelType, Policy, Sha256Digest, Status, Timestamp,
        Version, VersionRecord,
        json_text::{self, MAX_NESTING},
        registration::MAX_SIDECAR_BYTES,
    },
};

/// The faults of the version found so far.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn tell(&mut self, what: impl Into<String>) {
        self.0.push(what.into());
    }

    /// Returns a parsed value, or records the field's fault.
    fn take<T, E: Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.tell(format!("{field}: {error}"))).ok()
    }
}

/// Reads and checks a version.
///
/// # Errors
/// Every fault of the version, one sentence each.
pub(super) fn read_version(
    root: &RegistryRoot,
    row: &ModelRow,
    policy: &Policy,
    progress: &dyn Fn(u64),
) -> Result<LegacyVersion, Vec<String>> {
    let mut faults = Faults::default();
    let read = read(root, row, policy, progress, &mut faults);
    match read {
        Some(version) if faults.0.is_empty() => Ok(version),
        _ => Err(faults.0),
    }
}

fn read(
    root: &RegistryRoot,
    row: &ModelRow,
    policy: &Policy,
    progress: &dyn Fn(u64),
    faults: &mut Faults,
) -> Option<LegacyVersion> {
    let model_type = faults.take("model_type", ModelType::parse(&row.model_type));
    let version = faults.take("version", Version::parse(&row.version));
    let (model_type, version) = (model_type?, version?);
    if policy.rules(&model_type).is_none() {
        faults.tell(format!("the type is not known; add [types.{model_type}] to the policy file"));
    }
    let place = format!("{ARTIFACTS}/{model_type}/{version}");
    if row.artifact_path != place && !row.artifact_path.ends_with(&format!("/{place}")) {
        faults
            .tell(format!("artifact_path is {}, which does not end in {place}", row.artifact_path));
    }
    let folder = faults.take("folder", root.version_folder(&model_type, version))?;
    let artifact = read_artifact(&folder, progress, faults);
    let limit = MAX_SIDECAR_BYTES as u64;
    let sidecar = faults.take(METADATA, read_all(&folder, METADATA, limit));
    let checksum_file = faults.take(CHECKSUM, read_all(&folder, CHECKSUM, 4096));
    let metadata = sidecar.as_ref().and_then(|sidecar| read_metadata(sidecar, faults));
    if let Some(metadata) = &metadata {
        check_columns(row, metadata, faults);
    }
    let columns = Columns::read(row, faults);
    let (artifact, sidecar, checksum_file) = (artifact?, sidecar?, checksum_file?);
    let record =
        columns?.into_record(row, model_type, version, &artifact, &sidecar, &checksum_file);
    check_files(&record, artifact.checksum, &sidecar, &checksum_file, faults);
    if let Err(error) = metadata?.agrees_with(&record) {
        faults.tell(error.to_string());
    }
    Some(LegacyVersion { record, sidecar, checksum_file })
}

struct Artifact {
    file: ArtifactFile,
    checksum: Sha256Digest,
    size: u64,
}

fn read_artifact(folder: &Folder, progress: &dyn Fn(u64), faults: &mut Faults) -> Option<Artifact> {
    let file = the_artifact(folder).map_err(|fault| faults.tell(fault)).ok()?;
    let opened = faults.take("artifact", folder.open_file(file.as_str()))?;
    let hashed = digest::hash(opened, &|total| {
        progress(total);
        true
    });
    let (checksum, size) = faults.take("artifact", hashed)?;
    Some(Artifact { file, checksum, size })
}

fn the_artifact(folder: &Folder) -> Result<ArtifactFile, String> {
    let entries = folder.entries().map_err(|error| format!("folder: {error}"))?;
    let mut artifacts = entries.iter().filter(|name| *name != METADATA && *name != CHECKSUM);
    match (artifacts.next(), artifacts.next()) {
        (Some(name), None) => ArtifactFile::parse(name).map_err(|error| format!("{name}: {error}")),
        (None, _) => Err("its folder holds no model file".to_owned()),
        (Some(one), Some(two)) => {
            Err(format!("its folder holds {one} and {two}; which is the model cannot be told"))
        }
    }
}

/// Reads the sidecar as this registry reads its own, within the limits of a registration.
fn read_metadata(sidecar: &[u8], faults: &mut Faults) -> Option<Metadata> {
    // The document adds one level around its fields.
    let told = json_text::faults(sidecar, MAX_NESTING + 1);
    if !told.is_empty() {
        told.into_iter().for_each(|fault| faults.tell(format!("{METADATA}: {fault}")));
        return None;
    }
    Metadata::parse(sidecar).map_err(|error| faults.tell(error.to_string())).ok()
}

/// Checks that the export's copies of sidecar fields agree with the sidecar.
fn check_columns(row: &ModelRow, metadata: &Metadata, faults: &mut Faults) {
    let mut json = |name: &str, text: Option<&str>, said: Value| {
        let text = text.filter(|text| !text.is_empty()).unwrap_or("null");
        faults.take(name, serde_json::from_str::<Value>(text)).is_none_or(|read| read == said)
    };
    let metrics = Value::Object(metadata.metrics.clone());
    let factors = Value::from(metadata.factor_list.clone());
    let checks = [
        ("metrics_json", json("metrics_json", row.metrics_json.as_deref(), metrics)),
        ("factor_list_json", json("factor_list_json", row.factor_list_json.as_deref(), factors)),
    ];
    let optional = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let texts = [
        ("experiment_id", optional(&row.experiment_id) == metadata.experiment_id),
        ("run_id", optional(&row.run_id) == metadata.run_id),
        ("dataset_uri", optional(&row.dataset_uri) == metadata.dataset_uri),
        ("qlib_version", optional(&row.qlib_version) == metadata.qlib_version),
    ];
    for (name, agrees) in checks.into_iter().chain(texts) {
        if !agrees {
            faults.tell(format!("{name} in the export differs from {METADATA}"));
        }
    }
}

/// The parsed values of a row's text columns.
struct Columns {
    model_id: ModelId,
    status: Status,
    checksum_sha256: Sha256Digest,
    metadata_sha256: Sha256Digest,
    config_hash: Sha256Digest,
    dataset_version_ids: std::collections::BTreeMap<String, String>,
    created_at: Timestamp,
    promoted_at: Option<Timestamp>,
    archived_at: Option<Timestamp>,
}

impl Columns {
    fn read(row: &ModelRow, faults: &mut Faults) -> Option<Self> {
        let model_id = faults.take("model_id", ModelId::parse(&row.model_id));
        let status = faults.take("status", Status::parse(&row.status));
        let mut hash = |name, text: &str| faults.take(name, Sha256Digest::parse(text));
        let checksum_sha256 = hash("checksum_sha256", &row.checksum_sha256);
        let metadata_sha256 = hash("metadata_sha256", &row.metadata_sha256);
        let config_hash = hash("config_hash", &row.config_hash);
        let datasets = serde_json::from_str(&row.dataset_version_ids_json);
        let dataset_version_ids = faults.take("dataset_version_ids_json", datasets);
        let created_at = faults.take("created_at", time(&row.created_at));
        let promoted_at = faults.take("promoted_at", optional_time(row.promoted_at.as_deref()));
        let archived_at = faults.take("archived_at", optional_time(row.archived_at.as_deref()));
        if row.snapshot_id.contains('\0') || row.dataset_version_ids_json.contains("\\u0000") {
            faults.tell("snapshot_id or dataset_version_ids holds a NUL character");
        }
        Some(Self {
            model_id: model_id?,
            status: status?,
            checksum_sha256: checksum_sha256?,
            metadata_sha256: metadata_sha256?,
            config_hash: config_hash?,
            dataset_version_ids: dataset_version_ids?,
            created_at: created_at?,
            promoted_at: promoted_at?,
            archived_at: archived_at?,
        })
    }

    fn into_record(
        self,
        row: &ModelRow,
        model_type: ModelType,
        version: Version,
        artifact: &Artifact,
        sidecar: &[u8],
        checksum_file: &[u8],
    ) -> VersionRecord {
        VersionRecord {
            model_id: self.model_id,
            status: self.status,
            artifact_size_bytes: artifact.size,
            total_size_bytes: artifact.size + (sidecar.len() + checksum_file.len()) as u64,
            checksum_sha256: self.checksum_sha256,
            metadata_sha256: self.metadata_sha256,
            config_hash: self.config_hash,
            snapshot_id: row.snapshot_id.clone(),
            dataset_version_ids: self.dataset_version_ids,
            created_at: self.created_at,
            promoted_at: self.promoted_at,
            archived_at: self.archived_at,
            check: None,
            collected: None,
            model_type,
            version,
            artifact_file: artifact.file.clone(),
        }
    }
}

fn check_files(
    record: &VersionRecord,
    artifact: Sha256Digest,
    sidecar: &[u8],
    checksum_file: &[u8],
    faults: &mut Faults,
) {
    if artifact != record.checksum_sha256 {
        let file = &record.artifact_file;
        faults.tell(format!("{file} differs from checksum_sha256 in the export"));
    }
    if Sha256Digest::of(sidecar) != record.metadata_sha256 {
        faults.tell(format!("{METADATA} differs from metadata_sha256 in the export"));
    }
    let named = String::from_utf8_lossy(checksum_file);
    if named.split_whitespace().next() != Some(artifact.to_string().as_str()) {
        faults.tell(format!("{CHECKSUM} does not name the artifact's SHA-256"));
    }
    if record.status == Status::Production && record.promoted_at.is_none() {
        faults.tell("it is in production and has no promoted_at");
    }
    if record.status == Status::Archived && record.archived_at.is_none() {
        faults.tell("it is archived and has no archived_at");
    }
}

/// Parses a time in the export's format.
pub(super) fn time(text: &str) -> Result<Timestamp, impl Display> {
    Timestamp::parse_without_zone(text).or_else(|_| Timestamp::parse(text))
}

fn optional_time(text: Option<&str>) -> Result<Option<Timestamp>, impl Display> {
    text.filter(|text| !text.is_empty()).map(time).transpose()
}
