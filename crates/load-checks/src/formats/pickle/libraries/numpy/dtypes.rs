//! What the state of a dtype may be.
//!
//! A dtype tells numpy how to read raw bytes as values, and numpy does not check a pickled one. A state that hides
//! references forges pointers; one whose fields reach past the item reads other memory. Both load without an error, so
//! they are refused here.

use crate::formats::pickle::cost::hashing::print_of_text;
use crate::formats::pickle::libraries::ml_dtypes;
use crate::formats::pickle::unpickler::arena::Arena;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::{UNKNOWN, Value};
use crate::job::Halt;
use crate::report::quoted;

/// State flags of a plain object dtype: holds references, is pickled as a list, and so on.
const OBJECT_FLAGS: i64 = 63;
/// The newest version of a dtype's state that numpy reads.
const NEWEST_STATE: i64 = 4;
/// What a record with such a field inherits: its array is pickled as a list, never as raw bytes.
const RECORD_FLAGS: i64 = 27;

impl Machine<'_, '_, '_> {
    /// `numpy.dtype(text, align, copy)`. Without a copy the answer is numpy's own shared dtype,
    /// which must not be given a state.
    pub(crate) fn dtype(&mut self, global: u32, args: &[Value]) -> Option<Value> {
        let (object, size) = match args.first()? {
            Value::Name(name) => {
                let text = self.arena.name(*name);
                let size = item_size(text);
                let object = text.contains(&b'O');
                if size == UNKNOWN {
                    // No pickle of numpy's has any other, and `numpy.dtype` knows few.
                    let told = quoted(&String::from_utf8_lossy(text));
                    let what = format!("there is no numpy dtype \"{told}\" at byte {}", self.at);
                    self.job.findings.broken(what);
                    (false, 0)
                } else {
                    (object, size)
                }
            }
            Value::Global(class) => {
                let class = self.arena.global_note(*class);
                let size = ml_dtypes::size_of(class).unwrap_or(UNKNOWN);
                (class.name.contains("bject"), size)
            }
            _ => return None,
        };
        let simple = match args.first()? {
            Value::Name(name) => {
                self.arena.name(*name).first().is_some_and(|kind| b"bifumMSU".contains(kind))
            }
            _ => false,
        };
        let flexible = match args.first()? {
            Value::Name(name) => {
                self.arena.name(*name).first().is_some_and(|kind| b"SUV".contains(kind))
            }
            _ => true,
        };
        let mut code = [0; 3];
        if let Value::Name(name) = args.first()? {
            code.iter_mut().zip(self.arena.name(*name)).for_each(|(to, from)| *to = *from);
        }
        let copied = matches!(args, [_, _, Value::Bool(true) | Value::Int(1)]);
        let made = self.arena.instance(global);
        if let Value::Instance(id) = made {
            let note = &mut self.arena.instances[id as usize];
            note.object_dtype = object;
            note.simple = simple;
            note.flexible = flexible;
            note.dtype = Some(size);
            note.built = !copied;
            note.code = code;
        }
        Some(made)
    }

    /// The state is (version, byte order, subarray, names, fields, size, alignment, flags, ...).
    pub(crate) fn build_dtype(&mut self, id: u32, state: Value) -> Result<(), Halt> {
        let items = match state {
            Value::Tuple(state) => self.arena.items(state).map(<[Value]>::to_vec),
            _ => None,
        };
        let Some([version, _, subarray, names, fields, size, _, flags, ..]) = items.as_deref()
        else {
            return self.broken("a numpy dtype is given a state that is no dtype's");
        };
        if !matches!(version, Value::Int(0..=NEWEST_STATE) | Value::Refused(_)) {
            return self
                .broken("a numpy dtype whose state is of a version that numpy does not read");
        }
        let size = match size {
            Value::Int(size) => u64::try_from(*size).ok(),
            _ => None,
        };
        if !self.names_fields(*names, *fields) {
            self.danger("a numpy dtype whose fields are not the ones it names");
        }
        // Texts, bytes and records are as long as the state says.
        let note = self.arena.instances[id as usize];
        if size.is_none() && (note.flexible || note.dtype == Some(UNKNOWN)) {
            self.danger("a numpy dtype of a size that is no size");
        }
        let (subarray_objects, subarray_end) = self.subarray(*subarray);
        let (field_objects, fields_end, overlap) = self.fields(*fields);
        if let Value::Dict(fields) = *fields {
            self.arena.instances[id as usize].fields =
                self.arena.dicts[fields as usize].seen.numpy.layout;
        }
        let object = self.arena.instances[id as usize].object_dtype;
        let as_list = matches!(flags, Value::Int(flags) if (0..=0xff).contains(flags) && flags & RECORD_FLAGS == RECORD_FLAGS);
        // In a field that lies over a reference, a number would become a pointer.
        let hidden_field = field_objects && (!as_list || overlap);
        self.arena.instances[id as usize].object_dtype |= field_objects;
        if subarray_objects || hidden_field || (object && *flags != Value::Int(OBJECT_FLAGS)) {
            self.danger("a numpy dtype whose state hides references to objects");
        } else if subarray_end.max(fields_end) > size.unwrap_or(0) {
            self.danger("a numpy dtype whose fields reach past its items");
        }
        let named = self.arena.instances[id as usize].dtype;
        self.arena.instances[id as usize].odd_size = size.is_some() && size != named;
        // numpy ignores the size for most kinds; the larger one can only refuse too much.
        let known = self.arena.instances[id as usize].dtype.max(size);
        self.arena.instances[id as usize].dtype = known;
        Ok(())
    }

    /// Whether a record names exactly the fields it has.
    fn names_fields(&self, names: Value, fields: Value) -> bool {
        let (names, fields) = match (names, fields) {
            (Value::None, Value::None) => return true,
            (Value::Tuple(names), Value::Dict(fields)) => {
                (names, &self.arena.dicts[fields as usize])
            }
            _ => return false,
        };
        let keys = self.arena.keys(names);
        self.arena.tuple_len(names) == fields.len && keys == Some(fields.seen.numpy.keys)
    }

    /// Whether the fields of a record hold references, where they end, and whether any lies over
    /// another.
    fn fields(&mut self, fields: Value) -> (bool, u64, bool) {
        match fields {
            Value::None => (false, 0, false),
            Value::Dict(fields) => {
                let fields = &mut self.arena.dicts[fields as usize].seen.numpy;
                fields.frozen = true;
                (fields.objects, fields.end, fields.overlap)
            }
            _ => (false, UNKNOWN, true),
        }
    }

    /// The same of a subarray, given as (dtype, shape).
    fn subarray(&self, subarray: Value) -> (bool, u64) {
        let pair = match subarray {
            Value::None => return (false, 0),
            Value::Tuple(pair) => self.arena.items(pair),
            _ => None,
        };
        let Some([Value::Instance(base), shape]) = pair else {
            return (false, UNKNOWN);
        };
        let count = match shape {
            Value::Int(count) => u64::try_from(*count).unwrap_or(UNKNOWN),
            Value::Tuple(shape) => self.arena.items(*shape).map_or(UNKNOWN, product),
            _ => UNKNOWN,
        };
        let note = self.arena.instances[*base as usize];
        (note.object_dtype, note.dtype.unwrap_or(UNKNOWN).saturating_mul(count))
    }
}

/// What is asked of a dict that becomes the fields of a record.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fields {
    /// A field holds references to objects.
    objects: bool,
    /// Where the furthest field ends.
    end: u64,
    /// A field begins before the end of those before it.
    overlap: bool,
    /// Tells the names of fields apart, taken together.
    keys: u64,
    /// Tells the fields apart by name, type and place, taken together.
    layout: u64,
    /// It became the fields of a dtype and must not change any more.
    pub(crate) frozen: bool,
}

impl Fields {
    /// Remembers an item.
    pub(crate) fn note(&mut self, arena: &Arena, key: &[u8], value: Value) {
        let (objects, start, end, code) = field(arena, value);
        self.objects |= objects;
        self.overlap |= start < self.end;
        self.end = self.end.max(end);
        if let Value::Tuple(_) = value {
            self.keys = self.keys.wrapping_add(print_of_text(key));
            self.layout = self.layout.wrapping_add(print_of_field(key, code, start));
        }
    }
}

/// Tells a field from others. That of a whole record is the sum of its fields'.
pub(crate) fn print_of_field(name: &[u8], code: [u8; 3], start: u64) -> u64 {
    print_of_text(&[name, &code, &start.to_le_bytes()].concat())
}

/// Whether one field of a record holds references, where it begins and ends, and its type's name; given as (dtype, offset) or
/// (dtype, offset, title).
fn field(arena: &Arena, value: Value) -> (bool, u64, u64, [u8; 3]) {
    let parts = match value {
        Value::Tuple(parts) => arena.items(parts),
        _ => None,
    };
    let Some([Value::Instance(dtype), Value::Int(offset), ..]) = parts else {
        return (false, 0, UNKNOWN, [0; 3]);
    };
    let note = arena.instances[*dtype as usize];
    let offset = u64::try_from(*offset).unwrap_or(UNKNOWN);
    (note.object_dtype, offset, note.dtype.unwrap_or(UNKNOWN).saturating_add(offset), note.code)
}

pub(crate) fn product(shape: &[Value]) -> u64 {
    shape.iter().fold(1, |product: u64, length| match length {
        Value::Int(length) => product.saturating_mul(u64::try_from(*length).unwrap_or(UNKNOWN)),
        _ => UNKNOWN,
    })
}

/// Bytes of one item, as numpy pickles a dtype's name: `f8`, `i4`, `b1`, `U3` (of four bytes each).
fn item_size(text: &[u8]) -> u64 {
    let Some((kind, digits)) = text.split_first() else {
        return UNKNOWN;
    };
    let count = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok());
    match (kind, count) {
        (b'U', Some(count)) => u64::from(count) * 4,
        (b'b' | b'i' | b'u' | b'f' | b'c' | b'm' | b'M' | b'S' | b'V' | b'O', Some(count)) => {
            u64::from(count)
        }
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_names_numpy_writes() {
        assert_eq!(item_size(b"f8"), 8);
        assert_eq!(item_size(b"U3"), 12);
        assert_eq!(item_size(b"V56"), 56);
        assert_eq!(item_size(b"f"), UNKNOWN);
        assert_eq!(item_size(b""), UNKNOWN);
    }
}
