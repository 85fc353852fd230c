//! A folder of backups: `backups/` in the registry directory, or another one.

use std::path::{Path, PathBuf};

use super::{
    RegistryRoot, StoreError,
    backup_folder::{BACKUP_MANIFEST, Backup, NewBackup, NoBackup, read_manifest},
    root::Folder,
};
use crate::{
    domain::backup::{BackupId, BackupManifest, UnreadableBackup},
    fault::{self, Point},
};

/// The folder of backups in a registry directory.
pub const BACKUPS: &str = "backups";

/// A folder that holds backups.
#[derive(Debug)]
pub struct BackupPlace {
    folder: Folder,
}

/// A backup in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub id: BackupId,
    /// What it is.
    pub state: ListedState,
}

/// What a backup in a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedState {
    /// It has its manifest.
    Complete(Box<BackupManifest>),
    /// A process is making it.
    BeingMade,
    /// It was cut off.
    Incomplete,
    /// Its manifest cannot be used.
    Unreadable(UnreadableBackup),
}

/// What became of a backup that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Done,
    /// A process makes or reads it.
    InUse,
}

impl BackupPlace {
    /// The place of a registry's backups.
    #[must_use]
    pub fn of_registry(directory: &Path) -> PathBuf {
        directory.join(BACKUPS)
    }

    /// Opens a folder of backups.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it is missing.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { folder: RegistryRoot::open(path)?.folder()? })
    }

    /// Opens a folder of backups, and makes it where it is absent.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open_or_make(path: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path)
            .map_err(|error| StoreError::io("make the folder of backups", path, error))?;
        Self::open(path)
    }

    /// Begins a backup.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn begin(self, id: BackupId) -> Result<NewBackup, StoreError> {
        NewBackup::begin(self.folder, id)
    }

    /// Opens a complete backup.
    ///
    /// # Errors
    /// [`NoBackup`].
    pub fn backup(&self, id: &BackupId) -> Result<Backup, NoBackup> {
        Backup::open(&self.folder, id)
    }

    /// Every backup, oldest first, whatever its state. Other names in the folder are none.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut listed = Vec::new();
        for name in self.folder.entries()? {
            let Ok(id) = BackupId::parse(&name) else { continue };
            let folder = match self.folder.folder(&name) {
                Ok(folder) => folder,
                // It was removed meanwhile, or is no folder.
                Err(error) if error.is_not_found() || error.is_no_folder() => continue,
                Err(error) => return Err(error),
            };
            let state = match read_manifest(&folder, &id) {
                Ok(Some(manifest)) => ListedState::Complete(Box::new(manifest)),
                Ok(None) if folder.try_lock()? => ListedState::Incomplete,
                Ok(None) => ListedState::BeingMade,
                Err(NoBackup::Unreadable(why)) => ListedState::Unreadable(why),
                Err(NoBackup::Store(error)) => return Err(error),
                Err(NoBackup::Missing(_) | NoBackup::Incomplete(_)) => ListedState::Incomplete,
            };
            listed.push(Listed { id, state });
        }
        // A name has whole seconds; the manifest knows the time better.
        listed.sort_by_cached_key(|listed| match &listed.state {
            ListedState::Complete(manifest) => {
                (listed.id.second().to_owned(), Some(manifest.created_at))
            }
            _ => (listed.id.second().to_owned(), None),
        });
        Ok(listed)
    }

    /// Removes a backup: first its manifest, so that a removal that is cut off leaves nothing that looks good.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(&self, id: &BackupId) -> Result<Removal, StoreError> {
        let folder = match self.folder.folder(&id.to_string()) {
            Ok(folder) => folder,
            Err(error) if error.is_not_found() => return Ok(Removal::Done),
            Err(error) => return Err(error),
        };
        if !folder.try_lock()? {
            return Ok(Removal::InUse);
        }
        folder.remove_file(BACKUP_MANIFEST)?;
        folder.sync()?;
        fault::point(Point::BackupRemoving);
        std::fs::remove_dir_all(folder.path())
            .map_err(|error| StoreError::io("remove", folder.path(), error))?;
        self.folder.sync()?;
        Ok(Removal::Done)
    }
}
