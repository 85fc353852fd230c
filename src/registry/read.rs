//! Reading: the production version, one version, a list, a history, an artifact.

use std::{fs::File, sync::Arc};

use super::{Registry, no_production, no_version};
use crate::{
    actors::{
        db::{FindProduction, FindVersion, ListTransitions, ListVersions},
        manifest::{OpenArtifact, ReadMetadata},
    },
    catalog::VersionFilter,
    domain::{Metadata, ModelType, Version, VersionRecord, history::Transition},
    error::RegistryError,
    limits, metrics,
    progress::CancelOnDrop,
};

/// A version: its catalog row and its verified sidecar.
#[derive(Debug, Clone)]
pub struct Model {
    /// What the catalog knows.
    pub record: VersionRecord,
    /// What the sidecar says.
    pub metadata: Arc<Metadata>,
}

/// A version on a page. One whose sidecar is damaged stands in its place with what the catalog knows.
#[derive(Debug, Clone)]
pub struct ListedModel {
    /// What the catalog knows.
    pub record: VersionRecord,
    /// What the sidecar says; `None` where it is not what the catalog says, or cannot be read.
    pub metadata: Option<Arc<Metadata>>,
}

/// A page of versions, in the order asked for.
#[derive(Debug, Clone)]
pub struct ModelPage {
    /// The page.
    pub models: Vec<ListedModel>,
    /// How many match in all.
    pub total: u64,
}

/// What a list does not say of a damaged version.
fn tell_of_damage(record: &VersionRecord, error: &RegistryError) {
    metrics::integrity_error("list");
    tracing::error!(model = record.name(), %error, "a list holds a version whose sidecar is damaged");
}

impl Registry {
    /// The version of a type in production.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `CHECKSUM_MISMATCH` where its sidecar is not what the catalog says.
    pub async fn current(&self, model_type: &ModelType) -> Result<Model, RegistryError> {
        let missing = || no_production(model_type.as_str());
        self.rules(model_type).ok_or_else(missing)?;
        let find = FindProduction { model_type: model_type.clone() };
        let record = self.db.ask(find).await?.ok_or_else(missing)?;
        self.with_metadata(record).await
    }

    /// One version's catalog row.
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

    /// One version.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `CHECKSUM_MISMATCH` where its sidecar is not what the catalog says.
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
        let metadata = self.manifest.ask(read).await?.pop();
        let metadata =
            metadata.ok_or_else(|| RegistryError::internal("no sidecar in the reply"))??;
        Ok(Model { record, metadata })
    }

    /// Versions of one type or of all. A damaged one is marked and keeps no other from being listed.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND` for an unknown type.
    pub async fn list(&self, filter: VersionFilter) -> Result<ModelPage, RegistryError> {
        if let Some(model_type) = &filter.model_type {
            self.rules(model_type).ok_or_else(|| no_production(model_type.as_str()))?;
        }
        let page = self.db.ask(ListVersions { filter }).await?;
        let read = ReadMetadata { records: page.records.clone() };
        let sidecars = self.manifest.ask(read).await?;
        let models = page.records.into_iter().zip(sidecars);
        let models = models.map(|(record, sidecar)| {
            let metadata = sidecar.inspect_err(|error| tell_of_damage(&record, error)).ok();
            ListedModel { record, metadata }
        });
        let models = models.collect();
        Ok(ModelPage { models, total: page.total })
    }

    /// Who moved a version from which status to which, when and why, oldest first.
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

    /// A version's artifact, opened and verified.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `CHECKSUM_MISMATCH` where the artifact is not what the catalog says.
    pub async fn open_artifact(&self, record: VersionRecord) -> Result<File, RegistryError> {
        // A first read hashes the whole file.
        let cancel = CancelOnDrop::default();
        let open = OpenArtifact { record, cancelled: cancel.flag() };
        self.manifest.ask_within(limits::LONG_WORK_TIMEOUT, open).await
    }
}
