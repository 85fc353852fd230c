//! Restoring a backup: a safety copy of the present state, then one swap.
//!
//! Folders that the restored catalog needs are moved into place first, then the catalog's whole content is replaced in
//! one transaction, then folders that it does not have are moved to quarantine. An intent says so before anything
//! moves, so that after a crash the next holder of the locks finds the old registry or the new one, whole (see
//! `recovery.rs`). Reads go on: a read of a folder that moves is answered `REGISTRY_LOCKED`.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use uuid::Uuid;

use super::{
    Registry,
    backup::{MadeBackup, Rehearsed, Stop, feed},
    change::Request,
    recovery,
};
use crate::{
    actors::{
        blocking,
        db::{
            CreateCatalog, FindLayout, ListVersions, Locks, ReadRoots, ReadState, RestoreCatalog,
        },
        manifest::{ReadManifest, ReplaceManifest},
    },
    artifacts::{
        backup_folder::Backup,
        backup_place::BackupPlace,
        lock::{RestoreLock, RetainLock},
        restoration::{self, RestoreIntent},
        store::Batch,
    },
    catalog::{Author, CatalogState, Layout, Restoration, RestoreNote, VersionFilter},
    clock,
    domain::{
        Sha256Digest,
        backup::{BackupId, BackupKind},
        log::{Action, Draft, Entry},
    },
    error::RegistryError,
    fault::{self, Point},
    limits,
    progress::Progress,
};

/// A backup that was checked.
#[derive(Debug)]
pub struct RestoreRequest {
    /// The backup.
    pub backup: Arc<Backup>,
    /// The content of its catalog.
    pub rehearsed: Rehearsed,
    /// The folder for the safety copy; the registry's own folder of backups where `None`.
    pub safety_place: Option<PathBuf>,
}

/// A registry that was restored.
#[derive(Debug)]
pub struct Restored {
    /// The backup.
    pub backup_id: BackupId,
    /// The copy of what was replaced; `None` where there was nothing, or nothing that could be read.
    pub safety_copy: Option<MadeBackup>,
    /// The number of versions.
    pub versions: u64,
    /// The number of folders that came from the backup.
    pub folders_restored: usize,
    /// The number of folders that were moved to quarantine.
    pub folders_moved_away: usize,
    /// The root of the log now.
    pub root: Sha256Digest,
    /// The number of entries in the log now.
    pub log_size: u64,
    /// The root of the log that was replaced.
    pub replaced_root: Option<Sha256Digest>,
}

/// What a restore would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestorePlan {
    /// Versions that only the backup has.
    pub added: Vec<String>,
    /// Versions that only the registry has.
    pub removed: Vec<String>,
    /// Versions that both have, in another status or with other content.
    pub changed: Vec<String>,
    /// The number of entries in the registry's log.
    pub log_size: u64,
}

/// The state that is replaced.
struct Present {
    root: Sha256Digest,
    log_size: u64,
    /// Whether there is a catalog of which a copy can be made.
    copyable: bool,
}

impl Registry {
    /// What a restore would change.
    ///
    /// # Errors
    /// `REGISTRY_UNAVAILABLE`; `CHECKSUM_MISMATCH` where the registry's rows cannot be read.
    pub async fn plan_restore(&self, rehearsed: &Rehearsed) -> Result<RestorePlan, RegistryError> {
        if !self.db.ask(FindLayout).await?.has_log() {
            let added = rehearsed.records.iter().map(|record| record.name()).collect();
            return Ok(RestorePlan { added, ..RestorePlan::default() });
        }
        let present = self.db.ask(ListVersions { filter: VersionFilter::default() }).await?.records;
        let mut present: BTreeMap<_, _> =
            present.into_iter().map(|record| (record.name(), record)).collect();
        let mut plan = RestorePlan {
            log_size: self.db.ask(ReadState).await?.summary.log_size,
            ..RestorePlan::default()
        };
        for record in &rehearsed.records {
            match present.remove(&record.name()) {
                None => plan.added.push(record.name()),
                Some(mut found) => {
                    // A verdict is no part of the version.
                    found.check.clone_from(&record.check);
                    if found != *record {
                        plan.changed.push(record.name());
                    }
                }
            }
        }
        plan.removed = present.into_keys().collect();
        Ok(plan)
    }

    /// Replaces the registry by a backup that was checked.
    ///
    /// # Errors
    /// `INVALID_REQUEST`, `RESTORE_UNDER_WAY`, `REGISTRY_LOCKED`, `REGISTRY_UNAVAILABLE`. The registry is then as before. Only where the
    /// catalog did not answer in time is the outcome unknown; the next holder of the locks finds it out.
    pub async fn restore(
        &self,
        request: RestoreRequest,
        author: &Author,
        reason: Option<&str>,
        progress: &Progress,
    ) -> Result<Restored, RegistryError> {
        let by = Request::new(author, reason)?;
        let _alone = RestoreLock::take(self.store.root())?;
        let _kept = RetainLock::keep(self.store.root()).await?;
        if self.db.ask(FindLayout).await? == Layout::Absent {
            self.db.ask_within(limits::MIGRATION_WAIT, CreateCatalog).await?;
        }
        self.require_current_layout().await?;
        let locks = Arc::new(self.lock().await?);
        recovery::settle_restore(self).await?;
        recovery::settle_leftovers(self).await?;
        let restored = self.restore_locked(&locks, request, &by, progress).await;
        if let Some(locks) = Arc::into_inner(locks) {
            locks.release(&self.db).await;
        }
        restored
    }

    async fn restore_locked(
        &self,
        locks: &Arc<Locks>,
        request: RestoreRequest,
        by: &Request,
        progress: &Progress,
    ) -> Result<Restored, RegistryError> {
        let RestoreRequest { backup, rehearsed, safety_place } = request;
        let backup_id = backup.manifest().backup_id.clone();
        let present = self.present().await?;
        let place =
            safety_place.unwrap_or_else(|| BackupPlace::of_registry(self.store.root().path()));
        let safety_copy = match &present {
            Some(present) if present.copyable => {
                Some(self.make_backup(BackupKind::Safety, place, Stop::default(), progress).await?)
            }
            _ => None,
        };
        fault::point(Point::RestoreSaved);

        let (store, source, watched) = (self.store.clone(), backup.clone(), progress.clone());
        let total = backup.manifest().size_bytes;
        let records = rehearsed.records.clone();
        let (batch, placements) = blocking(move || {
            let tell = |done, name: &str| watched(done, total, name);
            restoration::stage(&store, &source, &records, &tell).map_err(not_staged)
        })
        .await?;
        fault::point(Point::RestoreStaged);

        let safety_id = safety_copy.as_ref().map(|made| made.manifest.backup_id.clone());
        let order = order(&backup, &rehearsed, present.as_ref(), safety_id.as_ref(), by)?;
        let intent = RestoreIntent {
            backup_id: backup_id.clone(),
            safety_copy: safety_id,
            root: order.restored_root,
            registry_created_at: backup.manifest().registry_created_at,
            placements,
        };
        let state = self.swap(locks, &backup, batch, &intent, order).await?;
        let folders_moved_away = self.complete_with(&intent, &state, rehearsed).await?;
        tracing::warn!(
            %backup_id,
            safety_copy = intent.safety_copy.as_ref().map(ToString::to_string),
            replaced_root = present.as_ref().map(|present| present.root.to_string()),
            log_size = state.summary.log_size,
            versions = state.summary.artifact_count,
            user = by.author().actor,
            authenticated_as = by.author().authenticated_as,
            "restored the registry from a backup"
        );
        Ok(Restored {
            backup_id,
            safety_copy,
            versions: state.summary.artifact_count,
            folders_restored: intent.placements.len(),
            folders_moved_away,
            root: state.summary.root,
            log_size: state.summary.log_size,
            replaced_root: present.map(|present| present.root),
        })
    }

    /// The state that is replaced; `None` where there is none. A catalog that is damaged, and a manifest whose catalog
    /// is lost, count as a state.
    async fn present(&self) -> Result<Option<Present>, RegistryError> {
        let roots = match self.db.ask(ReadRoots).await {
            Ok(roots) => roots,
            Err(error) if error.kind().is_integrity() => None,
            Err(error) => return Err(error),
        };
        let size = match self.db.ask(ReadState).await {
            Ok(state) => Some(state.summary.log_size),
            Err(error) if error.kind().is_integrity() => None,
            Err(error) => return Err(error),
        };
        let manifest = self.manifest.ask(ReadManifest).await.ok().flatten();
        if size != Some(0) || roots.is_some_and(|roots| roots.current != empty_root()) {
            let root = roots.map(|roots| roots.current);
            let root = root.or_else(|| manifest.as_ref().map(|it| it.checksum));
            return Ok(Some(Present {
                root: root.unwrap_or_else(empty_root),
                log_size: size.unwrap_or(0),
                copyable: size.is_some(),
            }));
        }
        let lost = manifest.filter(|manifest| manifest.log_size > 0);
        Ok(lost.map(|manifest| Present {
            root: manifest.checksum,
            log_size: manifest.log_size,
            copyable: false,
        }))
    }

    /// Moves the folders, and replaces the catalog's content. An error leaves the registry as before, or in doubt.
    async fn swap(
        &self,
        locks: &Arc<Locks>,
        backup: &Arc<Backup>,
        batch: Batch,
        intent: &RestoreIntent,
        order: Restoration,
    ) -> Result<CatalogState, RegistryError> {
        let tables = backup.clone();
        let tables = blocking(move || Ok(tables.tables()?)).await?;
        let (store, moved) = (self.store.clone(), intent.clone());
        let placed = blocking(move || {
            restoration::write_intent(&store, &moved)?;
            fault::point(Point::RestoreIntent);
            restoration::place(&store, &batch, &moved)?;
            fault::point(Point::RestoreMoved);
            Ok(())
        })
        .await;
        let replaced = match placed {
            Ok(()) => {
                let restore = RestoreCatalog { locks: locks.clone(), pieces: feed(tables), order };
                self.db.ask_within(limits::LONG_WORK_TIMEOUT, restore).await
            }
            Err(error) => Err(error),
        };
        match replaced {
            Ok(state) => {
                fault::point(Point::RestoreCommitted);
                Ok(state)
            }
            Err(error) if error.is_in_doubt() => {
                tracing::warn!(%error, "a restore is left in doubt; the next change settles it");
                Err(error)
            }
            Err(error) => {
                self.undo_restore(intent.clone()).await?;
                Err(error)
            }
        }
    }

    /// Does what remains after the commit, and lets readers that still hold rows from before it finish first.
    async fn complete_with(
        &self,
        intent: &RestoreIntent,
        state: &CatalogState,
        rehearsed: Rehearsed,
    ) -> Result<usize, RegistryError> {
        self.replace_manifest(intent, state).await?;
        fault::point(Point::RestoreRecorded);
        // A service may still have rows of the old catalog; the folders of those versions stay until it has not.
        tokio::time::sleep(limits::RESTORE_GRACE).await;
        let moved_before = intent.placements.iter().filter(|it| it.displaced.is_some()).count();
        let store = self.store.clone();
        let moved = blocking(move || {
            let moved = restoration::sweep(&store, &rehearsed.records)?;
            fault::point(Point::RestoreSwept);
            restoration::remove_intent(&store)?;
            Ok(moved)
        })
        .await?;
        Ok(moved + moved_before)
    }

    async fn replace_manifest(
        &self,
        intent: &RestoreIntent,
        state: &CatalogState,
    ) -> Result<(), RegistryError> {
        let at = match state.last_change {
            Some(last) => last,
            None => clock::now()?,
        };
        let created_at = intent.registry_created_at;
        self.manifest.ask(ReplaceManifest { state: state.clone(), at, created_at }).await
    }

    /// Completes a restore that was cut off after its commit. The caller holds the locks.
    ///
    /// # Errors
    /// Errors of the disk and the catalog.
    pub(super) async fn complete_restore(
        &self,
        intent: &RestoreIntent,
    ) -> Result<(), RegistryError> {
        let state = self.db.ask(ReadState).await?;
        self.replace_manifest(intent, &state).await?;
        let records = self.db.ask(ListVersions { filter: VersionFilter::default() }).await?.records;
        let store = self.store.clone();
        blocking(move || {
            restoration::sweep(&store, &records)?;
            Ok(restoration::remove_intent(&store)?)
        })
        .await
    }

    /// Puts back what a restore moved before its commit. The caller holds the locks.
    ///
    /// # Errors
    /// Errors of the disk.
    pub(super) async fn undo_restore(&self, intent: RestoreIntent) -> Result<(), RegistryError> {
        let store = self.store.clone();
        blocking(move || {
            restoration::undo(&store, &intent)?;
            Ok(restoration::remove_intent(&store)?)
        })
        .await
    }
}

fn empty_root() -> Sha256Digest {
    crate::domain::log::tree::empty_root()
}

fn not_staged(error: crate::artifacts::StoreError) -> RegistryError {
    RegistryError::unavailable(
        "The backup's files cannot be put beside the registry's, and nothing was changed",
        error,
    )
}

/// What the catalog is to do. The entry, and so the restored log's root, is known beforehand: that root in the intent
/// tells whether the catalog was committed.
fn order(
    backup: &Backup,
    rehearsed: &Rehearsed,
    present: Option<&Present>,
    safety_copy: Option<&BackupId>,
    by: &Request,
) -> Result<Restoration, RegistryError> {
    let backed_up_root = backup.manifest().root;
    let Some(present) = present else {
        return Ok(Restoration {
            backed_up_root,
            note: None,
            restored_root: backed_up_root,
            live: true,
        });
    };
    let mut detail: BTreeMap<String, String> = [
        ("backup_id", backup.manifest().backup_id.to_string()),
        ("backup_root", backed_up_root.to_string()),
        ("replaced_log_size", present.log_size.to_string()),
        ("replaced_root", present.root.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if let Some(id) = safety_copy {
        detail.insert("safety_copy".to_owned(), id.to_string());
    }
    let now = clock::now()?;
    let draft = Draft {
        id: Uuid::new_v4(),
        time: rehearsed.state.last_change.map_or(now, |last| last.max(now)),
        actor: by.author().actor.clone(),
        authenticated_as: by.author().authenticated_as.clone(),
        action: Action::RestoreBackup,
        subject: None,
        from_status: None,
        to_status: None,
        reason: by.reason().map(ToOwned::to_owned),
        gates_skipped: false,
        detail: Some(detail),
        state_sha256: None,
    };
    let mut edge = rehearsed.edge.clone();
    let entry = Entry { sequence: edge.size(), said: draft.clone() };
    edge.append(entry.leaf_sha256());
    let note = RestoreNote { draft, replaced_root: present.root };
    Ok(Restoration { backed_up_root, note: Some(note), restored_root: edge.root(), live: true })
}
