//! Recovery after a crash: completes or undoes what a killed process left unfinished. A state that no crash of this
//! program can cause is refused.

use std::sync::Arc;

use super::{Registry, change::require_sane, findings, observer};
use crate::{
    actors::{
        blocking,
        db::{
            AuditCatalog, CreateCatalog, ExtendCatalog, FindLayout, FindVersion, Locks, ReadRoots,
            ReadState, TakesChanges, UpgradeCatalog,
        },
        janitor::{Chores, Round},
        manifest::{ManifestVerdict, ReadManifest, RecordChange, VerifyManifest, disagreement},
    },
    artifacts::{
        reserve::Room,
        restoration,
        store::{Leftovers, Purpose},
    },
    catalog::{Audit, Author, CatalogState, Layout, Stamp},
    clock,
    domain::manifest::{REGISTRY_VERSION, UPGRADED_VERSION},
    error::{ErrorKind, RegistryError},
    limits,
};

/// The most discrepancies that a refusal lists.
const MAX_LISTED: usize = 10;

fn read_only() -> RegistryError {
    RegistryError::new(
        ErrorKind::RegistryUnavailable,
        "The registry takes no changes here: this process may only read its directory",
    )
}

impl Registry {
    /// Whether changes are possible: the directory is writable and the database accepts changes.
    ///
    /// # Errors
    /// Errors of the catalog.
    pub async fn takes_changes(&self) -> Result<bool, RegistryError> {
        if !self.writable {
            return Ok(false);
        }
        match self.db.ask(FindLayout).await? {
            Layout::Absent => Ok(true),
            _ => self.db.ask(TakesChanges).await,
        }
    }

    /// Waits for the locks that serialise changes.
    ///
    /// # Errors
    /// `REGISTRY_LOCKED`, `REGISTRY_UNAVAILABLE`.
    pub(super) async fn lock(&self) -> Result<Locks, RegistryError> {
        if !self.writable {
            return Err(read_only());
        }
        Locks::take(self.store.root(), &self.db).await
    }

    /// Prepares the registry for changes: creates or upgrades the catalog, completes or undoes what a killed process
    /// left unfinished, and compares the manifest with the catalog.
    ///
    /// # Errors
    /// `CHECKSUM_MISMATCH` where they disagree in a way that no crash of this program causes; errors of the disk and
    /// the catalog.
    pub async fn prepare(&self, author: &Author) -> Result<(), RegistryError> {
        if self.db.ask(FindLayout).await? == Layout::Absent {
            self.db.ask_within(limits::MIGRATION_WAIT, CreateCatalog).await?;
        }
        let locks = Arc::new(self.lock().await?);
        let room = self.make_room().await?;
        settle_restore(self).await?;
        settle_leftovers(self).await?;
        // Another process may have upgraded the catalog while this one waited for the locks.
        match self.db.ask(FindLayout).await? {
            Layout::Before => upgrade(self, locks.clone(), author).await?,
            Layout::Behind => extend(self, locks.clone()).await?,
            Layout::Absent | Layout::Current => {}
        }
        settle_manifest(self).await?;
        if room == Room::Short {
            self.refill().await;
        }
        if let Some(locks) = Arc::into_inner(locks) {
            locks.release(&self.db).await;
        }
        Ok(())
    }

    /// Refuses a registry whose rows differ from its log. Reads every row once.
    ///
    /// # Errors
    /// `CHECKSUM_MISMATCH`, naming the differences.
    pub async fn require_audit(&self) -> Result<(), RegistryError> {
        let started = std::time::Instant::now();
        let audit = self.db.ask_within(limits::LONG_WORK_TIMEOUT, AuditCatalog).await?;
        if audit.discrepancies.is_empty() {
            tracing::info!(
                versions = audit.versions,
                log_entries = audit.entries,
                duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                "every row is what the log says"
            );
            return Ok(());
        }
        Err(RegistryError::new(
            ErrorKind::IntegrityOnRead,
            format!(
                "the catalog is not what its log says: {}; restore it from a backup, or run `model-registry verify` \
                 to see all of it",
                listed(&audit).join("; ")
            ),
        ))
    }
}

/// Upgrades a registry of layout 2.0.0: the catalog in one transaction, then the manifest. If the process is killed
/// between the two, the manifest is one step behind, as after any other change.
async fn upgrade(
    registry: &Registry,
    locks: Arc<Locks>,
    author: &Author,
) -> Result<(), RegistryError> {
    // There is none where the process that created the registry was killed before it wrote the first one.
    let manifest = registry.manifest.ask(ReadManifest).await?.map(|manifest| manifest.checksum);
    let at = clock::now()?;
    require_sane(at, locks.database_clock())?;
    let stamp = Stamp { at, author: author.clone(), reason: None };
    let upgrade = UpgradeCatalog { locks, manifest, stamp };
    let state = registry.db.ask_within(limits::LONG_WORK_TIMEOUT, upgrade).await?;
    let versions = state.summary.artifact_count;
    crate::fault::point(crate::fault::Point::CatalogCommitted);
    registry.manifest.ask(RecordChange { state, at }).await?;
    tracing::warn!(
        versions,
        from = UPGRADED_VERSION,
        to = REGISTRY_VERSION,
        note = "versions 2 of the program can no longer open it",
        "upgraded the registry"
    );
    Ok(())
}

/// Takes the steps of the schema that an earlier program of this layout did not know. They only add to the catalog, so
/// the manifest stays as it is. If the process is killed, all of them are taken or none.
async fn extend(registry: &Registry, locks: Arc<Locks>) -> Result<(), RegistryError> {
    if registry.db.ask_within(limits::MIGRATION_WAIT, ExtendCatalog { locks }).await? {
        tracing::warn!(
            note = "earlier versions of the program can no longer open it",
            "extended the catalog's schema"
        );
    }
    Ok(())
}

/// Returns the catalog's state. Settles the manifest first where it does not record the last change. The cost of the
/// check does not depend on the number of versions. The caller holds the locks.
///
/// # Errors
/// As [`settle_manifest`].
pub(super) async fn settle_if_behind(registry: &Registry) -> Result<CatalogState, RegistryError> {
    settle_restore(registry).await?;
    let state = registry.db.ask(ReadState).await?;
    let manifest = registry.manifest.ask(ReadManifest).await?;
    let agrees = match &manifest {
        Some(manifest) => manifest.differences(&state.summary).is_empty(),
        // A registry that was never changed needs no manifest.
        None => state.summary.log_size == 0,
    };
    if !agrees {
        settle_manifest(registry).await?;
    }
    Ok(state)
}

/// Completes a restore that was cut off after its catalog was committed, and undoes one that was cut off before. The
/// caller holds the locks.
///
/// # Errors
/// Errors of the disk and the catalog.
pub(super) async fn settle_restore(registry: &Registry) -> Result<(), RegistryError> {
    let store = registry.store.clone();
    let Some(intent) = blocking(move || Ok(restoration::read_intent(&store)?)).await? else {
        return Ok(());
    };
    let committed =
        registry.db.ask(ReadRoots).await?.is_some_and(|roots| roots.current == intent.root);
    tracing::warn!(
        backup_id = %intent.backup_id, committed,
        "a restore was cut off; {}", if committed { "completing it" } else { "undoing it" }
    );
    if committed {
        registry.complete_restore(&intent).await
    } else {
        registry.undo_restore(intent).await
    }
}

/// Completes or undoes interrupted registrations. Skips those for which the disk fails, because they must not block
/// other model types. The caller holds the locks.
///
/// # Errors
/// Errors of the catalog.
pub(super) async fn settle_leftovers(registry: &Registry) -> Result<(), RegistryError> {
    let store = registry.store.clone();
    let leftovers = blocking(move || {
        Ok(store.leftovers().unwrap_or_else(|error| {
            store.pass_over("artifacts/.staging", &error);
            Leftovers::default()
        }))
    })
    .await?;
    if leftovers.removed_folders > 0 {
        tracing::info!(folders = leftovers.removed_folders, "removed unfinished registrations");
    }
    for intent in leftovers.intents {
        let find = FindVersion { model_type: intent.model_type.clone(), version: intent.version };
        let found = registry.db.ask(find).await?;
        let found = found.filter(|record| record.model_id == intent.model_id);
        let committed = match intent.purpose {
            Purpose::Register => found.is_some(),
            Purpose::Collect => found.is_some_and(|record| record.collected.is_some()),
        };
        let store = registry.store.clone();
        blocking(move || {
            let ended = match (intent.purpose, committed) {
                (Purpose::Register, true) | (Purpose::Collect, false) => store.confirm(&intent),
                (Purpose::Register, false) => store.take_back(&intent),
                (Purpose::Collect, true) => store.remove_collected(&intent),
            };
            let what = match intent.purpose {
                Purpose::Register => "registration",
                Purpose::Collect => "removal",
            };
            match ended {
                Ok(()) => tracing::info!(
                    model_type = %intent.model_type, version = %intent.version, committed,
                    "ended a {what} that was cut short"
                ),
                Err(error) => store.pass_over(
                    &format!("{what} of {}/{}", intent.model_type, intent.version),
                    &error,
                ),
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Compares the manifest with the catalog and updates it where it is one step behind. The caller holds the locks.
///
/// # Errors
/// `CHECKSUM_MISMATCH`, naming the differences, where no crash of this program can be the cause.
async fn settle_manifest(registry: &Registry) -> Result<(), RegistryError> {
    let state = registry.db.ask(ReadState).await?;
    let versions = state.summary.artifact_count;
    let verify = VerifyManifest { state, at: clock::now()?, repair: true };
    match registry.manifest.ask(verify).await? {
        ManifestVerdict::Agrees => {}
        ManifestVerdict::Created if versions == 0 => tracing::info!("made the registry's manifest"),
        ManifestVerdict::Created => tracing::warn!(
            versions,
            "there was no manifest beside a catalog that is not empty; wrote one from the catalog"
        ),
        ManifestVerdict::Repaired => tracing::warn!(
            "the manifest was one step behind the catalog, as a crash leaves it; brought it up"
        ),
        ManifestVerdict::Differs(mut differences) => {
            // Where rows cause the difference, the audit names their versions.
            let audit = registry.db.ask_within(limits::LONG_WORK_TIMEOUT, AuditCatalog).await?;
            differences.extend(listed(&audit));
            return Err(disagreement(&differences));
        }
    }
    Ok(())
}

/// The discrepancies that a refusal lists.
fn listed(audit: &Audit) -> Vec<String> {
    let found = &audit.discrepancies;
    let mut told: Vec<_> = found.iter().take(MAX_LISTED).map(|it| it.detail.clone()).collect();
    if found.len() > MAX_LISTED {
        told.push(format!("and {} more", found.len() - MAX_LISTED));
    }
    told
}

impl Chores for Registry {
    fn tidy(&self) -> Round {
        let registry = self.clone();
        Box::pin(async move { tidy(&registry).await })
    }

    fn rehash(&self) -> Round {
        let registry = self.clone();
        Box::pin(async move { findings::rehash(&registry).await })
    }

    fn look_again(&self) -> Round {
        let registry = self.clone();
        Box::pin(async move { findings::look_again(&registry).await })
    }

    fn observe(&self) -> Round {
        let registry = self.clone();
        Box::pin(async move { observer::observe(&registry).await })
    }
}

async fn tidy(registry: &Registry) -> Result<(), RegistryError> {
    let Some(locks) = lock_in_passing(registry).await? else { return Ok(()) };
    settle_restore(registry).await?;
    settle_leftovers(registry).await?;
    settle_if_behind(registry).await?;
    registry.refill().await;
    locks.release(&registry.db).await;
    Ok(())
}

/// Takes the locks if they become free within a short time. It tries repeatedly, so that frequent changes do not keep
/// the janitor from running. It does not queue for the locks, so that no writer waits behind the janitor.
async fn lock_in_passing(registry: &Registry) -> Result<Option<Locks>, RegistryError> {
    if !registry.writable {
        return Ok(None);
    }
    let deadline = tokio::time::Instant::now() + limits::JANITOR_LOCK_WAIT;
    loop {
        let locks = Locks::try_take(registry.store.root(), &registry.db).await?;
        if locks.is_some() || tokio::time::Instant::now() >= deadline {
            return Ok(locks);
        }
        tokio::time::sleep(limits::WRITE_LOCK_POLL).await;
    }
}
