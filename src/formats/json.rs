//! A strict JSON reader that builds nothing.
//!
//! Reads one document to the end of its input and refuses what two readers could understand
//! differently: duplicate keys, `NaN` and the infinities, numbers that overflow to infinity, lone
//! surrogates, bytes after the document. Does not recurse and keeps no values, so its memory is
//! bounded by the keys of the objects that are open. Must not know what a document means.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead};

use super::report::Depth;
use super::source::Source;
use super::{Halt, Job};

/// Arrays and objects that may be open at once.
pub const MAX_DEPTH: usize = 512;
/// Bytes that the keys of all open objects may take.
pub const MAX_KEY_BYTES: usize = 64 * 1024 * 1024;
/// Characters of one number.
pub const MAX_NUMBER: usize = 4096;

/// What a key costs in a set besides its own bytes.
const KEY_OVERHEAD: usize = 48;
/// Tokens read between two questions whether to go on.
const POLL_EVERY: u32 = 8192;

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonFault {
    /// Bytes before the fault.
    pub offset: u64,
    /// What is wrong, in words for an operator.
    pub what: String,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

impl std::error::Error for JsonFault {}

/// A refused document, or one that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The document is refused.
    #[error(transparent)]
    Fault(#[from] JsonFault),
    /// The input could not be read, or the caller asked to stop.
    #[error(transparent)]
    Io(#[from] io::Error),
}

type Scan<T> = Result<T, ScanError>;

/// Reads one document to the end of the artifact.
pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    match scan(source, job.keep_going) {
        Ok(()) => Ok(Depth::Parsed),
        Err(ScanError::Fault(fault)) => job.broken(fault.to_string()),
        Err(ScanError::Io(error)) => Err(error.into()),
    }
}

/// Reads one document from a slice.
pub fn scan_slice(mut bytes: &[u8]) -> Result<(), JsonFault> {
    match scan(&mut bytes, &|| true) {
        Ok(()) => Ok(()),
        Err(ScanError::Fault(fault)) => Err(fault),
        // A slice cannot fail to be read; were that ever false, refusing is the safe answer.
        Err(ScanError::Io(error)) => Err(JsonFault { offset: 0, what: error.to_string() }),
    }
}

/// Reads one document to the end of the input, asking `keep_going` every few thousand tokens.
pub fn scan<R: BufRead>(input: &mut R, keep_going: &dyn Fn() -> bool) -> Scan<()> {
    let mut lexer = Lexer { input, offset: 0 };
    let mut nesting = Nesting::default();
    let mut expected = Expected::Value;
    let mut tokens = 0_u32;
    lexer.refuse_byte_order_mark()?;
    loop {
        tokens = tokens.wrapping_add(1);
        if tokens.is_multiple_of(POLL_EVERY) {
            super::poll(keep_going)?;
        }
        let Some(byte) = lexer.next_token_start()? else {
            return match expected {
                Expected::End => Ok(()),
                _ => lexer.fault(nesting.end_of_input(tokens)),
            };
        };
        expected = step(&mut lexer, &mut nesting, expected, byte)?;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Expected {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    /// The document is over; only white space may follow.
    End,
}

fn step<R: BufRead>(
    lexer: &mut Lexer<R>,
    nesting: &mut Nesting,
    expected: Expected,
    byte: u8,
) -> Scan<Expected> {
    match (expected, byte) {
        (Expected::End, _) => lexer.fault("bytes after the end of the document"),
        (Expected::ValueOrEnd, b']') | (Expected::KeyOrEnd, b'}') => {
            lexer.take()?;
            Ok(nesting.close())
        }
        (Expected::Value | Expected::ValueOrEnd, _) => value(lexer, nesting, byte),
        (Expected::Key | Expected::KeyOrEnd, b'"') => {
            let start = lexer.offset;
            let key = lexer.key(nesting.room())?;
            nesting.add_key(key).map_err(|what| JsonFault { offset: start, what })?;
            Ok(Expected::Colon)
        }
        (Expected::Key | Expected::KeyOrEnd, _) => lexer.fault("expected a key in double quotes"),
        (Expected::Colon, b':') => {
            lexer.take()?;
            Ok(Expected::Value)
        }
        (Expected::Colon, _) => lexer.fault("expected ':' after a key"),
        (Expected::CommaOrEnd, b',') => {
            lexer.take()?;
            Ok(if nesting.in_object() { Expected::Key } else { Expected::Value })
        }
        (Expected::CommaOrEnd, b'}') if nesting.in_object() => {
            lexer.take()?;
            Ok(nesting.close())
        }
        (Expected::CommaOrEnd, b']') if !nesting.in_object() => {
            lexer.take()?;
            Ok(nesting.close())
        }
        (Expected::CommaOrEnd, _) => lexer.fault("expected ',' or the end of the array or object"),
    }
}

fn value<R: BufRead>(lexer: &mut Lexer<R>, nesting: &mut Nesting, byte: u8) -> Scan<Expected> {
    match byte {
        b'{' | b'[' => {
            if nesting.open.len() == MAX_DEPTH {
                return lexer.fault(format!("nested deeper than {MAX_DEPTH} levels"));
            }
            lexer.take()?;
            return Ok(nesting.enter(byte == b'{'));
        }
        b'"' => lexer.string(|_| Ok(()))?,
        b'-' | b'0'..=b'9' => lexer.number()?,
        b't' => lexer.word(b"true")?,
        b'f' => lexer.word(b"false")?,
        b'n' => lexer.word(b"null")?,
        b'N' | b'I' => return lexer.fault("NaN and Infinity are not JSON"),
        _ => return lexer.fault("expected a value"),
    }
    Ok(nesting.after_value())
}

/// The arrays (`None`) and objects (their keys so far) that are open.
#[derive(Default)]
struct Nesting {
    open: Vec<Option<HashSet<Box<[u8]>>>>,
    /// What the keys of each open object cost, to be given back when it closes.
    costs: Vec<usize>,
    held: usize,
}

impl Nesting {
    fn in_object(&self) -> bool {
        matches!(self.open.last(), Some(Some(_)))
    }

    fn after_value(&self) -> Expected {
        if self.open.is_empty() { Expected::End } else { Expected::CommaOrEnd }
    }

    fn enter(&mut self, object: bool) -> Expected {
        self.costs.push(0);
        self.open.push(object.then(HashSet::new));
        if object { Expected::KeyOrEnd } else { Expected::ValueOrEnd }
    }

    fn close(&mut self) -> Expected {
        self.open.pop();
        self.held -= self.costs.pop().unwrap_or(0);
        self.after_value()
    }

    /// Bytes the next key may take.
    fn room(&self) -> usize {
        MAX_KEY_BYTES.saturating_sub(self.held + KEY_OVERHEAD)
    }

    fn add_key(&mut self, key: Vec<u8>) -> Result<(), String> {
        let Some(Some(keys)) = self.open.last_mut() else {
            return Ok(());
        };
        let cost = key.len() + KEY_OVERHEAD;
        if keys.contains(key.as_slice()) {
            let name = super::report::quoted(&String::from_utf8_lossy(&key));
            return Err(format!("duplicate key \"{name}\""));
        }
        keys.insert(key.into_boxed_slice());
        self.held += cost;
        if let Some(sum) = self.costs.last_mut() {
            *sum += cost;
        }
        Ok(())
    }

    fn end_of_input(&self, tokens: u32) -> &'static str {
        if tokens == 1 && self.open.is_empty() {
            "no document in the file"
        } else {
            "the document ends before it is complete"
        }
    }
}

struct Lexer<'a, R> {
    input: &'a mut R,
    offset: u64,
}

impl<R: BufRead> Lexer<'_, R> {
    fn fault<T>(&self, what: impl Into<String>) -> Scan<T> {
        Err(JsonFault { offset: self.offset, what: what.into() }.into())
    }

    fn peek(&mut self) -> Scan<Option<u8>> {
        loop {
            match self.input.fill_buf() {
                Ok(bytes) => return Ok(bytes.first().copied()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn advance(&mut self) {
        self.input.consume(1);
        self.offset += 1;
    }

    fn take(&mut self) -> Scan<u8> {
        match self.peek()? {
            Some(byte) => {
                self.advance();
                Ok(byte)
            }
            None => self.fault("the document ends before it is complete"),
        }
    }

    fn refuse_byte_order_mark(&mut self) -> Scan<()> {
        if self.peek()? == Some(0xef) {
            return self.fault("a byte order mark (or no JSON at all); save as UTF-8 without one");
        }
        Ok(())
    }

    /// Passes over white space; `None` at the end of the input.
    fn next_token_start(&mut self) -> Scan<Option<u8>> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.advance(),
                other => return Ok(other),
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Scan<()> {
        for expected in word {
            if self.peek()? != Some(*expected) {
                return self.fault("expected true, false or null");
            }
            self.advance();
        }
        Ok(())
    }

    fn number(&mut self) -> Scan<()> {
        let start = self.offset;
        let mut text = String::new();
        if self.peek()? == Some(b'-') {
            self.push_number(&mut text)?;
        }
        if self.peek()? == Some(b'0') {
            self.push_number(&mut text)?;
            if matches!(self.peek()?, Some(b'0'..=b'9')) {
                return self.fault("a number with a leading zero");
            }
        } else {
            self.digits(&mut text)?;
        }
        if self.peek()? == Some(b'.') {
            self.push_number(&mut text)?;
            self.digits(&mut text)?;
        }
        if matches!(self.peek()?, Some(b'e' | b'E')) {
            self.push_number(&mut text)?;
            if matches!(self.peek()?, Some(b'+' | b'-')) {
                self.push_number(&mut text)?;
            }
            self.digits(&mut text)?;
        }
        // Without an exponent only a very long number can overflow.
        let small = text.len() < 300 && !text.contains(['e', 'E']);
        if small || text.parse::<f64>().is_ok_and(f64::is_finite) {
            return Ok(());
        }
        let what = "a number too large for a 64-bit float; it would load as infinity".to_owned();
        Err(JsonFault { offset: start, what }.into())
    }

    fn push_number(&mut self, text: &mut String) -> Scan<()> {
        if text.len() == MAX_NUMBER {
            return self.fault(format!("a number of more than {MAX_NUMBER} characters"));
        }
        text.push(char::from(self.take()?));
        Ok(())
    }

    fn digits(&mut self, text: &mut String) -> Scan<()> {
        match self.peek()? {
            Some(b'0'..=b'9') => {}
            Some(b'I' | b'N') => return self.fault("NaN and Infinity are not JSON"),
            _ => return self.fault("expected a digit"),
        }
        while matches!(self.peek()?, Some(b'0'..=b'9')) {
            self.push_number(text)?;
        }
        Ok(())
    }

    /// A key with its escapes resolved, so that `"a"` and `"\u0061"` are the same key.
    fn key(&mut self, room: usize) -> Scan<Vec<u8>> {
        let mut key = Vec::new();
        self.string(|piece| {
            if key.len() + piece.len() > room {
                return Err(format!("keys of open objects take more than {MAX_KEY_BYTES} bytes"));
            }
            key.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(key)
    }

    /// Reads a string from its opening quote to its closing one, handing its content as UTF-8.
    fn string(&mut self, mut each: impl FnMut(&[u8]) -> Result<(), String>) -> Scan<()> {
        self.take()?;
        let mut utf8 = Utf8::default();
        loop {
            if !utf8.pending() {
                self.plain_run(&mut each)?;
            }
            let start = self.offset;
            let byte = self.take()?;
            if utf8.pending() || byte >= 0x80 {
                if !utf8.accept(byte) {
                    return Err(JsonFault { offset: start, what: "invalid UTF-8".into() }.into());
                }
                each(&[byte]).or_else(|what| self.fault(what))?;
                continue;
            }
            match byte {
                b'"' => return Ok(()),
                b'\\' => {
                    let mut room = [0; 4];
                    let text = self.escape()?.encode_utf8(&mut room);
                    each(text.as_bytes()).or_else(|what| self.fault(what))?;
                }
                0..0x20 => {
                    let what = "a control character in a string; escape it".to_owned();
                    return Err(JsonFault { offset: start, what }.into());
                }
                _ => each(&[byte]).or_else(|what| self.fault(what))?,
            }
        }
    }

    /// Hands over the plain ASCII that is already in the buffer, in one piece.
    fn plain_run(&mut self, each: &mut impl FnMut(&[u8]) -> Result<(), String>) -> Scan<()> {
        self.peek()?;
        let buffer = self.input.fill_buf()?;
        let special = |b: &u8| *b < 0x20 || *b >= 0x80 || *b == b'"' || *b == b'\\';
        let run = buffer.iter().position(special).unwrap_or(buffer.len());
        let handed = each(&buffer[..run]);
        self.input.consume(run);
        self.offset += run as u64;
        handed.or_else(|what| self.fault(what))
    }

    fn escape(&mut self) -> Scan<char> {
        Ok(match self.take()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return self.fault("an unknown escape in a string"),
        })
    }

    fn unicode_escape(&mut self) -> Scan<char> {
        let mut code = self.four_hex()?;
        if (0xd800..0xdc00).contains(&code) {
            if self.peek()? != Some(b'\\') {
                return self.fault("a lone surrogate escape");
            }
            self.advance();
            if self.peek()? != Some(b'u') {
                return self.fault("a lone surrogate escape");
            }
            self.advance();
            let low = self.four_hex()?;
            if !(0xdc00..0xe000).contains(&low) {
                return self.fault("a lone surrogate escape");
            }
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        char::from_u32(code).map_or_else(|| self.fault("a lone surrogate escape"), Ok)
    }

    fn four_hex(&mut self) -> Scan<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = char::from(self.take()?).to_digit(16) else {
                return self.fault("a \\u escape needs four hexadecimal digits");
            };
            code = code * 16 + digit;
        }
        Ok(code)
    }
}

/// Checks UTF-8 byte by byte (RFC 3629: no overlong forms, no surrogates).
#[derive(Default)]
struct Utf8 {
    left: u8,
    low: u8,
    high: u8,
}

impl Utf8 {
    fn pending(&self) -> bool {
        self.left > 0
    }

    fn accept(&mut self, byte: u8) -> bool {
        if self.left > 0 {
            let fits = (self.low..=self.high).contains(&byte);
            self.left -= 1;
            (self.low, self.high) = (0x80, 0xbf);
            return fits;
        }
        (self.left, self.low, self.high) = match byte {
            0..0x80 => return true,
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            _ => return false,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_checked_exactly_as_the_standard_library_does() {
        for len in 1..=3_u32 {
            for n in (0..1_u32 << (8 * len)).step_by(if len == 3 { 251 } else { 1 }) {
                let bytes = &n.to_le_bytes()[..len as usize];
                let mut utf8 = Utf8::default();
                let ours = bytes.iter().all(|b| utf8.accept(*b)) && !utf8.pending();
                assert_eq!(ours, std::str::from_utf8(bytes).is_ok(), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn a_closed_object_gives_its_key_budget_back() {
        let object = format!("{{\"{}\":1}}", "k".repeat(1 << 20));
        let many = format!("[{}]", vec![object; 80].join(","));
        assert_eq!(scan_slice(many.as_bytes()), Ok(()));
    }

    #[test]
    fn keys_beyond_the_budget_are_refused() {
        let keys: Vec<String> =
            (0..70).map(|i| format!("\"{i}{}\":1", "k".repeat(1 << 20))).collect();
        let fault = scan_slice(format!("{{{}}}", keys.join(",")).as_bytes()).unwrap_err();
        assert!(fault.what.contains("keys of open objects"), "{fault}");
    }
}
