//! Hashes and copies files of any size with buffers of fixed size.
//!
//! A large file is read, and copied, by a thread of its own while its bytes are hashed: SHA-256 takes one core by itself.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt as _,
    sync::mpsc,
    thread,
};

use sha2::{Digest as _, Sha256};

use crate::{domain::Sha256Digest, limits};

/// Copies all bytes from the reader to the writer and returns their digest and number. `keep_going` is called with the
/// number of bytes that are hashed, on the caller's thread.
///
/// # Errors
/// Errors of the reader or the writer; [`io::ErrorKind::Interrupted`] once `keep_going` returns `false`.
pub fn copy_hashed(
    mut from: impl Read + Send,
    mut to: impl Write + Send,
    keep_going: &dyn Fn(u64) -> bool,
) -> io::Result<(Sha256Digest, u64)> {
    let mut hashing = Hashing { hasher: Sha256::new(), total: 0, keep_going };
    let first = read_piece(&mut from, Vec::new())?;
    to.write_all(&first)?;
    hashing.add(&first)?;
    if is_last(&first) {
        return Ok(hashing.finish());
    }
    thread::scope(|scope| {
        // The pieces go round: full ones to the hasher, hashed ones back to be filled again.
        let (full, filled) = mpsc::sync_channel(limits::HASH_PIECES);
        let (hashed, free) = mpsc::channel();
        hashed.send(first).map_err(io::Error::other)?;
        for _ in 1..limits::HASH_PIECES {
            hashed.send(Vec::new()).map_err(io::Error::other)?;
        }
        let copy = move || {
            // A closed channel means that the hashing was given up.
            while let Ok(piece) = free.recv() {
                let read = read_piece(&mut from, piece);
                let read = read.and_then(|piece| to.write_all(&piece).map(|()| piece));
                let last = read.as_ref().map_or(true, |piece| is_last(piece));
                if full.send(read).is_err() || last {
                    return;
                }
            }
        };
        thread::Builder::new().name("reader".to_owned()).spawn_scoped(scope, copy)?;
        for piece in filled {
            let piece: Vec<u8> = piece?;
            hashing.add(&piece)?;
            // Nobody takes it back after the last one.
            drop(hashed.send(piece));
        }
        Ok(hashing.finish())
    })
}

/// The digest and the number of all bytes of a reader.
///
/// # Errors
/// As [`copy_hashed`].
pub fn hash(
    from: impl Read + Send,
    keep_going: &dyn Fn(u64) -> bool,
) -> io::Result<(Sha256Digest, u64)> {
    copy_hashed(from, io::sink(), keep_going)
}

/// The digest and the number of all bytes of a file. It does not use the file's position, which another process may
/// share.
///
/// # Errors
/// As [`copy_hashed`].
pub fn hash_file(file: &File, keep_going: &dyn Fn(u64) -> bool) -> io::Result<(Sha256Digest, u64)> {
    hash(FromStart { file, at: 0 }, keep_going)
}

/// Fills a piece; it is shorter only at the end.
fn read_piece(from: &mut impl Read, mut piece: Vec<u8>) -> io::Result<Vec<u8>> {
    piece.clear();
    from.take(limits::HASH_PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

fn is_last(piece: &[u8]) -> bool {
    piece.len() < limits::HASH_PIECE
}

struct Hashing<'a> {
    hasher: Sha256,
    total: u64,
    keep_going: &'a dyn Fn(u64) -> bool,
}

impl Hashing<'_> {
    fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        for part in piece.chunks(limits::HASH_PROGRESS) {
            self.hasher.update(part);
            self.total += part.len() as u64;
            if !(self.keep_going)(self.total) {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled"));
            }
        }
        Ok(())
    }

    fn finish(self) -> (Sha256Digest, u64) {
        (Sha256Digest::from_hasher(self.hasher), self.total)
    }
}

/// Reads a file without its position.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(out, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, io::Seek as _};

    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    /// Gives a few bytes at a time, as a socket does, and fails at the end if it is told to.
    struct Trickle<'a>(&'a [u8], bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(out.len()).min(77_777);
            if count == 0 && self.1 {
                return Err(io::Error::other("the disk is gone"));
            }
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn every_length_is_copied_and_hashed_whole() {
        let piece = limits::HASH_PIECE;
        let pieces = piece * limits::HASH_PIECES;
        for len in [0, 1, piece - 1, piece, piece + 1, 2 * piece, pieces, 2 * pieces + 5] {
            let bytes = bytes(len);
            let mut copy = Vec::new();
            let told = Cell::new(0);
            let keep_going = |done| {
                told.set(done);
                true
            };
            let found = copy_hashed(Trickle(&bytes, false), &mut copy, &keep_going).unwrap();
            assert_eq!(found, (Sha256Digest::of(&bytes), len as u64));
            assert!(copy == bytes, "{len}");
            assert_eq!(told.get(), len as u64);
        }
    }

    #[test]
    fn errors_of_both_sides_are_told() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, from: &[u8]) -> io::Result<usize> {
                let count = from.len().min(self.0);
                self.0 -= count;
                if count == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(count) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for len in [10, 5 * limits::HASH_PIECE] {
            let bytes = bytes(len);
            let failed = hash(Trickle(&bytes, true), &|_| true).unwrap_err();
            assert_eq!(failed.to_string(), "the disk is gone");
            let failed = copy_hashed(&bytes[..], Full(len - 1), &|_| true).unwrap_err();
            assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
        }
    }

    #[test]
    fn it_stops_when_it_is_told_to() {
        let stop_at = 3 * limits::HASH_PIECE as u64;
        let failed = hash(io::repeat(7), &|done| done < stop_at).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn a_file_is_hashed_from_its_start_and_its_position_stays() {
        let bytes = bytes(3 * limits::HASH_PIECE + 17);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.seek(io::SeekFrom::Start(5)).unwrap();
        let found = hash_file(&file, &|_| true).unwrap();
        assert_eq!(found, (Sha256Digest::of(&bytes), bytes.len() as u64));
        assert_eq!(file.stream_position().unwrap(), 5);
    }
}
