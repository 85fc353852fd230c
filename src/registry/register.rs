//! Registering a version. Its files are staged, hashed and moved into place, then the catalog commits it, and then
//! the manifest records it.

use std::io::Read;

use super::{
    Registry,
    change::{Files, Request, Wanted},
};
use crate::{
    actors::{
        blocking,
        db::FindVersion,
        validator::{self, CheckFile},
    },
    artifacts::{
        ArtifactStore,
        store::{Batch, Intent, Purpose, Staged, checksum_line},
    },
    catalog::{Author, CatalogChange},
    clock,
    domain::{
        ArtifactFile, LoadCheck, Metadata, ModelId, ModelType, Sha256Digest, Status, Timestamp,
        Verdict, Version, VersionRecord,
        log::Subject,
        policy::TypeRules,
        registration::{MAX_SIDECAR_BYTES, Registration},
    },
    error::{ErrorKind, RegistryError},
    limits,
    progress::{CancelOnDrop, Progress, unwatched},
};

/// An artifact to be registered.
pub struct Incoming {
    /// The source of its bytes.
    pub bytes: Box<dyn Read + Send>,
    /// The expected size in bytes for the progress; 0 where it is unknown.
    pub size: u64,
    /// Receives the number of bytes read.
    pub progress: Progress,
    /// The SHA-256 that its bytes must have, where the client stated it.
    pub expected: Option<Sha256Digest>,
}

impl Incoming {
    /// An artifact without a progress report.
    #[must_use]
    pub fn new(bytes: Box<dyn Read + Send>) -> Self {
        Self { bytes, size: 0, progress: unwatched(), expected: None }
    }
}

fn exists(model_type: &ModelType, version: Version) -> RegistryError {
    RegistryError::new(
        ErrorKind::VersionExists,
        format!(
            "{model_type}/{version} exists or its number was used before; register under a new version"
        ),
    )
}

impl Registry {
    /// Registers a version with the status staged.
    ///
    /// # Errors
    /// `INVALID_REQUEST`, `MISSING_REQUIRED_FIELDS`, `INVALID_DATASET_VERSION`, `INVALID_SNAPSHOT`;
    /// `VALIDATION_FAILED` where loading the artifact could do harm, or its format is not allowed; `VERSION_EXISTS`,
    /// which leaves the existing version untouched; `REGISTRY_UNAVAILABLE` where the disk or the
    /// catalog fails. An error leaves nothing behind. Only where the catalog did not answer in time may files remain;
    /// the registration is completed or undone once the catalog answers.
    pub async fn register(
        &self,
        registration: Registration,
        artifact: Incoming,
        author: &Author,
        reason: Option<&str>,
    ) -> Result<VersionRecord, RegistryError> {
        let (model_type, version) = (registration.model_type.clone(), registration.version);
        let rules = self.rules_of(&model_type)?;
        registration.check(&rules)?;
        let request = Request::new(author, reason)?;
        // Checked before anything is copied. The catalog's own constraint checks it again at the commit.
        let find = FindVersion { model_type: model_type.clone(), version };
        if self.db.ask(find).await?.is_some() {
            return Err(exists(&model_type, version));
        }
        self.require_room().await?;
        let store = self.store.clone();
        let file = registration.artifact_file.clone();
        let staged = blocking(move || Staging::copy(&store, &file, artifact)).await?;
        // Before the locks: a load check may take minutes.
        let check = self.check_staged(&staged, &registration).await?;
        require_allowed(&check, &rules, &model_type, version)?;

        let change = self.begin_addition().await?;
        let now = change.now();
        let (batch, record) = blocking(move || staged.complete(registration, check, now)).await?;
        let intent = Intent {
            model_id: record.model_id,
            model_type: model_type.clone(),
            version,
            purpose: Purpose::Register,
        };
        let wanted = Wanted {
            change: CatalogChange::Register(Box::new(record.clone())),
            files: Some(Files { batch, intents: vec![intent] }),
            removal: None,
            request,
        };
        change.commit(wanted).await.map_err(|error| match error.kind() {
            ErrorKind::VersionExists => exists(&model_type, version),
            _ => error,
        })?;
        Ok(record)
    }

    /// Runs the load check on a staged artifact.
    async fn check_staged(
        &self,
        staged: &Staging,
        registration: &Registration,
    ) -> Result<LoadCheck, RegistryError> {
        let cancel = CancelOnDrop::default();
        let ask = CheckFile {
            file: staged.staged.open_artifact(&registration.artifact_file)?,
            bytes: staged.artifact_size_bytes,
            subject: Subject {
                model_id: staged.model_id,
                model_type: registration.model_type.clone(),
                version: registration.version,
            },
            parameters: registration.parameters.clone(),
            cancelled: cancel.flag(),
        };
        let report = self.validator.ask_within(limits::LONG_WORK_TIMEOUT, ask).await?;
        Ok(validator::kept(&report, clock::now()?))
    }
}

/// Refuses an artifact that the policy does not accept for its type. An artifact that would not load is registered: its
/// verdict bars it from production.
fn require_allowed(
    check: &LoadCheck,
    rules: &TypeRules,
    model_type: &ModelType,
    version: Version,
) -> Result<(), RegistryError> {
    require_format(&check.format, rules, model_type, version)?;
    if check.verdict != Verdict::Unsafe || rules.accept_unsafe {
        return Ok(());
    }
    Err(RegistryError::new(
        ErrorKind::ValidationFailed,
        format!(
            "{model_type}/{version}: loading the artifact could do harm: {}; to register it all the same, set \
             accept_unsafe = true for [types.{model_type}] in the policy file",
            check.errors.join("; ")
        ),
    ))
}

/// Refuses an artifact of a format that the policy does not allow for its type.
pub(super) fn require_format(
    format: &str,
    rules: &TypeRules,
    model_type: &ModelType,
    version: Version,
) -> Result<(), RegistryError> {
    if rules.allows_format(format) {
        return Ok(());
    }
    let allowed: Vec<_> = rules.formats.iter().flatten().map(String::as_str).collect();
    Err(RegistryError::new(
        ErrorKind::ValidationFailed,
        format!(
            "{model_type}/{version}: the artifact's format is {format}, but the policy allows {model_type} only {}",
            allowed.join(", ")
        ),
    ))
}

/// Checks that the sidecar reads back as the given metadata. Versions are permanent, so a version with a sidecar that
/// cannot be read must not be registered.
fn require_readable(sidecar: &[u8], metadata: &Metadata) -> Result<(), RegistryError> {
    let refused = |what: String| {
        let told = format!("the metadata cannot be kept as it was given: {what}");
        RegistryError::new(ErrorKind::InvalidRequest, told)
    };
    let read = Metadata::parse(sidecar).map_err(|error| refused(error.to_string()))?;
    if read == *metadata {
        return Ok(());
    }
    Err(refused("a part of it would be read back as something else".to_owned()))
}

/// The staged folder of a version with its artifact, not yet visible to readers.
struct Staging {
    batch: Batch,
    staged: Staged,
    model_id: ModelId,
    checksum_sha256: Sha256Digest,
    artifact_size_bytes: u64,
}

impl Staging {
    fn copy(
        store: &ArtifactStore,
        file: &ArtifactFile,
        mut artifact: Incoming,
    ) -> Result<Self, RegistryError> {
        let model_id = ModelId::random();
        let batch = store.open_batch()?;
        let staged = batch.stage(model_id)?;
        let (checksum_sha256, artifact_size_bytes) =
            staged.write_artifact(file, &mut artifact.bytes, &|done| {
                (artifact.progress)(done, artifact.size, "copying");
                true
            })?;
        if let Some(expected) = artifact.expected.filter(|expected| *expected != checksum_sha256) {
            return Err(RegistryError::new(
                ErrorKind::ChecksumMismatch,
                format!(
                    "the artifact that arrived has the SHA-256 {checksum_sha256}, not {expected} as stated; send it again"
                ),
            ));
        }
        if artifact_size_bytes == 0 {
            return Err(RegistryError::new(
                ErrorKind::InvalidRequest,
                "artifact is empty; give the model file that training wrote",
            ));
        }
        Ok(Self { batch, staged, model_id, checksum_sha256, artifact_size_bytes })
    }

    /// Writes the sidecars. They contain the time of registration, so the caller takes it first.
    fn complete(
        self,
        registration: Registration,
        check: LoadCheck,
        at: Timestamp,
    ) -> Result<(Batch, VersionRecord), RegistryError> {
        let Self { batch, staged, model_id, checksum_sha256, artifact_size_bytes } = self;
        let artifact_file = registration.artifact_file.clone();
        let metadata = registration.into_metadata(model_id, checksum_sha256, at)?;
        let sidecar = metadata.to_sidecar().map_err(RegistryError::internal)?;
        if sidecar.len() > MAX_SIDECAR_BYTES {
            return Err(RegistryError::new(
                ErrorKind::InvalidRequest,
                format!(
                    "metadata is {} bytes; {MAX_SIDECAR_BYTES} are allowed: put large tables into the artifact",
                    sidecar.len()
                ),
            ));
        }
        require_readable(&sidecar, &metadata)?;
        let checksum_file = checksum_line(checksum_sha256, &artifact_file);
        let (metadata_sha256, sidecar_bytes) =
            staged.write_sidecars(&sidecar, checksum_file.as_bytes())?;
        let record = VersionRecord {
            model_id,
            model_type: metadata.model_type,
            version: metadata.version,
            status: Status::Staged,
            artifact_file,
            artifact_size_bytes,
            total_size_bytes: artifact_size_bytes + sidecar_bytes,
            checksum_sha256,
            metadata_sha256,
            config_hash: metadata.config_hash,
            snapshot_id: metadata.snapshot_id,
            dataset_version_ids: metadata.dataset_version_ids,
            created_at: at,
            promoted_at: None,
            archived_at: None,
            check: Some(Box::new(check)),
            collected: None,
        };
        Ok((batch, record))
    }
}
