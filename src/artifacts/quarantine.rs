//! The quarantine folder. Files that do not belong in the registry are moved there and not deleted, because they may
//! belong to someone.

use uuid::Uuid;

use super::{
    ArtifactStore, StoreError,
    root::{CATALOG, CHECKSUM, Folder, MANIFEST},
    store::checksum_line,
};
use crate::domain::VersionRecord;

/// The name of the folder in the registry directory.
pub const QUARANTINE: &str = "quarantine";

/// The quarantine folder, which is made where it is absent.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn folder(store: &ArtifactStore) -> Result<Folder, StoreError> {
    store.root().folder()?.make_folder(QUARANTINE)
}

fn move_away(store: &ArtifactStore, from: &Folder, name: &str) -> Result<String, StoreError> {
    let quarantine = folder(store)?;
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

/// Moves the files of an embedded catalog that cannot be used into quarantine and returns the new place of the first.
/// No process may have them open.
///
/// # Errors
/// [`StoreError::Io`].
pub fn catalog(root: &std::sync::Arc<super::RegistryRoot>) -> Result<Option<String>, StoreError> {
    let store = ArtifactStore::new(root.clone());
    let folder = root.folder()?;
    let mut place = None;
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("{CATALOG}{suffix}");
        match folder.stat(&name) {
            Ok(_) => {
                let moved = move_away(&store, &folder, &name)?;
                place.get_or_insert(moved);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(place)
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
