//! A strict JSON reader that builds nothing.
//!
//! Reads one document to the end of its input and refuses what two readers could understand
//! differently: duplicate keys, `NaN` and the infinities, numbers that overflow to infinity, lone
//! surrogates, bytes after the document. Does not recurse and keeps no values, so its memory is
//! bounded by the keys of the objects that are open. Must not know what a document means: a
//! `Visitor` is told what stands in it, if it wants to know. `lexer` holds the words.

mod lexer;
mod nesting;

use std::fmt;
use std::io::{self, BufRead};

use lexer::Lexer;
pub(super) use nesting::Nesting;

/// Arrays and objects that may be open at once.
pub const MAX_DEPTH: usize = 512;
/// Bytes that the keys of all open objects may take.
pub const MAX_KEY_BYTES: usize = 64 * 1024 * 1024;
/// Characters of one number.
pub const MAX_NUMBER: usize = 4096;

/// Bytes of a string that a visitor wants.
const MAX_TEXT: usize = 16 * 1024 * 1024;

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

/// What a document holds besides arrays and objects.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// A number written without a point or an exponent.
    Int(i64),
    Float(f64),
    Text(&'a str),
}

/// Is told what a document holds, in order. What it answers with `Err` is a fault of the document.
pub(super) trait Visitor {
    /// Whether keys and values are wanted; they are checked in any case.
    fn wants(&self) -> bool;

    /// Whether `NaN` and the infinities are taken here.
    fn takes_endless(&self) -> bool {
        false
    }

    /// An array or an object begins.
    fn open(&mut self, object: bool);
    /// The key of what comes next.
    fn key(&mut self, key: &[u8]);
    /// The innermost array or object ends.
    fn close(&mut self) -> Result<(), String>;
    /// A value.
    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), String>;
}

/// Wants nothing.
impl Visitor for () {
    fn wants(&self) -> bool {
        false
    }

    fn open(&mut self, _: bool) {}

    fn key(&mut self, _: &[u8]) {}

    fn close(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn scalar(&mut self, _: Scalar<'_>) -> Result<(), String> {
        Ok(())
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
pub fn scan<R: BufRead>(input: &mut R, keep_going: &dyn Fn() -> bool) -> Result<(), ScanError> {
    visit(input, keep_going, &mut ())
}

/// The same, telling `visitor` what it reads.
pub(super) fn visit<R: BufRead>(
    input: &mut R,
    keep_going: &dyn Fn() -> bool,
    visitor: &mut impl Visitor,
) -> Scan<()> {
    let mut lexer = Lexer { input, offset: 0 };
    let mut nesting = Nesting::default();
    let mut scratch = String::new();
    let mut key = Vec::new();
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
        let mut reading = Reading {
            lexer: &mut lexer,
            nesting: &mut nesting,
            visitor,
            scratch: &mut scratch,
            key: &mut key,
        };
        expected = reading.step(expected, byte)?;
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Expected {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    /// The document is over; only white space may follow.
    End,
}

/// What one step works on.
struct Reading<'r, 'i, R, V> {
    lexer: &'r mut Lexer<'i, R>,
    nesting: &'r mut Nesting,
    visitor: &'r mut V,
    /// The last number or string, where it was wanted.
    scratch: &'r mut String,
    /// The last key.
    key: &'r mut Vec<u8>,
}

impl<R: BufRead, V: Visitor> Reading<'_, '_, R, V> {
    fn step(&mut self, expected: Expected, byte: u8) -> Scan<Expected> {
        match (expected, byte) {
            (Expected::End, _) => self.lexer.fault("bytes after the end of the document"),
            (Expected::ValueOrEnd, b']') | (Expected::KeyOrEnd, b'}') => self.close(),
            (Expected::Value | Expected::ValueOrEnd, _) => self.value(byte),
            (Expected::Key | Expected::KeyOrEnd, b'"') => {
                let start = self.lexer.offset;
                self.lexer.key(self.key, self.nesting.room())?;
                if self.visitor.wants() {
                    self.visitor.key(self.key);
                }
                self.nesting.add_key(self.key).map_err(|what| JsonFault { offset: start, what })?;
                Ok(Expected::Colon)
            }
            (Expected::Key | Expected::KeyOrEnd, _) => {
                self.lexer.fault("expected a key in double quotes")
            }
            (Expected::Colon, b':') => {
                self.lexer.take()?;
                Ok(Expected::Value)
            }
            (Expected::Colon, _) => self.lexer.fault("expected ':' after a key"),
            (Expected::CommaOrEnd, b',') => {
                self.lexer.take()?;
                Ok(if self.nesting.in_object() { Expected::Key } else { Expected::Value })
            }
            (Expected::CommaOrEnd, b'}') if self.nesting.in_object() => self.close(),
            (Expected::CommaOrEnd, b']') if !self.nesting.in_object() => self.close(),
            (Expected::CommaOrEnd, _) => {
                self.lexer.fault("expected ',' or the end of the array or object")
            }
        }
    }

    fn close(&mut self) -> Scan<Expected> {
        self.lexer.take()?;
        self.visitor.close().or_else(|what| self.lexer.fault(what))?;
        Ok(self.nesting.close())
    }

    fn value(&mut self, byte: u8) -> Scan<Expected> {
        let start = self.lexer.offset;
        let endless = self.visitor.takes_endless();
        let word = match byte {
            b'{' | b'[' => {
                if self.nesting.depth() == MAX_DEPTH {
                    return self.lexer.fault(format!("nested deeper than {MAX_DEPTH} levels"));
                }
                self.lexer.take()?;
                self.visitor.open(byte == b'{');
                return Ok(self.nesting.enter(byte == b'{'));
            }
            b'"' => self.text()?,
            b'-' | b'0'..=b'9' => {
                self.lexer.number(self.scratch, endless)?;
                Word::Number
            }
            b't' => self.word(b"true", Scalar::Bool(true))?,
            b'f' => self.word(b"false", Scalar::Bool(false))?,
            b'n' => self.word(b"null", Scalar::Null)?,
            b'N' if endless => self.word(b"NaN", Scalar::Float(f64::NAN))?,
            b'I' if endless => self.word(b"Infinity", Scalar::Float(f64::INFINITY))?,
            b'N' | b'I' => return self.lexer.fault("NaN and Infinity are not JSON"),
            _ => return self.lexer.fault("expected a value"),
        };
        if self.visitor.wants() {
            let scalar = match word {
                Word::Plain(scalar) => scalar,
                Word::Text => Scalar::Text(self.scratch),
                Word::Number => number(self.scratch),
            };
            self.visitor.scalar(scalar).map_err(|what| JsonFault { offset: start, what })?;
        }
        Ok(self.nesting.after_value())
    }

    fn word(&mut self, word: &[u8], scalar: Scalar<'static>) -> Scan<Word> {
        self.lexer.word(word)?;
        Ok(Word::Plain(scalar))
    }

    fn text(&mut self) -> Scan<Word> {
        if !self.visitor.wants() {
            self.lexer.string(|_| Ok(()))?;
            return Ok(Word::Text);
        }
        let mut bytes = std::mem::take(self.scratch).into_bytes();
        bytes.clear();
        self.lexer.string(|piece| {
            if bytes.len() + piece.len() > MAX_TEXT {
                return Err(format!("a string of a model of more than {MAX_TEXT} bytes"));
            }
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        // The lexer has checked that it is UTF-8.
        *self.scratch = String::from_utf8(bytes).unwrap_or_default();
        Ok(Word::Text)
    }
}

/// What was read, and where it is to be found.
enum Word {
    Plain(Scalar<'static>),
    /// In the scratch.
    Text,
    /// In the scratch.
    Number,
}

fn number(text: &str) -> Scalar<'_> {
    if text.bytes().all(|b| b == b'-' || b.is_ascii_digit())
        && let Ok(whole) = text.parse()
    {
        return Scalar::Int(whole);
    }
    Scalar::Float(text.parse().unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::lexer::Utf8;
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
