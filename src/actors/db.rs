//! `DbActor`: the access to the catalog. Each reply's future has its own clone of the catalog's pool, so that no
//! query waits for another.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use tokio::sync::mpsc;

use super::{
    Handle,
    supervise::supervised,
    view::{Answer, Making, Recalled, View},
};
use crate::{
    artifacts::{RegistryRoot, Seal, lock::WriteLock},
    catalog::{
        Applied, Audit, Catalog, CatalogChange, CatalogState, HistoryFilter, HistoryPage,
        InProduction, Layout, Marker, Moment, OutlinedPage, Restoration, Roots, Stamp, TypeSummary,
        VersionFilter, VersionPage, WriterLock, tables::Piece,
    },
    domain::{
        LoadCheck, ModelId, ModelType, Sha256Digest, Timestamp, Version, VersionRecord,
        history::Transition,
        log::{Entry, RightEdge},
    },
    error::{ErrorKind, RegistryError},
    fault::{self, Point},
    limits,
};

/// Owns the catalog, and the view that its thread's requests share.
pub struct DbActor {
    catalog: Arc<dyn Catalog>,
    root: Arc<RegistryRoot>,
    view: View,
    outline: LastOutline,
}

impl DbActor {
    /// An actor with this catalog, of the registry in this directory. It keeps answers of `view` bytes together.
    #[must_use]
    pub fn new(catalog: Arc<dyn Catalog>, root: Arc<RegistryRoot>, view: usize) -> Self {
        let view = View::new(view);
        Self { catalog, root, view, outline: LastOutline::default() }
    }
}

/// The answer to a request for this target, where it is known.
#[derive(Message)]
#[rtype(result = "Result<Recalled, RegistryError>")]
pub struct RecallAnswer {
    /// The path and query of the request.
    pub target: String,
}

impl Handler<RecallAnswer> for DbActor {
    type Result = Result<Recalled, RegistryError>;

    fn handle(&mut self, message: RecallAnswer, _: &mut Self::Context) -> Self::Result {
        fault::point(Point::DbRecall);
        let root = &self.root;
        let whole = |seal: &Seal| seal.is_whole(root);
        Ok(self.view.recall(message.target, self.catalog.marker(), whole))
    }
}

/// Keeps an answer that was made.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct KeepAnswer {
    /// The right to make it, from [`Recalled::Make`].
    pub making: Making,
    /// The answer.
    pub answer: Arc<Answer>,
    /// The state of the sidecars that it was made from.
    pub seals: Vec<Seal>,
}

impl Handler<KeepAnswer> for DbActor {
    type Result = Result<(), RegistryError>;

    fn handle(&mut self, message: KeepAnswer, _: &mut Self::Context) -> Self::Result {
        let KeepAnswer { making, answer, seals } = message;
        self.view.keep(making, answer, seals);
        Ok(())
    }
}

/// The locks that a change holds until its manifest is written: the directory's and the catalog's.
pub struct Locks {
    directory: WriteLock,
    catalog: WriterLock,
}

impl Locks {
    /// Waits for both locks, first the directory's.
    ///
    /// # Errors
    /// `REGISTRY_LOCKED` where another process holds one too long; `REGISTRY_UNAVAILABLE`.
    pub async fn take(root: &RegistryRoot, db: &Handle<DbActor>) -> Result<Self, RegistryError> {
        let directory = WriteLock::take(root).await?;
        let time = limits::WRITE_LOCK_WAIT + limits::ACTOR_TIMEOUT;
        let catalog = db.ask_within(time, LockWriters { wait: limits::WRITE_LOCK_WAIT }).await?;
        Ok(Self { directory, catalog })
    }

    /// Takes both locks if both are free.
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

    /// The time of the database server's clock when the locks were taken; `None` where the database is a file.
    #[must_use]
    pub fn database_clock(&self) -> Option<Timestamp> {
        self.catalog.clock()
    }

    /// Releases both locks, first the catalog's.
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

/// Answers a message by one call of the catalog. `at` is the fault point before the call, `then` the one after it.
/// The message lives as long as the call, and so do the locks that a change's message holds.
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

/// The layout of the catalog.
#[derive(Message)]
#[rtype(result = "Result<Layout, RegistryError>")]
pub struct FindLayout;

answers!(FindLayout => Layout, |catalog, _it| catalog.layout());

/// Whether the database accepts changes now.
#[derive(Message)]
#[rtype(result = "Result<bool, RegistryError>")]
pub struct TakesChanges;

answers!(TakesChanges => bool, |catalog, _it| catalog.takes_changes());

/// Creates the tables of an empty database.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct CreateCatalog;

answers!(CreateCatalog => (), |catalog, _it| catalog.create());

/// Checks that the database answers.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct Ping;

answers!(Ping => (), |catalog, _it| catalog.ping());

/// The roots that the last change of the catalog recorded; `None` before the first change.
#[derive(Message)]
#[rtype(result = "Result<Option<Roots>, RegistryError>")]
pub struct ReadRoots;

answers!(ReadRoots => Option<Roots>, |catalog, _it| catalog.roots());

/// The state that the last change of the catalog recorded.
#[derive(Message)]
#[rtype(result = "Result<CatalogState, RegistryError>")]
pub struct ReadState;

answers!(ReadState => CatalogState, |catalog, _it| catalog.state());

/// Checks every row against the log.
#[derive(Message)]
#[rtype(result = "Result<Audit, RegistryError>")]
pub struct AuditCatalog;

answers!(AuditCatalog => Audit, |catalog, _it| catalog.audit());

/// The production version of a type.
#[derive(Message)]
#[rtype(result = "Result<Option<VersionRecord>, RegistryError>")]
pub struct FindProduction {
    /// The model type.
    pub model_type: ModelType,
}

answers!(FindProduction => Option<VersionRecord>, at Point::DbFindProduction, |catalog, it| catalog.find_production(&it.model_type));

/// The last archived version.
#[derive(Message)]
#[rtype(result = "Result<Option<VersionRecord>, RegistryError>")]
pub struct FindRollbackTarget {
    /// The model type.
    pub model_type: ModelType,
}

answers!(FindRollbackTarget => Option<VersionRecord>, |catalog, it| catalog.find_rollback_target(&it.model_type));

/// One version.
#[derive(Message)]
#[rtype(result = "Result<Option<VersionRecord>, RegistryError>")]
pub struct FindVersion {
    /// The model type.
    pub model_type: ModelType,
    /// The version number.
    pub version: Version,
}

answers!(FindVersion => Option<VersionRecord>, |catalog, it| catalog.find_version(&it.model_type, it.version));

/// Versions that match a filter.
#[derive(Message)]
#[rtype(result = "Result<VersionPage, RegistryError>")]
pub struct ListVersions {
    /// The filter.
    pub filter: VersionFilter,
}

answers!(ListVersions => VersionPage, |catalog, it| catalog.list_versions(&it.filter));

/// What may change of the versions that match a filter. Requests at the same state of the catalog share one outline.
#[derive(Message)]
#[rtype(result = "Result<Arc<OutlinedPage>, RegistryError>")]
pub struct OutlineVersions {
    /// The filter.
    pub filter: VersionFilter,
}

/// The last outline, while anybody uses it.
type LastOutline = Arc<Mutex<Option<(Marker, VersionFilter, Weak<OutlinedPage>)>>>;

impl Handler<OutlineVersions> for DbActor {
    type Result = ResponseFuture<Result<Arc<OutlinedPage>, RegistryError>>;

    fn handle(&mut self, message: OutlineVersions, _: &mut Self::Context) -> Self::Result {
        let (catalog, last) = (self.catalog.clone(), self.outline.clone());
        Box::pin(async move {
            let before = catalog.marker();
            let kept = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some((marker, filter, outline)) = kept
                && Some(marker) == before
                && filter == message.filter
                && let Some(outline) = outline.upgrade()
            {
                return Ok(outline);
            }
            let outline: Arc<OutlinedPage> = Arc::new(catalog.outline(&message.filter).await?);
            *last.lock().unwrap_or_else(PoisonError::into_inner) =
                before.map(|marker| (marker, message.filter, Arc::downgrade(&outline)));
            Ok(outline)
        })
    }
}

/// The versions with these ids.
#[derive(Message)]
#[rtype(result = "Result<Vec<VersionRecord>, RegistryError>")]
pub struct FindVersions {
    /// The ids, in the order of the answer.
    pub ids: Vec<ModelId>,
}

answers!(FindVersions => Vec<VersionRecord>, |catalog, it| catalog.versions_by_id(&it.ids));

/// The history of one version, or of the whole registry, oldest first.
#[derive(Message)]
#[rtype(result = "Result<Vec<Transition>, RegistryError>")]
pub struct ListTransitions {
    /// The version; the whole registry where `None`.
    pub of: Option<(ModelType, Version)>,
}

answers!(ListTransitions => Vec<Transition>, |catalog, it| catalog.list_transitions(it.of.as_ref().map(|(model_type, version)| (model_type, *version))));

/// Makes a change.
#[derive(Message)]
#[rtype(result = "Result<Applied, RegistryError>")]
pub struct ApplyChange {
    /// The locks, held until the transaction has ended, even if nobody waits for it.
    pub locks: Arc<Locks>,
    /// The change.
    pub change: CatalogChange,
    /// The author, time and reason.
    pub stamp: Stamp,
}

answers!(ApplyChange => Applied, at Point::DbApply, then Point::DbApplied, |catalog, it| catalog.apply(&it.change, &it.stamp));

/// Upgrades a catalog of layout 2.0.0 to this layout.
#[derive(Message)]
#[rtype(result = "Result<CatalogState, RegistryError>")]
pub struct UpgradeCatalog {
    /// The locks, held until the transaction has ended, even if nobody waits for it.
    pub locks: Arc<Locks>,
    /// The checksum in the manifest, if there is one.
    pub manifest: Option<Sha256Digest>,
    /// The author and time.
    pub stamp: Stamp,
}

answers!(UpgradeCatalog => CatalogState, at Point::UpgradeLocked, |catalog, it| catalog.upgrade(it.manifest, &it.stamp));

/// Keeps the last load check of a version. Answers `false` where the catalog cannot keep it.
#[derive(Message)]
#[rtype(result = "Result<bool, RegistryError>")]
pub struct KeepCheck {
    /// The version.
    pub model_id: ModelId,
    /// The load check.
    pub check: LoadCheck,
}

answers!(KeepCheck => bool, |catalog, it| catalog.keep_check(it.model_id, &it.check));

/// The types that have versions.
#[derive(Message)]
#[rtype(result = "Result<Vec<ModelType>, RegistryError>")]
pub struct ListTypes;

answers!(ListTypes => Vec<ModelType>, |catalog, _it| catalog.types());

/// When each failed version was marked so.
#[derive(Message)]
#[rtype(result = "Result<HashMap<ModelId, Timestamp>, RegistryError>")]
pub struct FindFailures;

answers!(FindFailures => HashMap<ModelId, Timestamp>, |catalog, _it| catalog.failures());

/// Takes the missing steps of a catalog of this layout. Answers whether any was missing.
#[derive(Message)]
#[rtype(result = "Result<bool, RegistryError>")]
pub struct ExtendCatalog {
    /// The locks, held until the transaction has ended, even if nobody waits for it.
    pub locks: Arc<Locks>,
}

answers!(ExtendCatalog => bool, at Point::ExtensionLocked, |catalog, _it| catalog.extend());
/// Sends every row of the catalog, as one snapshot shows them.
#[derive(Message)]
#[rtype(result = "Result<CatalogState, RegistryError>")]
pub struct DumpCatalog {
    /// Where the rows go.
    pub pieces: mpsc::Sender<Piece>,
}

answers!(DumpCatalog => CatalogState, |catalog, it| catalog.dump(it.pieces));

/// Replaces the whole content of the catalog.
#[derive(Message)]
#[rtype(result = "Result<CatalogState, RegistryError>")]
pub struct RestoreCatalog {
    /// The locks, held until the transaction has ended, even if nobody waits for it.
    pub locks: Arc<Locks>,
    /// Where the rows come from.
    pub pieces: mpsc::Receiver<Piece>,
    /// What to do with them.
    pub order: Restoration,
}

answers!(RestoreCatalog => CatalogState, |catalog, it| catalog.restore(it.pieces, &it.order));

/// Keeps other writers of the catalog out until the reply is released or dropped.
#[derive(Message)]
#[rtype(result = "Result<WriterLock, RegistryError>")]
pub struct LockWriters {
    /// How long to wait for another writer.
    pub wait: Duration,
}

answers!(LockWriters => WriterLock, |catalog, it| catalog.lock_writers(it.wait));

/// Releases the catalog's lock.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct ReleaseWriters {
    /// The lock.
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
    /// The first position.
    pub from: u64,
    /// The most entries to return.
    pub count: u32,
}

answers!(ReadEntries => Vec<Entry>, |catalog, it| catalog.log_entries(it.from, it.count));

/// The entries of one version, oldest first.
#[derive(Message)]
#[rtype(result = "Result<Vec<Entry>, RegistryError>")]
pub struct FindEntries {
    /// The model type.
    pub model_type: ModelType,
    /// The version number.
    pub version: Version,
}

answers!(FindEntries => Vec<Entry>, |catalog, it| catalog.log_entries_of(&it.model_type, it.version));

/// Hashes of one level of the log's tree, in order.
#[derive(Message)]
#[rtype(result = "Result<Vec<Sha256Digest>, RegistryError>")]
pub struct ReadHashes {
    /// The level: 0 for leaves; 8, 16, … for complete subtrees of 2^level leaves.
    pub level: u8,
    /// The first position.
    pub from: u64,
    /// The most hashes to return.
    pub count: u32,
}

answers!(ReadHashes => Vec<Sha256Digest>, |catalog, it| catalog.log_hashes(it.level, it.from, it.count));

/// A page of the log.
#[derive(Message)]
#[rtype(result = "Result<HistoryPage, RegistryError>")]
pub struct ReadHistory {
    /// The filter.
    pub filter: HistoryFilter,
}

answers!(ReadHistory => HistoryPage, |catalog, it| catalog.history(&it.filter));

/// Entries by which versions of a type entered or left production, the latest first.
#[derive(Message)]
#[rtype(result = "Result<Vec<Entry>, RegistryError>")]
pub struct ReadProduction {
    /// The model type.
    pub model_type: ModelType,
    /// The moment before which the entries are; the latest ones where `None`.
    pub before: Option<Moment>,
    /// The most entries to return.
    pub count: u32,
}

answers!(ReadProduction => Vec<Entry>, |catalog, it| catalog.production_entries(&it.model_type, it.before, it.count));

/// What the catalog holds of each type that has versions.
#[derive(Message)]
#[rtype(result = "Result<BTreeMap<ModelType, TypeSummary>, RegistryError>")]
pub struct Summarize;

answers!(Summarize => BTreeMap<ModelType, TypeSummary>, |catalog, _it| catalog.summaries());

/// The version of each type that is in production.
#[derive(Message)]
#[rtype(result = "Result<BTreeMap<ModelType, InProduction>, RegistryError>")]
pub struct FindProductions;

answers!(FindProductions => BTreeMap<ModelType, InProduction>, |catalog, _it| catalog.productions());
