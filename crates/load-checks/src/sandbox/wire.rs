//! The messages between parent and child: a JSON document a line.

use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::{LoadReport, Sample};

/// The parent's message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// The parent's process.
    pub(super) parent: u32,
    /// Whether a missing wall ends it.
    pub(super) strict: bool,
    /// Bytes of address space.
    pub(super) memory: u64,
    /// Seconds of processor time.
    pub(super) cpu_seconds: u64,
    /// Walls that are left out; used in debug builds alone.
    pub(super) leave_out: Vec<String>,
    /// A wall that counts as one that the kernel lacks; used in debug builds alone.
    pub(super) lacking: Option<String>,
    /// A fault that a test asks for; used in debug builds alone.
    pub(super) fault: Option<String>,
    /// The work.
    pub(super) work: Work,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Work {
    /// The load check of standard input.
    Check { trusted: Vec<(String, String)>, sample: Option<Sample> },
    /// Trying every wall.
    Probe,
}

/// A message of the child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// What the check found.
    Report(LoadReport),
    /// The artifact could not be read.
    Unreadable(String),
    /// The check panicked.
    Panicked(String),
    /// Walls that could not be put up, and why.
    WallsMissing(Vec<String>),
    /// The result of trying one wall.
    Attempt(Attempt),
}
