//! Hashes and copies files of any size with a buffer of fixed size.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::{domain::Sha256Digest, limits};

/// Copies all bytes from the reader to the writer and returns their digest and number.
///
/// # Errors
/// Errors of the reader or the writer; [`io::ErrorKind::Interrupted`] once `keep_going` returns `false`.
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

/// The digest and the number of all bytes of a reader.
///
/// # Errors
/// As [`copy_hashed`].
pub fn hash(from: impl Read, keep_going: &dyn Fn(u64) -> bool) -> io::Result<(Sha256Digest, u64)> {
    copy_hashed(from, io::sink(), keep_going)
}
