//! Marking a version as failed, so that it can never be promoted.

use super::{
    Registry,
    change::{Request, Wanted},
    named,
};
use crate::{
    catalog::{Author, CatalogChange},
    domain::{ModelType, Version, VersionRecord},
    error::RegistryError,
};

impl Registry {
    /// Excludes a version from production permanently.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `INVALID_TRANSITION` where it is in production or already failed.
    pub async fn fail(
        &self,
        model_type: &ModelType,
        version: Version,
        author: &Author,
        reason: &str,
    ) -> Result<VersionRecord, RegistryError> {
        let request = Request::new(author, Some(reason))?;
        self.record_of(model_type, version).await?;
        let fail = CatalogChange::Fail { model_type: model_type.clone(), version };
        let wanted = Wanted::row(fail, request);
        let applied = self
            .begin_change()
            .await?
            .commit(wanted)
            .await
            .map_err(|error| named(error, model_type, version))?;
        applied.record.ok_or_else(|| RegistryError::internal("the failed version is missing"))
    }
}
