//! Opcodes that carry their value in the stream: lengths, numbers, texts, bytes, frames.
//!
//! Bodies are skipped, or checked in pieces; only what could be a name is kept. A declared length is first compared
//! with what is left of the file.

use crate::formats::pickle::cost::hashing::Digits;
use crate::formats::pickle::libraries::models::{HEAD, Kind};
use crate::formats::pickle::libraries::scipy::distributions;
use crate::formats::pickle::unpickler::arena::Characters;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::opcodes::Opcode;
use crate::formats::pickle::unpickler::text::{self as text, Number, SurrogateUtf8};
use crate::formats::pickle::unpickler::values::{Form, MAX_NAME, UNKNOWN, Value};
use crate::job::Halt;

const HIGHEST_PROTOCOL: u8 = 5;
/// Bytes kept of a text line; a longer line is skipped.
const MAX_LINE: usize = 16 * 1024 * 1024;

impl Machine<'_, '_, '_> {
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Halt> {
        let mut bytes = [0; N];
        if !self.source.exact(&mut bytes)? {
            return self.truncated();
        }
        Ok(bytes)
    }

    /// The declared length of a body. One that is longer than the rest of the file is refused here.
    pub(crate) fn body_len(&mut self, opcode: Opcode) -> Result<u64, Halt> {
        use Opcode as Op;
        let len = match opcode {
            Op::ShortBinString | Op::ShortBinBytes | Op::ShortBinUnicode | Op::Long1 => {
                u64::from(self.array::<1>()?[0])
            }
            Op::BinUnicode8 | Op::BinBytes8 | Op::ByteArray8 => {
                u64::from_le_bytes(self.array::<8>()?)
            }
            Op::BinString | Op::Long4 => {
                let len = i32::from_le_bytes(self.array::<4>()?);
                let Ok(len) = u64::try_from(len) else {
                    return self.broken("a negative length");
                };
                len
            }
            _ => u64::from(u32::from_le_bytes(self.array::<4>()?)),
        };
        if let Some(left) = self.source.left().filter(|left| len > *left) {
            return self.broken(&format!(
                "the pickle is truncated: it declares {len} bytes where {left} are left"
            ));
        }
        Ok(len)
    }

    pub(crate) fn skip(&mut self, len: u64) -> Result<(), Halt> {
        if self.source.skip(len)? { Ok(()) } else { self.truncated() }
    }

    /// Reads a line into `self.line`; false if it was too long to keep.
    pub(crate) fn read_line(&mut self) -> Result<bool, Halt> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        let mut whole = true;
        let complete = self.source.line(|piece| {
            let room = MAX_LINE - line.len();
            whole &= piece.len() <= room;
            line.extend_from_slice(&piece[..piece.len().min(room)]);
            Ok(())
        })?;
        self.line = line;
        if complete { Ok(whole) } else { self.truncated() }
    }

    pub(crate) fn proto(&mut self) -> Result<(), Halt> {
        let [protocol] = self.array()?;
        if protocol > HIGHEST_PROTOCOL {
            return self.broken(&format!("unknown pickle protocol {protocol}"));
        }
        self.protocol = protocol;
        Ok(())
    }

    pub(crate) fn frame(&mut self) -> Result<(), Halt> {
        let len = u64::from_le_bytes(self.array()?);
        if self.frame_end.is_some() {
            return self.broken("a frame begins inside another");
        }
        if !self.source.may_hold(len) {
            return self.broken("the pickle is truncated: a frame is longer than the file");
        }
        // The length of an unpacked stream is not known yet, so this is checked at the end of the frame.
        self.frame_end = Some(self.source.offset().saturating_add(len));
        Ok(())
    }

    pub(crate) fn text_number(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let whole = self.read_line()?;
        let arena = &mut self.arena;
        let integer = |number| match number {
            Number::Small(n) => Value::Int(n),
            Number::Big(big) => arena.big(big),
        };
        let value = match opcode {
            Opcode::Int => {
                text::int_line(&self.line).map(|parsed| parsed.map_or_else(integer, Value::Bool))
            }
            Opcode::Long => text::long_line(&self.line).map(integer),
            _ => text::float_line(&self.line).map(|number| Value::Float(number.to_bits())),
        };
        match value {
            Some(value) if whole => {
                self.push(value);
                Ok(())
            }
            _ => self.broken("a number that Python cannot read"),
        }
    }

    pub(crate) fn binary_int(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let value = match opcode {
            Opcode::BinInt1 => i64::from(self.array::<1>()?[0]),
            Opcode::BinInt2 => i64::from(u16::from_le_bytes(self.array()?)),
            _ => i64::from(i32::from_le_bytes(self.array()?)),
        };
        self.push(Value::Int(value));
        Ok(())
    }

    pub(crate) fn binary_long(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let len = self.body_len(opcode)?;
        if len > 8 {
            return self.long_number(len);
        }
        let mut bytes = [0; 8];
        let used = &mut bytes[..usize::try_from(len).unwrap_or(8)];
        if !self.source.exact(used)? {
            return self.truncated();
        }
        let negative = used.last().is_some_and(|b| *b & 0x80 != 0);
        let filled = used.len();
        if negative {
            bytes[filled..].fill(0xff);
        }
        self.push(Value::Int(i64::from_le_bytes(bytes)));
        Ok(())
    }

    fn long_number(&mut self, len: u64) -> Result<(), Halt> {
        // Most are unsigned numbers of 64 bits, with a byte for the sign.
        if len == 9 {
            let bytes = self.array::<9>()?;
            let value = match bytes {
                [word @ .., 0] => Value::Word(u64::from_le_bytes(word)),
                _ => {
                    let mut digits = Digits::new();
                    digits.bytes(&bytes);
                    self.arena.big(digits.done())
                }
            };
            self.push(value);
            return Ok(());
        }
        let mut digits = Digits::new();
        let complete = self.source.stream(len, |piece| {
            digits.bytes(piece);
            Ok(())
        })?;
        if !complete {
            return self.truncated();
        }
        let value = self.arena.big(digits.done());
        self.push(value);
        Ok(())
    }

    pub(crate) fn text_line(&mut self, opcode: Opcode) -> Result<(), Halt> {
        if !self.read_line()? {
            // Too long to be a name; its escapes are not checked.
            self.push(Value::LongText(UNKNOWN));
            return Ok(());
        }
        let decoded = match opcode {
            Opcode::Unicode => text::raw_unicode_escape(&self.line),
            _ => text::quoted_string(&self.line),
        };
        let Some(decoded) = decoded else {
            return self.broken("a text that Python cannot read");
        };
        let model = decoded.as_bytes().first_chunk().and_then(Kind::of);
        let model = model.filter(|kind| *kind == Kind::Arrow || decoded.len() > MAX_NAME);
        let value = match model {
            Some(kind) => self.model_text(kind, decoded.as_bytes())?,
            None if distributions::is_template(decoded.as_bytes()) => Value::Template,
            None => self.arena.text(decoded.as_bytes()),
        };
        self.push(value);
        Ok(())
    }

    pub(crate) fn ascii_text(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let len = self.body_len(opcode)?;
        let mut ascii = true;
        let value = self.text_body(len, |piece| ascii &= piece.is_ascii())?;
        if !ascii {
            return self.broken("a byte string of Python 2 that is not ASCII");
        }
        self.push(value);
        Ok(())
    }

    pub(crate) fn unicode_text(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let len = self.body_len(opcode)?;
        let mut utf8 = SurrogateUtf8::default();
        let value = self.text_body(len, |piece| utf8.feed(piece))?;
        if !utf8.is_whole() {
            return self.broken("a text that is not UTF-8");
        }
        self.push(value);
        Ok(())
    }

    pub(crate) fn text_body(
        &mut self,
        len: u64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<Value, Halt> {
        let mut short = [0; MAX_NAME];
        if let Some(name) = usize::try_from(len).ok().and_then(|len| short.get_mut(..len)) {
            if !self.source.exact(name)? {
                return self.truncated();
            }
            each(name);
            if distributions::is_template(name) {
                return Ok(Value::Template);
            }
            let table = name.first_chunk().and_then(Kind::of) == Some(Kind::Arrow);
            return if table {
                self.model_text(Kind::Arrow, name)
            } else {
                Ok(self.arena.text(name))
            };
        }
        let head = self.array()?;
        if let Some(kind) = Kind::of(&head) {
            return self.model_body(kind, Form::Text, &head, len, &mut each);
        }
        if distributions::begins(&head, len) {
            return self.template_body(&head, len, each);
        }
        each(&head);
        let mut length = Characters::default();
        length.add(&head);
        let complete = self.source.stream(len - head.len() as u64, |piece| {
            length.add(piece);
            each(piece);
            Ok(())
        })?;
        if complete { Ok(Value::LongText(length.as_bytes())) } else { self.truncated() }
    }

    /// A short text that may be source code of scipy's.
    fn template_body(
        &mut self,
        head: &[u8],
        len: u64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<Value, Halt> {
        let mut text = vec![0; usize::try_from(len).unwrap_or(head.len())];
        text[..head.len()].copy_from_slice(head);
        if !self.source.exact(&mut text[head.len()..])? {
            return self.truncated();
        }
        each(&text);
        Ok(if distributions::is_template(&text) {
            Value::Template
        } else {
            Value::LongText(Characters::of(&text))
        })
    }

    pub(crate) fn binary_bytes(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let mut len = self.body_len(opcode)?;
        let (value, form) = match opcode {
            Opcode::ByteArray8 => (Value::ByteArray(len), Form::ByteArray),
            _ => (Value::Bytes(len), Form::Bytes),
        };
        if len >= HEAD as u64 {
            let head = self.array()?;
            let kind = Kind::of(&head).filter(|kind| *kind == Kind::Arrow || len > MAX_NAME as u64);
            if let Some(kind) = kind {
                let model = self.model_body(kind, form, &head, len, &mut |_| {})?;
                self.push(model);
                return Ok(());
            }
            len -= head.len() as u64;
        }
        self.skip(len)?;
        self.push(value);
        Ok(())
    }
}
