//! Limits on what one check may unpack, so that a small file cannot exhaust the machine.
//!
//! Knows sizes alone. Readers of containers ask before they unpack, and count while they do.

use std::cell::Cell;
use std::rc::Rc;

use crate::source::Spoiled;

/// Containers within containers.
const MAX_NESTING: u32 = 3;
/// Members of all archives together.
const MAX_MEMBERS: u64 = 100_000;
/// Bytes that any file may unpack to, however small it is.
const FREE: u64 = 64 * 1024 * 1024;
/// Bytes that each byte of the file may unpack to besides.
const RATIO: u64 = 24;

/// What is left of the limits of one check.
#[derive(Debug)]
pub(super) struct Budget {
    meter: Meter,
    copies_left: u64,
    members_left: u64,
    nesting: u32,
}

impl Budget {
    /// For a file of `len` bytes.
    pub(super) fn of(len: u64) -> Self {
        let bytes = FREE.saturating_add(len.saturating_mul(RATIO));
        Self {
            meter: Meter(Rc::new(Cell::new(bytes))),
            copies_left: bytes,
            members_left: MAX_MEMBERS,
            nesting: 0,
        }
    }

    /// A meter for a stream that counts what it unpacks while it is read.
    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Counts bytes that were unpacked.
    pub(super) fn unpack(&mut self, count: u64) -> Result<(), Spoiled> {
        self.meter.unpack(count)
    }

    /// Counts bytes that loading would copy in memory.
    pub(super) fn copy(&mut self, count: u64) -> Result<(), Spoiled> {
        match self.copies_left.checked_sub(count) {
            Some(left) => {
                self.copies_left = left;
                Ok(())
            }
            None => Err(Spoiled::Bomb(format!(
                "loading it would copy the same values again and again, to more than {RATIO} times the file's size"
            ))),
        }
    }

    /// Counts members of an archive.
    pub(super) fn members(&mut self, count: u64) -> Result<(), Spoiled> {
        match self.members_left.checked_sub(count) {
            Some(left) => {
                self.members_left = left;
                Ok(())
            }
            None => Err(Spoiled::Bomb(format!("more than {MAX_MEMBERS} members in archives"))),
        }
    }

    /// Enters a container; to be left again with [`Self::leave`].
    pub(super) fn enter(&mut self) -> Result<(), Spoiled> {
        if self.nesting == MAX_NESTING {
            return Err(Spoiled::Bomb(format!(
                "containers within containers, more than {MAX_NESTING} deep"
            )));
        }
        self.nesting += 1;
        Ok(())
    }

    /// Leaves a container.
    pub(super) fn leave(&mut self) {
        self.nesting -= 1;
    }
}

/// What may still be unpacked, shared by a check and the streams it reads.
#[derive(Debug, Clone)]
pub(super) struct Meter(Rc<Cell<u64>>);

impl Meter {
    /// Counts bytes that were unpacked.
    pub(super) fn unpack(&self, count: u64) -> Result<(), Spoiled> {
        match self.0.get().checked_sub(count) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => Err(Spoiled::Bomb(format!(
                "the file unpacks to more than {RATIO} times its size; nothing that large is unpacked to be checked"
            ))),
        }
    }
}
