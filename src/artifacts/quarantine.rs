//! The quarantine folder. Files that do not belong in the registry are moved there and not deleted, because they may
//! belong to someone.

use uuid::Uuid;

use super::{
    ArtifactStore, StoreError,
    root::{CHECKSUM, Folder, MANIFEST},
    store::checksum_line,
};
use crate::domain::VersionRecord;

/// The name of the folder in the registry directory.
const QUARANTINE: &str = "quarantine";

fn move_away(store: &ArtifactStore, from: &Folder, name: &str) -> Result<String, StoreError> {
    let quarantine = store.root().folder()?.make_folder(QUARANTINE)?;
    let new_name = format!("{}-{}", name.replace('/', "-"), Uuid::new_v4());
    from.move_new(name, &quarantine, &new_name)?;
    from.sync()?;
    quarantine.sync()?;
    Ok(format!("{QUARANTINE}/{new_name}"))
}

/// Moves an item of the artifacts folder, `<type>/<version>` or another name, into quarantine and returns its new
/// place.
///
/// # Errors
/// [`StoreError::Io`].
pub fn orphan(store: &ArtifactStore, subject: &str) -> Result<String, StoreError> {
    let artifacts = store.root().artifacts()?;
    match subject.split_once('/') {
        Some((of_type, version)) => {
            let place = move_away(store, &artifacts.folder(of_type)?, version)?;
            artifacts.remove_if_empty(of_type)?;
            Ok(place)
        }
        None => move_away(store, &artifacts, subject),
    }
}

/// Moves files that do not belong in a version's folder into quarantine and returns their new places.
///
/// # Errors
/// [`StoreError::Io`].
pub fn strangers(
    store: &ArtifactStore,
    record: &VersionRecord,
    names: &[String],
) -> Result<Vec<String>, StoreError> {
    let folder = store.root().version_folder(&record.model_type, record.version)?;
    names.iter().map(|name| move_away(store, &folder, name)).collect()
}

/// Moves an unreadable manifest into quarantine and returns its new place.
///
/// # Errors
/// [`StoreError::Io`].
pub fn manifest(store: &ArtifactStore) -> Result<String, StoreError> {
    move_away(store, &store.root().folder()?, MANIFEST)
}

/// Rewrites `checksum.sha256` from the catalog.
///
/// # Errors
/// [`StoreError::Io`].
pub fn rewrite_checksum_file(
    store: &ArtifactStore,
    record: &VersionRecord,
) -> Result<(), StoreError> {
    const NEW: &str = ".checksum.sha256.new";
    let folder = store.root().version_folder(&record.model_type, record.version)?;
    folder.remove_file(NEW)?;
    let line = checksum_line(record.checksum_sha256, &record.artifact_file);
    folder.write_file(NEW, line.as_bytes())?;
    folder.replace(NEW, CHECKSUM)?;
    folder.sync()
}
