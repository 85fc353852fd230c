//! A buffered reader of an artifact, or of a stream unpacked from one, which counts bytes and never holds all of them.
//!
//! Knows no format. The length of a file is taken once at the start, so that a declared size can be compared with
//! what is left before anything is allocated for it. The length of an unpacked stream is not known before its end.

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};

const BUFFER: usize = 256 * 1024;
/// Bytes from the start that are kept, to tell the format by.
pub(crate) const HEAD: u64 = 512;

/// A reader that can seek.
trait Stream: Read + Seek {}

impl<T: Read + Seek> Stream for T {}

pub(super) struct Source<'a> {
    inner: BufReader<Box<dyn Stream + 'a>>,
    offset: u64,
    len: Option<u64>,
    /// It can be read again from any place.
    seeks: bool,
    head: Vec<u8>,
}

/// Why an unpacked stream cannot be read further: a finding about the artifact, not a failing disk.
///
/// Travels inside an [`io::Error`], because that is what the decompressors and everything that
/// reads through them can carry.
#[derive(Debug, Clone)]
pub(super) enum Spoiled {
    /// The packed bytes are broken.
    Broken(String),
    /// Unpacking would exhaust the machine.
    Bomb(String),
}

impl fmt::Display for Spoiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spoiled::Broken(what) | Spoiled::Bomb(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Spoiled {}

impl From<Spoiled> for io::Error {
    fn from(spoiled: Spoiled) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, spoiled)
    }
}

/// Makes a stream seekable forwards, as [`BufReader::seek_relative`] needs.
struct Forward<R>(R);

impl<R: Read> Read for Forward<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl<R: Read> Seek for Forward<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            SeekFrom::Current(ahead) if ahead >= 0 => {
                let count = ahead.unsigned_abs();
                let passed = io::copy(&mut self.0.by_ref().take(count), &mut io::sink())?;
                if passed < count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(passed) }
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// The end of a stream that ends in an error. It returns that error once; nothing is read after it.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().unwrap_or_else(|| io::ErrorKind::InvalidData.into()))
    }
}

impl<'a> Source<'a> {
    /// A whole artifact, from its first byte, wherever its position was.
    pub(super) fn open(mut artifact: impl Read + Seek + 'a) -> io::Result<Self> {
        let len = artifact.seek(SeekFrom::End(0))?;
        artifact.seek(SeekFrom::Start(0))?;
        let mut head = Vec::new();
        artifact.by_ref().take(HEAD).read_to_end(&mut head)?;
        artifact.seek(SeekFrom::Start(0))?;
        let inner = BufReader::with_capacity(room(len), Box::new(artifact) as Box<dyn Stream>);
        Ok(Self { inner, offset: 0, len: Some(len), seeks: true, head })
    }

    /// The next `len` bytes as an artifact of their own, where this one can be read from any place.
    pub(super) fn section<'s>(&'s mut self, len: u64) -> io::Result<Source<'s>> {
        let start = self.offset;
        Source::open(Section { whole: self, start, len, at: 0 })
    }

    /// A stream unpacked from an artifact, which can be read once, from its start. `len` is given where something
    /// outside the stream says it for certain.
    pub(super) fn unpacked(mut stream: impl Read + 'a, len: Option<u64>) -> io::Result<Self> {
        let mut head = Vec::new();
        // What comes before damage is read all the same: it may be dangerous.
        let rest: Box<dyn Read + 'a> = match stream.by_ref().take(HEAD).read_to_end(&mut head) {
            Ok(_) => Box::new(stream),
            Err(error) => Box::new(Failing(Some(error))),
        };
        let whole = Forward(Cursor::new(head.clone()).chain(rest));
        // An archive may hold tens of thousands of small members.
        let room = len.map_or(BUFFER, room);
        let inner = BufReader::with_capacity(room, Box::new(whole) as Box<dyn Stream>);
        Ok(Self { inner, offset: 0, len, seeks: false, head })
    }

    /// The first bytes, up to [`HEAD`].
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The length in bytes; `None` of an unpacked stream.
    pub(super) fn len(&self) -> Option<u64> {
        self.len
    }

    /// The offset of the next byte.
    /// Whether it can be read again from any place.
    pub(super) fn seeks(&self) -> bool {
        self.seeks
    }

    /// Where the next byte stands.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes from here to the end; `None` where that is not known before they are read.
    pub(super) fn left(&self) -> Option<u64> {
        self.len.map(|len| len.saturating_sub(self.offset))
    }

    /// Whether `count` more bytes may follow, as far as is known before they are read.
    pub(super) fn may_hold(&self, count: u64) -> bool {
        self.left().is_none_or(|left| count <= left)
    }

    /// Whether every byte was read.
    pub(super) fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.fill()?.is_empty())
    }

    /// Goes to an offset in a whole artifact.
    ///
    /// # Errors
    /// `Unsupported` of an unpacked stream.
    pub(super) fn seek_to(&mut self, offset: u64) -> io::Result<()> {
        self.inner.seek(SeekFrom::Start(offset))?;
        self.offset = offset;
        Ok(())
    }

    /// The same, keeping what is buffered where that is near.
    fn move_to(&mut self, offset: u64) -> io::Result<()> {
        let ahead = i128::from(offset) - i128::from(self.offset);
        match i64::try_from(ahead) {
            Ok(0) => {}
            Ok(ahead) => self.inner.seek_relative(ahead)?,
            Err(_) => return self.seek_to(offset),
        }
        self.offset = offset;
        Ok(())
    }

    #[inline]
    fn fill(&mut self) -> io::Result<&[u8]> {
        if self.inner.buffer().is_empty() {
            self.refill()?;
        }
        Ok(self.inner.buffer())
    }

    #[cold]
    fn refill(&mut self) -> io::Result<()> {
        loop {
            match self.inner.fill_buf() {
                Ok(_) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    #[inline]
    fn take(&mut self, count: usize) {
        self.inner.consume(count);
        self.offset += count as u64;
    }

    /// The next byte, or `None` at the end.
    #[inline]
    pub(super) fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.fill()?.first().copied();
        if byte.is_some() {
            self.take(1);
        }
        Ok(byte)
    }

    /// Fills `out`; false when the file ends first.
    pub(super) fn exact(&mut self, out: &mut [u8]) -> io::Result<bool> {
        let mut done = 0;
        while done < out.len() {
            let bytes = self.fill()?;
            if bytes.is_empty() {
                return Ok(false);
            }
            let count = bytes.len().min(out.len() - done);
            out[done..done + count].copy_from_slice(&bytes[..count]);
            self.take(count);
            done += count;
        }
        Ok(true)
    }

    /// The next `count` bytes, or `None` when the file ends first. Memory grows with what is
    /// really there, so that a declared length costs nothing.
    pub(super) fn read_bytes(&mut self, count: u64) -> io::Result<Option<Vec<u8>>> {
        if !self.may_hold(count) {
            return Ok(None);
        }
        let mut out = Vec::new();
        let whole = self.read_into(&mut out, count)?;
        Ok(whole.then_some(out))
    }

    /// Reads the next `count` bytes into `out`, which is cleared first; false when the file ends first.
    pub(super) fn read_into(&mut self, out: &mut Vec<u8>, count: u64) -> io::Result<bool> {
        out.clear();
        if !self.may_hold(count) {
            return Ok(false);
        }
        self.stream(count, |piece| {
            out.extend_from_slice(piece);
            Ok(())
        })
    }

    /// Skips `count` bytes; false when the file ends first.
    pub(super) fn skip(&mut self, count: u64) -> io::Result<bool> {
        if !self.may_hold(count) {
            return Ok(false);
        }
        if self.len.is_none() {
            return self.stream(count, |_| Ok(()));
        }
        let Ok(jump) = i64::try_from(count) else {
            return Ok(false);
        };
        self.inner.seek_relative(jump)?;
        self.offset += count;
        Ok(true)
    }

    /// Passes the next `count` bytes to `each` in pieces; false when the file ends first.
    pub(super) fn stream(
        &mut self,
        mut count: u64,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        while count > 0 {
            let bytes = self.fill()?;
            if bytes.is_empty() {
                return Ok(false);
            }
            let piece = bytes.len().min(usize::try_from(count).unwrap_or(usize::MAX));
            each(&bytes[..piece])?;
            self.take(piece);
            count -= piece as u64;
        }
        Ok(true)
    }

    /// Passes the bytes up to the next newline, without it, to `each` in pieces;
    /// false when the file ends first.
    pub(super) fn line(
        &mut self,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        loop {
            let bytes = self.fill()?;
            if bytes.is_empty() {
                return Ok(false);
            }
            if let Some(end) = bytes.iter().position(|b| *b == b'\n') {
                each(&bytes[..end])?;
                self.take(end + 1);
                return Ok(true);
            }
            each(bytes)?;
            let count = bytes.len();
            self.take(count);
        }
    }
}

/// For decoders of other crates; every byte is counted.
/// What a buffer holds of an artifact of `len` bytes.
fn room(len: u64) -> usize {
    usize::try_from(len).unwrap_or(BUFFER).clamp(1, BUFFER)
}

/// A part of an artifact.
struct Section<'s, 'a> {
    whole: &'s mut Source<'a>,
    start: u64,
    len: u64,
    at: u64,
}

impl Read for Section<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.len.saturating_sub(self.at);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        if count == 0 {
            return Ok(0);
        }
        self.whole.move_to(self.start.saturating_add(self.at))?;
        let count = self.whole.read(&mut out[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Section<'_, '_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(ahead) => self.at.checked_add_signed(ahead),
            SeekFrom::End(ahead) => self.len.checked_add_signed(ahead),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// For readers of other crates; every byte is counted.
impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill()?;
        let count = bytes.len().min(out.len());
        out[..count].copy_from_slice(&bytes[..count]);
        self.take(count);
        Ok(count)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill()
    }

    fn consume(&mut self, count: usize) {
        self.take(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpacked_stream_is_read_and_passed_over_but_has_no_length() {
        let bytes: Vec<u8> = (0..=255).cycle().take(600_000).collect();
        let mut source = Source::unpacked(&bytes[..], None).unwrap();
        assert_eq!(source.head().len() as u64, HEAD);
        assert_eq!(source.byte().unwrap(), Some(0));
        assert!(source.skip(300_000).unwrap());
        assert_eq!(source.byte().unwrap(), Some(bytes[300_001]));
        assert_eq!(source.offset(), 300_002);
        assert!(!source.skip(400_000).unwrap());
        assert!(source.at_end().unwrap());
        assert_eq!(source.len(), None);
        assert!(source.seek_to(0).is_err());
    }

    #[test]
    fn a_section_is_an_artifact_of_its_own() {
        let bytes: Vec<u8> = (0..=255).cycle().take(600_000).collect();
        let mut source = Source::open(Cursor::new(&bytes)).unwrap();
        assert!(source.skip(1000).unwrap());
        let mut section = source.section(500_000).unwrap();
        assert_eq!((section.len(), section.head()), (Some(500_000), &bytes[1000..1512]));
        section.seek_to(499_999).unwrap();
        assert_eq!(section.byte().unwrap(), Some(bytes[500_999]));
        assert_eq!(section.byte().unwrap(), None);
        section.seek_to(1).unwrap();
        let mut inner = section.section(10).unwrap();
        assert_eq!(inner.read_bytes(10).unwrap().as_deref(), Some(&bytes[1001..1011]));
        assert!(inner.at_end().unwrap());
    }

    #[test]
    fn a_declared_length_costs_no_memory() {
        let mut source = Source::unpacked(&b"short"[..], None).unwrap();
        assert_eq!(source.read_bytes(u64::MAX).unwrap(), None);
        let mut source = Source::open(Cursor::new(b"short")).unwrap();
        assert_eq!(source.read_bytes(u64::MAX).unwrap(), None);
        assert_eq!(source.offset(), 0);
        assert_eq!(source.read_bytes(5).unwrap().as_deref(), Some(&b"short"[..]));
    }
}
