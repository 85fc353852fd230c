//! Thrift's compact protocol, read as a stream.
//!
//! Knows fields, numbers and lengths; must not know any message. What is not asked for is passed
//! over without recursion, so that nothing nested can exhaust the stack.

use super::super::report::Finding;
use super::super::source::Source;
use super::super::{Halt, poll};

/// Structures within structures among what is passed over.
const MAX_DEPTH: usize = 64;
/// Fields read between two questions whether to go on.
const POLL_EVERY: u32 = 4096;

/// What a field holds: what it is, and of a truth value which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Byte,
    /// 16, 32 or 64 bits.
    Int,
    Double,
    Binary,
    List,
    Map,
    Struct,
    Uuid,
}

impl Kind {
    fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            1 | 2 => Kind::Bool,
            3 => Kind::Byte,
            4..=6 => Kind::Int,
            7 => Kind::Double,
            8 => Kind::Binary,
            9 | 10 => Kind::List,
            11 => Kind::Map,
            12 => Kind::Struct,
            13 => Kind::Uuid,
            _ => return None,
        })
    }
}

pub(super) struct Thrift<'r, 'a> {
    source: &'r mut Source<'a>,
    keep_going: &'r dyn Fn() -> bool,
    /// Nothing of the message stands here or beyond.
    end: u64,
    fields: u32,
}

/// Where a structure stands: the number of its last field.
#[derive(Default)]
pub(super) struct Struct(i64);

/// What is being passed over.
enum Open {
    Struct(Struct),
    List(u64, Kind),
    Map(u64, Kind, Kind),
}

impl<'r, 'a> Thrift<'r, 'a> {
    /// A message that stands next, before `end`.
    pub(super) fn new(
        source: &'r mut Source<'a>,
        keep_going: &'r dyn Fn() -> bool,
        end: u64,
    ) -> Self {
        Self { source, keep_going, end, fields: 0 }
    }

    pub(super) fn offset(&self) -> u64 {
        self.source.offset()
    }

    pub(super) fn fault<T>(&self, what: &str) -> Result<T, Halt> {
        let at = self.offset();
        Err(Halt::Found(Box::new(Finding::fault(format!("{what} at byte {at}")).at(at))))
    }

    fn byte(&mut self) -> Result<u8, Halt> {
        match self.source.byte()? {
            Some(byte) if self.offset() <= self.end => Ok(byte),
            _ => self.fault("the metadata end before they are complete"),
        }
    }

    fn varint(&mut self) -> Result<u64, Halt> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        self.fault("a number of more than ten bytes")
    }

    /// A number of 16, 32 or 64 bits.
    pub(super) fn int(&mut self) -> Result<i64, Halt> {
        let bits = self.varint()?;
        Ok((bits >> 1).cast_signed() ^ -((bits & 1).cast_signed()))
    }

    /// The next field of a structure; `None` at its end.
    pub(super) fn field(&mut self, within: &mut Struct) -> Result<Option<(i64, Kind)>, Halt> {
        self.fields = self.fields.wrapping_add(1);
        if self.fields.is_multiple_of(POLL_EVERY) {
            poll(self.keep_going)?;
        }
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        within.0 = match head >> 4 {
            0 => self.int()?,
            step => within.0.saturating_add(i64::from(step)),
        };
        match Kind::of(head & 15) {
            Some(kind) => Ok(Some((within.0, kind))),
            None => self.fault("no field: the metadata are damaged"),
        }
    }

    /// How many items of which kind a list has.
    pub(super) fn list(&mut self) -> Result<(u64, Kind), Halt> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        // Every item takes a byte at least, an empty structure its end.
        if count > self.end.saturating_sub(self.offset()) {
            return self.fault("a list longer than the metadata");
        }
        match Kind::of(head & 15) {
            Some(kind) => Ok((count, kind)),
            None if count == 0 => Ok((0, Kind::Byte)),
            None => self.fault("no list: the metadata are damaged"),
        }
    }

    /// A list of structures, one after the other.
    pub(super) fn structs(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        let (count, kind) = self.list()?;
        if count > 0 && kind != Kind::Struct {
            return self.fault("a list of what are no structures");
        }
        for _ in 0..count {
            each(self)?;
        }
        Ok(())
    }

    /// A string or bytes, of at most `most`.
    pub(super) fn bytes(&mut self, most: u64) -> Result<Vec<u8>, Halt> {
        let length = self.length()?;
        if length > most {
            return self.fault(&format!("a name of {length} bytes; it may have {most}"));
        }
        match self.source.read_bytes(length)? {
            Some(bytes) => Ok(bytes),
            None => self.fault("the metadata end before they are complete"),
        }
    }

    fn length(&mut self) -> Result<u64, Halt> {
        let length = self.varint()?;
        if length > self.end.saturating_sub(self.offset()) {
            return self.fault(&format!("{length} bytes are declared; the metadata end before"));
        }
        Ok(length)
    }

    fn skip(&mut self, length: u64) -> Result<(), Halt> {
        if length <= self.end.saturating_sub(self.offset()) && self.source.skip(length)? {
            Ok(())
        } else {
            self.fault("the metadata end before they are complete")
        }
    }

    /// Passes over a field. A truth value stands in its head.
    pub(super) fn pass(&mut self, kind: Kind) -> Result<(), Halt> {
        let mut open = Vec::new();
        if kind != Kind::Bool {
            self.enter(kind, &mut open)?;
        }
        while let Some(innermost) = open.last_mut() {
            let next = match innermost {
                Open::Struct(within) => match self.field(within)? {
                    Some((_, Kind::Bool)) => continue,
                    Some((_, kind)) => Some(kind),
                    None => None,
                },
                Open::List(left, kind) if *left > 0 => {
                    *left -= 1;
                    Some(*kind)
                }
                Open::Map(left, key, value) if *left > 0 => {
                    // Keys and values stand in turn.
                    *left -= 1;
                    Some(if left.is_multiple_of(2) { *value } else { *key })
                }
                Open::List(..) | Open::Map(..) => None,
            };
            match next {
                // In a list, a truth value takes a byte.
                Some(Kind::Bool) => drop(self.byte()?),
                Some(kind) => self.enter(kind, &mut open)?,
                None => drop(open.pop()),
            }
            self.fields = self.fields.wrapping_add(1);
            if self.fields.is_multiple_of(POLL_EVERY) {
                poll(self.keep_going)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, kind: Kind, open: &mut Vec<Open>) -> Result<(), Halt> {
        if open.len() == MAX_DEPTH {
            return self.fault("metadata nested too deeply");
        }
        match kind {
            Kind::Bool => {}
            Kind::Byte => drop(self.byte()?),
            Kind::Int => drop(self.int()?),
            Kind::Double => self.skip(8)?,
            Kind::Uuid => self.skip(16)?,
            Kind::Binary => {
                let length = self.length()?;
                self.skip(length)?;
            }
            Kind::List => {
                let (count, kind) = self.list()?;
                open.push(Open::List(count, kind));
            }
            Kind::Struct => open.push(Open::Struct(Struct::default())),
            Kind::Map => {
                let count = self.varint()?;
                if count == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                let (Some(key), Some(value)) = (Kind::of(kinds >> 4), Kind::of(kinds & 15)) else {
                    return self.fault("no map: the metadata are damaged");
                };
                open.push(Open::Map(count.saturating_mul(2), key, value));
            }
        }
        Ok(())
    }
}
