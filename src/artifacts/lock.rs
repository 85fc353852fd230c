//! The lock that serialises writers of one registry directory across processes. The kernel holds it, so it ends when
//! the process is killed.

use std::{fs::File, io, os::fd::AsFd};

use rustix::fs::{FlockOperation, flock};

use super::{RegistryRoot, StoreError, root::LOCK_FILE};
use crate::{
    error::{ErrorKind, RegistryError},
    limits,
};

/// The exclusive lock of a writer. Dropping it releases the lock.
#[derive(Debug)]
pub struct WriteLock {
    _file: File,
}

/// The shared lock of a reader. It excludes writers but no other readers. It needs only read permission on the lock
/// file.
#[derive(Debug)]
pub struct ReadLock {
    _file: Option<File>,
}

impl ReadLock {
    /// Whether no writer holds the lock at this moment. Where the lock file cannot be opened, it is not known to be
    /// free.
    #[must_use]
    pub fn is_free(root: &RegistryRoot) -> bool {
        let Ok(file) = root.folder().and_then(|folder| folder.open_file(LOCK_FILE)) else {
            return false;
        };
        flock(&file, FlockOperation::NonBlockingLockShared).is_ok()
    }

    /// Waits for writers to finish. Where the lock file cannot be opened or locked, it does not wait. A reader may
    /// then see part of the state before a change and part of the state after it.
    ///
    /// # Errors
    /// [`ErrorKind::RegistryLocked`] where another process holds the lock longer than the time limit.
    pub async fn take(root: &RegistryRoot) -> Result<Self, RegistryError> {
        let Ok(file) = root.folder()?.open_file(LOCK_FILE) else {
            return Ok(Self { _file: None });
        };
        let deadline = tokio::time::Instant::now() + limits::WRITE_LOCK_WAIT;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => {
                    tracing::debug!(%error, "reading without the registry's lock");
                    return Ok(Self { _file: None });
                }
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(locked());
            }
            tokio::time::sleep(limits::WRITE_LOCK_POLL).await;
        }
    }
}

fn locked() -> RegistryError {
    RegistryError::new(
        ErrorKind::RegistryLocked,
        "Another process is changing the registry; wait for it to finish and try again",
    )
}

/// Locks a file or folder exclusively; `false` where it is already locked.
///
/// # Errors
/// Errors of the system, except that it is locked.
pub fn try_exclusive(file: impl AsFd) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Checks that the registry directory is writable. The system's error says more than SQLite's.
///
/// # Errors
/// [`StoreError::Io`].
pub fn check_writable(root: &RegistryRoot) -> Result<(), StoreError> {
    root.folder()?.open_lock_file(LOCK_FILE).map(drop)
}

impl WriteLock {
    /// Takes the lock if it is free; `None` where it is not.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the lock file cannot be created or locked.
    pub fn try_take(root: &RegistryRoot) -> Result<Option<Self>, StoreError> {
        let file = root.folder()?.open_lock_file(LOCK_FILE)?;
        match try_exclusive(&file) {
            Ok(true) => Ok(Some(Self { _file: file })),
            Ok(false) => Ok(None),
            Err(error) => Err(StoreError::io("lock", root.path().join(LOCK_FILE), error)),
        }
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// [`ErrorKind::RegistryLocked`] where another process holds it longer than the time limit.
    pub async fn take(root: &RegistryRoot) -> Result<Self, RegistryError> {
        let deadline = tokio::time::Instant::now() + limits::WRITE_LOCK_WAIT;
        loop {
            if let Some(lock) = Self::try_take(root)? {
                return Ok(lock);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(locked());
            }
            tokio::time::sleep(limits::WRITE_LOCK_POLL).await;
        }
    }
}
