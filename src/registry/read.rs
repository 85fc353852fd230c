//! Reading: the production version, one version, a list, a history, an artifact.

use std::{fs::File, sync::Arc};

use super::{Registry, no_production, no_version, require_files};
use crate::{
    actors::{
        db::{FindProduction, FindVersion, ListTransitions, ListVersions},
        manifest::{OpenArtifact, ReadMetadata},
    },
    artifacts::{Seal, VerifiedSidecar},
    catalog::VersionFilter,
    domain::{Metadata, ModelType, Version, VersionRecord, history::Transition},
    error::{ErrorKind, RegistryError},
    limits, metrics,
    progress::CancelOnDrop,
};

/// A version: its catalog row and its verified sidecar.
#[derive(Debug, Clone)]
pub struct Model {
    /// The catalog row.
    pub record: VersionRecord,
    /// The content of the sidecar.
    pub metadata: Arc<Metadata>,
    /// Tells whether the sidecar is still the file that was read.
    pub seal: Option<Seal>,
}

/// A version on a page. A version with a damaged sidecar keeps its place, with its catalog row only.
#[derive(Debug, Clone)]
pub struct ListedModel {
    /// The catalog row.
    pub record: VersionRecord,
    /// The content of the sidecar; `None` where it differs from the catalog or cannot be read, and where the version's
    /// files were removed.
    pub metadata: Option<Arc<Metadata>>,
    /// Tells whether the sidecar is still the file that was read.
    pub seal: Option<Seal>,
}

/// A page of versions, in the requested order.
#[derive(Debug, Clone)]
pub struct ModelPage {
    /// The versions on this page.
    pub models: Vec<ListedModel>,
    /// The number of all versions that match the filter.
    pub total: u64,
}

/// Logs and counts a damaged sidecar, whose error the list itself does not contain.
fn tell_of_damage(record: &VersionRecord, error: &RegistryError) {
    metrics::integrity_error("list");
    tracing::error!(model = record.name(), %error, "a list holds a version whose sidecar is damaged");
}

impl Registry {
    /// The production version of a type.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `CHECKSUM_MISMATCH` where its sidecar differs from the catalog.
    pub async fn current(&self, model_type: &ModelType) -> Result<Model, RegistryError> {
        let missing = || no_production(model_type.as_str());
        let find = FindProduction { model_type: model_type.clone() };
        let record = self.db.ask(find).await?.ok_or_else(missing)?;
        self.with_metadata(record).await
    }

    /// The catalog row of a version.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`.
    pub async fn record_of(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<VersionRecord, RegistryError> {
        let missing = || no_version(model_type.as_str(), &version.to_string());
        let find = FindVersion { model_type: model_type.clone(), version };
        self.db.ask(find).await?.ok_or_else(missing)
    }

    /// What is known of a version: of one whose files were removed, only its catalog row.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `CHECKSUM_MISMATCH` where its sidecar differs from the catalog.
    pub async fn describe(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<ListedModel, RegistryError> {
        let record = self.record_of(model_type, version).await?;
        if record.collected.is_some() {
            return Ok(ListedModel { record, metadata: None, seal: None });
        }
        match self.with_metadata(record).await {
            Ok(Model { record, metadata, seal }) => {
                Ok(ListedModel { record, metadata: Some(metadata), seal })
            }
            // It was collected between the two reads.
            Err(error) if error.kind() == ErrorKind::VersionCollected => {
                let record = self.record_of(model_type, version).await?;
                Ok(ListedModel { record, metadata: None, seal: None })
            }
            Err(error) => Err(error),
        }
    }

    /// A version with its metadata.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `VERSION_COLLECTED`; `CHECKSUM_MISMATCH` where its sidecar differs from the catalog.
    pub async fn find(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<Model, RegistryError> {
        let record = self.record_of(model_type, version).await?;
        self.with_metadata(record).await
    }

    pub(super) async fn with_metadata(
        &self,
        record: VersionRecord,
    ) -> Result<Model, RegistryError> {
        require_files(&record)?;
        let read = ReadMetadata { records: vec![record.clone()] };
        let sidecar = self.manifest.ask(read).await?.pop();
        let sidecar = sidecar.ok_or_else(|| RegistryError::internal("no sidecar in the reply"))?;
        match sidecar {
            Ok(VerifiedSidecar { metadata, seal }) => Ok(Model { record, metadata, seal }),
            Err(error) => Err(self.unless_collected(&record, error).await),
        }
    }

    /// The error of a read of a version's files, or that the version was collected since its row was read.
    async fn unless_collected(
        &self,
        record: &VersionRecord,
        error: RegistryError,
    ) -> RegistryError {
        if !error.kind().is_integrity() {
            return error;
        }
        let now = self.record_of(&record.model_type, record.version).await;
        match now.and_then(|now| require_files(&now)) {
            Err(gone) if gone.kind() == ErrorKind::VersionCollected => gone,
            _ => error,
        }
    }

    /// Lists versions of one type or of all types. A damaged version is marked and does not stop the list.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND` for an unknown type.
    pub async fn list(&self, filter: VersionFilter) -> Result<ModelPage, RegistryError> {
        if let Some(model_type) = &filter.model_type {
            self.require_known(model_type).await?;
        }
        let page = self.db.ask(ListVersions { filter }).await?;
        let models = self.with_sidecars(page.records).await?;
        Ok(ModelPage { models, total: page.total })
    }

    /// Reads the sidecars of listed versions.
    pub(super) async fn with_sidecars(
        &self,
        records: Vec<VersionRecord>,
    ) -> Result<Vec<ListedModel>, RegistryError> {
        let with_files = records.iter().filter(|record| record.collected.is_none());
        let read = ReadMetadata { records: with_files.cloned().collect() };
        let mut sidecars = self.manifest.ask(read).await?.into_iter();
        let mut models = Vec::with_capacity(records.len());
        for mut record in records {
            let sidecar = if record.collected.is_some() { None } else { sidecars.next() };
            let (metadata, seal) = match sidecar {
                None => (None, None),
                Some(Ok(VerifiedSidecar { metadata, seal })) => (Some(metadata), seal),
                Some(Err(error)) => {
                    let error = self.unless_collected(&record, error).await;
                    if error.kind() == ErrorKind::VersionCollected {
                        let now = self.record_of(&record.model_type, record.version).await?;
                        record.collected = now.collected;
                    } else {
                        tell_of_damage(&record, &error);
                    }
                    (None, None)
                }
            };
            models.push(ListedModel { record, metadata, seal });
        }
        Ok(models)
    }

    /// The status changes of a version with author, time and reason, oldest first.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`.
    pub async fn history(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<Vec<Transition>, RegistryError> {
        self.record_of(model_type, version).await?;
        self.db.ask(ListTransitions { of: Some((model_type.clone(), version)) }).await
    }

    /// Opens and verifies the artifact of a version.
    ///
    /// # Errors
    /// `VERSION_COLLECTED`; `CHECKSUM_MISMATCH` where the artifact differs from the catalog.
    pub async fn open_artifact(&self, record: VersionRecord) -> Result<File, RegistryError> {
        // The first read hashes the whole file, so the time limit is long.
        let cancel = CancelOnDrop::default();
        require_files(&record)?;
        let open = OpenArtifact { record: record.clone(), cancelled: cancel.flag() };
        match self.manifest.ask_within(limits::LONG_WORK_TIMEOUT, open).await {
            Ok(file) => Ok(file),
            Err(error) => Err(self.unless_collected(&record, error).await),
        }
    }
}
