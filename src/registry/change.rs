//! The one way to change the registry, and the order of a change.
//!
//! [`Registry::begin_change`] takes the locks and the time of the change. [`Change::commit`] moves files into place,
//! commits rows, log entries and the new root in one transaction, writes the manifest, logs the change, and releases
//! the locks, in that order. An operation only states what to change. If the process is killed at any step, the next
//! holder of the locks finds the old registry or the new one (see [`super::recovery`]).

use std::sync::Arc;

use super::{Registry, recovery, room::no_room};
use crate::{
    actors::{
        blocking,
        db::{ApplyChange, FindVersion, Locks},
        manifest::RecordChange,
    },
    artifacts::{
        reserve::Room,
        store::{Batch, Intent, Published, Purpose},
    },
    catalog::{Applied, Author, CatalogChange, CatalogState, Stamp},
    clock,
    domain::{Timestamp, VersionRecord, text::check_short_text},
    error::{ErrorKind, RegistryError},
    fault::{self, Point},
    limits,
};

/// The right to change the registry, until it is committed or dropped.
pub(super) struct Change {
    registry: Registry,
    locks: Arc<Locks>,
    now: Timestamp,
    /// The number of entries in the log.
    log_size: u64,
    room: Room,
}

/// The change that an operation asks for.
pub(super) struct Wanted {
    /// The change to the catalog.
    pub(super) change: CatalogChange,
    /// The folders to move into place before the catalog changes.
    pub(super) files: Option<Files>,
    /// The folder to remove after the catalog changed.
    pub(super) removal: Option<Intent>,
    /// The author and the reason.
    pub(super) request: Request,
}

impl Wanted {
    /// A change of the catalog alone.
    pub(super) fn row(change: CatalogChange, request: Request) -> Self {
        Self { change, files: None, removal: None, request }
    }

    /// A change that removes the folder of a version.
    pub(super) fn removal(change: CatalogChange, record: &VersionRecord, request: Request) -> Self {
        let intent = Intent {
            model_id: record.model_id,
            model_type: record.model_type.clone(),
            version: record.version,
            purpose: Purpose::Collect,
        };
        Self { change, files: None, removal: Some(intent), request }
    }
}

/// Prepared folders and their versions.
pub(super) struct Files {
    /// The prepared folders.
    pub(super) batch: Batch,
    /// The versions that the folders are for.
    pub(super) intents: Vec<Intent>,
}

/// The checked author and reason of a change.
#[derive(Debug, Clone)]
pub(super) struct Request {
    author: Author,
    reason: Option<String>,
}

impl Request {
    /// Checks the author's name and the reason.
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

    /// The author.
    pub(super) fn author(&self) -> &Author {
        &self.author
    }

    /// The reason, where one was given.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

impl Registry {
    /// Takes the locks, completes or undoes what a killed process left unfinished, and takes the time of the change.
    ///
    /// # Errors
    /// `REGISTRY_LOCKED`, `REGISTRY_UNAVAILABLE`; `CHECKSUM_MISMATCH` where manifest and catalog disagree.
    pub(super) async fn begin_change(&self) -> Result<Change, RegistryError> {
        let locks = Arc::new(self.lock().await?);
        let room = self.make_room().await?;
        let state = recovery::settle_if_behind(self).await?;
        let now = present(&state, locks.database_clock())?;
        fault::point(Point::ChangeLocked);
        let log_size = state.summary.log_size;
        Ok(Change { registry: self.clone(), locks, now, log_size, room })
    }

    /// As [`Self::begin_change`], for a change that adds versions: it is refused while the disk is full.
    ///
    /// # Errors
    /// As [`Self::begin_change`]; `REGISTRY_UNAVAILABLE` where the disk is full.
    pub(super) async fn begin_addition(&self) -> Result<Change, RegistryError> {
        let change = self.begin_change().await?;
        if change.room == Room::Ample {
            return Ok(change);
        }
        change.release().await;
        Err(no_room())
    }
}

/// The current time, but never earlier than the last change, even if the clock is behind it.
///
/// # Errors
/// `REGISTRY_UNAVAILABLE` where the clock is far ahead of the database server's.
fn present(state: &CatalogState, database: Option<Timestamp>) -> Result<Timestamp, RegistryError> {
    let now = clock::now()?;
    require_sane(now, database)?;
    let Some(last) = state.last_change else { return Ok(now) };
    let behind = last.unix_seconds() - now.unix_seconds();
    if -behind > limits::CLOCK_LEAP_SECONDS {
        tracing::warn!(
            clock = %now, last_change = %last,
            "more than a year has passed since the registry's last change, if this machine's clock is right: if it is \
             not, `model-registry log reset-clock` lets the times of later changes follow the right clock again"
        );
    }
    if last <= now {
        return Ok(now);
    }
    if behind > limits::CLOCK_TOLERANCE_SECONDS {
        tracing::warn!(
            clock = %now, last_change = %last,
            "this machine's clock is behind the registry's last change, whose time the next changes are given as well: \
             one of the two clocks is wrong; if the last change's was, `model-registry log reset-clock` lets times follow \
             the clock again"
        );
    }
    Ok(last)
}

/// Refuses a clock that is far ahead of the database server's: its time would be given to all later changes.
///
/// # Errors
/// `REGISTRY_UNAVAILABLE`.
pub(super) fn require_sane(
    now: Timestamp,
    database: Option<Timestamp>,
) -> Result<(), RegistryError> {
    let Some(database) = database else { return Ok(()) };
    if now.unix_seconds() - database.unix_seconds() <= limits::CLOCK_AHEAD_SECONDS {
        return Ok(());
    }
    Err(RegistryError::new(
        ErrorKind::RegistryUnavailable,
        "A clock is wrong: this machine's is more than a day ahead of the database server's, and the times of the log \
         never run backwards; correct it and try again",
    )
    .because(format!("this machine says {now}, the database server {database}")))
}

impl Change {
    /// Takes the time of the clock for this change, although the last change has a later one, and returns the time that
    /// the change would have had.
    pub(super) fn follow_clock(&mut self) -> Result<Timestamp, RegistryError> {
        Ok(std::mem::replace(&mut self.now, clock::now()?))
    }

    /// The time of the change.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Makes the change and releases the locks.
    ///
    /// # Errors
    /// Errors of the disk and the catalog. They leave the registry unchanged. Only where the catalog did not answer
    /// in time is the outcome unknown; the next holder of the locks finds it out.
    pub(super) async fn commit(self, wanted: Wanted) -> Result<Applied, RegistryError> {
        let Wanted { change, files, removal, request } = wanted;
        let published = match files {
            Some(files) => Some(self.publish(files).await?),
            None => None,
        };
        if let Some(intent) = removal.clone() {
            let store = self.registry.store.clone();
            blocking(move || Ok(store.announce_removal(&intent)?)).await?;
        }
        let own = self.registry.observed.begin(self.log_size);
        let applied = match self.apply(&change, &request).await {
            Ok(applied) => {
                own.end(applied.state.summary.log_size);
                applied
            }
            Err(error) => {
                self.take_back(published, &error).await;
                self.keep_folder(removal, &error).await;
                return Err(error);
            }
        };
        fault::point(Point::CatalogCommitted);
        self.write_manifest(&applied.state).await;
        if let Some(published) = published {
            confirm(published).await;
        }
        if let Some(intent) = removal {
            self.remove_folder(intent).await;
        }
        tell(&change, &applied, &request);
        self.release().await;
        Ok(applied)
    }
}

impl Change {
    /// Commits the change in the catalog. Another program may have used the room that was made for it.
    async fn apply(
        &self,
        change: &CatalogChange,
        request: &Request,
    ) -> Result<Applied, RegistryError> {
        loop {
            let apply = ApplyChange {
                locks: self.locks.clone(),
                change: change.clone(),
                stamp: Stamp {
                    at: self.now,
                    author: request.author.clone(),
                    reason: request.reason.clone(),
                },
            };
            match self.registry.db.ask_within(time_of(change), apply).await {
                Err(error) if error.is_out_of_room() && self.registry.free_some().await => {}
                applied => return applied,
            }
        }
    }

    async fn publish(&self, files: Files) -> Result<Published, RegistryError> {
        let store = self.registry.store.clone();
        blocking(move || Ok(store.publish(files.batch, files.intents)?)).await
    }

    /// Undoes the move of the folders where the catalog certainly does not hold their versions. While the transaction
    /// may still be running, the intents stay and the transaction keeps the locks.
    async fn take_back(&self, published: Option<Published>, error: &RegistryError) {
        let Some(published) = published else { return };
        if error.is_in_doubt() || self.holds_any(&published).await {
            tracing::warn!(%error, "a change with files is left in doubt; the next change settles it");
        } else if let Err(second) = blocking(move || Ok(published.take_back()?)).await {
            tracing::warn!(error = %second, "an unfinished registration is left to the janitor");
        }
    }

    /// Withdraws the intent to remove a folder where the catalog certainly did not commit.
    async fn keep_folder(&self, removal: Option<Intent>, error: &RegistryError) {
        let Some(intent) = removal else { return };
        if error.is_in_doubt() {
            tracing::warn!(%error, "a removal of files is left in doubt; the next change settles it");
            return;
        }
        let store = self.registry.store.clone();
        if let Err(second) = blocking(move || Ok(store.confirm(&intent)?)).await {
            tracing::warn!(error = %second, "the intent of a refused removal is left to the janitor");
        }
    }

    /// Removes the folder of a version that the catalog calls collected. A failure does no harm: the janitor removes
    /// it later.
    async fn remove_folder(&self, intent: Intent) {
        let store = self.registry.store.clone();
        if let Err(error) = blocking(move || Ok(store.remove_collected(&intent)?)).await {
            tracing::warn!(%error, "the files of a collected version are left to the janitor");
        }
    }

    /// Whether the catalog holds a version that was moved into place. A failed query counts as yes.
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

    /// Updates the manifest to the state that the catalog committed. If this fails, the change stays committed and
    /// the manifest is one step behind. The janitor, the next change or the next start updates it before anything
    /// else.
    async fn write_manifest(&self, state: &CatalogState) {
        let record = RecordChange { state: state.clone(), at: self.now };
        if let Err(error) = self.registry.manifest.ask(record).await {
            tracing::warn!(
                %error,
                "the change is committed, but the manifest could not be written; it is brought up once it can be"
            );
        }
    }

    /// Releases the locks without a change.
    pub(super) async fn give_up(self) {
        self.release().await;
    }

    async fn release(self) {
        if self.room == Room::Short {
            self.registry.refill().await;
        }
        // While the transaction's message still exists, it holds the locks too; then they are not released here.
        if let Some(locks) = Arc::into_inner(self.locks) {
            locks.release(&self.registry.db).await;
        }
    }
}

/// The time limit of a change's transaction.
fn time_of(change: &CatalogChange) -> std::time::Duration {
    match change {
        CatalogChange::Import(_) => limits::LONG_WORK_TIMEOUT,
        _ => limits::ACTOR_TIMEOUT,
    }
}

/// Removes the intents of committed versions. A failure does no harm: the janitor removes them later.
async fn confirm(published: Published) {
    if let Err(error) = blocking(move || Ok(published.confirm()?)).await {
        tracing::warn!(%error, "the intent of a committed registration is left to the janitor");
    }
}

/// Writes the one log line of a change.
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
        CatalogChange::Collect { .. } => "collected",
        CatalogChange::ResetClock => "reset the log's clock",
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
