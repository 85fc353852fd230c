//! `DbActor`: the way to the catalog. The catalog's pool is cloned into each reply's future, so that no
//! query waits for another.

use std::{sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message, ResponseFuture};

use super::{Handle, supervise::supervised};
use crate::{
    artifacts::{RegistryRoot, lock::WriteLock},
    catalog::{
        Catalog, CatalogState, Change, ImportBatch, ProductionChange, RecordedDigests,
        VersionFilter, VersionPage, WriterLock,
    },
    domain::{ModelType, Version, VersionRecord, history::Transition},
    error::{ErrorKind, RegistryError},
    fault, limits,
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
pub struct ChangeLock {
    _directory: WriteLock,
    _catalog: WriterLock,
}

impl ChangeLock {
    /// Waits for both locks, the directory's first.
    ///
    /// # Errors
    /// `REGISTRY_LOCKED` where another process keeps one too long; `REGISTRY_UNAVAILABLE`.
    pub async fn take(root: &RegistryRoot, db: &Handle<DbActor>) -> Result<Self, RegistryError> {
        let directory = WriteLock::take(root).await?;
        let time = limits::WRITE_LOCK_WAIT + limits::ACTOR_TIMEOUT;
        let catalog = db.ask_within(time, LockWriters { wait: limits::WRITE_LOCK_WAIT }).await?;
        Ok(Self { _directory: directory, _catalog: catalog })
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
            Ok(catalog) => Ok(Some(Self { _directory: directory, _catalog: catalog })),
            Err(error) if error.kind() == ErrorKind::RegistryLocked => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Actor for DbActor {
    type Context = Context<Self>;
}

supervised!(DbActor, "db");

/// Answers a message with one call of the catalog.
macro_rules! answers {
    ($message:ty, $reply:ty, $point:literal, |$catalog:ident, $it:ident| $call:expr) => {
        impl Handler<$message> for DbActor {
            type Result = ResponseFuture<Result<$reply, RegistryError>>;

            fn handle(&mut self, $it: $message, _: &mut Self::Context) -> Self::Result {
                fault::point($point);
                let $catalog = self.catalog.clone();
                Box::pin(async move {
                    // The whole message lives as long as the call, a lock in it included.
                    let $it = $it;
                    let answer = $call.await?;
                    fault::pause(concat!($point, ".answered")).await;
                    Ok(answer)
                })
            }
        }
    };
}

/// Whether the database answers.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct Ping;

answers!(Ping, (), "db.ping", |catalog, _message| catalog.ping());

/// The digests that the catalog's last change recorded; `None` before the first.
#[derive(Message)]
#[rtype(result = "Result<Option<RecordedDigests>, RegistryError>")]
pub struct ReadRecordedDigests;

answers!(ReadRecordedDigests, Option<RecordedDigests>, "db.recorded", |catalog, _message| catalog
    .recorded_digests());

/// The state of the whole catalog.
#[derive(Message)]
#[rtype(result = "Result<CatalogState, RegistryError>")]
pub struct ReadState;

answers!(ReadState, CatalogState, "db.state", |catalog, _message| catalog.state());

/// The version of a type in production.
#[derive(Message)]
#[rtype(result = "Result<Option<VersionRecord>, RegistryError>")]
pub struct FindProduction {
    /// Of this type.
    pub model_type: ModelType,
}

answers!(FindProduction, Option<VersionRecord>, "db.find_production", |catalog, message| catalog
    .find_production(&message.model_type));

/// The version archived last.
#[derive(Message)]
#[rtype(result = "Result<Option<VersionRecord>, RegistryError>")]
pub struct FindRollbackTarget {
    /// Of this type.
    pub model_type: ModelType,
}

answers!(
    FindRollbackTarget,
    Option<VersionRecord>,
    "db.find_rollback_target",
    |catalog, message| catalog.find_rollback_target(&message.model_type)
);

/// One version.
#[derive(Message)]
#[rtype(result = "Result<Option<VersionRecord>, RegistryError>")]
pub struct FindVersion {
    /// Of this type.
    pub model_type: ModelType,
    /// With this number.
    pub version: Version,
}

answers!(FindVersion, Option<VersionRecord>, "db.find_version", |catalog, message| catalog
    .find_version(&message.model_type, message.version));

/// Versions, newest first.
#[derive(Message)]
#[rtype(result = "Result<VersionPage, RegistryError>")]
pub struct ListVersions {
    /// Which.
    pub filter: VersionFilter,
}

answers!(ListVersions, VersionPage, "db.list_versions", |catalog, message| catalog
    .list_versions(&message.filter));

/// The history of one version, or all of it, oldest first.
#[derive(Message)]
#[rtype(result = "Result<Vec<Transition>, RegistryError>")]
pub struct ListTransitions {
    /// Of which version.
    pub of: Option<(ModelType, Version)>,
}

answers!(ListTransitions, Vec<Transition>, "db.list_transitions", |catalog, message| catalog
    .list_transitions(message.of.as_ref().map(|(model_type, version)| (model_type, *version))));

/// Adds a staged version.
#[derive(Message)]
#[rtype(result = "Result<CatalogState, RegistryError>")]
pub struct InsertVersion {
    /// Held until the transaction has ended, whether or not anybody still waits for it.
    pub lock: Arc<ChangeLock>,
    /// Its row.
    pub record: VersionRecord,
    /// Who and when.
    pub change: Change,
}

answers!(InsertVersion, CatalogState, "db.insert_version", |catalog, message| catalog
    .insert_version(&message.record, &message.change));

/// Puts a version into production.
#[derive(Message)]
#[rtype(result = "Result<(ProductionChange, CatalogState), RegistryError>")]
pub struct PromoteVersion {
    /// Held until the transaction has ended, whether or not anybody still waits for it.
    pub lock: Arc<ChangeLock>,
    /// Of this type.
    pub model_type: ModelType,
    /// With this number.
    pub version: Version,
    /// Who, when and why.
    pub change: Change,
    /// Whether the gates were skipped.
    pub gates_skipped: bool,
}

answers!(
    PromoteVersion,
    (ProductionChange, CatalogState),
    "db.promote_version",
    |catalog, message| catalog.promote_version(
        &message.model_type,
        message.version,
        &message.change,
        message.gates_skipped
    )
);

/// Returns the version archived last to production.
#[derive(Message)]
#[rtype(result = "Result<(ProductionChange, CatalogState), RegistryError>")]
pub struct RollBackProduction {
    /// Held until the transaction has ended, whether or not anybody still waits for it.
    pub lock: Arc<ChangeLock>,
    /// Of this type.
    pub model_type: ModelType,
    /// The version that must be the one archived last.
    pub target: Version,
    /// Who, when and why.
    pub change: Change,
}

answers!(
    RollBackProduction,
    (ProductionChange, CatalogState),
    "db.roll_back_production",
    |catalog, message| catalog.roll_back_production(
        &message.model_type,
        message.target,
        &message.change
    )
);

/// Bars a version from production.
#[derive(Message)]
#[rtype(result = "Result<(VersionRecord, CatalogState), RegistryError>")]
pub struct MarkFailed {
    /// Held until the transaction has ended, whether or not anybody still waits for it.
    pub lock: Arc<ChangeLock>,
    /// Of this type.
    pub model_type: ModelType,
    /// With this number.
    pub version: Version,
    /// Who, when and why.
    pub change: Change,
}

answers!(MarkFailed, (VersionRecord, CatalogState), "db.mark_failed", |catalog, message| catalog
    .mark_failed(&message.model_type, message.version, &message.change));

/// Brings in versions and history of another registry, all or nothing.
#[derive(Message)]
#[rtype(result = "Result<CatalogState, RegistryError>")]
pub struct ImportVersions {
    /// Held until the transaction has ended, whether or not anybody still waits for it.
    pub lock: Arc<ChangeLock>,
    /// What.
    pub batch: ImportBatch,
}

answers!(ImportVersions, CatalogState, "db.import", |catalog, message| catalog
    .import(&message.batch));

/// Keeps other writers of the catalog out, until the reply is dropped.
#[derive(Message)]
#[rtype(result = "Result<WriterLock, RegistryError>")]
pub struct LockWriters {
    /// How long to wait for a writer that is at it.
    pub wait: Duration,
}

answers!(LockWriters, WriterLock, "db.lock_writers", |catalog, message| catalog
    .lock_writers(message.wait));
