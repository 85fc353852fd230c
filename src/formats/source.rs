//! A counted, buffered view of an artifact that never holds it whole.
//!
//! Knows bytes and offsets; must not know any format. The length is taken once at the start, so
//! that a declared size can be compared with what is left before anything is allocated for it.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

const BUFFER: usize = 256 * 1024;

pub(super) struct Source<R> {
    inner: BufReader<R>,
    offset: u64,
    len: u64,
    head: Vec<u8>,
}

impl<R: Read + Seek> Source<R> {
    /// Starts at the first byte, whatever the artifact's position was, and keeps up to `head`
    /// first bytes for [`Self::head`].
    pub(super) fn open(mut artifact: R, head: u64) -> io::Result<Self> {
        let len = artifact.seek(SeekFrom::End(0))?;
        artifact.seek(SeekFrom::Start(0))?;
        let mut first = Vec::new();
        artifact.by_ref().take(head).read_to_end(&mut first)?;
        artifact.seek(SeekFrom::Start(0))?;
        let inner = BufReader::with_capacity(BUFFER, artifact);
        Ok(Self { inner, offset: 0, len, head: first })
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Where the next byte stands.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn remaining(&self) -> u64 {
        self.len.saturating_sub(self.offset)
    }

    pub(super) fn buffered(&mut self) -> &mut BufReader<R> {
        &mut self.inner
    }

    fn fill(&mut self) -> io::Result<&[u8]> {
        loop {
            match self.inner.fill_buf() {
                Ok(_) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(self.inner.buffer())
    }

    fn take(&mut self, count: usize) {
        self.inner.consume(count);
        self.offset += count as u64;
    }

    /// The next byte, or `None` at the end.
    pub(super) fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.fill()?.first().copied();
        if byte.is_some() {
            self.take(1);
        }
        Ok(byte)
    }

    /// Fills `out`, or answers false when the file ends first.
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

    /// Passes over `count` bytes without reading them; false when the file ends first.
    pub(super) fn skip(&mut self, count: u64) -> io::Result<bool> {
        if count > self.remaining() {
            return Ok(false);
        }
        let Ok(jump) = i64::try_from(count) else {
            return Ok(false);
        };
        self.inner.seek_relative(jump)?;
        self.offset += count;
        Ok(true)
    }

    /// Hands the next `count` bytes to `each` in pieces; false when the file ends first.
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

    /// Hands the bytes up to the next newline (which is taken, not handed) to `each` in pieces;
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
