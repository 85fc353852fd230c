//! Failing: a version that must never be promoted.

use super::{Registry, change, named};
use crate::{
    actors::db::MarkFailed,
    clock,
    domain::{ModelType, Version, VersionRecord},
    error::RegistryError,
};

impl Registry {
    /// Bars a version from production, for ever.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `INVALID_TRANSITION` where it is in production or has failed before.
    pub async fn fail(
        &self,
        model_type: &ModelType,
        version: Version,
        user: &str,
        reason: &str,
    ) -> Result<VersionRecord, RegistryError> {
        let mut change = change(user, Some(reason))?;
        self.record_of(model_type, version).await?;
        let lock = self.lock_for_change().await?;
        change.at = clock::now()?;
        let mark = MarkFailed {
            lock: lock.clone(),
            model_type: model_type.clone(),
            version,
            change: change.clone(),
        };
        let (record, state) =
            self.db.ask(mark).await.map_err(|error| named(error, model_type, version))?;
        self.record(state, change.at).await;
        // Not before: the manifest has one writer at a time.
        drop(lock);
        tracing::info!(%model_type, %version, model_id = %record.model_id, user, reason, "marked failed");
        Ok(record)
    }
}
