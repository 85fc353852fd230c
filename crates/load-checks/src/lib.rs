//! Says whether a model file would load, and whether loading it could run somebody's code.
//!
//! Knows nothing of a registry. [`check`] reads a file as its own loader would, to the end, and runs nothing of it.
//! [`Sandbox::check`] does the same in a child process that can only read that one file. Both return a
//! [`LoadReport`].

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::allow_attributes,
        reason = "a test that cannot go on should say so and stop"
    )
)]

mod budget;
mod fault;
mod formats;
mod index;
mod job;
pub mod limits;
mod report;
mod sandbox;
mod sniff;
mod source;

/// The version of these checks.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub use formats::{NEVER_TRUSTED, check, json};
pub use job::{Sample, TrustedGlobals};
pub use report::{Depth, Finding, Format, LoadReport, Severity, Verdict};
pub use sandbox::{ARGUMENT, Attempt, Mode, Probe, Sandbox, SandboxError, run_child};

/// The examples of the README, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
