//! The lines of a text model, one at a time, each of bounded length.

use super::super::source::{Source, Spoiled};
use super::super::{Halt, Job};

/// Bytes of one line; a tree of a million leaves stays below.
const MAX_LINE: usize = 64 * 1024 * 1024;

/// One line, without its end.
#[derive(Debug)]
pub(super) struct Line {
    /// Its text; bytes that are not UTF-8 replaced.
    pub(super) text: String,
    /// Where it starts in the file.
    pub(super) start: u64,
}

/// Reads lines, and can look at the next one first.
pub(super) struct Lines<'s, 'a> {
    source: &'s mut Source<'a>,
    next: Option<Line>,
    /// Where the line starts that comes next.
    at: u64,
}

impl<'s, 'a> Lines<'s, 'a> {
    pub(super) fn new(source: &'s mut Source<'a>) -> Self {
        let at = source.offset();
        Self { source, next: None, at }
    }

    /// Where the next line starts.
    pub(super) fn offset(&self) -> u64 {
        self.at
    }

    /// The next line without taking it; `None` at the end of the file.
    pub(super) fn peek(&mut self, job: &mut Job<'_>) -> Result<Option<&Line>, Halt> {
        if self.next.is_none() {
            self.next = self.read(job)?;
        }
        Ok(self.next.as_ref())
    }

    /// The next line; `None` at the end of the file.
    pub(super) fn next(&mut self, job: &mut Job<'_>) -> Result<Option<Line>, Halt> {
        self.peek(job)?;
        self.at = self.source.offset();
        Ok(self.next.take())
    }

    fn read(&mut self, job: &mut Job<'_>) -> Result<Option<Line>, Halt> {
        job.poll()?;
        let start = self.source.offset();
        let mut bytes = Vec::new();
        let ended = self.source.line(|piece| {
            if bytes.len() + piece.len() > MAX_LINE {
                let what = format!("a line of more than {MAX_LINE} bytes at byte {start}");
                return Err(Spoiled::Broken(what).into());
            }
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        if !ended && bytes.is_empty() {
            return Ok(None);
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if let Some(at) = bytes.iter().position(|b| matches!(b, 0 | b'\r')) {
            let what = if bytes[at] == 0 { "a NUL byte" } else { "a lone carriage return" };
            let place = start + at as u64;
            return job.broken(format!("{what} in a text model at byte {place}"));
        }
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        Ok(Some(Line { text, start }))
    }
}
