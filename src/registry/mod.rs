//! The operations of the registry, one file each, the same behind the command line and REST. Each checks
//! its input, sends messages to the actors, and says what came of it.

mod change;
pub mod fail;
pub mod import;
pub mod log;
mod log_source;
pub mod promote;
pub mod read;
pub mod ready;
mod recovery;
pub mod register;
pub mod repair;
pub mod rollback;
pub mod validate;
pub mod verify;

use std::sync::Arc;

use crate::{
    actors::{Handle, db::DbActor, manifest::ManifestActor, validator::ValidatorActor},
    artifacts::{ArtifactStore, VerifiedFiles},
    domain::{ModelType, Policy, Version, policy::TypeRules, text::echo},
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
    /// Whether the registry's directory can be changed, or only read.
    pub writable: bool,
    /// The operator's decisions.
    pub policy: Arc<Policy>,
    /// The last answer about readiness.
    pub readiness: Arc<ready::LastAnswer>,
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
