//! The manifest file. It is always read and replaced as a whole.

use std::io::Read as _;

use super::{RegistryRoot, StoreError, reserve, root::MANIFEST};
use crate::{
    domain::manifest::Manifest,
    error::{ErrorKind, RegistryError},
    fault::{self, Point},
};

const TEMPORARY: &str = ".manifest.json.new";

/// Reads the manifest; `None` where there is none.
///
/// # Errors
/// [`ErrorKind::IntegrityOnRead`] where it is not a manifest of this layout; errors of the disk.
pub fn read(root: &RegistryRoot) -> Result<Option<Manifest>, RegistryError> {
    let folder = root.folder()?;
    let mut file = match folder.open_file(MANIFEST) {
        Ok(file) => file,
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let mut text = Vec::new();
    file.read_to_end(&mut text)
        .map_err(|error| StoreError::io("read", root.path().join(MANIFEST), error))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| {
        RegistryError::new(
            ErrorKind::IntegrityOnRead,
            format!(
                "manifest.json is not a manifest of this registry ({error}); if it was damaged, \
                 `model-registry verify --repair` writes it again from the catalog, or restore it from a backup; a \
                 directory of the Python service is brought in with `model-registry import`"
            ),
        )
    })?;
    manifest
        .check_layout()
        .map_err(|error| RegistryError::new(ErrorKind::IntegrityOnRead, error.to_string()))?;
    Ok(Some(manifest))
}

/// Replaces the manifest: writes and flushes a new file, renames it over the old one, and flushes the folder. If the
/// disk is full, it uses the reserve. The caller holds the directory's lock.
///
/// # Errors
/// Errors of the disk. The manifest is then still complete, never partly written.
pub fn write(root: &RegistryRoot, manifest: &Manifest) -> Result<(), RegistryError> {
    let text = serde_json::to_vec_pretty(manifest).map_err(RegistryError::internal)?;
    match replace(root, &text) {
        Err(error) if error.is_out_of_room() && reserve::free_some(root)? => {
            Ok(replace(root, &text)?)
        }
        done => Ok(done?),
    }
}

fn replace(root: &RegistryRoot, text: &[u8]) -> Result<(), StoreError> {
    let folder = root.folder()?;
    folder.remove_file(TEMPORARY)?;
    folder.write_file(TEMPORARY, text)?;
    fault::point(Point::ManifestWritten);
    folder.replace(TEMPORARY, MANIFEST)?;
    fault::point(Point::ManifestRenamed);
    folder.sync()
}
