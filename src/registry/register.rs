//! Registering a version: staged, hashed, moved into place, committed, and only then in the manifest.

use std::io::Read;

use super::{Registry, change};
use crate::{
    actors::{
        blocking,
        db::{FindVersion, InsertVersion},
    },
    artifacts::{
        StoreError,
        store::{Batch, Intent, Published, checksum_line},
    },
    clock,
    domain::{
        ModelId, ModelType, Status, Version, VersionRecord,
        registration::{MAX_SIDECAR_BYTES, Registration},
    },
    error::{ErrorKind, RegistryError},
    progress::{Progress, unwatched},
};

/// An artifact on its way in.
pub struct Incoming {
    /// Its bytes.
    pub bytes: Box<dyn Read + Send>,
    /// How many there are, where that is known, for the progress.
    pub size: u64,
    /// Hears how many were read.
    pub progress: Progress,
}

impl Incoming {
    /// An artifact whose progress nobody watches.
    #[must_use]
    pub fn new(bytes: Box<dyn Read + Send>) -> Self {
        Self { bytes, size: 0, progress: unwatched() }
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
    /// Registers a version as staged.
    ///
    /// # Errors
    /// `INVALID_REQUEST`, `MISSING_REQUIRED_FIELDS`, `INVALID_DATASET_VERSION`, `INVALID_SNAPSHOT`;
    /// `VERSION_EXISTS`, which leaves the version there untouched; `REGISTRY_UNAVAILABLE` where disk or
    /// catalog fail. Then nothing is left behind, or, where the catalog did not answer in time, what is left is
    /// ended as soon as it does.
    pub async fn register(
        &self,
        registration: Registration,
        artifact: Incoming,
        reason: Option<&str>,
    ) -> Result<VersionRecord, RegistryError> {
        let (model_type, version) = (registration.model_type.clone(), registration.version);
        let rules = self.rules(&model_type).ok_or_else(|| self.unknown_type(&model_type))?;
        registration.check(rules)?;
        let mut change = change(&registration.env.created_by, reason)?;
        // Found out before anything is copied, and again by the catalog's own constraint at the end.
        let find = FindVersion { model_type: model_type.clone(), version };
        if self.db.ask(find).await?.is_some() {
            return Err(exists(&model_type, version));
        }
        let store = self.store.clone();
        let at = change.at;
        let (batch, record) = blocking(move || prepare(&store, registration, artifact, at)).await?;

        let lock = self.lock_for_change().await?;
        change.at = clock::now()?;
        let store = self.store.clone();
        let intent = Intent { model_id: record.model_id, model_type: model_type.clone(), version };
        let published = blocking(move || match store.publish(batch, vec![intent]) {
            Ok(published) => Ok(published),
            Err(StoreError::Exists(_)) => Err(exists(&model_type, version)),
            Err(error) => Err(error.into()),
        })
        .await?;
        let insert = InsertVersion { lock: lock.clone(), record: record.clone(), change };
        let state = match self.db.ask(insert).await {
            Ok(state) => state,
            Err(error) => return Err(self.not_committed(&record, published, error).await),
        };
        self.record(state, at).await;
        Self::confirm(published).await;
        tracing::info!(
            model_type = %record.model_type, version = %record.version, model_id = %record.model_id,
            "registered"
        );
        Ok(record)
    }

    fn unknown_type(&self, model_type: &ModelType) -> RegistryError {
        let known: Vec<_> = self.policy.known_types().map(ModelType::as_str).collect();
        RegistryError::new(
            ErrorKind::InvalidRequest,
            format!(
                "model_type {model_type} is not known; the known ones are {}; to add another, add [types.{model_type}] to the \
                 policy file",
                known.join(", ")
            ),
        )
    }

    /// Undoes what was moved into place, where it is certain that the catalog does not hold it. Where the
    /// transaction may still be under way, the intent stays, the transaction keeps the lock, and the janitor
    /// or the next change finds out how it ended.
    async fn not_committed(
        &self,
        record: &VersionRecord,
        published: Published,
        error: RegistryError,
    ) -> RegistryError {
        let find = FindVersion { model_type: record.model_type.clone(), version: record.version };
        let absent = !error.is_in_doubt()
            && self
                .db
                .ask(find)
                .await
                .is_ok_and(|held| held.is_none_or(|held| held.model_id != record.model_id));
        if !absent {
            tracing::warn!(%error, model = record.name(), "a registration is left in doubt");
        } else if let Err(second) = blocking(move || Ok(published.take_back()?)).await {
            tracing::warn!(error = %second, "an unfinished registration is left to the janitor");
        }
        match error.kind() {
            ErrorKind::VersionExists => exists(&record.model_type, record.version),
            _ => error,
        }
    }
}

/// Writes the version's folder where nobody sees it yet.
fn prepare(
    store: &crate::artifacts::ArtifactStore,
    registration: Registration,
    mut artifact: Incoming,
    at: crate::domain::Timestamp,
) -> Result<(Batch, VersionRecord), RegistryError> {
    let model_id = ModelId::random();
    let artifact_file = registration.artifact_file.clone();
    let batch = store.open_batch()?;
    let staged = batch.stage(model_id)?;
    let (checksum_sha256, artifact_size_bytes) =
        staged.write_artifact(&artifact_file, &mut artifact.bytes, &|done| {
            (artifact.progress)(done, artifact.size, "copying");
            true
        })?;
    if artifact_size_bytes == 0 {
        return Err(RegistryError::new(
            ErrorKind::InvalidRequest,
            "artifact is empty; give the model file that training wrote",
        ));
    }
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
    };
    Ok((batch, record))
}
