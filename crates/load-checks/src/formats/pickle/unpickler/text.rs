//! Text arguments of the old opcodes, with the syntax the C unpickler takes.
//!
//! `pickletools` refuses some of it (`I0x10`, `L0x10L`, `I 0o7`), and a reader that refuses or
//! skips differently from the real one can be led past an opcode. Knows bytes, not opcodes.

use crate::formats::pickle::cost::hashing::{Big, Digits};

/// CPython's limit on decimal digits in text (`sys.int_info.default_max_str_digits`).
const MAX_DECIMAL_DIGITS: usize = 4300;

/// A number as far as the machine cares: its value where it fits, else only that it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Small(i64),
    Big(Big),
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text {
        if !is_space(*first) {
            break;
        }
        text = rest;
    }
    while let [rest @ .., last] = text {
        if !is_space(*last) {
            break;
        }
        text = rest;
    }
    text
}

/// What C sees of a line: everything before its first NUL.
fn c_string(line: &[u8]) -> &[u8] {
    line.split(|b| *b == 0).next().unwrap_or_default()
}

/// `PyLong_FromString(line, NULL, base)` for base 0 and 10.
fn python_int(line: &[u8], base: u32) -> Option<Number> {
    let text = trim(c_string(line));
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (radix, digits, prefixed) = match (base, text) {
        (0, [b'0', b'x' | b'X', rest @ ..]) => (16, rest, true),
        (0, [b'0', b'o' | b'O', rest @ ..]) => (8, rest, true),
        (0, [b'0', b'b' | b'B', rest @ ..]) => (2, rest, true),
        _ => (10, text, false),
    };
    let number = digits_value(digits, radix, prefixed)?;
    // Base 0 refuses "010", which Python 2 read as octal; all zeros are zero.
    let old_octal = base == 0 && radix == 10 && text.len() > 1 && text[0] == b'0';
    if old_octal && number != Number::Small(0) {
        return None;
    }
    Some(match number {
        Number::Small(n) if negative => Number::Small(-n),
        Number::Big(big) if negative => Number::Big(big.negated()),
        other => other,
    })
}

fn digits_value(digits: &[u8], radix: u32, prefixed: bool) -> Option<Number> {
    let mut value = Some(0_i64);
    let mut whole = Digits::new();
    let mut count = 0;
    // An underscore may stand between digits and after a prefix, never first or last.
    let mut after_digit = prefixed;
    for byte in digits {
        if *byte == b'_' {
            if !after_digit {
                return None;
            }
            after_digit = false;
            continue;
        }
        let digit = char::from(*byte).to_digit(radix)?;
        after_digit = true;
        count += 1;
        whole.digit(radix, digit);
        value = value
            .and_then(|v| v.checked_mul(i64::from(radix)))
            .and_then(|v| v.checked_add(i64::from(digit)));
    }
    if count == 0 || !after_digit || (radix == 10 && count > MAX_DECIMAL_DIGITS) {
        return None;
    }
    Some(value.map_or_else(|| Number::Big(whole.done()), Number::Small))
}

/// `strtol(line, &end, 0)` where it takes the whole line: decimal, 0x hexadecimal, 0 octal.
fn c_long(line: &[u8]) -> Option<i64> {
    let start = line.iter().position(|b| !is_space(*b))?;
    let (negative, text) = match &line[start..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        text => (false, text),
    };
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (16, rest),
        [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        _ => (10, text),
    };
    if digits.is_empty() || !digits.iter().all(|b| char::from(*b).is_digit(radix)) {
        return None;
    }
    let value = i64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
    let value = if negative { -value } else { value };
    i32::try_from(value).ok().map(i64::from)
}

/// The argument of INT. `I00` and `I01` (exactly) are booleans.
pub(crate) fn int_line(line: &[u8]) -> Option<Result<bool, Number>> {
    if line.is_empty() {
        return None;
    }
    match c_long(line) {
        Some(n @ (0 | 1)) if line.len() == 2 => Some(Ok(n == 1)),
        Some(n) => Some(Err(Number::Small(n))),
        None => python_int(line, 0).map(Err),
    }
}

/// The argument of LONG: one trailing `L` is dropped.
pub(crate) fn long_line(line: &[u8]) -> Option<Number> {
    if line.is_empty() {
        return None;
    }
    python_int(line.strip_suffix(b"L").unwrap_or(line), 0)
}

/// The argument of PUT and GET: a memo key in decimal.
pub(crate) fn memo_line(line: &[u8]) -> Option<u64> {
    match python_int(line, 10)? {
        Number::Small(n) => u64::try_from(n).ok(),
        Number::Big(_) => None,
    }
}

/// The argument of FLOAT, as `PyOS_string_to_double` takes it.
pub(crate) fn float_line(line: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(line).ok()?;
    // Rust and C take the same words here (nan, inf, infinity in any case); digits that are too
    // many are an error in Python.
    let number = text.parse::<f64>().ok()?;
    let overflown = number.is_infinite() && line.iter().any(u8::is_ascii_digit);
    (!overflown).then_some(number)
}

/// What the argument of UNICODE stands for (Python's raw-unicode-escape), or `None` if its
/// escapes are broken. Surrogates become U+FFFD: no name in the allow-list has one.
pub(crate) fn raw_unicode_escape(line: &[u8]) -> Option<String> {
    let mut out = String::new();
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'\\' {
            out.push(char::from(*byte));
            continue;
        }
        let count = match bytes.next() {
            Some(b'u') => 4,
            Some(b'U') => 8,
            Some(other) => {
                out.push('\\');
                out.push(char::from(*other));
                continue;
            }
            None => {
                out.push('\\');
                break;
            }
        };
        out.push(hex_char(&mut bytes, count)?);
    }
    Some(out)
}

fn hex_char<'a>(bytes: &mut impl Iterator<Item = &'a u8>, count: usize) -> Option<char> {
    let mut code = 0_u32;
    for _ in 0..count {
        code = code.checked_mul(16)? + char::from(*bytes.next()?).to_digit(16)?;
    }
    if code > 0x10_ffff {
        return None;
    }
    Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// What the argument of STRING stands for (a Python 2 string literal), or `None` if it is not in
/// quotes, has a broken escape, or is not ASCII, which the loader's default encoding refuses.
pub(crate) fn quoted_string(line: &[u8]) -> Option<String> {
    let body = match line {
        [b'\'', body @ .., b'\''] | [b'"', body @ .., b'"'] => body,
        _ => return None,
    };
    let mut out = Vec::with_capacity(body.len());
    let mut bytes = body.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next()? {
            b'\n' => {}
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            c @ (b'\\' | b'\'' | b'"') => out.push(c),
            b'x' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                out.push(u8::try_from(high * 16 + low).ok()?);
            }
            c @ b'0'..=b'7' => {
                let mut code = u32::from(c - b'0');
                for _ in 0..2 {
                    let Some(digit) = bytes.next_if(|b| (b'0'..=b'7').contains(b)) else {
                        break;
                    };
                    code = code * 8 + u32::from(digit - b'0');
                }
                out.push(u8::try_from(code & 0xff).ok()?);
            }
            other => out.extend([b'\\', other]),
        }
    }
    String::from_utf8(out).ok().filter(|text| text.is_ascii())
}

/// Checks UTF-8 that may hold surrogates (Python's `surrogatepass`), in pieces.
#[derive(Default)]
pub(crate) struct SurrogateUtf8 {
    tail: Vec<u8>,
    broken: bool,
}

impl SurrogateUtf8 {
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        if self.broken {
            return;
        }
        let mut rest = piece;
        // A character may be cut between two pieces: complete it first, byte by byte.
        while !self.tail.is_empty() && !rest.is_empty() && !self.broken {
            self.tail.push(rest[0]);
            rest = &rest[1..];
            let joined = std::mem::take(&mut self.tail);
            self.check(&joined);
        }
        if !self.broken {
            self.check(rest);
        }
    }

    fn check(&mut self, mut bytes: &[u8]) {
        while let Err(error) = std::str::from_utf8(bytes) {
            let rest = &bytes[error.valid_up_to()..];
            match (rest, error.error_len()) {
                ([0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..], _) => bytes = after,
                ([0xed] | [0xed, 0xa0..=0xbf], _) | (_, None) => {
                    self.tail = rest.to_vec();
                    return;
                }
                _ => {
                    self.broken = true;
                    return;
                }
            }
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        !self.broken && self.tail.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ints_are_read_as_the_c_unpickler_reads_them() {
        let small = |n| Some(Err(Number::Small(n)));
        assert_eq!(int_line(b"01"), Some(Ok(true)));
        assert_eq!(int_line(b"00"), Some(Ok(false)));
        assert_eq!(int_line(b"1"), small(1));
        assert_eq!(int_line(b"0x10"), small(16));
        assert_eq!(int_line(b" 0o7"), small(7));
        assert_eq!(int_line(b"0777"), small(511));
        assert_eq!(int_line(b"1_000"), small(1000));
        assert_eq!(int_line(b"3000000000"), small(3_000_000_000));
        assert!(matches!(int_line(b"99999999999999999999"), Some(Err(Number::Big(_)))));
        assert_eq!(float_line(b"1e308"), Some(1e308));
        assert_eq!(float_line(b"-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(float_line(b"1e309"), None);
        assert_eq!(int_line(b"1\0anything"), small(1));
        for bad in [&b""[..], b"x", b"1x", b"1__0", b"_1", b"0x", b"09", b"- 1"] {
            assert_eq!(int_line(bad), None, "{bad:?}");
        }
        assert_eq!(long_line(b"0x10L"), Some(Number::Small(16)));
        assert_eq!(long_line(b"-5L"), Some(Number::Small(-5)));
        assert_eq!(memo_line(b"010"), Some(10));
        assert_eq!(memo_line(b" 1_0 "), Some(10));
        assert_eq!(memo_line(b"0x1"), None);
        assert_eq!(memo_line(b"-1"), None);
    }

    #[test]
    fn text_escapes_are_resolved_as_python_resolves_them() {
        assert_eq!(raw_unicode_escape(b"\\u006fs").as_deref(), Some("os"));
        assert_eq!(raw_unicode_escape(b"\\\\u006fs").as_deref(), Some("\\\\u006fs"));
        assert_eq!(raw_unicode_escape(b"\xe9").as_deref(), Some("é"));
        assert_eq!(raw_unicode_escape(b"\\u00"), None);
        assert_eq!(raw_unicode_escape(b"\\U00110000"), None);
        assert_eq!(quoted_string(b"'\\x6fs'").as_deref(), Some("os"));
        assert_eq!(quoted_string(b"'\\157s'").as_deref(), Some("os"));
        assert_eq!(quoted_string(b"os"), None);
        assert_eq!(quoted_string(b"'"), None);
    }

    #[test]
    fn surrogates_pass_and_cut_characters_are_joined() {
        let text = "aé€😀".as_bytes();
        for cut in 0..text.len() {
            let mut utf8 = SurrogateUtf8::default();
            utf8.feed(&text[..cut]);
            utf8.feed(&text[cut..]);
            assert!(utf8.is_whole(), "cut at {cut}");
        }
        for bytes in [&b"\xed\xa0\x80x"[..], b"\xed\xbf\xbf"] {
            let mut utf8 = SurrogateUtf8::default();
            bytes.chunks(1).for_each(|b| utf8.feed(b));
            assert!(utf8.is_whole(), "{bytes:x?}");
        }
        for bytes in [&b"\xff"[..], b"\xc3", b"\xed\xa0", b"\xc0\x80"] {
            let mut utf8 = SurrogateUtf8::default();
            bytes.chunks(1).for_each(|b| utf8.feed(b));
            assert!(!utf8.is_whole(), "{bytes:x?}");
        }
    }
}
