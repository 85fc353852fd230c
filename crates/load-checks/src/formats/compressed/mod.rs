//! Packed artifacts: one file in a gzip, zlib, bzip2, xz, LZMA or LZ4 stream.
//!
//! Unpacks as Python's own modules do, as a stream and within the budget, and hands what comes out
//! to the reader of what it is. Knows streams, not what they hold. Stricter than the loaders in one
//! point: a pickle is loaded whatever follows it, but bytes after the last stream are no part of a
//! model, and a file that reads as two things is refused.

mod lz4;
mod lzma;
mod members;

use std::io::{self, BufRead, Read};

use super::budget::Meter;
use super::hidden::Watched;
use super::report::Depth;
use super::source::{Source, Spoiled};
use super::{Format, Halt, Job, read, sniff};

/// Reads what is packed in `source`, whose packing is `job.format`.
pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let packing = job.format;
    job.container.get_or_insert(packing);
    job.budget.enter().map_err(io::Error::from)?;
    let depth = check_inside(source, job, packing);
    job.budget.leave();
    depth
}

fn check_inside(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    packing: Format,
) -> Result<Depth, Halt> {
    let meter = job.budget.meter();
    let stream: Box<dyn Read + '_> = match packing {
        Format::Gzip => Box::new(members::Members::gzip(source, meter.clone())),
        Format::Zlib => Box::new(members::Members::zlib(source, meter.clone())),
        Format::Bzip2 => Box::new(members::Members::bzip2(source, meter.clone())),
        Format::Xz => Box::new(lzma::Xz::new(source, meter.clone())),
        Format::Lzma => Box::new(lzma::Alone::new(source)),
        Format::Lz4 => Box::new(lz4::Frames::new(source, meter.clone())),
        other => return job.broken(format!("no load check for this packing yet ({other})")),
    };
    let (stream, watch) = Watched::new(Counted { stream, meter, spoiled: None });
    let mut inside = Source::unpacked(stream, None)?;
    let format = sniff::format_of(inside.head(), None);
    if format.is_packing() {
        return job.broken(format!(
            "a {format} stream inside a {packing} stream; no loader unpacks twice"
        ));
    }
    let depth = match read(&mut inside, job) {
        Err(Halt::Io(error)) if error.kind() == io::ErrorKind::Unsupported => {
            return job.broken(format!(
                "a {format} file inside a {packing} stream; its loader needs the file unpacked"
            ));
        }
        other => other?,
    };
    // What the reader did not need must be whole as well: checksums stand at the end.
    if !inside.at_end()? {
        let at = inside.offset();
        return job.broken(format!("bytes after the end of the {format} at byte {at} unpacked"));
    }
    match watch.borrow().found(format) {
        Some(what) => job.broken(what),
        None => Ok(depth),
    }
}

/// Counts what is unpacked against the budget; what spoiled the stream once spoils it for good.
struct Counted<R> {
    stream: R,
    meter: Meter,
    spoiled: Option<Spoiled>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(spoiled) = &self.spoiled {
            return Err(spoiled.clone().into());
        }
        let done = self.stream.read(out).and_then(|count| {
            self.meter.unpack(count as u64)?;
            Ok(count)
        });
        if let Err(error) = &done {
            self.spoiled = error.get_ref().and_then(|inner| inner.downcast_ref()).cloned();
        }
        done
    }
}

fn broken(what: impl Into<String>) -> io::Error {
    Spoiled::Broken(what.into()).into()
}

fn truncated(source: &Source<'_>, packing: Format) -> io::Error {
    broken(format!("the {packing} stream is truncated: the file ends at byte {}", source.offset()))
}

/// The next `N` bytes of a stream that must hold them.
fn array<const N: usize>(source: &mut Source<'_>, packing: Format) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    if source.exact(&mut bytes)? { Ok(bytes) } else { Err(truncated(source, packing)) }
}

/// Passes over zeros; whether anything follows them.
fn skip_zeros(source: &mut Source<'_>) -> io::Result<bool> {
    loop {
        let bytes = source.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let (all, none) = (zeros == bytes.len(), bytes.is_empty());
        source.consume(zeros);
        if none || !all {
            return Ok(!none);
        }
    }
}
