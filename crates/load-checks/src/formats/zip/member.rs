//! Members as streams: unpacked, counted and compared with their checksum while they are read.

use std::io::{self, BufRead, Read, Take};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::super::report::quoted;
use super::super::source::{Source, Spoiled};
use super::super::{Halt, Job};
use super::directory::{Member, Method};
use super::go_to;

/// Bytes passed over between two questions whether to go on.
const POLL_EVERY: u64 = 4 * 1024 * 1024;

/// Opens a member, lets `read` take it, and reads what is left of it.
///
/// What is found while it is open is told with the member's name.
pub(super) fn open<T>(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    member: &Member,
    read: impl FnOnce(&mut Source<'_>, &mut Job<'_>) -> Result<T, Halt>,
) -> Result<T, Halt> {
    let outer = job.findings.within(Some(quoted(&member.name)));
    let read = opened(source, job, member, read);
    let read = match read {
        Err(Halt::Found(finding)) => {
            job.findings.add(*finding);
            Err(Halt::Broken)
        }
        other => other,
    };
    job.findings.within(outer);
    read
}

fn opened<T>(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    member: &Member,
    read: impl FnOnce(&mut Source<'_>, &mut Job<'_>) -> Result<T, Halt>,
) -> Result<T, Halt> {
    // Members do not overlap, so only what is packed can be more than the file itself.
    if member.method == Method::Deflated {
        job.budget.unpack(member.size).map_err(io::Error::from)?;
    }
    go_to(source, member.data)?;
    let stream = Stream::new(source.take(member.packed), member);
    let mut inner = Source::unpacked(stream, Some(member.size))?;
    let value = read(&mut inner, job)?;
    while !inner.at_end()? {
        job.poll()?;
        let count = inner.left().unwrap_or(0).clamp(1, POLL_EVERY);
        inner.stream(count, |_| Ok(()))?;
    }
    Ok(value)
}

/// Reads a member for its checksum alone.
pub(super) fn pass(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    member: &Member,
) -> Result<(), Halt> {
    open(source, job, member, |_, _| Ok(()))
}

enum Packing<R> {
    Stored(R),
    Deflated(DeflateDecoder<R>),
}

/// The unpacked bytes of a member. Fails at their end where they are not what the headers told.
struct Stream<R> {
    packing: Packing<Take<R>>,
    left: u64,
    told: Option<u32>,
    crc: Crc,
}

impl<R: BufRead> Stream<R> {
    fn new(packed: Take<R>, member: &Member) -> Self {
        let packing = match member.method {
            Method::Stored => Packing::Stored(packed),
            Method::Deflated => Packing::Deflated(DeflateDecoder::new(packed)),
        };
        Self { packing, left: member.size, told: member.crc, crc: Crc::new() }
    }

    fn unpacked(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.packing {
            Packing::Stored(packed) => packed.read(out),
            Packing::Deflated(decoder) => decoder.read(out).map_err(|error| match error.kind() {
                // What the decoder says of the bytes, not of the disk.
                io::ErrorKind::InvalidInput
                | io::ErrorKind::InvalidData
                | io::ErrorKind::UnexpectedEof => broken("the packed bytes are damaged"),
                _ => error,
            }),
        }
    }

    fn at_end(&self) -> io::Result<usize> {
        let packed_left = match &self.packing {
            Packing::Stored(packed) => packed.limit(),
            Packing::Deflated(decoder) => decoder.get_ref().limit(),
        };
        if self.left != 0 {
            return Err(broken("unpacks to fewer bytes than the archive says"));
        }
        if packed_left != 0 {
            return Err(broken("bytes follow within the member after it is unpacked"));
        }
        if self.told.is_some_and(|told| told != self.crc.sum()) {
            return Err(broken(
                "the bytes do not match their checksum: the file is damaged; store it again",
            ));
        }
        Ok(0)
    }
}

fn broken(what: &str) -> io::Error {
    Spoiled::Broken(what.to_owned()).into()
}

impl<R: BufRead> Read for Stream<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.unpacked(out)?;
        if count == 0 && !out.is_empty() {
            return self.at_end();
        }
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(broken("unpacks to more bytes than the archive says")),
        }
        self.crc.update(&out[..count]);
        Ok(count)
    }
}
