//! Rolling back: the version that was archived last returns to production.

use super::{
    Registry,
    change::{Request, Wanted},
    named, no_production,
    validate::require_intact,
};
use crate::{
    actors::db::{FindProduction, FindRollbackTarget},
    catalog::{Author, CatalogChange},
    domain::{ModelType, Timestamp, Version},
    error::{ErrorKind, RegistryError},
    progress::unwatched,
};

/// A completed rollback.
#[derive(Debug, Clone)]
pub struct RolledBack {
    /// The model type.
    pub model_type: ModelType,
    /// The previous production version, now staged again.
    pub from_version: Version,
    /// The version that is now in production again.
    pub to_version: Version,
    /// The time of the rollback.
    pub rolled_back_at: Timestamp,
    /// A summary, for example "Rolled back risk_model from v1.2.0 to v1.1.0".
    pub message: String,
}

impl Registry {
    /// Returns the version that was archived last to production and stages the current production version.
    ///
    /// The returning version must be intact. The load check is not repeated: the version passed it when it was
    /// promoted, and a rollback must not fail because the policy became stricter since then.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND` where no version is in production or none is archived; `CHECKSUM_MISMATCH`.
    pub async fn roll_back(
        &self,
        model_type: &ModelType,
        author: &Author,
        reason: Option<&str>,
    ) -> Result<RolledBack, RegistryError> {
        let request = Request::new(author, reason)?;
        let production = FindProduction { model_type: model_type.clone() };
        if self.db.ask(production).await?.is_none() {
            return Err(no_production(model_type.as_str()));
        }
        let find = FindRollbackTarget { model_type: model_type.clone() };
        let target = self.db.ask(find).await?.ok_or_else(|| {
            RegistryError::new(
                ErrorKind::ModelNotFound,
                format!("No archived version of {model_type} to roll back to"),
            )
        })?;
        let version = target.version;
        require_intact(&self.examine(target, unwatched()).await?)?;

        let roll_back = CatalogChange::RollBack { model_type: model_type.clone(), target: version };
        let change = self.begin_change().await?;
        let now = change.now();
        let applied = change
            .commit(Wanted::row(roll_back, request))
            .await
            .map_err(|error| named(error, model_type, version))?;
        let from = applied.displaced.map_or(version, |displaced| displaced.version);
        let message = format!("Rolled back {model_type} from {from} to {version}");
        Ok(RolledBack {
            model_type: model_type.clone(),
            from_version: from,
            to_version: version,
            rolled_back_at: applied.record.and_then(|record| record.promoted_at).unwrap_or(now),
            message,
        })
    }
}
