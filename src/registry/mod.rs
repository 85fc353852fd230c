//! The operations of the registry, one file each, the same behind the command line and REST. Each checks
//! its input, sends messages to the actors, and says what came of it.

pub mod fail;
pub mod import;
pub mod promote;
pub mod read;
pub mod ready;
pub mod register;
pub mod rollback;
pub mod validate;
pub mod verify;

use std::sync::Arc;

use crate::{
    actors::{
        Handle,
        db::DbActor,
        manifest::{ManifestActor, RecordChange},
        validator::ValidatorActor,
    },
    artifacts::{ArtifactStore, VerifiedFiles, lock::WriteLock},
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

/// Hears how far long work has come: done, of how many, and on what.
pub type Progress = Arc<dyn Fn(u64, u64, &str) + Send + Sync>;

/// For work whose progress nobody watches.
#[must_use]
pub fn unwatched() -> Progress {
    Arc::new(|_, _, _| {})
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

    /// Takes the lock that serialises changes of this directory.
    async fn lock(&self) -> Result<WriteLock, RegistryError> {
        WriteLock::take(self.store.root()).await
    }

    /// Brings the manifest up to what the catalog committed.
    async fn record(&self, state: CatalogState, at: Timestamp) -> Result<(), RegistryError> {
        crate::fault::point("catalog.committed");
        self.manifest.ask(RecordChange { state, at }).await
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
