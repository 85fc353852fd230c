//! The lock that serialises writers of one registry directory across processes. It lives in the kernel,
//! so a killed process leaves none behind.

use std::{fs::File, io, os::fd::AsFd};

use rustix::fs::{FlockOperation, flock};

use super::{RegistryRoot, StoreError, root::LOCK_FILE};
use crate::{
    error::{ErrorKind, RegistryError},
    limits,
};

/// Held while the registry is changed; dropping it lets the next writer in.
#[derive(Debug)]
pub struct WriteLock {
    _file: File,
}

/// Keeps writers out while it lives, and no other reader. Needs no more than permission to read the lock's file.
#[derive(Debug)]
pub struct ReadLock {
    _file: Option<File>,
}

impl ReadLock {
    /// Waits for writers to finish. Where there is no lock to take, or none may be taken, there is nothing to wait for:
    /// what is read beside a writer may then be of two moments.
    ///
    /// # Errors
    /// [`ErrorKind::RegistryLocked`] where another process changes the registry for too long.
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

/// Locks a file or folder exclusively, or says that another has.
///
/// # Errors
/// The system's, other than that it is locked.
pub fn try_exclusive(file: impl AsFd) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Finds out that the registry directory cannot be written, in the system's own words: SQLite's say less.
///
/// # Errors
/// [`StoreError::Io`].
pub fn check_writable(root: &RegistryRoot) -> Result<(), StoreError> {
    root.folder()?.open_lock_file(LOCK_FILE).map(drop)
}

impl WriteLock {
    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the lock file can be neither made nor locked.
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
    /// [`ErrorKind::RegistryLocked`] where another process keeps it too long.
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
