//! Limits of the process in which a load check runs.

use std::time::Duration;

/// Address space of a load check's process, in bytes, program included.
pub const CHECK_MEMORY: u64 = 512 << 20;
/// Processor time that a load check may take, whatever the artifact's size.
pub const CHECK_CPU: Duration = Duration::from_secs(20);
/// Bytes of the artifact that buy it one second more.
pub const CHECK_BYTES_A_SECOND: u64 = 16 << 20;
/// A load check may take twice its processor time, and this much more, by the clock.
pub const CHECK_GRACE: Duration = Duration::from_secs(10);
/// How often a load check asks whether anybody still waits for it.
pub const CHECK_POLL: Duration = Duration::from_millis(50);
/// Largest answer of a load check's process, in bytes.
pub const CHECK_ANSWER: usize = 4 << 20;
