//! The one way to change the registry, and the order of a change.
//!
//! [`Registry::begin_change`] takes the locks and knows the present. [`Change::commit`] moves files into place, commits
//! rows, log entries and the new root in one transaction, writes the manifest, logs, and lets go, in that order. An
//! operation states what it wants changed and knows nothing of the order. Killed anywhere, the next holder of the locks
//! finds the old registry or the new one (see [`super::recovery`]).

use std::sync::Arc;

use super::{Registry, recovery};
use crate::{
    actors::{
        blocking,
        db::{ApplyChange, FindVersion, Locks},
        manifest::RecordChange,
    },
    artifacts::store::{Batch, Intent, Published},
    catalog::{Applied, Author, CatalogChange, CatalogState, Stamp},
    clock,
    domain::{Timestamp, text::check_short_text},
    error::{ErrorKind, RegistryError},
    fault::{self, Point},
    limits,
};

/// The right to change the registry, until it is committed or dropped.
pub(super) struct Change {
    registry: Registry,
    locks: Arc<Locks>,
    now: Timestamp,
}

/// What an operation wants changed.
pub(super) struct Wanted {
    /// In the catalog.
    pub(super) change: CatalogChange,
    /// On disk, before it: folders to move into place.
    pub(super) files: Option<Files>,
    /// Who asks, and why.
    pub(super) request: Request,
}

/// Prepared folders, and the versions that they are for.
pub(super) struct Files {
    /// The folders.
    pub(super) batch: Batch,
    /// The versions.
    pub(super) intents: Vec<Intent>,
}

/// Who asks for a change and why, checked.
#[derive(Debug, Clone)]
pub(super) struct Request {
    author: Author,
    reason: Option<String>,
}

impl Request {
    /// Checks the texts.
    ///
    /// # Errors
    /// `INVALID_REQUEST`, naming the field.
    pub(super) fn new(author: &Author, reason: Option<&str>) -> Result<Self, RegistryError> {
        let refused = |field: &str, what: String| {
            RegistryError::new(ErrorKind::InvalidRequest, format!("{field} {what}"))
        };
        check_short_text(&author.actor).map_err(|what| refused("user", what))?;
        if let Some(reason) = reason {
            check_short_text(reason).map_err(|what| refused("reason", what))?;
        }
        Ok(Self { author: author.clone(), reason: reason.map(ToOwned::to_owned) })
    }
}

impl Registry {
    /// Takes the locks, brings the registry to a whole state where a killed process left it otherwise, and takes the
    /// time.
    ///
    /// # Errors
    /// `REGISTRY_LOCKED`, `REGISTRY_UNAVAILABLE`; `CHECKSUM_MISMATCH` where manifest and catalog disagree.
    pub(super) async fn begin_change(&self) -> Result<Change, RegistryError> {
        let locks = Arc::new(self.lock().await?);
        let state = recovery::settle_if_behind(self).await?;
        let now = present(&state)?;
        fault::point(Point::ChangeLocked);
        Ok(Change { registry: self.clone(), locks, now })
    }
}

/// The present. It is never before the last change, whatever the clock says.
fn present(state: &CatalogState) -> Result<Timestamp, RegistryError> {
    let now = clock::now()?;
    let Some(last) = state.last_change.filter(|last| *last > now) else { return Ok(now) };
    if last.unix_seconds() - now.unix_seconds() > limits::CLOCK_TOLERANCE_SECONDS {
        tracing::warn!(
            clock = %now, last_change = %last,
            "this machine's clock is behind the registry's last change, whose time the next changes are given as well: \
             one of the two clocks is wrong"
        );
    }
    Ok(last)
}

impl Change {
    /// When the change takes place.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Makes the change and lets the next writer in.
    ///
    /// # Errors
    /// The disk's and the catalog's. Nothing is changed then; where the catalog did not answer in time, that is found
    /// out by whoever takes the locks next.
    pub(super) async fn commit(self, wanted: Wanted) -> Result<Applied, RegistryError> {
        let Wanted { change, files, request } = wanted;
        let published = match files {
            Some(files) => Some(self.publish(files).await?),
            None => None,
        };
        let apply = ApplyChange {
            locks: self.locks.clone(),
            change: change.clone(),
            stamp: Stamp {
                at: self.now,
                author: request.author.clone(),
                reason: request.reason.clone(),
            },
        };
        let applied = match self.registry.db.ask_within(time_of(&change), apply).await {
            Ok(applied) => applied,
            Err(error) => {
                self.take_back(published, &error).await;
                return Err(error);
            }
        };
        fault::point(Point::CatalogCommitted);
        self.write_manifest(&applied.state).await;
        if let Some(published) = published {
            confirm(published).await;
        }
        tell(&change, &applied, &request);
        self.release().await;
        Ok(applied)
    }
}

impl Change {
    async fn publish(&self, files: Files) -> Result<Published, RegistryError> {
        let store = self.registry.store.clone();
        blocking(move || Ok(store.publish(files.batch, files.intents)?)).await
    }

    /// Undoes what was moved into place, where it is certain that the catalog does not hold it. Where the transaction
    /// may still be under way, the intents stay and the transaction keeps the locks.
    async fn take_back(&self, published: Option<Published>, error: &RegistryError) {
        let Some(published) = published else { return };
        if error.is_in_doubt() || self.holds_any(&published).await {
            tracing::warn!(%error, "a change with files is left in doubt; the next change settles it");
        } else if let Err(second) = blocking(move || Ok(published.take_back()?)).await {
            tracing::warn!(error = %second, "an unfinished registration is left to the janitor");
        }
    }

    /// Whether the catalog holds a version that was moved into place, or cannot say.
    async fn holds_any(&self, published: &Published) -> bool {
        for intent in published.intents() {
            let find =
                FindVersion { model_type: intent.model_type.clone(), version: intent.version };
            let found = self.registry.db.ask(find).await;
            let absent = found
                .is_ok_and(|held| held.is_none_or(|record| record.model_id != intent.model_id));
            if !absent {
                return true;
            }
        }
        false
    }

    /// Brings the manifest up to what the catalog committed. Where that fails the change has taken place all the same:
    /// the manifest is then one step behind, which the janitor, the next change or the next start mends before
    /// anything else.
    async fn write_manifest(&self, state: &CatalogState) {
        let record = RecordChange { state: state.clone(), at: self.now };
        if let Err(error) = self.registry.manifest.ask(record).await {
            tracing::warn!(
                %error,
                "the change is committed, but the manifest could not be written; it is brought up once it can be"
            );
        }
    }

    async fn release(self) {
        // Somebody else still holds them where the transaction's message is not dropped yet.
        if let Some(locks) = Arc::into_inner(self.locks) {
            locks.release(&self.registry.db).await;
        }
    }
}

/// How long a change's transaction may take.
fn time_of(change: &CatalogChange) -> std::time::Duration {
    match change {
        CatalogChange::Import(_) => limits::LONG_WORK_TIMEOUT,
        _ => limits::ACTOR_TIMEOUT,
    }
}

/// Removes the intents of what the catalog committed. Where that fails, nothing is wrong but that the janitor has
/// something to tidy.
async fn confirm(published: Published) {
    if let Err(error) = blocking(move || Ok(published.confirm()?)).await {
        tracing::warn!(%error, "the intent of a committed registration is left to the janitor");
    }
}

/// The one log line of a change.
fn tell(change: &CatalogChange, applied: &Applied, request: &Request) {
    let record = applied.record.as_ref();
    let name = |text: &dyn std::fmt::Display| text.to_string();
    let model_type = record.map(|record| name(&record.model_type));
    let version = record.map(|record| name(&record.version));
    let model_id = record.map(|record| name(&record.model_id));
    let displaced = applied.displaced.as_ref().map(|record| name(&record.version));
    let gates_skipped = matches!(change, CatalogChange::Promote { gates_skipped: true, .. });
    let what = match change {
        CatalogChange::Register(_) => "registered",
        CatalogChange::Promote { .. } => "promoted",
        CatalogChange::RollBack { .. } => "rolled back",
        CatalogChange::Fail { .. } => "marked failed",
        CatalogChange::Import(_) => "imported",
    };
    tracing::info!(
        model_type,
        version,
        model_id,
        displaced,
        gates_skipped,
        user = request.author.actor,
        authenticated_as = request.author.authenticated_as,
        reason = request.reason,
        log_size = applied.state.summary.log_size,
        "{what}"
    );
}
