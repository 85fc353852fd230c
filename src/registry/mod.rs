//! The operations of the registry, one file each. The command line and REST use the same operations. Each operation
//! checks its input, sends messages to the actors, and returns the result.

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
pub mod reset_clock;
pub mod rollback;
mod room;
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
    /// The actor that owns the catalog.
    pub db: Handle<DbActor>,
    /// The actor that owns the manifest and reads verified files.
    pub manifest: Handle<ManifestActor>,
    /// The actor that runs the load checks.
    pub validator: Handle<ValidatorActor>,
    /// The version folders.
    pub store: ArtifactStore,
    /// The cache of verified files.
    pub verified: Arc<VerifiedFiles>,
    /// Whether this process may write to the registry directory.
    pub writable: bool,
    /// The operator's policy.
    pub policy: Arc<Policy>,
    /// The last readiness answer.
    pub readiness: Arc<ready::LastAnswer>,
}

/// The error for a type that is unknown or has no production version.
#[must_use]
pub fn no_production(model_type: &str) -> RegistryError {
    let named = echo(model_type);
    RegistryError::new(ErrorKind::ModelNotFound, format!("No production model found for {named}"))
}

/// The error for a version that does not exist.
#[must_use]
pub fn no_version(model_type: &str, version: &str) -> RegistryError {
    let (model_type, version) = (echo(model_type), echo(version));
    RegistryError::new(ErrorKind::ModelNotFound, format!("Model {model_type}/{version} not found"))
}

impl Registry {
    /// The rules of a type; `None` where the type is unknown.
    fn rules(&self, model_type: &ModelType) -> Option<&TypeRules> {
        self.policy.rules(model_type)
    }
}

/// Adds the version's name to the catalog's errors "not found" and "invalid transition".
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
