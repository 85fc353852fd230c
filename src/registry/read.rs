//! Reading: the production version, one version, a list, a history, an artifact.

use std::{fs::File, sync::Arc};

use super::{Registry, no_production, no_version};
use crate::{
    actors::{
        db::{FindProduction, FindVersion, ListTransitions, ListVersions},
        manifest::{OpenArtifact, ReadMetadata},
    },
    artifacts::{Seal, VerifiedSidecar},
    catalog::VersionFilter,
    domain::{Metadata, ModelType, Version, VersionRecord, history::Transition},
    error::RegistryError,
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
    /// The content of the sidecar; `None` where it differs from the catalog or cannot be read.
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
        self.rules(model_type).ok_or_else(missing)?;
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
        self.rules(model_type).ok_or_else(missing)?;
        let find = FindVersion { model_type: model_type.clone(), version };
        self.db.ask(find).await?.ok_or_else(missing)
    }

    /// A version with its metadata.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `CHECKSUM_MISMATCH` where its sidecar differs from the catalog.
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
        let read = ReadMetadata { records: vec![record.clone()] };
        let sidecar = self.manifest.ask(read).await?.pop();
        let VerifiedSidecar { metadata, seal } =
            sidecar.ok_or_else(|| RegistryError::internal("no sidecar in the reply"))??;
        Ok(Model { record, metadata, seal })
    }

    /// Lists versions of one type or of all types. A damaged version is marked and does not stop the list.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND` for an unknown type.
    pub async fn list(&self, filter: VersionFilter) -> Result<ModelPage, RegistryError> {
        if let Some(model_type) = &filter.model_type {
            self.rules(model_type).ok_or_else(|| no_production(model_type.as_str()))?;
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
        let read = ReadMetadata { records: records.clone() };
        let sidecars = self.manifest.ask(read).await?;
        let models = records.into_iter().zip(sidecars);
        let models = models.map(|(record, sidecar)| {
            let sidecar = sidecar.inspect_err(|error| tell_of_damage(&record, error)).ok();
            let (metadata, seal) = sidecar.map(|it| (it.metadata, it.seal)).unzip();
            ListedModel { record, metadata, seal: seal.flatten() }
        });
        Ok(models.collect())
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
    /// `MODEL_NOT_FOUND`; `CHECKSUM_MISMATCH` where the artifact differs from the catalog.
    pub async fn open_artifact(&self, record: VersionRecord) -> Result<File, RegistryError> {
        // The first read hashes the whole file, so the time limit is long.
        let cancel = CancelOnDrop::default();
        let open = OpenArtifact { record, cancelled: cancel.flag() };
        self.manifest.ask_within(limits::LONG_WORK_TIMEOUT, open).await
    }
}
