//! The reserve: room on the disk that only changes of a status may use, so that a rollback works while the disk is full.
//!
//! It is a preallocated file in the registry directory. A change that finds no other room shortens it, and so frees
//! what the catalog's write-ahead log and the new manifest need. Afterwards it grows again as far as there is room.
//! Registrations need it whole. Every caller that changes its size holds the directory's lock: to try whether there is
//! room takes that room for a moment.

use std::{fs::File, os::unix::fs::FileExt as _};

use rustix::{
    fs::{FallocateFlags, fallocate, fstat, fstatvfs},
    io::Errno,
};

use super::{RegistryRoot, StoreError};
use crate::limits::{DISK_FOR_A_CHANGE, DISK_RESERVE};

/// The name of the file.
const RESERVE_FILE: &str = ".reserve";
/// The reserve grows again by at least this much, in bytes.
const LEAST_STEP: u64 = 64 * 1024;
/// The unit of `st_blocks`.
const BLOCK: u64 = 512;

/// The room that a change has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// The reserve is whole, and there is more room than a change needs.
    Ample,
    /// The reserve is not whole, or a part of it was freed for this change.
    Short,
}

/// Makes room for one change. The caller holds the directory's lock.
///
/// # Errors
/// [`StoreError::Io`] where the file cannot be opened or its size cannot be changed.
pub fn make_room(root: &RegistryRoot) -> Result<Room, StoreError> {
    let reserve = Reserve::open(root)?;
    let held = reserve.length()?;
    if reserve.extend(held, DISK_RESERVE + DISK_FOR_A_CHANGE)? {
        reserve.shorten(DISK_RESERVE)?;
        return Ok(Room::Ample);
    }
    if reserve.extend(held, held + DISK_FOR_A_CHANGE)? {
        reserve.shorten(held)?;
    } else {
        reserve.shorten(held.saturating_sub(DISK_FOR_A_CHANGE))?;
    }
    Ok(Room::Short)
}

/// Frees room for one more change; `false` where nothing is left of the reserve. The caller holds the directory's lock.
///
/// # Errors
/// [`StoreError::Io`].
pub fn free_some(root: &RegistryRoot) -> Result<bool, StoreError> {
    let reserve = Reserve::open(root)?;
    let held = reserve.length()?;
    reserve.shorten(held.saturating_sub(DISK_FOR_A_CHANGE))?;
    Ok(held > 0)
}

/// Grows the reserve as far as there is room. The caller holds the directory's lock.
///
/// # Errors
/// [`StoreError::Io`].
pub fn refill(root: &RegistryRoot) -> Result<(), StoreError> {
    let reserve = Reserve::open(root)?;
    let mut held = reserve.length()?;
    let mut step = DISK_RESERVE;
    while held < DISK_RESERVE && step >= LEAST_STEP {
        let next = DISK_RESERVE.min(held + step);
        if reserve.extend(held, next)? {
            held = next;
        } else {
            step /= 2;
        }
    }
    Ok(())
}

/// Whether the reserve is not whole, and the disk has no room for the rest of it and a change. Changes nothing.
///
/// # Errors
/// [`StoreError::Io`] where the disk cannot be asked.
pub fn is_short(root: &RegistryRoot) -> Result<bool, StoreError> {
    let folder = root.folder()?;
    let held = match folder.stat(RESERVE_FILE) {
        Ok(stat) => u64::try_from(stat.st_size).unwrap_or(0).min(DISK_RESERVE),
        Err(error) if error.is_not_found() => 0,
        Err(error) => return Err(error),
    };
    let disk = fstatvfs(folder.descriptor())
        .map_err(|error| StoreError::io("ask for the room on the disk of", root.path(), error))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    Ok(free < DISK_RESERVE - held + DISK_FOR_A_CHANGE)
}

/// The open file.
struct Reserve<'a> {
    root: &'a RegistryRoot,
    file: File,
}

impl<'a> Reserve<'a> {
    fn open(root: &'a RegistryRoot) -> Result<Self, StoreError> {
        Ok(Self { root, file: root.folder()?.open_lock_file(RESERVE_FILE)? })
    }

    fn failed(&self, action: &'static str, error: impl Into<std::io::Error>) -> StoreError {
        StoreError::io(action, self.root.path().join(RESERVE_FILE), error)
    }

    /// The bytes that the file holds on the disk. A copy of it that has holes holds nothing.
    fn length(&self) -> Result<u64, StoreError> {
        let stat = fstat(&self.file).map_err(|error| self.failed("look at", error))?;
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        let on_disk = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(BLOCK);
        if length > DISK_RESERVE || on_disk < length {
            self.shorten(0)?;
            return Ok(0);
        }
        Ok(length)
    }

    /// Allocates the file up to a length; `false` where there is no room, and the file is as it was.
    fn extend(&self, from: u64, to: u64) -> Result<bool, StoreError> {
        let allocated = loop {
            match fallocate(&self.file, FallocateFlags::empty(), from, to - from) {
                Err(Errno::INTR) => {}
                // File systems that cannot allocate in advance, such as NFS before version 4.2.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => break self.write_zeros(from, to),
                allocated => break allocated.map_err(Into::into),
            }
        };
        match allocated {
            Ok(()) => Ok(true),
            Err(error) if super::is_out_of_room(&error) => {
                self.shorten(from)?;
                Ok(false)
            }
            Err(error) => Err(self.failed("allocate", error)),
        }
    }

    fn write_zeros(&self, from: u64, to: u64) -> std::io::Result<()> {
        let zeros = [0; 16 * 1024];
        let mut at = from;
        while at < to {
            let length = usize::try_from(to - at).unwrap_or(zeros.len()).min(zeros.len());
            self.file.write_all_at(&zeros[..length], at)?;
            at += length as u64;
        }
        self.file.sync_all()
    }

    fn shorten(&self, to: u64) -> Result<(), StoreError> {
        // Some file systems free blocks only when the change of the length is on the disk.
        self.file
            .set_len(to)
            .and_then(|()| self.file.sync_all())
            .map_err(|error| self.failed("shorten", error))
    }
}
