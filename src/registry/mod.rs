//! The operations of the registry, one file each. The command line and REST use the same operations. Each operation
//! checks its input, sends messages to the actors, and returns the result.

pub mod backup;
mod change;
pub mod collect;
pub mod compatibility;
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
    actors::{
        Handle,
        db::{DbActor, ListTypes},
        manifest::ManifestActor,
        validator::ValidatorActor,
    },
    artifacts::{ArtifactStore, VerifiedFiles},
    domain::{Collected, ModelType, Version, VersionRecord, policy::TypeRules, text::echo},
    error::{ErrorKind, RegistryError},
    metrics,
    policy::{PolicyInForce, Rules},
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
    pub policy: PolicyInForce,
    /// Whether a data set of another version than a model was trained on makes the two incompatible.
    pub strict_versions: bool,
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

/// The error for the files of a version that was collected.
fn collected(record: &VersionRecord, gone: Collected) -> RegistryError {
    RegistryError::new(
        ErrorKind::VersionCollected,
        format!(
            "{}: its files were removed on {}; its history stays, and its number is not used again",
            record.name(),
            gone.collected_at
        ),
    )
}

/// Refuses a version whose files were removed.
fn require_files(record: &VersionRecord) -> Result<(), RegistryError> {
    record.collected.map_or(Ok(()), |gone| Err(collected(record, gone)))
}

impl Registry {
    /// Makes what this service observes available to its metrics.
    pub fn watch(&self) {
        let types = self.rules().policy.known_types().map(ToString::to_string).collect();
        metrics::expect_changes(types);
        let observed = self.observed.clone();
        metrics::watch_production(move || observed.production());
        findings::watch(self.findings.clone());
    }

    /// The policy that holds now.
    fn rules(&self) -> Arc<Rules> {
        self.policy.now()
    }

    /// The rules of a type for a change.
    ///
    /// # Errors
    /// `INVALID_REQUEST` where the policy does not know the type, also where it has versions: no rule of another type
    /// fits it.
    fn rules_of(&self, model_type: &ModelType) -> Result<TypeRules, RegistryError> {
        let rules = self.rules();
        rules.policy.rules(model_type).cloned().ok_or_else(|| {
            let known: Vec<_> = rules.policy.known_types().map(ModelType::as_str).collect();
            RegistryError::new(
                ErrorKind::InvalidRequest,
                format!(
                    "model_type {model_type} is not known; the known ones are {}; to add another, add \
                     [types.{model_type}] to the policy file",
                    known.join(", ")
                ),
            )
        })
    }

    /// Refuses a type that the policy does not know and that has no versions. What a type has stays readable where the
    /// policy no longer names it.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`.
    pub async fn require_known(&self, model_type: &ModelType) -> Result<(), RegistryError> {
        if self.rules().policy.rules(model_type).is_some() {
            return Ok(());
        }
        if self.db.ask(ListTypes).await?.contains(model_type) {
            return Ok(());
        }
        Err(no_production(model_type.as_str()))
    }

    /// Warns of types that have versions and that the policy in force does not know.
    ///
    /// # Errors
    /// Errors of the catalog.
    pub async fn tell_of_unknown_types(&self) -> Result<(), RegistryError> {
        let rules = self.rules();
        let mut types = self.db.ask(ListTypes).await?;
        types.retain(|model_type| rules.policy.rules(model_type).is_none());
        if !types.is_empty() {
            let names: Vec<_> = types.iter().map(ModelType::as_str).collect();
            tracing::warn!(
                types = names.join(", "),
                "the policy does not know types that have versions: these stay readable, and nothing of them can be \
                 registered or promoted until the policy names them again"
            );
        }
        Ok(())
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
