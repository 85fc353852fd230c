//! The words of JSON: strings, numbers, names, exactly as RFC 8259 has them.

use std::io::{self, BufRead};

use super::{JsonFault, MAX_KEY_BYTES, MAX_NUMBER, Scan};

pub(super) struct Lexer<'a, R> {
    pub(super) input: &'a mut R,
    pub(super) offset: u64,
}

impl<R: BufRead> Lexer<'_, R> {
    pub(super) fn fault<T>(&self, what: impl Into<String>) -> Scan<T> {
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

    pub(super) fn take(&mut self) -> Scan<u8> {
        match self.peek()? {
            Some(byte) => {
                self.advance();
                Ok(byte)
            }
            None => self.fault("the document ends before it is complete"),
        }
    }

    pub(super) fn refuse_byte_order_mark(&mut self) -> Scan<()> {
        if self.peek()? == Some(0xef) {
            return self.fault("a byte order mark (or no JSON at all); save as UTF-8 without one");
        }
        Ok(())
    }

    /// Passes over white space; `None` at the end of the input.
    pub(super) fn next_token_start(&mut self) -> Scan<Option<u8>> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.advance(),
                other => return Ok(other),
            }
        }
    }

    pub(super) fn word(&mut self, word: &[u8]) -> Scan<()> {
        for expected in word {
            if self.peek()? != Some(*expected) {
                return self.fault("expected true, false or null");
            }
            self.advance();
        }
        Ok(())
    }

    /// Reads a number into `text`, which is cleared first; `-Infinity` where `endless` allows it.
    pub(super) fn number(&mut self, text: &mut String, endless: bool) -> Scan<()> {
        let start = self.offset;
        text.clear();
        if self.peek()? == Some(b'-') {
            self.push_number(text)?;
            if endless && self.peek()? == Some(b'I') {
                text.push_str("inf");
                return self.word(b"Infinity");
            }
        }
        if self.peek()? == Some(b'0') {
            self.push_number(text)?;
            if matches!(self.peek()?, Some(b'0'..=b'9')) {
                return self.fault("a number with a leading zero");
            }
        } else {
            self.digits(text)?;
        }
        if self.peek()? == Some(b'.') {
            self.push_number(text)?;
            self.digits(text)?;
        }
        if matches!(self.peek()?, Some(b'e' | b'E')) {
            self.push_number(text)?;
            if matches!(self.peek()?, Some(b'+' | b'-')) {
                self.push_number(text)?;
            }
            self.digits(text)?;
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

    /// Reads a key into `key`, its escapes resolved, so that `"a"` and `"\u0061"` are the same key.
    pub(super) fn key(&mut self, key: &mut Vec<u8>, room: usize) -> Scan<()> {
        key.clear();
        self.string(|piece| {
            if key.len() + piece.len() > room {
                return Err(format!("keys of open objects take more than {MAX_KEY_BYTES} bytes"));
            }
            key.extend_from_slice(piece);
            Ok(())
        })
    }

    /// Reads a string from its opening quote to its closing one, handing its content as UTF-8.
    pub(super) fn string(&mut self, mut each: impl FnMut(&[u8]) -> Result<(), String>) -> Scan<()> {
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
pub(super) struct Utf8 {
    left: u8,
    low: u8,
    high: u8,
}

impl Utf8 {
    pub(super) fn pending(&self) -> bool {
        self.left > 0
    }

    pub(super) fn accept(&mut self, byte: u8) -> bool {
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
