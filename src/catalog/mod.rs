//! The database: the rows of versions and their history, behind one trait.
//!
//! Each change of status, hashes and history is one transaction. This module knows no files, actors or HTTP.

mod connection;
pub mod history;
mod marker;
pub mod postgres;
pub mod sqlite;
pub mod tables;

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tokio::sync::mpsc;

use crate::{
    domain::{
        LoadCheck, ModelId, ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord,
        history::Transition,
        log::{Draft, Entry, RightEdge},
        manifest::CatalogSummary,
        status::InvalidTransition,
    },
    metrics::PoolState,
};

pub use history::{HistoryFilter, HistoryPage, InProduction, Moment, TypeSummary};
pub use marker::Marker;
pub use postgres::{DatabaseUrl, PostgresCatalog};
pub use sqlite::SqliteCatalog;

/// The reason why the catalog failed or refused.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The database cannot be reached, cannot write, or is locked for too long.
    #[error("the catalog cannot be used: {0}")]
    Unavailable(String),
    /// The disk of the registry directory is full. (The disk of a database server is not this program's concern.)
    #[error("the catalog cannot be written: {0}")]
    DiskFull(String),
    /// The database can never hold the catalog; the operator must choose another one.
    #[error("the catalog cannot be in this database: {0}")]
    Unsuitable(String),
    /// The version exists, or its number was used by a removed version.
    #[error("the version exists or its number was used before")]
    VersionExists,
    /// The outcome is unknown: the answer did not arrive, or the connection broke.
    #[error("the catalog did not answer: {0}")]
    InDoubt(String),
    /// The database accepts no changes, or none from this user.
    #[error("the catalog can only be read: {0}")]
    ReadOnly(String),
    /// Another writer holds the catalog's lock for too long.
    #[error("another process, possibly on another host, is changing the registry")]
    Locked,
    /// The version does not exist.
    #[error("no such version")]
    NotFound,
    /// The status does not allow the transition.
    #[error(transparent)]
    InvalidTransition(#[from] InvalidTransition),
    /// The version's files were removed before.
    #[error("the version's files were removed before")]
    Collected,
    /// This program cannot have written the row.
    #[error("the catalog is damaged: {0}")]
    Damaged(String),
    /// This program does not know the schema.
    #[error(
        "the catalog's schema is {0}, but this program knows only schemas up to {newest}; use the version of \
         model-registry that wrote it, or a newer one",
        newest = schema_version::CURRENT
    )]
    UnknownSchema(String),
}

/// The schema's versions, as the folders in `migrations/` name them.
pub mod schema_version {
    /// Layout 2.0.0: the history is a chain of transitions.
    pub const CHAIN: &str = "00000000000001";
    /// The tables of the log exist.
    pub const LOG: &str = "00000000000002";
    /// Layout 3.0.0: the history is the log. The steps after this one only add to it.
    pub const UNCHAINED: &str = "00000000000003";
    /// Verdicts and collections are kept.
    pub const CURRENT: &str = "00000000000004";
}

/// The layout that was found in the catalog.
#[derive(Debug)]
struct KnownLayout(AtomicU8);

impl KnownLayout {
    /// The layout of nearly all catalogs.
    fn current() -> Self {
        Self(AtomicU8::new(Layout::Current as u8))
    }

    fn set(&self, layout: Layout) {
        self.0.store(layout as u8, Ordering::Relaxed);
    }

    fn is_the_one_before(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Layout::Before as u8
    }

    fn is_current(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Layout::Current as u8
    }
}

/// Keeps other writers out of a catalog while it lives.
pub struct WriterLock {
    held: Option<Box<dyn HeldLock>>,
    clock: Option<Timestamp>,
}

/// A lock in the database.
#[async_trait(?Send)]
trait HeldLock: Send + Sync {
    /// Releases the lock. Dropping it also releases it, but closes its connection.
    async fn release(self: Box<Self>) -> Result<(), CatalogError>;
}

impl WriterLock {
    /// The lock of a catalog for which the directory's lock is enough.
    fn none() -> Self {
        Self { held: None, clock: None }
    }

    fn held(by: impl HeldLock + 'static, clock: Timestamp) -> Self {
        Self { held: Some(Box::new(by)), clock: Some(clock) }
    }

    /// The time of the database server's clock when the lock was taken; `None` where the database is a file.
    #[must_use]
    pub fn clock(&self) -> Option<Timestamp> {
        self.clock
    }

    /// Releases the lock. Dropping it also releases it, but costs a connection.
    ///
    /// # Errors
    /// The database's error; the lock is released nevertheless.
    pub async fn release(self) -> Result<(), CatalogError> {
        match self.held {
            Some(held) => held.release().await,
            None => Ok(()),
        }
    }
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
            DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, info) => {
                Self::ReadOnly(info.message().to_owned())
            }
            // SQLite's message for its code 8; diesel does not pass on the code.
            DieselError::DatabaseError(_, info)
                if info.message() == "attempt to write a readonly database" =>
            {
                Self::ReadOnly(info.message().to_owned())
            }
            // SQLite's message for its code 13.
            DieselError::DatabaseError(_, info) if info.message() == "database or disk is full" => {
                Self::DiskFull(info.message().to_owned())
            }
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// The order of a list of versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first: versions registered while pages are read come at the end.
    Oldest,
}

/// The versions to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionFilter {
    /// Only versions of this type.
    pub model_type: Option<ModelType>,
    /// Only versions in this status.
    pub status: Option<Status>,
    /// The order of the list.
    pub order: Order,
    /// The most versions to return; no limit where `None`.
    pub limit: Option<u32>,
    /// The number of versions to skip.
    pub offset: u32,
}

/// A page of versions, in the requested order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionPage {
    /// The versions.
    pub records: Vec<VersionRecord>,
    /// The number of all matching versions.
    pub total: u64,
}

/// What may change of a version. Everything else is as it was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// The version.
    pub model_id: ModelId,
    /// Its status.
    pub status: Status,
    /// When it last entered production.
    pub promoted_at: Option<Timestamp>,
    /// When it was last archived.
    pub archived_at: Option<Timestamp>,
}

/// A page of versions, by what may change of them, in the requested order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlinedPage {
    /// The versions.
    pub versions: Vec<Outline>,
    /// The number of all matching versions.
    pub total: u64,
}

/// The author of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The stated author.
    pub actor: String,
    /// The authenticated principal.
    pub authenticated_as: Option<String>,
}

/// The author, time and reason of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The time of the change.
    pub at: Timestamp,
    /// The author of the change.
    pub author: Author,
    /// The reason, where one was given.
    pub reason: Option<String>,
}

/// A change of the catalog: one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogChange {
    /// Adds a staged version.
    Register(Box<VersionRecord>),
    /// Puts a version into production and archives the previous one.
    Promote {
        /// The model type.
        model_type: ModelType,
        /// The version number.
        version: Version,
        /// Whether the gates were skipped.
        gates_skipped: bool,
    },
    /// Returns the last archived version to production and stages the present one.
    RollBack {
        /// The model type.
        model_type: ModelType,
        /// The version that is expected to be the last archived one.
        target: Version,
    },
    /// Marks a version failed, which bars it from production.
    Fail {
        /// The model type.
        model_type: ModelType,
        /// The version number.
        version: Version,
    },
    /// Imports versions and history of another registry.
    Import(ImportBatch),
    /// Marks a version whose files are about to be removed.
    Collect {
        /// The model type.
        model_type: ModelType,
        /// The version number.
        version: Version,
        /// Why its files are removed.
        cause: CollectionCause,
    },
    /// Gives the changes from now on the times of the clock, although the last change has a later one.
    ResetClock,
}

/// Why a version's files are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectionCause {
    /// Its time is over.
    Retention,
    /// Somebody asked for it.
    Request,
}

impl CollectionCause {
    /// The cause as log entries name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Request => "request",
        }
    }
}

/// The result of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The changed version in its new state; `None` for an import.
    pub record: Option<VersionRecord>,
    /// The version that left production.
    pub displaced: Option<VersionRecord>,
    /// The state of the catalog after the change, for the manifest.
    pub state: CatalogState,
}

/// The roots of the log; in layout 2.0.0, the digests of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roots {
    /// The root after the last change.
    pub current: Sha256Digest,
    /// The root before the last change.
    pub previous: Sha256Digest,
}

/// The present state of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogState {
    /// The part of the state that the manifest repeats.
    pub summary: CatalogSummary,
    /// The root before the last change.
    pub previous_root: Sha256Digest,
    /// The time of the last change.
    pub last_change: Option<Timestamp>,
}

/// The layout of a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The database has no tables of the catalog.
    Absent,
    /// Layout 2.0.0, which is upgraded when the registry is first opened for change.
    Before,
    /// Layout 3.0.0 as an earlier program left it: the last steps, which only add to it, are missing. They are taken
    /// when the registry is first opened for change.
    Behind,
    /// Layout 3.0.0.
    Current,
}

impl Layout {
    /// Whether the history is a log.
    #[must_use]
    pub fn has_log(self) -> bool {
        matches!(self, Self::Behind | Self::Current)
    }
}

/// A fault that an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    /// The kind of the fault.
    pub kind: DiscrepancyKind,
    /// The affected object, for example `risk_model/v1.0.0` or `registry_state`.
    pub subject: String,
    /// The description of the fault.
    pub detail: String,
}

/// The kind of a discrepancy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscrepancyKind {
    /// The log is wrong.
    Log,
    /// A version's row, or a recorded total, is wrong.
    Row,
    /// Only a version's status is wrong.
    Status,
}

/// The result of checking a catalog against its own log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// The number of entries in the log.
    pub entries: u64,
    /// The number of versions.
    pub versions: u64,
    /// Every fault; empty where all rows match the log.
    pub discrepancies: Vec<Discrepancy>,
}

/// The content of another registry that one transaction imports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportBatch {
    /// Versions that do not exist here yet.
    pub new_versions: Vec<VersionRecord>,
    /// Versions that exist here in another status.
    pub moved_versions: Vec<VersionRecord>,
    /// Transitions that do not exist here yet, oldest first.
    pub transitions: Vec<Transition>,
}

/// A restoration of the whole catalog from a dump.
#[derive(Debug, Clone)]
pub struct Restoration {
    /// The root of the dumped log.
    pub backed_up_root: Sha256Digest,
    /// The entry that the restored log gets; `None` where nothing is replaced.
    pub note: Option<RestoreNote>,
    /// The root that the restored log must have, with that entry.
    pub restored_root: Sha256Digest,
    /// Whether this is the registry's own catalog, and not a rehearsal.
    pub live: bool,
}

/// The log entry of a restoration that replaces something.
#[derive(Debug, Clone)]
pub struct RestoreNote {
    /// The entry.
    pub draft: Draft,
    /// The root of the log that is replaced.
    pub replaced_root: Sha256Digest,
}

/// A catalog. Its futures stay on the calling thread.
#[async_trait(?Send)]
pub trait Catalog: Send + Sync {
    /// The load of the connection pool.
    fn pool_state(&self) -> PoolState;

    /// Identifies the present state of the catalog; `None` where it is not known without asking the database. What was
    /// read after a marker was taken is the present as long as the marker is the same.
    fn marker(&self) -> Option<Marker>;

    /// Notices commits of all processes, so that [`Catalog::marker`] can tell. Ends only where other files took the
    /// place of the catalog's.
    async fn follow(&self) -> CatalogError;

    /// The layout of the catalog. It is read once, before anything else.
    async fn layout(&self) -> Result<Layout, CatalogError>;

    /// Creates the tables of an empty database. If several programs do this at once, one of them succeeds.
    async fn create(&self) -> Result<(), CatalogError>;

    /// Upgrades a catalog of layout 2.0.0 to this layout in one transaction, after checking it against its own digest
    /// and chain. `manifest` is the checksum in its manifest, if there is one; it becomes the previous root.
    async fn upgrade(
        &self,
        manifest: Option<Sha256Digest>,
        stamp: &Stamp,
    ) -> Result<CatalogState, CatalogError>;

    /// Takes the missing steps of a catalog that is [`Layout::Behind`], in one transaction. Returns whether any was
    /// missing.
    async fn extend(&self) -> Result<bool, CatalogError>;

    /// Whether the database reports that it accepts changes now. The catalog must have its tables.
    async fn takes_changes(&self) -> Result<bool, CatalogError>;

    /// Checks that the database answers.
    async fn ping(&self) -> Result<(), CatalogError>;

    /// The production version of a type.
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

    /// The versions that match, in the requested order, and their number.
    async fn list_versions(&self, filter: &VersionFilter) -> Result<VersionPage, CatalogError>;

    /// As [`Catalog::list_versions`], with what may change of the versions alone.
    async fn outline(&self, filter: &VersionFilter) -> Result<OutlinedPage, CatalogError>;

    /// The versions with these ids, in their order. One that does not exist is left out.
    async fn versions_by_id(&self, ids: &[ModelId]) -> Result<Vec<VersionRecord>, CatalogError>;

    /// The history of one version, or of the whole registry, oldest first.
    async fn list_transitions(
        &self,
        of: Option<(&ModelType, Version)>,
    ) -> Result<Vec<Transition>, CatalogError>;

    /// The roots that the last change recorded; `None` before the first change.
    async fn roots(&self) -> Result<Option<Roots>, CatalogError>;

    /// The state that the last change recorded. Its cost does not depend on the number of versions.
    async fn state(&self) -> Result<CatalogState, CatalogError>;

    /// Sends every row of every table, as one snapshot shows them, and returns the state of that snapshot.
    async fn dump(&self, pieces: mpsc::Sender<tables::Piece>)
    -> Result<CatalogState, CatalogError>;

    /// Replaces the whole content by a dump, in one transaction, and returns the new state.
    async fn restore(
        &self,
        pieces: mpsc::Receiver<tables::Piece>,
        order: &Restoration,
    ) -> Result<CatalogState, CatalogError>;

    /// Checks every row against the log, in one pass over both.
    async fn audit(&self) -> Result<Audit, CatalogError>;

    /// The last archived version, to which a rollback would return.
    async fn find_rollback_target(
        &self,
        model_type: &ModelType,
    ) -> Result<Option<VersionRecord>, CatalogError>;

    /// Makes a change: rows, log entries and the new root in one transaction.
    async fn apply(&self, change: &CatalogChange, stamp: &Stamp) -> Result<Applied, CatalogError>;

    /// Keeps the last load check of a version. It is no change of the registry: it has no log entry. Returns `false`
    /// where the catalog cannot keep it, because it lacks the last steps.
    async fn keep_check(&self, model_id: ModelId, check: &LoadCheck) -> Result<bool, CatalogError>;

    /// The types that have versions.
    async fn types(&self) -> Result<Vec<ModelType>, CatalogError>;

    /// When each failed version was marked so.
    async fn failures(&self) -> Result<HashMap<ModelId, Timestamp>, CatalogError>;

    /// Takes the lock that keeps every other writer of this catalog out, on any host, until it is released. It
    /// returns after the last transaction of any earlier writer has ended.
    async fn lock_writers(&self, wait: Duration) -> Result<WriterLock, CatalogError>;

    /// The right edge of the log's tree.
    async fn right_edge(&self) -> Result<RightEdge, CatalogError>;

    /// Log entries from a position on, at most `count`.
    async fn log_entries(&self, from: u64, count: u32) -> Result<Vec<Entry>, CatalogError>;

    /// The entries of one version, oldest first.
    async fn log_entries_of(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<Vec<Entry>, CatalogError>;

    /// A page of the log: the entries that match, in its order. The number of entries that it reads is bounded: where few
    /// of them match, a page may be short, or even empty, and still have a next one.
    async fn history(&self, filter: &HistoryFilter) -> Result<HistoryPage, CatalogError>;

    /// The entries by which versions of a type entered or left production, the latest first, before a moment, at most
    /// `count`. Time orders them, and the log those of the same time.
    async fn production_entries(
        &self,
        model_type: &ModelType,
        before: Option<Moment>,
        count: u32,
    ) -> Result<Vec<Entry>, CatalogError>;

    /// The version of each type that is in production.
    async fn productions(&self) -> Result<BTreeMap<ModelType, InProduction>, CatalogError>;

    /// What the catalog holds of each type that has versions.
    async fn summaries(&self) -> Result<BTreeMap<ModelType, TypeSummary>, CatalogError>;

    /// Hashes of one level of the log's tree from a position on, at most `count`: leaves on level 0, roots of
    /// complete subtrees of 2^`level` leaves on levels 8, 16, ….
    async fn log_hashes(
        &self,
        level: u8,
        from: u64,
        count: u32,
    ) -> Result<Vec<Sha256Digest>, CatalogError>;
}
