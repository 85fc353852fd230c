//! What the database knows: the rows of versions and their history, behind one trait.
//!
//! Status, hashes and history are decided here, each change in one transaction. This room knows nothing
//! of files, actors or HTTP.

pub mod postgres;
pub mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::{
    domain::{
        ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord,
        history::{Transition, TransitionDraft},
        manifest::CatalogSummary,
        status::InvalidTransition,
    },
    metrics::PoolState,
};

pub use postgres::{DatabaseUrl, PostgresCatalog};
pub use sqlite::SqliteCatalog;

/// Why the catalog did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The database cannot be reached, is locked for too long, or cannot write.
    #[error("the catalog cannot be used: {0}")]
    Unavailable(String),
    /// The number was used before, by a version that is there or was removed.
    #[error("the version exists or its number was used before")]
    VersionExists,
    /// Nobody knows whether it was done: the answer did not come, or the connection broke.
    #[error("the catalog did not answer: {0}")]
    InDoubt(String),
    /// Another writer keeps the catalog too long.
    #[error("another process, perhaps on another host, is changing the registry")]
    Locked,
    /// There is no such version.
    #[error("no such version")]
    NotFound,
    /// The rules do not allow the step.
    #[error(transparent)]
    InvalidTransition(#[from] InvalidTransition),
    /// A row that no code of this program can have written.
    #[error("the catalog is damaged: {0}")]
    Damaged(String),
}

/// Keeps other writers of a catalog out while it lives.
pub struct WriterLock {
    _held: Option<Box<dyn std::any::Any + Send + Sync>>,
}

impl WriterLock {
    /// For a catalog whose directory's lock is enough.
    #[must_use]
    pub fn none() -> Self {
        Self { _held: None }
    }

    /// Held as long as this value lives.
    #[must_use]
    pub fn held(by: impl std::any::Any + Send + Sync) -> Self {
        Self { _held: Some(Box::new(by)) }
    }
}

/// Waits for an answer as long as it may take.
async fn in_time<T: Send>(
    time: Duration,
    work: impl Future<Output = Result<T, CatalogError>> + Send,
) -> Result<T, CatalogError> {
    tokio::time::timeout(time, work)
        .await
        .unwrap_or_else(|_| Err(CatalogError::InDoubt("it took too long".to_owned())))
}

impl From<DieselError> for CatalogError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info)
                if info.message().contains("versions") =>
            {
                Self::VersionExists
            }
            DieselError::DatabaseError(_, info)
                if info.message().contains("version number was used before") =>
            {
                Self::VersionExists
            }
            DieselError::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                info,
            ) => Self::InDoubt(info.message().to_owned()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Which versions to list.
#[derive(Debug, Clone, Default)]
pub struct VersionFilter {
    /// Of this type only.
    pub model_type: Option<ModelType>,
    /// In this status only.
    pub status: Option<Status>,
    /// At most this many; all where `None`.
    pub limit: Option<u32>,
    /// After leaving out this many.
    pub offset: u32,
}

/// A page of versions, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionPage {
    /// The page.
    pub records: Vec<VersionRecord>,
    /// How many match in all.
    pub total: u64,
}

/// Who changes something, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why, where a reason was given.
    pub reason: Option<String>,
}

/// A promotion or rollback that took place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductionChange {
    /// The version now in production.
    pub entered: VersionRecord,
    /// The version that gave way.
    pub left: Option<VersionRecord>,
}

/// What the catalog recorded of its own last two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedDigests {
    /// After the last change.
    pub current: Sha256Digest,
    /// Before it.
    pub previous: Sha256Digest,
}

/// The catalog as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogState {
    /// Computed from the rows.
    pub summary: CatalogSummary,
    /// Recorded by the last change. A catalog that nothing was ever written to is its own last state.
    pub recorded: RecordedDigests,
}

/// What a registry of another make brings in, in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportBatch {
    /// Versions that are not there yet.
    pub new_versions: Vec<VersionRecord>,
    /// Versions that are there and stand elsewhere now.
    pub moved_versions: Vec<VersionRecord>,
    /// Transitions that are not there yet, oldest first.
    pub transitions: Vec<TransitionDraft>,
}

/// A catalog. Every change is one transaction and answers with the catalog's state after it, from which
/// the manifest is written.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// How busy the connections are.
    fn pool_state(&self) -> PoolState;

    /// Whether the database answers.
    async fn ping(&self) -> Result<(), CatalogError>;

    /// The version of a type in production.
    async fn find_production(
        &self,
        model_type: &ModelType,
    ) -> Result<Option<VersionRecord>, CatalogError>;

    /// One version.
    async fn find_version(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<Option<VersionRecord>, CatalogError>;

    /// Versions, newest first, and how many match.
    async fn list_versions(&self, filter: &VersionFilter) -> Result<VersionPage, CatalogError>;

    /// The history of one version, or of the whole registry, oldest first.
    async fn list_transitions(
        &self,
        of: Option<(&ModelType, Version)>,
    ) -> Result<Vec<Transition>, CatalogError>;

    /// The digests that the last change recorded; `None` before the first.
    async fn recorded_digests(&self) -> Result<Option<RecordedDigests>, CatalogError>;

    /// The state of the whole catalog, read in one transaction.
    async fn state(&self) -> Result<CatalogState, CatalogError>;

    /// The version archived last, to which a rollback would return.
    async fn find_rollback_target(
        &self,
        model_type: &ModelType,
    ) -> Result<Option<VersionRecord>, CatalogError>;

    /// Adds a staged version and the first row of its history.
    async fn insert_version(
        &self,
        record: &VersionRecord,
        change: &Change,
    ) -> Result<CatalogState, CatalogError>;

    /// Puts a version into production and archives the one there.
    async fn promote_version(
        &self,
        model_type: &ModelType,
        version: Version,
        change: &Change,
        gates_skipped: bool,
    ) -> Result<(ProductionChange, CatalogState), CatalogError>;

    /// Returns `target` from the archive to production and stages the version there. Refuses where
    /// `target` is no longer the version archived last.
    async fn roll_back_production(
        &self,
        model_type: &ModelType,
        target: Version,
        change: &Change,
    ) -> Result<(ProductionChange, CatalogState), CatalogError>;

    /// Bars a version from production.
    async fn mark_failed(
        &self,
        model_type: &ModelType,
        version: Version,
        change: &Change,
    ) -> Result<(VersionRecord, CatalogState), CatalogError>;

    /// Keeps every other writer of this catalog out, on whatever host, until the lock is dropped. Returns once
    /// no transaction of an earlier writer is under way.
    async fn lock_writers(&self, wait: Duration) -> Result<WriterLock, CatalogError>;

    /// Brings in versions and history of another registry, all or nothing.
    async fn import(&self, batch: &ImportBatch) -> Result<CatalogState, CatalogError>;
}
