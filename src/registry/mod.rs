//! The operations of the registry, one file each, the same behind the command line and REST. Each checks
//! its input, sends messages to the actors, and says what came of it.

pub mod fail;
pub mod import;
pub mod promote;
pub mod read;
pub mod ready;
pub mod register;
pub mod repair;
pub mod rollback;
pub mod validate;
pub mod verify;

use std::sync::Arc;

use crate::{
    actors::{
        Handle, blocking,
        db::{ChangeLock, DbActor},
        janitor::{self, Premises},
        manifest::{ManifestActor, RecordChange},
        validator::ValidatorActor,
    },
    artifacts::{ArtifactStore, VerifiedFiles, store::Published},
    catalog::{CatalogState, Change},
    clock,
    domain::{
        ModelType, Policy, Timestamp, Version,
        policy::TypeRules,
        text::{check_short_text, echo},
    },
    error::{ErrorKind, RegistryError},
};

/// Everything that an operation needs.
#[derive(Clone)]
pub struct Registry {
    /// The catalog.
    pub db: Handle<DbActor>,
    /// The manifest and the verified files.
    pub manifest: Handle<ManifestActor>,
    /// The load checks.
    pub validator: Handle<ValidatorActor>,
    /// The version folders.
    pub store: ArtifactStore,
    /// The memory of verified files.
    pub verified: Arc<VerifiedFiles>,
    /// The operator's decisions.
    pub policy: Arc<Policy>,
}

/// No version is in production, or there is no such type.
#[must_use]
pub fn no_production(model_type: &str) -> RegistryError {
    let named = echo(model_type);
    RegistryError::new(ErrorKind::ModelNotFound, format!("No production model found for {named}"))
}

/// There is no such version.
#[must_use]
pub fn no_version(model_type: &str, version: &str) -> RegistryError {
    let (model_type, version) = (echo(model_type), echo(version));
    RegistryError::new(ErrorKind::ModelNotFound, format!("Model {model_type}/{version} not found"))
}

impl Registry {
    /// The rules of a type, where the registry knows it.
    fn rules(&self, model_type: &ModelType) -> Option<&TypeRules> {
        self.policy.rules(model_type)
    }

    /// Takes the lock that serialises changes of this directory, for work that changes nothing.
    async fn lock(&self) -> Result<ChangeLock, RegistryError> {
        ChangeLock::take(self.store.root(), &self.db).await
    }

    /// Takes the lock, and makes sure that manifest and catalog agree: a change that started from a manifest
    /// one step behind and was cut short would leave it two behind, which no start would mend.
    async fn lock_for_change(&self) -> Result<Arc<ChangeLock>, RegistryError> {
        let lock = Arc::new(self.lock().await?);
        janitor::settle_if_behind(&self.premises()).await?;
        Ok(lock)
    }

    fn premises(&self) -> Premises {
        Premises {
            store: self.store.clone(),
            verified: self.verified.clone(),
            db: self.db.clone(),
            manifest: self.manifest.clone(),
        }
    }

    /// Brings the manifest up to what the catalog committed. Where that fails the change has taken place all
    /// the same: the manifest is then one step behind, which the janitor, the next change or the next start
    /// mends before anything else.
    async fn record(&self, state: CatalogState, at: Timestamp) {
        crate::fault::point("catalog.committed");
        if let Err(error) = self.manifest.ask(RecordChange { state, at }).await {
            tracing::warn!(
                %error,
                "the change is committed, but the manifest could not be written; it is brought up once it can be"
            );
        }
    }

    /// Removes the intents of what the catalog committed. Where that fails, nothing is wrong but that the
    /// janitor has something to tidy.
    async fn confirm(published: Published) {
        if let Err(error) = blocking(move || Ok(published.confirm()?)).await {
            tracing::warn!(%error, "the intent of a committed registration is left to the janitor");
        }
    }
}

/// Who changes something and why, with the present.
fn change(by: &str, reason: Option<&str>) -> Result<Change, RegistryError> {
    let refused = |field: &str, what: String| {
        RegistryError::new(ErrorKind::InvalidRequest, format!("{field} {what}"))
    };
    check_short_text(by).map_err(|what| refused("user", what))?;
    if let Some(reason) = reason {
        check_short_text(reason).map_err(|what| refused("reason", what))?;
    }
    Ok(Change { at: clock::now()?, by: by.to_owned(), reason: reason.map(ToOwned::to_owned) })
}

/// Says of a catalog's "no such version" which version it was.
fn named(error: RegistryError, model_type: &ModelType, version: Version) -> RegistryError {
    match error.kind() {
        ErrorKind::ModelNotFound => no_version(model_type.as_str(), &version.to_string()),
        ErrorKind::InvalidTransition => RegistryError::new(
            ErrorKind::InvalidTransition,
            format!("{model_type}/{version}: {}", error.detail()),
        ),
        _ => error,
    }
}
