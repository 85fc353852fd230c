//! The disk's side of a restore: folders that the restored catalog needs are moved into place before the catalog
//! changes, and folders that it does not have are moved away afterwards. So every version that old and new catalog
//! share can be read all the time.
//!
//! The *intent*, `.restore.json`, is written before anything moves, and removed at the end. The next holder of the
//! locks finds it after a crash: if the catalog has the intent's root, the rest is done, else everything is undone.

use std::io::Read as _;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ArtifactStore, StoreError,
    backup_folder::{Backup, Duplicator},
    integrity, quarantine,
    root::{CHECKSUM, Folder, METADATA, RESTORE_INTENT},
    store::Batch,
};
use crate::{
    domain::{
        ModelId, ModelType, Sha256Digest, Timestamp, Version, VersionRecord,
        backup::{BackedUpFile, BackupId, BackupManifest},
    },
    fault::{self, Point},
};

const NEW_INTENT: &str = ".restore.json.new";

/// A folder that a restore puts into place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The version's identifier, which names its prepared folder.
    pub model_id: ModelId,
    /// The version's model type.
    pub model_type: ModelType,
    /// The version's number.
    pub version: Version,
    /// The name in quarantine for the folder that is in its place now, if there is one.
    pub displaced: Option<String>,
}

/// What a restore is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreIntent {
    /// The backup.
    pub backup_id: BackupId,
    /// The safety copy of what is replaced.
    pub safety_copy: Option<BackupId>,
    /// The root of the restored log.
    pub root: Sha256Digest,
    /// When the restored registry was created.
    pub registry_created_at: Timestamp,
    /// The folders to put into place.
    pub placements: Vec<Placement>,
}

/// The files of a version, with the digests that the catalog has of them.
#[must_use]
pub fn files_of(record: &VersionRecord) -> [(String, Option<Sha256Digest>); 3] {
    [
        (record.artifact_file.to_string(), Some(record.checksum_sha256)),
        (METADATA.to_owned(), Some(record.metadata_sha256)),
        (CHECKSUM.to_owned(), None),
    ]
}

/// Whether the version's folder holds exactly what a backup holds of it.
///
/// # Errors
/// [`StoreError::Io`] where a file cannot be read, except that it is missing.
fn is_intact(
    store: &ArtifactStore,
    record: &VersionRecord,
    manifest: &BackupManifest,
) -> Result<bool, StoreError> {
    let folder = match store.root().version_folder(&record.model_type, record.version) {
        Ok(folder) => folder,
        Err(error) if error.is_not_found() || error.is_no_folder() => return Ok(false),
        Err(error) => return Err(error),
    };
    for (name, _) in files_of(record) {
        let expected = manifest.files.get(&format!("{}/{name}", record.artifact_path()));
        let file = match folder.open_file(&name) {
            Ok(file) => file,
            Err(error) if error.is_shortage() => return Err(error),
            Err(_) => return Ok(false),
        };
        let found = super::digest::hash(file, &|_| true)
            .map_err(|error| StoreError::io("read", folder.path().join(&name), error))?;
        let found = BackedUpFile { sha256: found.0, size_bytes: found.1 };
        if expected != Some(&found) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Prepares a folder for each version of a backup that is not in place as the backup has it.
///
/// # Errors
/// [`StoreError::Io`].
pub fn stage(
    store: &ArtifactStore,
    backup: &Backup,
    records: &[VersionRecord],
    progress: &dyn Fn(u64, &str),
) -> Result<(Batch, Vec<Placement>), StoreError> {
    let batch = store.open_batch()?;
    let mut duplicator = Duplicator::default();
    let mut placements = Vec::new();
    let mut done = 0;
    for record in records.iter().filter(|record| record.collected.is_none()) {
        progress(done, &record.name());
        done += record.total_size_bytes;
        if is_intact(store, record, backup.manifest())? {
            continue;
        }
        let from = backup.version_folder(record)?;
        let to = batch.folder().add_folder(&record.model_id.to_string())?;
        for (name, _) in files_of(record) {
            duplicator.duplicate(&from, &to, &name, &|_| true)?;
        }
        let in_place = store
            .root()
            .artifacts()?
            .folder(record.model_type.as_str())
            .and_then(|of_type| of_type.stat(&record.version.to_string()));
        let displaced = match in_place {
            Ok(_) => Some(format!("{}-{}-{}", record.model_type, record.version, Uuid::new_v4())),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        placements.push(Placement {
            model_id: record.model_id,
            model_type: record.model_type.clone(),
            version: record.version,
            displaced,
        });
    }
    batch.folder().sync_all()?;
    Ok((batch, placements))
}

/// Writes the intent, flushed.
///
/// # Errors
/// [`StoreError::Io`].
pub fn write_intent(store: &ArtifactStore, intent: &RestoreIntent) -> Result<(), StoreError> {
    let root = store.root().folder()?;
    let text = serde_json::to_vec(intent)
        .map_err(|error| StoreError::io("write", RESTORE_INTENT, error))?;
    root.remove_file(NEW_INTENT)?;
    root.write_file(NEW_INTENT, &text)?;
    root.replace(NEW_INTENT, RESTORE_INTENT)?;
    root.sync()
}

/// Reads the intent of a restore that is under way or was cut off.
///
/// # Errors
/// [`StoreError::Io`], also where it is not an intent of this program.
pub fn read_intent(store: &ArtifactStore) -> Result<Option<RestoreIntent>, StoreError> {
    let root = store.root().folder()?;
    let failed = |error: std::io::Error| {
        StoreError::io("read", store.root().path().join(RESTORE_INTENT), error)
    };
    let mut file = match root.open_file(RESTORE_INTENT) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(failed)?;
    serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into()))
}

/// Removes the intent: the restore has ended.
///
/// # Errors
/// [`StoreError::Io`].
pub fn remove_intent(store: &ArtifactStore) -> Result<(), StoreError> {
    let root = store.root().folder()?;
    root.remove_file(RESTORE_INTENT)?;
    root.sync()
}

/// Moves every prepared folder into place, and what is there into quarantine.
///
/// # Errors
/// [`StoreError::Io`]; then [`undo`] puts everything back.
pub fn place(
    store: &ArtifactStore,
    batch: &Batch,
    intent: &RestoreIntent,
) -> Result<(), StoreError> {
    let artifacts = store.root().artifacts()?;
    for placement in &intent.placements {
        let of_type = artifacts.add_folder(placement.model_type.as_str())?;
        let version = placement.version.to_string();
        if let Some(name) = &placement.displaced {
            of_type.move_new(&version, &quarantine::folder(store)?, name)?;
        }
        batch.folder().move_new(&placement.model_id.to_string(), &of_type, &version)?;
        fault::point(Point::RestoreMoving);
    }
    artifacts.sync_all()
}

/// Puts back everything that [`place`] moved. It may have been cut off anywhere, and so may this.
///
/// # Errors
/// [`StoreError::Io`].
pub fn undo(store: &ArtifactStore, intent: &RestoreIntent) -> Result<(), StoreError> {
    let artifacts = store.root().artifacts()?;
    let staging = store.staging()?;
    for placement in &intent.placements {
        let of_type = match artifacts.folder(placement.model_type.as_str()) {
            Ok(folder) => folder,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error),
        };
        let version = placement.version.to_string();
        match &placement.displaced {
            None => take_out(&of_type, &version, &staging, placement.model_id)?,
            Some(name) => {
                let quarantine = quarantine::folder(store)?;
                match quarantine.stat(name) {
                    Ok(_) => {
                        take_out(&of_type, &version, &staging, placement.model_id)?;
                        quarantine.move_new(name, &of_type, &version)?;
                    }
                    // It was not moved yet, or is back already.
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        artifacts.remove_if_empty(placement.model_type.as_str())?;
    }
    artifacts.sync_all()
}

/// Removes a folder that came from the backup, where it is in place. It is moved first, because a partly removed folder
/// must not look like a version.
fn take_out(
    of_type: &Folder,
    version: &str,
    staging: &Folder,
    model_id: ModelId,
) -> Result<(), StoreError> {
    let name = format!("{model_id}.undone");
    staging.remove_folder(&name)?;
    match of_type.move_new(version, staging, &name) {
        Ok(()) => staging.remove_folder(&name),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Moves every folder that the catalog does not have into quarantine, and returns their number. Those that cannot be
/// moved are logged and stay; `verify` reports them.
///
/// # Errors
/// [`StoreError::Io`] where the folders cannot be listed.
pub fn sweep(store: &ArtifactStore, records: &[VersionRecord]) -> Result<usize, StoreError> {
    let mut moved = 0;
    for finding in integrity::orphans(store, records)? {
        if finding.kind == "orphan" {
            match quarantine::orphan(store, &finding.subject) {
                Ok(_) => moved += 1,
                Err(error) => store.pass_over(&finding.subject, &error),
            }
        }
    }
    Ok(moved)
}
