//! Making a backup, while reads and changes go on.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{MAX_LISTED, rehearse};
use crate::{
    actors::{
        blocking,
        db::DumpCatalog,
        manifest::{ReadManifest, RecordBackup},
    },
    artifacts::{
        ArtifactStore, StoreError,
        backup_folder::{Cost, NewBackup},
        backup_place::{BACKUPS, BackupPlace},
        lock::RetainLock,
        restoration::files_of,
    },
    catalog::{CatalogState, schema_version, tables::Piece},
    clock,
    domain::{
        ModelId, VersionRecord,
        backup::{BACKUP_FORMAT, BackupId, BackupKind, BackupManifest},
        manifest::REGISTRY_VERSION,
    },
    error::{ErrorKind, RegistryError},
    fault::{self, Point},
    limits,
    progress::Progress,
    registry::Registry,
};

/// Pieces that wait to be written.
const PIECES_WAITING: usize = 2;

/// Stops a backup that is being made. Its clones stop the same one.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops the backup.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_going(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

/// The backup to make.
#[derive(Debug)]
pub struct BackupRequest {
    /// The folder for the backup; the registry's own folder of backups where `None`.
    pub to: Option<PathBuf>,
    /// Stops it.
    pub stop: Stop,
}

/// A backup that was made.
#[derive(Debug)]
pub struct MadeBackup {
    /// Its manifest.
    pub manifest: BackupManifest,
    /// Its folder.
    pub path: PathBuf,
    /// What it cost.
    pub cost: Cost,
}

/// What the dump wrote.
struct Dumped {
    backup: NewBackup,
    records: Vec<VersionRecord>,
    /// Rows that are no versions.
    faults: Vec<String>,
}

fn unwritable(error: StoreError) -> RegistryError {
    match &error {
        StoreError::Io { source, .. } if source.kind() == io::ErrorKind::Interrupted => {
            RegistryError::new(
                ErrorKind::RegistryUnavailable,
                "The backup was stopped, and what there was of it is removed",
            )
        }
        _ => RegistryError::unavailable("The backup cannot be written", error),
    }
}

impl Registry {
    /// Makes a backup. Reads and changes go on; what is registered meanwhile is not in it.
    ///
    /// # Errors
    /// `CHECKSUM_MISMATCH` where the registry is not intact; `REGISTRY_UNAVAILABLE` where the backup cannot be
    /// written, or was stopped. Nothing is left of it then.
    pub async fn back_up(
        &self,
        request: BackupRequest,
        progress: &Progress,
    ) -> Result<MadeBackup, RegistryError> {
        self.require_current_layout().await?;
        let _kept = RetainLock::keep(self.store.root()).await?;
        let place = request.to.clone();
        let own = BackupPlace::of_registry(self.store.root().path());
        let place = place.unwrap_or(own);
        let made = self.make_backup(BackupKind::Backup, place, request.stop, progress).await?;
        self.record_backup(&made, request.to.as_deref()).await;
        Ok(made)
    }

    /// Makes a backup, without the lock that keeps version folders, which the caller holds. A safety copy is also made
    /// of what is not intact, and says so.
    pub(in crate::registry) async fn make_backup(
        &self,
        kind: BackupKind,
        place: PathBuf,
        stop: Stop,
        progress: &Progress,
    ) -> Result<MadeBackup, RegistryError> {
        let created_at = clock::now()?;
        let id = BackupId::new(created_at, Uuid::new_v4().as_fields().0);
        let backup = blocking(move || {
            BackupPlace::open_or_make(&place).and_then(|place| place.begin(id)).map_err(unwritable)
        })
        .await?;
        let (state, dumped) = self.dump_into(backup).await?;
        fault::point(Point::BackupDumped);
        let Dumped { backup, records, mut faults } = dumped;
        let tables = backup.tables().map_err(unwritable)?;
        match rehearse(tables, state.summary.root).await {
            Ok(_) => {}
            Err(error) if error.kind().is_integrity() => faults.push(error.to_string()),
            Err(error) => return Err(error),
        }
        refuse_faults(kind, &faults)?;
        let (store, watched, going) = (self.store.clone(), progress.clone(), stop.clone());
        let (backup, more) =
            blocking(move || copy_all(&store, backup, &records, kind, &watched, &going)).await?;
        faults.extend(more);
        refuse_faults(kind, &faults)?;
        fault::point(Point::BackupVerified);
        let registry = self.manifest.ask(ReadManifest).await.ok().flatten();
        let manifest = BackupManifest {
            backup_format: BACKUP_FORMAT,
            backup_id: backup.id().clone(),
            kind,
            created_at,
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            registry_version: REGISTRY_VERSION.to_owned(),
            registry_created_at: registry.map_or(created_at, |manifest| manifest.created_at),
            schema_version: schema_version::CURRENT.to_owned(),
            root: state.summary.root,
            log_size: state.summary.log_size,
            versions: state.summary.artifact_count,
            size_bytes: backup.files().values().map(|file| file.size_bytes).sum(),
            verified: faults.is_empty(),
            faults,
            files: backup.files().clone(),
        };
        let (path, cost) = (backup.path().to_owned(), backup.cost());
        if !stop.is_going() {
            let stopped = io::Error::from(io::ErrorKind::Interrupted);
            return Err(unwritable(StoreError::io("write", path, stopped)));
        }
        let manifest = blocking(move || {
            backup.finish(&manifest).map_err(unwritable)?;
            Ok(manifest)
        })
        .await?;
        tracing::info!(
            backup_id = %manifest.backup_id, versions = manifest.versions, size_bytes = manifest.size_bytes,
            copied_bytes = cost.copied_bytes, verified = manifest.verified, kind = %kind, "made a backup"
        );
        Ok(MadeBackup { manifest, path, cost })
    }

    /// Writes the rows of one snapshot into the backup.
    async fn dump_into(&self, backup: NewBackup) -> Result<(CatalogState, Dumped), RegistryError> {
        let (sender, receiver) = mpsc::channel(PIECES_WAITING);
        let writing = blocking(move || write_rows(backup, receiver).map_err(unwritable));
        let dumping = self.db.ask_within(limits::LONG_WORK_TIMEOUT, DumpCatalog { pieces: sender });
        let (state, written) = tokio::join!(dumping, writing);
        // An error of the writer is the cause of the database's, not the other way round.
        let dumped = written?;
        Ok((state?, dumped))
    }

    /// Records the backup in the manifest. If this fails, the backup is good all the same.
    async fn record_backup(&self, made: &MadeBackup, to: Option<&Path>) {
        let id = &made.manifest.backup_id;
        let location = match to {
            None => format!("{BACKUPS}/{id}"),
            Some(_) => std::path::absolute(&made.path)
                .unwrap_or_else(|_| made.path.clone())
                .display()
                .to_string(),
        };
        let recorded = async {
            let locks = self.lock().await?;
            let record = RecordBackup { at: made.manifest.created_at, location };
            let recorded = self.manifest.ask(record).await;
            locks.release(&self.db).await;
            recorded
        };
        if let Err(error) = recorded.await {
            tracing::warn!(%error, backup_id = %id, "the backup is good, but the registry's manifest does not name it");
        }
    }
}

/// Only a safety copy may hold what is not intact.
fn refuse_faults(kind: BackupKind, faults: &[String]) -> Result<(), RegistryError> {
    if faults.is_empty() || kind == BackupKind::Safety {
        return Ok(());
    }
    let told: Vec<_> = faults.iter().take(MAX_LISTED).map(String::as_str).collect();
    Err(RegistryError::new(
        ErrorKind::ChecksumMismatch,
        format!(
            "the registry is not intact, and a backup of it would not be good: {}; nothing was kept. \
             `model-registry verify` names every fault and its remedy",
            told.join("; ")
        ),
    ))
}

/// What is needed of a row of `collected`.
#[derive(serde::Deserialize)]
struct CollectedRow {
    model_id: ModelId,
}

/// Writes pieces of a dump as they come, and keeps the versions.
fn write_rows(
    mut backup: NewBackup,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<Dumped, StoreError> {
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    let mut collected = HashSet::new();
    loop {
        match pieces.blocking_recv() {
            Some(Piece::Rows { table, rows }) => {
                let rows: Vec<_> = rows.into_iter().map(compact).collect();
                if table.name == "versions" {
                    for row in &rows {
                        match serde_json::from_str::<VersionRecord>(row) {
                            Ok(record) => records.push(record),
                            Err(error) => faults.push(format!("a row of versions: {error}")),
                        }
                    }
                }
                if table.name == "collected" {
                    for row in &rows {
                        match serde_json::from_str::<CollectedRow>(row) {
                            Ok(row) => drop(collected.insert(row.model_id)),
                            Err(error) => faults.push(format!("a row of collected: {error}")),
                        }
                    }
                }
                backup.write_rows(table.name, &rows)?;
            }
            Some(Piece::End) => break,
            Some(Piece::Failed(why)) => {
                let failed = io::Error::other(why);
                return Err(StoreError::io("read the catalog for", backup.path(), failed));
            }
            None => {
                // The database has the reason.
                let cut = io::Error::other("the catalog did not send all of its rows");
                return Err(StoreError::io("complete", backup.path(), cut));
            }
        }
    }
    backup.end_rows()?;
    // A collected version has no files.
    records.retain(|record: &VersionRecord| !collected.contains(&record.model_id));
    Ok(Dumped { backup, records, faults })
}

/// The same JSON in one form, whatever database wrote it.
fn compact(row: String) -> String {
    let value: Result<Value, _> = serde_json::from_str(&row);
    value.map_or(row, |value| value.to_string())
}

/// Copies the files of every version, and returns those that are not what the catalog says.
fn copy_all(
    store: &ArtifactStore,
    mut backup: NewBackup,
    records: &[VersionRecord],
    kind: BackupKind,
    progress: &Progress,
    stop: &Stop,
) -> Result<(NewBackup, Vec<String>), RegistryError> {
    let total: u64 = records.iter().map(|record| record.total_size_bytes).sum();
    let (mut done, mut faults) = (0, Vec::new());
    for record in records {
        let name = record.name();
        let going = |bytes| {
            progress(done + bytes, total, &name);
            stop.is_going()
        };
        if !going(0) {
            let stopped = io::Error::from(io::ErrorKind::Interrupted);
            return Err(unwritable(StoreError::io("copy", &name, stopped)));
        }
        let fault = match store.root().version_folder(&record.model_type, record.version) {
            Ok(folder) => backup
                .add_version(&folder, record, &files_of(record), &going)
                .map_err(unwritable)?,
            Err(error) => Some(format!("{name}: {error}")),
        };
        if let Some(fault) = fault {
            faults.push(fault);
            // One is enough to refuse a backup, but its owner wants to know a few.
            if kind == BackupKind::Backup && faults.len() >= MAX_LISTED {
                break;
            }
        }
        done += record.total_size_bytes;
        fault::point(Point::BackupCopying);
    }
    fault::point(Point::BackupCopied);
    Ok((backup, faults))
}
