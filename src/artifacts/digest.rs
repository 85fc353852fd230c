//! Hashing and copying files of any size in a buffer of fixed size.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::{domain::Sha256Digest, limits};

/// Reads to the end, writes what it reads, and tells the digest and the number of bytes.
///
/// # Errors
/// The reader's or writer's; [`io::ErrorKind::Interrupted`] once `keep_going` says no.
pub fn copy_hashed(
    mut from: impl Read,
    mut to: impl Write,
    keep_going: &dyn Fn(u64) -> bool,
) -> io::Result<(Sha256Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; limits::FILE_BUFFER];
    let mut total = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok((Sha256Digest::from_hasher(hasher), total)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        total += count as u64;
        if !keep_going(total) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled"));
        }
    }
}

/// The digest and size of what can be read.
///
/// # Errors
/// As [`copy_hashed`].
pub fn hash(from: impl Read, keep_going: &dyn Fn(u64) -> bool) -> io::Result<(Sha256Digest, u64)> {
    copy_hashed(from, io::sink(), keep_going)
}
