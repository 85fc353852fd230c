//! `JanitorActor`: what needs doing from time to time. It ends what a killed process left unfinished, and
//! on a slow round re-hashes everything. A bad round is logged and never kills the janitor.

use std::sync::Arc;

use actix::{Actor, AsyncContext as _, Context, Handler, Message, ResponseFuture};

use super::{
    Handle, blocking,
    db::{ChangeLock, DbActor, FindVersion, ListVersions, ReadRecordedDigests, ReadState},
    manifest::{ManifestActor, ManifestVerdict, ReadManifest, VerifyManifest, disagreement},
    supervise::supervised,
};
use crate::{
    artifacts::{ArtifactStore, VerifiedFiles, integrity},
    catalog::VersionFilter,
    clock,
    error::RegistryError,
    limits, metrics,
};

/// What the janitor works with.
#[derive(Clone)]
pub struct Premises {
    /// The version folders.
    pub store: ArtifactStore,
    /// The memory of verified files.
    pub verified: Arc<VerifiedFiles>,
    /// The catalog.
    pub db: Handle<DbActor>,
    /// The manifest.
    pub manifest: Handle<ManifestActor>,
}

/// Works on its own clock; nobody asks it anything.
pub struct JanitorActor {
    premises: Premises,
    rehashing: Arc<tokio::sync::Mutex<()>>,
}

impl JanitorActor {
    /// A janitor of these premises.
    #[must_use]
    pub fn new(premises: Premises) -> Self {
        Self { premises, rehashing: Arc::default() }
    }
}

impl Actor for JanitorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(limits::JANITOR_TIDY_ROUND, |_, ctx| ctx.notify(Tidy));
        ctx.run_interval(limits::JANITOR_REHASH_ROUND, |_, ctx| ctx.notify(Rehash));
    }
}

supervised!(JanitorActor, "janitor");

#[derive(Message)]
#[rtype(result = "()")]
struct Tidy;

impl Handler<Tidy> for JanitorActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Tidy, _: &mut Self::Context) -> Self::Result {
        let premises = self.premises.clone();
        Box::pin(async move {
            if let Err(error) = tidy(&premises).await {
                tracing::warn!(%error, code = error.kind().code(), "tidying failed; it is tried again");
            }
        })
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Rehash;

impl Handler<Rehash> for JanitorActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Rehash, _: &mut Self::Context) -> Self::Result {
        let premises = self.premises.clone();
        let rehashing = self.rehashing.clone();
        Box::pin(async move {
            // A round that is not over when the next is due stands for both.
            let Ok(_alone) = rehashing.try_lock() else { return };
            if let Err(error) = rehash(&premises).await {
                tracing::warn!(%error, "re-hashing failed; it is tried again on the next round");
            }
        })
    }
}

/// Ends what a killed process left unfinished, if there is anything and nobody is writing.
async fn tidy(premises: &Premises) -> Result<(), RegistryError> {
    let Some(_lock) = lock_in_passing(premises).await? else { return Ok(()) };
    settle_leftovers(premises).await?;
    settle_if_behind(premises).await
}

/// Takes the lock where it becomes free soon: one who changes things without pause must not keep the janitor
/// away for ever, nor the janitor make anybody wait for it.
async fn lock_in_passing(premises: &Premises) -> Result<Option<ChangeLock>, RegistryError> {
    let deadline = tokio::time::Instant::now() + limits::JANITOR_LOCK_WAIT;
    loop {
        let lock = ChangeLock::try_take(premises.store.root(), &premises.db).await?;
        if lock.is_some() || tokio::time::Instant::now() >= deadline {
            return Ok(lock);
        }
        tokio::time::sleep(limits::WRITE_LOCK_POLL).await;
    }
}

/// Settles the manifest where it is not the one of the catalog's last change. Cheap where it is. The caller
/// holds the write lock.
///
/// # Errors
/// As [`settle`].
pub async fn settle_if_behind(premises: &Premises) -> Result<(), RegistryError> {
    let recorded = premises.db.ask(ReadRecordedDigests).await?.map(|recorded| recorded.current);
    let written = premises.manifest.ask(ReadManifest).await?.map(|manifest| manifest.checksum);
    if recorded.is_none() || recorded == written { Ok(()) } else { settle_manifest(premises).await }
}

/// Brings a registry that a killed process may have left unfinished back to one of its whole states. The
/// caller holds the write lock.
///
/// # Errors
/// The integrity error that says what differs, where no crash of this program can be the cause; the
/// disk's and the catalog's.
pub async fn settle(premises: &Premises) -> Result<(), RegistryError> {
    settle_leftovers(premises).await?;
    settle_manifest(premises).await
}

/// Ends or undoes registrations that were cut short. The caller holds the write lock.
///
/// # Errors
/// The disk's and the catalog's.
pub async fn settle_leftovers(premises: &Premises) -> Result<(), RegistryError> {
    let store = premises.store.clone();
    let leftovers = blocking(move || Ok(store.leftovers()?)).await?;
    if leftovers.removed_folders > 0 {
        tracing::info!(folders = leftovers.removed_folders, "removed unfinished registrations");
    }
    for intent in leftovers.intents {
        let find = FindVersion { model_type: intent.model_type.clone(), version: intent.version };
        let committed =
            premises.db.ask(find).await?.is_some_and(|record| record.model_id == intent.model_id);
        tracing::info!(
            model_type = %intent.model_type, version = %intent.version, committed,
            "ended a registration that was cut short"
        );
        let store = premises.store.clone();
        blocking(move || {
            if committed { store.confirm(&intent) } else { store.take_back(&intent) }
                .map_err(Into::into)
        })
        .await?;
    }
    Ok(())
}

async fn settle_manifest(premises: &Premises) -> Result<(), RegistryError> {
    let state = premises.db.ask(ReadState).await?;
    let versions = state.summary.artifact_count();
    let verify = VerifyManifest { state, at: clock::now()?, repair: true };
    match premises.manifest.ask(verify).await? {
        ManifestVerdict::Agrees => {}
        ManifestVerdict::Created if versions == 0 => tracing::info!("made the registry's manifest"),
        ManifestVerdict::Created => tracing::warn!(
            versions,
            "there was no manifest beside a catalog that is not empty; wrote one from the catalog"
        ),
        ManifestVerdict::Repaired => tracing::warn!(
            "the manifest was one step behind the catalog, as a crash leaves it; brought it up"
        ),
        ManifestVerdict::Differs(differences) => return Err(disagreement(&differences)),
    }
    Ok(())
}

/// Re-hashes every version and logs what is wrong.
async fn rehash(premises: &Premises) -> Result<(), RegistryError> {
    let all = ListVersions { filter: VersionFilter::default() };
    for record in premises.db.ask(all).await?.records {
        let (store, verified) = (premises.store.clone(), premises.verified.clone());
        let name = record.name();
        let found =
            blocking(move || Ok(integrity::examine(&store, &verified, &record, &|_| true))).await?;
        for finding in found {
            metrics::integrity_error("rehash");
            tracing::error!(
                model = name,
                kind = finding.kind,
                detail = finding.detail,
                remedy = finding.remedy,
                "integrity error"
            );
        }
    }
    Ok(())
}
