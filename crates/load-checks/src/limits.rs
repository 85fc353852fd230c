//! What a load check's process may take.

use std::time::Duration;

/// Address space of a load check's process, in bytes, program included.
pub const CHECK_MEMORY: u64 = 512 << 20;
/// Processor time that a load check may take, whatever the artifact's size.
pub const CHECK_CPU: Duration = Duration::from_secs(20);
/// Bytes of the artifact that buy it one second more.
pub const CHECK_BYTES_A_SECOND: u64 = 16 << 20;
/// How much longer a load check may take by the clock on the wall than twice its processor time.
pub const CHECK_GRACE: Duration = Duration::from_secs(10);
/// How often it is looked whether anybody still waits for a load check.
pub const CHECK_POLL: Duration = Duration::from_millis(50);
/// Largest answer of a load check's process, in bytes.
pub const CHECK_ANSWER: usize = 4 << 20;
