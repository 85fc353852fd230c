//! The locks of one registry directory across processes: of writers, and of those who copy version folders or remove
//! them. The kernel holds them, so they end when the process is killed.

use std::{fs::File, io, os::fd::AsFd, time::Duration};

use rustix::fs::{FlockOperation, flock};

use super::{
    RegistryRoot, StoreError,
    root::{LOCK_FILE, RESTORE_LOCK, RETAIN_FILE},
};
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

/// The right to restore the registry, which one process has at a time. Dropping it releases the lock.
#[derive(Debug)]
pub struct RestoreLock {
    _file: File,
}

impl RestoreLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`ErrorKind::RestoreUnderWay`] where another process restores the registry; errors of the disk.
    pub fn take(root: &RegistryRoot) -> Result<Self, RegistryError> {
        let file = root.folder()?.open_lock_file(RESTORE_LOCK)?;
        let taken = try_exclusive(&file)
            .map_err(|error| StoreError::io("lock", root.path().join(RESTORE_LOCK), error))?;
        if taken {
            return Ok(Self { _file: file });
        }
        Err(RegistryError::new(
            ErrorKind::RestoreUnderWay,
            "Another process is restoring this registry; wait for it to finish",
        ))
    }
}

/// Keeps version folders from being removed, or is the right to remove them. Dropping it releases the lock.
///
/// Whoever copies many folders shares it; whoever removes folders of registered versions takes it alone. It is taken
/// before the write lock, never while holding that one: otherwise the two could wait for each other.
#[derive(Debug)]
pub struct RetainLock {
    _file: Option<File>,
}

impl RetainLock {
    /// Waits for a removal to finish. No other one begins while this lock is held. In a directory that this process
    /// may only read and that has no lock file, nothing is locked: this process cannot keep others from anything.
    ///
    /// # Errors
    /// [`ErrorKind::RegistryLocked`] where a removal takes longer than the time limit.
    pub async fn keep(root: &RegistryRoot) -> Result<Self, RegistryError> {
        let folder = root.folder()?;
        let file = match folder.open_file(RETAIN_FILE) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => match folder.open_lock_file(RETAIN_FILE) {
                Ok(file) => file,
                Err(error) => {
                    tracing::debug!(%error, "reading without the lock that keeps version folders");
                    return Ok(Self { _file: None });
                }
            },
            Err(error) => return Err(error.into()),
        };
        let shared = FlockOperation::NonBlockingLockShared;
        match wait_for(&file, shared, limits::WRITE_LOCK_WAIT).await? {
            true => Ok(Self { _file: Some(file) }),
            false => Err(RegistryError::new(
                ErrorKind::RegistryLocked,
                "Another process is removing versions from the registry; wait for it to finish and try again",
            )),
        }
    }

    /// Waits until nobody copies version folders; `None` where somebody still does after `wait`.
    ///
    /// # Errors
    /// Errors of the disk.
    pub async fn remove(
        root: &RegistryRoot,
        wait: Duration,
    ) -> Result<Option<Self>, RegistryError> {
        let file = root.folder()?.open_lock_file(RETAIN_FILE)?;
        let taken = wait_for(&file, FlockOperation::NonBlockingLockExclusive, wait).await?;
        Ok(taken.then_some(Self { _file: Some(file) }))
    }
}

/// Tries to lock a file until it succeeds or the time is over. Returns whether it is locked.
async fn wait_for(
    file: &File,
    operation: FlockOperation,
    wait: Duration,
) -> Result<bool, RegistryError> {
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        match flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(StoreError::io("lock", RETAIN_FILE, error).into()),
        }
        if tokio::time::Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(limits::WRITE_LOCK_POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn nothing_is_removed_while_somebody_copies() {
        let folder = tempfile::tempdir().expect("folder");
        let root = RegistryRoot::open_or_create(folder.path()).expect("root");
        let (first, second) = (RetainLock::keep(&root).await, RetainLock::keep(&root).await);
        assert!(RetainLock::remove(&root, Duration::ZERO).await.is_ok_and(|it| it.is_none()));
        drop(first);
        assert!(RetainLock::remove(&root, Duration::ZERO).await.is_ok_and(|it| it.is_none()));
        drop(second);
        assert!(RetainLock::remove(&root, Duration::ZERO).await.is_ok_and(|it| it.is_some()));
    }
}
