//! The operations of the registry, one file each. The command line and REST use the same operations. Each operation
//! checks its input, sends messages to the actors, and returns the result.

pub mod backup;
mod change;
pub mod documents;
pub mod fail;
pub mod findings;
pub mod import;
pub mod log;
mod log_source;
pub mod long_list;
pub mod observer;
pub mod promote;
pub mod promotion_check;
pub mod read;
pub mod ready;
mod recovery;
pub mod register;
pub mod repair;
pub mod reset_clock;
pub mod restore;
pub mod rollback;
mod room;
pub mod timeline;
pub mod validate;
pub mod verify;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::{
    actors::{Handle, db::DbActor, manifest::ManifestActor, validator::ValidatorActor},
    artifacts::{ArtifactStore, VerifiedFiles},
    domain::{ModelType, Policy, Version, policy::TypeRules, text::echo},
    error::{ErrorKind, RegistryError},
    metrics,
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
    /// How far the log was followed, and what is in production.
    pub observed: Arc<observer::Observed>,
    /// The open integrity findings.
    pub findings: Arc<findings::OpenFindings>,
    /// The turns of lists that are read part by part.
    pub lists: Arc<Semaphore>,
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
    /// Makes what this service observes available to its metrics.
    pub fn watch(&self) {
        let types = self.policy.known_types().map(ToString::to_string).collect();
        metrics::expect_changes(types);
        let observed = self.observed.clone();
        metrics::watch_production(move || observed.production());
        findings::watch(self.findings.clone());
    }

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
