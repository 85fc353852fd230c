//! `DbActor`: the way to the catalog. The catalog's pool is cloned into each reply's future, so that no
//! query waits for another.

use std::{sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message, ResponseFuture};

use super::{Handle, supervise::supervised};
use crate::{
    artifacts::{RegistryRoot, lock::WriteLock},
    catalog::{
        Applied, Audit, Catalog, CatalogChange, CatalogState, Layout, Roots, Stamp, VersionFilter,
        VersionPage, WriterLock,
    },
    domain::{
        ModelType, Sha256Digest, Version, VersionRecord,
        history::Transition,
        log::{Entry, RightEdge},
    },
    error::{ErrorKind, RegistryError},
    fault::{self, Point},
    limits,
};

/// Owns the catalog.
pub struct DbActor {
    catalog: Arc<dyn Catalog>,
}

impl DbActor {
    /// An actor over this catalog.
    #[must_use]
    pub fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self { catalog }
    }
}

/// What a change holds from before it until after its manifest: the directory's lock, and the catalog's.
pub struct Locks {
    directory: WriteLock,
    catalog: WriterLock,
}

impl Locks {
    /// Waits for both locks, the directory's first.
    ///
    /// # Errors
    /// `REGISTRY_LOCKED` where another process keeps one too long; `REGISTRY_UNAVAILABLE`.
    pub async fn take(root: &RegistryRoot, db: &Handle<DbActor>) -> Result<Self, RegistryError> {
        let directory = WriteLock::take(root).await?;
        let time = limits::WRITE_LOCK_WAIT + limits::ACTOR_TIMEOUT;
        let catalog = db.ask_within(time, LockWriters { wait: limits::WRITE_LOCK_WAIT }).await?;
        Ok(Self { directory, catalog })
    }

    /// Takes both if nobody has them.
    ///
    /// # Errors
    /// `REGISTRY_UNAVAILABLE`.
    pub async fn try_take(
        root: &RegistryRoot,
        db: &Handle<DbActor>,
    ) -> Result<Option<Self>, RegistryError> {
        let Some(directory) = WriteLock::try_take(root)? else { return Ok(None) };
        match db.ask(LockWriters { wait: Duration::ZERO }).await {
            Ok(catalog) => Ok(Some(Self { directory, catalog })),
            Err(error) if error.kind() == ErrorKind::RegistryLocked => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets both go, the catalog's first.
    pub async fn release(self, db: &Handle<DbActor>) {
        // Its connection belongs to the actor's thread.
        if let Err(error) = db.ask(ReleaseWriters { lock: self.catalog }).await {
            tracing::warn!(%error, "the catalog's lock is let go with its connection");
        }
        drop(self.directory);
    }
}

impl Actor for DbActor {
    type Context = Context<Self>;
}

supervised!(DbActor, "db");

/// Answers a message with one call of the catalog. `at` is the fault point where the message arrives, `then` the one
/// after the answer. The whole message lives as long as the call, and so do the locks that a change's message carries.
macro_rules! answers {
    (
        $message:ty => $reply:ty,
        $(at $before:expr,)?
        $(then $after:expr,)?
        |$catalog:ident, $it:ident| $call:expr
    ) => {
        impl Handler<$message> for DbActor {
            type Result = ResponseFuture<Result<$reply, RegistryError>>;

            fn handle(&mut self, message: $message, _: &mut Self::Context) -> Self::Result {
                $(fault::point($before);)?
                let $catalog = self.catalog.clone();
                Box::pin(async move {
                    let $it = message;
                    let answer = $call.await?;
                    $(fault::pause($after).await;)?
                    Ok(answer)
                })
            }
        }
    };
}

/// Which layout the catalog is of.
#[derive(Message)]
#[rtype(result = "Result<Layout, RegistryError>")]
pub struct FindLayout;

answers!(FindLayout => Layout, |catalog, _it| catalog.layout());

/// Whether the database takes changes now.
#[derive(Message)]
#[rtype(result = "Result<bool, RegistryError>")]
pub struct TakesChanges;

answers!(TakesChanges => bool, |catalog, _it| catalog.takes_changes());

/// Makes the tables of a catalog that has none.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct CreateCatalog;

answers!(CreateCatalog => (), |catalog, _it| catalog.create());

/// Whether the database answers.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct Ping;

answers!(Ping => (), |catalog, _it| catalog.ping());

/// The roots that the catalog's last change recorded; `None` before the first.
#[derive(Message)]
#[rtype(result = "Result<Option<Roots>, RegistryError>")]
pub struct ReadRoots;

answers!(ReadRoots => Option<Roots>, |catalog, _it| catalog.roots());

/// The catalog as its last change recorded it.
#[derive(Message)]
#[rtype(result = "Result<CatalogState, RegistryError>")]
pub struct ReadState;

answers!(ReadState => CatalogState, |catalog, _it| catalog.state());

/// Holds every row against the log.
#[derive(Message)]
#[rtype(result = "Result<Audit, RegistryError>")]
pub struct AuditCatalog;

answers!(AuditCatalog => Audit, |catalog, _it| catalog.audit());

/// The version of a type in production.
#[derive(Message)]
#[rtype(result = "Result<Option<VersionRecord>, RegistryError>")]
pub struct FindProduction {
    /// Of this type.
    pub model_type: ModelType,
}

answers!(FindProduction => Option<VersionRecord>, at Point::DbFindProduction, |catalog, it| catalog.find_production(&it.model_type));

/// The version archived last.
#[derive(Message)]
#[rtype(result = "Result<Option<VersionRecord>, RegistryError>")]
pub struct FindRollbackTarget {
    /// Of this type.
    pub model_type: ModelType,
}

answers!(FindRollbackTarget => Option<VersionRecord>, |catalog, it| catalog.find_rollback_target(&it.model_type));

/// One version.
#[derive(Message)]
#[rtype(result = "Result<Option<VersionRecord>, RegistryError>")]
pub struct FindVersion {
    /// Of this type.
    pub model_type: ModelType,
    /// With this number.
    pub version: Version,
}

answers!(FindVersion => Option<VersionRecord>, |catalog, it| catalog.find_version(&it.model_type, it.version));

/// Versions, newest first.
#[derive(Message)]
#[rtype(result = "Result<VersionPage, RegistryError>")]
pub struct ListVersions {
    /// Which.
    pub filter: VersionFilter,
}

answers!(ListVersions => VersionPage, |catalog, it| catalog.list_versions(&it.filter));

/// The history of one version, or of the whole registry, oldest first.
#[derive(Message)]
#[rtype(result = "Result<Vec<Transition>, RegistryError>")]
pub struct ListTransitions {
    /// Of which version.
    pub of: Option<(ModelType, Version)>,
}

answers!(ListTransitions => Vec<Transition>, |catalog, it| catalog.list_transitions(it.of.as_ref().map(|(model_type, version)| (model_type, *version))));

/// Makes a change.
#[derive(Message)]
#[rtype(result = "Result<Applied, RegistryError>")]
pub struct ApplyChange {
    /// Held until the transaction has ended, whether or not anybody still waits for it.
    pub locks: Arc<Locks>,
    /// What.
    pub change: CatalogChange,
    /// Who, when and why.
    pub stamp: Stamp,
}

answers!(ApplyChange => Applied, at Point::DbApply, then Point::DbApplied, |catalog, it| catalog.apply(&it.change, &it.stamp));

/// Turns a catalog of layout 2.0.0 into one of this layout.
#[derive(Message)]
#[rtype(result = "Result<CatalogState, RegistryError>")]
pub struct UpgradeCatalog {
    /// Held until the transaction has ended, whether or not anybody still waits for it.
    pub locks: Arc<Locks>,
    /// The checksum in the manifest.
    pub manifest: Sha256Digest,
    /// Who and when.
    pub stamp: Stamp,
}

answers!(UpgradeCatalog => CatalogState, at Point::UpgradeLocked, |catalog, it| catalog.upgrade(it.manifest, &it.stamp));

/// Keeps other writers of the catalog out, until the reply is released or dropped.
#[derive(Message)]
#[rtype(result = "Result<WriterLock, RegistryError>")]
pub struct LockWriters {
    /// How long to wait for a writer that is at it.
    pub wait: Duration,
}

answers!(LockWriters => WriterLock, |catalog, it| catalog.lock_writers(it.wait));

/// Lets the next writer in.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct ReleaseWriters {
    /// What keeps it out.
    pub lock: WriterLock,
}

impl Handler<ReleaseWriters> for DbActor {
    type Result = ResponseFuture<Result<(), RegistryError>>;

    fn handle(&mut self, message: ReleaseWriters, _: &mut Self::Context) -> Self::Result {
        Box::pin(async move { Ok(message.lock.release().await?) })
    }
}

/// The right edge of the log's tree.
#[derive(Message)]
#[rtype(result = "Result<RightEdge, RegistryError>")]
pub struct ReadRightEdge;

answers!(ReadRightEdge => RightEdge, |catalog, _it| catalog.right_edge());

/// Entries of the log, in order.
#[derive(Message)]
#[rtype(result = "Result<Vec<Entry>, RegistryError>")]
pub struct ReadEntries {
    /// From this position on.
    pub from: u64,
    /// At most this many.
    pub count: u32,
}

answers!(ReadEntries => Vec<Entry>, |catalog, it| catalog.log_entries(it.from, it.count));

/// The entries of one version, oldest first.
#[derive(Message)]
#[rtype(result = "Result<Vec<Entry>, RegistryError>")]
pub struct FindEntries {
    /// Of this type.
    pub model_type: ModelType,
    /// With this number.
    pub version: Version,
}

answers!(FindEntries => Vec<Entry>, |catalog, it| catalog.log_entries_of(&it.model_type, it.version));

/// Hashes of the log's tree on one level, in order.
#[derive(Message)]
#[rtype(result = "Result<Vec<Sha256Digest>, RegistryError>")]
pub struct ReadHashes {
    /// 0 for leaves; 8, 16, … for complete subtrees of 2^level leaves.
    pub level: u8,
    /// From this position on.
    pub from: u64,
    /// At most this many.
    pub count: u32,
}

answers!(ReadHashes => Vec<Sha256Digest>, |catalog, it| catalog.log_hashes(it.level, it.from, it.count));
