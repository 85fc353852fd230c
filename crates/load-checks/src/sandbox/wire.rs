//! The messages between parent and child: a JSON document a line.

use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::{LoadReport, Sample};

/// The parent's one line.
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
    /// Walls that are not raised; heeded by debug builds alone.
    pub(super) leave_out: Vec<String>,
    /// A wall that is to be taken for one that the kernel lacks; heeded by debug builds alone.
    pub(super) lacking: Option<String>,
    /// A fault that a test asks for; heeded by debug builds alone.
    pub(super) fault: Option<String>,
    /// What is to be done.
    pub(super) work: Work,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Work {
    /// The load check of standard input.
    Check { trusted: Vec<(String, String)>, sample: Option<Sample> },
    /// Trying every wall.
    Probe,
}

/// A line of the child's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// What the check found.
    Report(LoadReport),
    /// The artifact could not be read.
    Unreadable(String),
    /// The check has a fault of its own.
    Panicked(String),
    /// Walls that could not be raised, and why.
    WallsMissing(Vec<String>),
    /// What trying one wall came to.
    Attempt(Attempt),
}
