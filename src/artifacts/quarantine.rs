//! Where things go that do not belong in a registry and may be somebody's: out of the way, and not away.

use uuid::Uuid;

use super::{
    ArtifactStore, StoreError,
    root::{CHECKSUM, Folder, MANIFEST},
    store::checksum_line,
};
use crate::domain::VersionRecord;

/// The folder, in the registry directory.
const QUARANTINE: &str = "quarantine";

fn move_away(store: &ArtifactStore, from: &Folder, name: &str) -> Result<String, StoreError> {
    let quarantine = store.root().folder()?.make_folder(QUARANTINE)?;
    let new_name = format!("{}-{}", name.replace('/', "-"), Uuid::new_v4());
    from.move_new(name, &quarantine, &new_name)?;
    from.sync()?;
    quarantine.sync()?;
    Ok(format!("{QUARANTINE}/{new_name}"))
}

/// Moves something in the artifacts folder, `<type>/<version>` or a stray name, into quarantine and tells
/// where it is.
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

/// Moves what does not belong in a version's folder into quarantine and tells where it is.
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

/// Moves a manifest that cannot be read into quarantine and tells where it is.
///
/// # Errors
/// [`StoreError::Io`].
pub fn manifest(store: &ArtifactStore) -> Result<String, StoreError> {
    move_away(store, &store.root().folder()?, MANIFEST)
}

/// Writes `checksum.sha256` anew from the catalog.
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
