//! What the database knows: the rows of versions and their history, behind one trait.
//!
//! Status, hashes and history are decided here, each change in one transaction. This room knows nothing
//! of files, actors or HTTP.

mod connection;
pub mod postgres;
pub mod sqlite;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::{
    domain::{
        ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord,
        history::Transition,
        log::{Entry, RightEdge},
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
    /// The database cannot hold the catalog, now or later: another one must be named.
    #[error("the catalog cannot be in this database: {0}")]
    Unsuitable(String),
    /// The number was used before, by a version that is there or was removed.
    #[error("the version exists or its number was used before")]
    VersionExists,
    /// Nobody knows whether it was done: the answer did not come, or the connection broke.
    #[error("the catalog did not answer: {0}")]
    InDoubt(String),
    /// The database takes no changes, or none of this user.
    #[error("the catalog can only be read: {0}")]
    ReadOnly(String),
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
    /// The schema of a program that this one does not know.
    #[error(
        "the catalog's schema is {0}, and this program knows schemas up to {newest}; use the version of \
         model-registry that wrote it, or a newer one",
        newest = schema_version::CURRENT
    )]
    UnknownSchema(String),
}

/// The schema's versions, as the folders in `migrations/` name them.
pub mod schema_version {
    /// Of layout 2.0.0: the history is a chain of transitions.
    pub const CHAIN: &str = "00000000000001";
    /// The tables of the log are there.
    pub const LOG: &str = "00000000000002";
    /// Of layout 3.0.0: the history is the log.
    pub const CURRENT: &str = "00000000000003";
}

/// The layout that a catalog was found to be of.
#[derive(Debug)]
struct KnownLayout(AtomicBool);

impl KnownLayout {
    /// The layout of most.
    fn current() -> Self {
        Self(AtomicBool::new(false))
    }

    fn set(&self, layout: Layout) {
        self.0.store(layout == Layout::Before, Ordering::Relaxed);
    }

    fn is_the_one_before(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Keeps other writers of a catalog out while it lives.
pub struct WriterLock {
    held: Option<Box<dyn HeldLock>>,
}

/// What holds a lock in the database.
#[async_trait(?Send)]
trait HeldLock: Send + Sync {
    /// Lets it go. Dropping it instead closes its connection.
    async fn release(self: Box<Self>) -> Result<(), CatalogError>;
}

impl WriterLock {
    /// For a catalog whose directory's lock is enough.
    fn none() -> Self {
        Self { held: None }
    }

    fn held(by: impl HeldLock + 'static) -> Self {
        Self { held: Some(Box::new(by)) }
    }

    /// Lets the next writer in. Dropping the lock does so as well, at the cost of a connection.
    ///
    /// # Errors
    /// The database's; the lock is then let go all the same.
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
            // SQLite's words for its code 8, which diesel does not pass on.
            DieselError::DatabaseError(_, info)
                if info.message() == "attempt to write a readonly database" =>
            {
                Self::ReadOnly(info.message().to_owned())
            }
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// In which order versions are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The one registered last first.
    #[default]
    Newest,
    /// The one registered first first: what is registered while pages are read comes after them.
    Oldest,
}

/// Which versions to list.
#[derive(Debug, Clone, Default)]
pub struct VersionFilter {
    /// Of this type only.
    pub model_type: Option<ModelType>,
    /// In this status only.
    pub status: Option<Status>,
    /// In this order.
    pub order: Order,
    /// At most this many; all where `None`.
    pub limit: Option<u32>,
    /// After leaving out this many.
    pub offset: u32,
}

/// A page of versions, in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionPage {
    /// The page.
    pub records: Vec<VersionRecord>,
    /// How many match in all.
    pub total: u64,
}

/// Who changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Who is said to do it.
    pub actor: String,
    /// Who was authenticated.
    pub authenticated_as: Option<String>,
}

/// Who changes something, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub author: Author,
    /// Why, where a reason was given.
    pub reason: Option<String>,
}

/// A change of the catalog: one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogChange {
    /// Adds a staged version.
    Register(Box<VersionRecord>),
    /// Puts a version into production and archives the one there.
    Promote {
        /// Of this type.
        model_type: ModelType,
        /// With this number.
        version: Version,
        /// Whether the gates were skipped.
        gates_skipped: bool,
    },
    /// Returns the version archived last to production and stages the one there.
    RollBack {
        /// Of this type.
        model_type: ModelType,
        /// The version that must be the one archived last.
        target: Version,
    },
    /// Bars a version from production.
    Fail {
        /// Of this type.
        model_type: ModelType,
        /// With this number.
        version: Version,
    },
    /// Brings in versions and history of another registry.
    Import(ImportBatch),
}

/// A change that took place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The version that was asked for, as it is now; `None` of an import.
    pub record: Option<VersionRecord>,
    /// The version that gave way in production.
    pub displaced: Option<VersionRecord>,
    /// The catalog after it, from which the manifest is written.
    pub state: CatalogState,
}

/// The roots of the log. In a catalog of layout 2.0.0, the digests of its dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roots {
    /// After the last change.
    pub current: Sha256Digest,
    /// Before it.
    pub previous: Sha256Digest,
}

/// The catalog as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogState {
    /// What the manifest says of it.
    pub summary: CatalogSummary,
    /// The root before the last change.
    pub previous_root: Sha256Digest,
    /// When the last change took place.
    pub last_change: Option<Timestamp>,
}

/// Which layout of the registry a catalog is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// None: the database holds no tables of the catalog.
    Absent,
    /// 2.0.0, which is upgraded when the registry is first opened for change.
    Before,
    /// 3.0.0.
    Current,
}

/// What an audit found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    /// Where it is.
    pub kind: DiscrepancyKind,
    /// Of what, for example `risk_model/v1.0.0` or `registry_state`.
    pub subject: String,
    /// What is wrong.
    pub detail: String,
}

/// Where a discrepancy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscrepancyKind {
    /// In the log.
    Log,
    /// In a version's row, or in what is recorded of all of them.
    Row,
    /// In a version's status alone.
    Status,
}

/// A catalog held against its own log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// How many entries the log has.
    pub entries: u64,
    /// How many versions there are.
    pub versions: u64,
    /// Everything wrong; empty where each row is what the log says.
    pub discrepancies: Vec<Discrepancy>,
}

/// What a registry of another make brings in, in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportBatch {
    /// Versions that are not there yet.
    pub new_versions: Vec<VersionRecord>,
    /// Versions that are there and stand elsewhere now.
    pub moved_versions: Vec<VersionRecord>,
    /// Transitions that are not there yet, oldest first.
    pub transitions: Vec<Transition>,
}

/// A catalog. Its futures stay on the thread that asks.
#[async_trait(?Send)]
pub trait Catalog: Send + Sync {
    /// How busy the connections are.
    fn pool_state(&self) -> PoolState;

    /// Which layout it is of. Asked once, before anything else.
    async fn layout(&self) -> Result<Layout, CatalogError>;

    /// Makes the tables of a catalog that has none. Of several programs that do so at once, one does.
    async fn create(&self) -> Result<(), CatalogError>;

    /// Turns a catalog of layout 2.0.0 into one of this layout, in one transaction, after holding it against itself.
    /// `manifest` is the checksum in its manifest, which becomes the root before.
    async fn upgrade(
        &self,
        manifest: Sha256Digest,
        stamp: &Stamp,
    ) -> Result<CatalogState, CatalogError>;

    /// Whether the database takes changes now, as far as it says. Asked of a catalog that has tables.
    async fn takes_changes(&self) -> Result<bool, CatalogError>;

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

    /// Versions, in the order asked for, and how many match.
    async fn list_versions(&self, filter: &VersionFilter) -> Result<VersionPage, CatalogError>;

    /// The history of one version, or of the whole registry, oldest first.
    async fn list_transitions(
        &self,
        of: Option<(&ModelType, Version)>,
    ) -> Result<Vec<Transition>, CatalogError>;

    /// The roots that the last change recorded; `None` before the first.
    async fn roots(&self) -> Result<Option<Roots>, CatalogError>;

    /// The catalog as its last change recorded it. Costs the same however many versions there are.
    async fn state(&self) -> Result<CatalogState, CatalogError>;

    /// Holds every row against the log, in one pass over both.
    async fn audit(&self) -> Result<Audit, CatalogError>;

    /// The version archived last, to which a rollback would return.
    async fn find_rollback_target(
        &self,
        model_type: &ModelType,
    ) -> Result<Option<VersionRecord>, CatalogError>;

    /// Makes a change: rows, log entries and the new root together, or none of them.
    async fn apply(&self, change: &CatalogChange, stamp: &Stamp) -> Result<Applied, CatalogError>;

    /// Keeps every other writer of this catalog out, on whatever host, until the lock is let go. Returns once no
    /// transaction of an earlier writer is under way.
    async fn lock_writers(&self, wait: Duration) -> Result<WriterLock, CatalogError>;

    /// The right edge of the log's tree.
    async fn right_edge(&self) -> Result<RightEdge, CatalogError>;

    /// Entries of the log, from a position on, at most `count`.
    async fn log_entries(&self, from: u64, count: u32) -> Result<Vec<Entry>, CatalogError>;

    /// The entries of one version, oldest first.
    async fn log_entries_of(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<Vec<Entry>, CatalogError>;

    /// Hashes of the log's tree on one level, from a position on, at most `count`: leaves on level 0, complete
    /// subtrees of 2^`level` leaves on 8, 16, ….
    async fn log_hashes(
        &self,
        level: u8,
        from: u64,
        count: u32,
    ) -> Result<Vec<Sha256Digest>, CatalogError>;
}
