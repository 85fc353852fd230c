//! Protobuf's wire format, read as a stream: nothing is held that a caller does not ask for.
//!
//! Knows tags, numbers and lengths; must not know any message. A general decoder would hold every
//! tensor of a model in memory, and a packed model cannot be read twice.

use std::io;

use super::super::report::Finding;
use super::super::source::Source;
use super::super::{Halt, poll};

/// Groups within groups among unknown fields, as Google's own reader allows.
const MAX_GROUPS: usize = 100;
/// Fields read between two questions whether to go on.
const POLL_EVERY: u32 = 4096;

/// The value of a field, or how long it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// So many bytes stand next.
    Bytes(u64),
}

impl Field {
    pub(super) fn int(self) -> Option<i64> {
        match self {
            Field::Varint(bits) => Some(bits.cast_signed()),
            _ => None,
        }
    }
}

pub(super) struct Wire<'r, 'a> {
    source: &'r mut Source<'a>,
    keep_going: &'r dyn Fn() -> bool,
    fields: u32,
}

pub(super) fn fault<T>(at: u64, what: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Found(Box::new(Finding::fault(format!("{} at byte {at}", what.into())).at(at))))
}

impl<'r, 'a> Wire<'r, 'a> {
    pub(super) fn new(source: &'r mut Source<'a>, keep_going: &'r dyn Fn() -> bool) -> Self {
        Self { source, keep_going, fields: 0 }
    }

    pub(super) fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// Where the outermost message ends: the length of the file, or as far as it goes.
    pub(super) fn file_end(&self) -> u64 {
        self.source.len().unwrap_or(u64::MAX)
    }

    /// The next field of a message that ends at `end`; `None` there.
    pub(super) fn next(&mut self, end: u64) -> Result<Option<(u32, Field)>, Halt> {
        self.fields = self.fields.wrapping_add(1);
        if self.fields.is_multiple_of(POLL_EVERY) {
            poll(self.keep_going)?;
        }
        let at = self.offset();
        if at >= end || (end == u64::MAX && self.source.at_end()?) {
            return Ok(None);
        }
        let (number, kind) = self.tag(end)?;
        let field = match kind {
            0 => Field::Varint(self.varint(end)?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array(end)?)),
            2 => Field::Bytes(self.length(end)?),
            3 => {
                // No message of a model has groups: handed over as an unknown field that is empty.
                self.group(number, end)?;
                return Ok(Some((u32::MAX, Field::Varint(0))));
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array(end)?)),
            4 => return fault(at, "an end of a group that was not begun"),
            _ => return fault(at, format!("an unknown wire type {kind}")),
        };
        Ok(Some((number, field)))
    }

    fn tag(&mut self, end: u64) -> Result<(u32, u8), Halt> {
        let at = self.offset();
        let tag = self.varint(end)?;
        match u32::try_from(tag) {
            Ok(tag) if tag >> 3 != 0 => Ok((tag >> 3, (tag & 7) as u8)),
            _ => fault(at, "no field of a message: the file is damaged, or no ONNX"),
        }
    }

    fn length(&mut self, end: u64) -> Result<u64, Halt> {
        let at = self.offset();
        let length = self.varint(end)?;
        let left = end.saturating_sub(self.offset());
        if length > left || !self.source.may_hold(length) {
            return fault(
                at,
                format!(
                    "the file is truncated or damaged: {length} bytes are declared where {left} are left"
                ),
            );
        }
        Ok(length)
    }

    /// A number of one to ten bytes.
    pub(super) fn varint(&mut self, end: u64) -> Result<u64, Halt> {
        let at = self.offset();
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            if self.offset() >= end {
                break;
            }
            let Some(byte) = self.source.byte()? else { break };
            // The tenth byte holds one bit; like the stock reader, what it holds beyond is dropped.
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        fault(at, "the file is truncated or damaged within a number")
    }

    pub(super) fn array<const N: usize>(&mut self, end: u64) -> Result<[u8; N], Halt> {
        let at = self.offset();
        let mut out = [0; N];
        if end.saturating_sub(at) < N as u64 || !self.source.exact(&mut out)? {
            return fault(at, "the file is truncated or damaged within a number");
        }
        Ok(out)
    }

    fn group(&mut self, number: u32, end: u64) -> Result<(), Halt> {
        let mut open = vec![number];
        while let Some(innermost) = open.last().copied() {
            let at = self.offset();
            if at >= end {
                return fault(at, "a group without an end");
            }
            let (number, kind) = self.tag(end)?;
            match kind {
                0 => drop(self.varint(end)?),
                1 => drop(self.array::<8>(end)?),
                2 => {
                    let length = self.length(end)?;
                    self.skip(length)?;
                }
                3 if open.len() < MAX_GROUPS => open.push(number),
                4 if number == innermost => drop(open.pop()),
                5 => drop(self.array::<4>(end)?),
                _ => return fault(at, "a group that is damaged or nested too deeply"),
            }
            poll_some(&mut self.fields, self.keep_going)?;
        }
        Ok(())
    }

    /// Passes over the value of a field that is of no interest.
    pub(super) fn pass(&mut self, field: Field) -> Result<(), Halt> {
        match field {
            Field::Bytes(length) => self.skip(length),
            _ => Ok(()),
        }
    }

    pub(super) fn skip(&mut self, length: u64) -> Result<(), Halt> {
        let at = self.offset();
        if self.source.skip(length)? {
            Ok(())
        } else {
            fault(at, format!("the file ends within a field of {length} bytes"))
        }
    }

    pub(super) fn bytes(&mut self, length: u64) -> Result<Vec<u8>, Halt> {
        let at = self.offset();
        match self.source.read_bytes(length)? {
            Some(bytes) => Ok(bytes),
            None => fault(at, format!("the file ends within a field of {length} bytes")),
        }
    }

    /// Reads bytes of which only whether they are UTF-8 and which they are matters into `room`.
    pub(super) fn text<'t>(
        &mut self,
        room: &'t mut Vec<u8>,
        length: u64,
        most: u64,
    ) -> Result<&'t str, Halt> {
        let at = self.offset();
        if length > most {
            return fault(at, format!("a name of {length} bytes; names have at most {most}"));
        }
        if !self.source.read_into(room, length)? {
            return fault(at, format!("the file ends within a field of {length} bytes"));
        }
        match std::str::from_utf8(room) {
            Ok(text) => Ok(text),
            Err(_) => fault(at, "a name that is not UTF-8"),
        }
    }

    /// Every number of a repeated field, which may stand packed or one by one.
    pub(super) fn ints(
        &mut self,
        field: Field,
        mut each: impl FnMut(i64) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        match field {
            Field::Varint(value) => each(value.cast_signed()),
            Field::Bytes(length) => {
                let end = self.offset().saturating_add(length);
                while self.offset() < end {
                    each(self.varint(end)?.cast_signed())?;
                    poll_some(&mut self.fields, self.keep_going)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// How many numbers of `size` bytes stand in a repeated field; they are passed over.
    pub(super) fn count_fixed(&mut self, field: Field, size: u64) -> Result<u64, Halt> {
        let at = self.offset();
        match (field, size) {
            (Field::Fixed32(_), 4) | (Field::Fixed64(_), 8) => Ok(1),
            (Field::Bytes(length), _) if length.is_multiple_of(size) => {
                self.skip(length)?;
                Ok(length / size)
            }
            (Field::Bytes(_), _) => fault(at, format!("numbers of {size} bytes that are cut")),
            _ => Ok(0),
        }
    }
}

fn poll_some(steps: &mut u32, keep_going: &dyn Fn() -> bool) -> io::Result<()> {
    *steps = steps.wrapping_add(1);
    if steps.is_multiple_of(POLL_EVERY) { poll(keep_going) } else { Ok(()) }
}
