//! A second file hidden in the first: what another loader would find in the same bytes.
//!
//! A zip archive is found from its end, an HDF5 file behind a block of any content, a tar archive by
//! the checksum of its first header, and a pickle by reading on. So each can stand in a file that is
//! whole and harmless to the loader of its own format. Every artifact, and every member of a tar
//! archive, passes here before its own reader; a file that two loaders could claim is refused.

use std::cell::RefCell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use super::naming::{self, Reached};
use super::source::Source;
use super::{Format, Halt, Job, tar_header};

/// Where readers of zip archives look for the end record: its own bytes and the longest comment.
pub(super) const TAIL: usize = END + 0xffff;
const END: usize = 22;
const END_SIGNATURE: &[u8] = b"PK\x05\x06";
const LOCATOR_64: u64 = 20;
const LOCATOR_64_SIGNATURE: &[u8] = b"PK\x06\x07";
const END_64: u64 = 56;
const CENTRAL_SIGNATURE: &[u8] = b"PK\x01\x02";
const CENTRAL: u64 = 46;
/// End records that are looked at; more of them stand in no file by chance.
const MAX_RECORDS: usize = 64;

const SUPERBLOCK: &[u8] = b"\x89HDF\r\n\x1a\n";
/// HDF5's library looks for its superblock at the start, and here, and at each double of the place.
const FIRST_BLOCK: u64 = 512;
/// The weights of a Keras archive, and the bytes before them in which their header must stand.
const WEIGHTS: &[u8] = b"model.weights.h5";
const BEFORE_WEIGHTS: u64 = 128;
const LOCAL: usize = 30;

/// Refuses a whole artifact of `job.format` in which another is hidden, and goes back to its start.
/// Of a stream nothing is read: see [`Watch`].
pub(super) fn refuse(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<(), Halt> {
    let Some(len) = source.len().filter(|_| source.seeks()) else {
        return Ok(());
    };
    let packed = job.format.is_packing();
    if job.format != Format::Hdf5 && superblock(source, len, job.format)? {
        job.findings.broken(told("an HDF5 file"));
    }
    // A tar archive looks at its own bytes: an end record may stand in a member that is a zip archive.
    if !matches!(job.format, Format::Zip | Format::Tar) && archive(source, len)? {
        job.findings.broken(told("a zip archive"));
    }
    if job.format != Format::Tar && tar_header::is_first_header(source.head()) {
        job.findings.broken(told("a tar archive"));
    }
    let pickled = matches!(job.format, Format::Pickle | Format::TorchLegacy);
    if !pickled && !packed && job.format != Format::Unknown {
        source.seek_to(0)?;
        if let Some(Reached::Name(at, module)) = naming::reached(source, 0, job.keep_going)? {
            let module = super::report::quoted(&module);
            job.danger(format!(
                "the file can also be read as a pickle, which names {module} at byte {at}; save the model anew"
            ));
        }
    }
    Ok(source.seek_to(0)?)
}

fn told(what: &str) -> String {
    format!(
        "{what} is hidden in the file, which another loader would read instead; save the model anew"
    )
}

/// Whether a superblock stands where HDF5's library looks for one.
fn superblock(source: &mut Source<'_>, len: u64, format: Format) -> io::Result<bool> {
    for place in places().take_while(|place| *place < len) {
        let mut found = [0; SUPERBLOCK.len()];
        source.seek_to(place)?;
        if !source.exact(&mut found)? || found != *SUPERBLOCK {
            continue;
        }
        // The weights of a Keras archive are an HDF5 file, which its reader follows; by chance they stand here.
        let mut before = vec![0; usize::try_from(BEFORE_WEIGHTS.min(place)).unwrap_or(0)];
        source.seek_to(place - before.len() as u64)?;
        let weights = source.exact(&mut before)? && ends_with_header_of_weights(&before);
        if format != Format::Zip || !weights {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a header of a zip archive ends these bytes, and names the weights of Keras.
fn ends_with_header_of_weights(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| {
        let Some((header, name)) = bytes[at..].split_at_checked(LOCAL) else {
            return false;
        };
        let number = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
        header.starts_with(b"PK\x03\x04")
            && name.starts_with(WEIGHTS)
            && number(26) == WEIGHTS.len()
            && name.len() == WEIGHTS.len() + number(28)
    })
}

fn places() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(FIRST_BLOCK), |place| place.checked_mul(2))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Whether an end record of an archive stands where one is looked for.
fn archive(source: &mut Source<'_>, len: u64) -> io::Result<bool> {
    let start = len.saturating_sub(TAIL as u64);
    source.seek_to(start)?;
    let Some(tail) = source.read_bytes(len - start)? else {
        return Ok(false);
    };
    let mut look = |at: u64, signature: &[u8]| -> io::Result<bool> {
        if at >= start {
            let at = usize::try_from(at - start).unwrap_or(usize::MAX);
            return Ok(tail.get(at..).is_some_and(|rest| rest.starts_with(signature)));
        }
        let mut found = [0; 4];
        source.seek_to(at)?;
        Ok(source.exact(&mut found)? && found == signature)
    };
    for (count, record) in records(&tail).enumerate() {
        if count == MAX_RECORDS {
            return Ok(true);
        }
        let at = start + record.at as u64;
        if record.leads(at, &mut look)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What may be an end record.
struct Record {
    at: usize,
    disks: [u16; 2],
    counts: [u16; 2],
    size: u64,
}

fn records(tail: &[u8]) -> impl Iterator<Item = Record> + '_ {
    let mut rest = tail;
    std::iter::from_fn(move || {
        loop {
            // Reading from memory cannot fail; at the end nothing is passed over.
            let passed = rest.skip_until(END_SIGNATURE[0]).unwrap_or(0);
            let at = (tail.len() - rest.len()).checked_sub(1).filter(|_| passed > 0)?;
            if let Some(record) = Record::read(tail, at) {
                return Some(record);
            }
        }
    })
}

impl Record {
    fn read(tail: &[u8], at: usize) -> Option<Self> {
        let bytes = tail.get(at..at + END).filter(|bytes| bytes.starts_with(END_SIGNATURE))?;
        let number = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Some(Self {
            at,
            disks: [number(4), number(6)],
            counts: [number(8), number(10)],
            size: u64::from(number(12)) | u64::from(number(14)) << 16,
        })
    }

    /// Whether some reader finds a directory by it. Python's takes the directory to end where the
    /// record begins, and looks at nothing else; others want the fields to agree.
    fn leads(
        &self,
        at: u64,
        look: &mut impl FnMut(u64, &[u8]) -> io::Result<bool>,
    ) -> io::Result<bool> {
        let [here, all] = self.counts;
        if self.disks.iter().all(|disk| *disk <= 1)
            && here == all
            && here > 0
            && self.size >= CENTRAL * u64::from(here)
            && self.size <= at
        {
            return Ok(true);
        }
        if let Some(locator) = at.checked_sub(LOCATOR_64)
            && look(locator, LOCATOR_64_SIGNATURE)?
        {
            return Ok(true);
        }
        for after in [0, LOCATOR_64 + END_64] {
            let start = at.checked_sub(self.size).and_then(|start| start.checked_sub(after));
            if let Some(start) = start.filter(|_| self.size > 0)
                && look(start, CENTRAL_SIGNATURE)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether these bytes of a container hold a part of an end record's signature: what a container
/// writes around its members is no place for one.
pub(super) fn holds_end_record(bytes: &[u8]) -> bool {
    contains(bytes, END_SIGNATURE)
        || (1..END_SIGNATURE.len()).any(|part| bytes.ends_with(&END_SIGNATURE[..part]))
}

/// Looks at an unpacked stream while it is read, which cannot be gone back in.
#[derive(Default)]
pub(super) struct Watch {
    offset: u64,
    /// The last bytes, at least as many as readers of zip archives look at.
    tail: Vec<u8>,
    /// What was read of the place at which a superblock may stand.
    block: Vec<u8>,
    superblock: bool,
}

impl Watch {
    pub(super) fn see(&mut self, bytes: &[u8]) {
        self.look_for_superblock(bytes);
        self.offset += bytes.len() as u64;
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        if self.tail.len() > 8 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
    }

    fn look_for_superblock(&mut self, bytes: &[u8]) {
        let end = self.offset + bytes.len() as u64;
        let length = SUPERBLOCK.len() as u64;
        // The place that the stream is within, and those that are within these bytes.
        for place in places().skip_while(|place| place + length <= self.offset) {
            if place >= end {
                return;
            }
            if place >= self.offset {
                self.block.clear();
            }
            let from = usize::try_from(place.saturating_sub(self.offset)).unwrap_or(0);
            let missing = SUPERBLOCK.len() - self.block.len();
            let rest = bytes.get(from..).unwrap_or_default();
            self.block.extend_from_slice(&rest[..rest.len().min(missing)]);
            self.superblock |= self.block == SUPERBLOCK;
        }
    }

    /// What was hidden in the whole stream, which is of this format.
    pub(super) fn found(&self, format: Format) -> Option<String> {
        if self.superblock && format != Format::Hdf5 {
            return Some(told("an HDF5 file"));
        }
        if matches!(format, Format::Zip | Format::Tar) {
            return None;
        }
        let tail = &self.tail[self.tail.len().saturating_sub(TAIL)..];
        let start = self.offset - tail.len() as u64;
        // What stands before the tail is gone; a directory may be there.
        let mut look = |at: u64, signature: &[u8]| {
            let at = at.checked_sub(start).and_then(|at| usize::try_from(at).ok());
            Ok(at.is_none_or(|at| tail.get(at..).is_some_and(|rest| rest.starts_with(signature))))
        };
        let leads = records(tail)
            .any(|record| record.leads(start + record.at as u64, &mut look).unwrap_or(true));
        leads.then(|| told("a zip archive"))
    }
}

/// A stream that is watched while it is read.
pub(super) struct Watched<R> {
    stream: R,
    watch: Rc<RefCell<Watch>>,
}

impl<R> Watched<R> {
    /// The stream, and what watches it.
    pub(super) fn new(stream: R) -> (Self, Rc<RefCell<Watch>>) {
        let watch = Rc::default();
        (Self { stream, watch: Rc::clone(&watch) }, watch)
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(out)?;
        self.watch.borrow_mut().see(&out[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of one empty member.
    fn zip() -> Vec<u8> {
        let directory = [CENTRAL_SIGNATURE, &[0; 42], b"a"].concat();
        let end = [END_SIGNATURE, &[0, 0, 0, 0, 1, 0, 1, 0, 47, 0, 0, 0, 31, 0, 0, 0, 0, 0]];
        [&b"PK\x03\x04"[..], &[0; 26], b"a", &directory, &end.concat()].concat()
    }

    fn whole(bytes: &[u8]) -> (bool, bool) {
        let len = bytes.len() as u64;
        let mut source = Source::open(io::Cursor::new(bytes)).unwrap();
        let superblock = superblock(&mut source, len, Format::Npy).unwrap();
        (superblock, archive(&mut source, len).unwrap())
    }

    fn streamed(bytes: &[u8], piece: usize) -> (bool, bool) {
        let mut watch = Watch::default();
        bytes.chunks(piece).for_each(|piece| watch.see(piece));
        let superblock = watch.superblock;
        watch.superblock = false;
        (superblock, watch.found(Format::Npy).is_some())
    }

    fn both(bytes: &[u8]) -> (bool, bool) {
        let found = whole(bytes);
        for piece in [1, 3, 100, 4096, 300_000] {
            assert_eq!(streamed(bytes, piece), found, "in pieces of {piece}");
        }
        found
    }

    #[test]
    fn an_end_record_is_found_anywhere_a_reader_looks() {
        for before in [0, 100, 70_000] {
            for after in [0, 1, 22, 65_535] {
                let bytes = [vec![7; before], zip(), vec![7; after]].concat();
                assert_eq!(both(&bytes), (false, true), "{before} {after}");
            }
            let bytes = [vec![7; before], zip(), vec![7; 65_536]].concat();
            assert_eq!(both(&bytes), (false, false), "{before}");
        }
        // Python looks at the directory's size alone.
        let mut odd = zip();
        let end = odd.len() - END;
        odd[end + 4..end + 12].copy_from_slice(b"garbage!");
        assert_eq!(both(&odd), (false, true));
        // Nobody finds anything by this one.
        odd[end + 12] = 3;
        assert_eq!(both(&odd), (false, false));
    }

    #[test]
    fn weights_of_keras_may_stand_where_a_superblock_is_looked_for_and_nothing_else_may() {
        let header = |name: &[u8], extra: u8| {
            let lengths = [u8::try_from(name.len()).unwrap(), 0, extra, 0];
            let header = [b"PK\x03\x04", &[0; 22][..], &lengths, name, &vec![0; extra.into()]];
            [&vec![7; 512 - header.concat().len()][..], &header.concat(), SUPERBLOCK].concat()
        };
        let found = |bytes: Vec<u8>, format| {
            let len = bytes.len() as u64;
            superblock(&mut Source::open(io::Cursor::new(bytes)).unwrap(), len, format).unwrap()
        };
        assert!(!found(header(WEIGHTS, 0), Format::Zip));
        assert!(!found(header(WEIGHTS, 20), Format::Zip));
        assert!(found(header(WEIGHTS, 0), Format::Npy));
        assert!(found(header(b"archive/data/000", 0), Format::Zip));
        assert!(found(header(b"assets/model.weights.h5", 0), Format::Zip));
    }

    #[test]
    fn a_superblock_is_found_at_each_place_where_one_is_looked_for() {
        for place in [512, 1024, 2048, 1 << 16, 1 << 20] {
            let bytes = [vec![7; place], SUPERBLOCK.to_vec(), vec![7; 9]].concat();
            assert_eq!(both(&bytes), (true, false), "{place}");
            let bytes = [vec![7; place + 1], SUPERBLOCK.to_vec(), vec![7; 9]].concat();
            assert_eq!(both(&bytes), (false, false), "{place}");
        }
    }
}
