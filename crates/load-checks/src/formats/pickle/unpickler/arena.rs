//! Owns what the values of a pickle point to, and what was seen of each.
//!
//! Values point into the arena by index, so that cycles cost nothing and nothing recurses.

use std::collections::HashMap;

use super::notes::TupleNote;
pub(crate) use super::notes::{DictNote, GlobalNote, InstanceNote, ListNote, Span};
use super::values::{Form, NOT_BYTES, Name, UNKNOWN, Value};
use crate::formats::pickle::cost::hashing::{Big, MAX_KEY_DEPTH, Weight, print_of_text};
use crate::formats::pickle::libraries::library_of;
use crate::formats::pickle::libraries::numpy::arrays::Array;
use crate::formats::pickle::rules::grants::Grant;

/// Items kept of a tuple. No allowed call takes more arguments.
const KEPT_ITEMS: usize = 24;
/// Bytes kept of texts that are no names: enough to describe the arguments of a call.
const MAX_TOLD: usize = 64 * 1024;
#[derive(Default)]
pub(crate) struct Arena {
    text: Vec<u8>,
    /// Bytes of it that are no names.
    told: usize,
    pub(crate) tuples: Vec<TupleNote>,
    items: Vec<Value>,
    pub(crate) dicts: Vec<DictNote>,
    pub(crate) lists: Vec<ListNote>,
    bigs: Vec<Big>,
    arrays: Vec<Array>,
    pub(crate) instances: Vec<InstanceNote>,
    globals: Vec<GlobalNote>,
    /// Unexpanded numbers that were put into a list or dict after that was put into another value.
    pub(crate) late: Span,
    /// Likewise, something nested so deep that it must not be hashed.
    pub(crate) late_depth: bool,
    /// The texts of long tuples of texts, taken together.
    keys: HashMap<u32, u64>,
    by_name: HashMap<(String, String), u32>,
    /// Classes and functions by the texts that name them in the file, and the protocol that these were read in.
    pub(crate) by_text: HashMap<(Name, Name, u8), u32>,
}

impl Arena {
    /// Approximate memory held, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.text.capacity()
            + self.tuples.capacity() * size_of::<TupleNote>()
            + self.items.capacity() * size_of::<Value>()
            + self.dicts.capacity() * size_of::<DictNote>()
            + self.lists.capacity() * size_of::<ListNote>()
            + self.keys.capacity() * 2 * size_of::<u64>()
            + self.bigs.capacity() * size_of::<Big>()
            + self.arrays.capacity() * size_of::<Array>()
            + self.instances.capacity() * size_of::<InstanceNote>()
            + self.globals.capacity() * (size_of::<GlobalNote>() + 128)
            + self.by_text.capacity() * 32
    }

    /// Keeps a text only if it could be a name; data columns full of text cost nothing.
    pub(crate) fn text(&mut self, bytes: &[u8]) -> Value {
        let nameable = |b: &u8| b.is_ascii_alphanumeric() || b"_.<>-".contains(b) || !b.is_ascii();
        let (Ok(len), Ok(start)) = (u8::try_from(bytes.len()), u32::try_from(self.text.len()))
        else {
            return Value::LongText(Characters::of(bytes));
        };
        if bytes.is_empty() || !bytes.iter().all(nameable) {
            if bytes.is_empty() || self.told + bytes.len() > MAX_TOLD {
                return Value::Text(None);
            }
            self.told += bytes.len();
            self.text.extend_from_slice(bytes);
            return Value::Text(Some(Name { start, len }));
        }
        self.text.extend_from_slice(bytes);
        Value::Name(Name { start, len })
    }

    pub(crate) fn name(&self, name: Name) -> &[u8] {
        let start = name.start as usize;
        &self.text[start..start + usize::from(name.len)]
    }

    /// Bytes that a value has as the data of an array, where that is known: a text stands for a byte a character.
    pub(crate) fn length(&self, value: Value) -> Option<u64> {
        match value {
            Value::Bytes(len) | Value::ByteArray(len) | Value::LongText(len) => {
                Some(len).filter(|len| *len != UNKNOWN)
            }
            Value::Name(text) | Value::Text(Some(text)) => Some(Characters::of(self.name(text))),
            // What calls of `bytes` and `bytearray` return.
            Value::Instance(id) if self.global_of_instance(id).module == "builtins" => {
                self.array(value)?.length_of(b"u1")
            }
            _ => None,
        }
    }

    /// An array, where its type and shape are known.
    pub(crate) fn array(&self, value: Value) -> Option<Array> {
        match value {
            Value::Instance(id) => self.array_numbered(self.instances[id as usize].array),
            _ => None,
        }
    }

    /// An array by its number, counted from 1.
    pub(crate) fn array_numbered(&self, number: u32) -> Option<Array> {
        self.arrays.get(number.checked_sub(1)? as usize).copied()
    }

    /// Remembers the type and the shape of an array.
    pub(crate) fn note_array(&mut self, instance: u32, array: Array) {
        self.arrays.push(array);
        self.instances[instance as usize].array =
            u32::try_from(self.arrays.len()).unwrap_or(u32::MAX);
    }

    /// The text of a key, where it is kept; nothing of any other value.
    pub(crate) fn key(&self, value: Value) -> &[u8] {
        match value {
            Value::Name(text) | Value::Text(Some(text)) => self.name(text),
            _ => b"",
        }
    }

    pub(crate) fn is_name(&self, value: Value, text: &str) -> bool {
        matches!(value, Value::Name(name) if self.name(name) == text.as_bytes())
    }

    pub(crate) fn tuple_len(&self, tuple: u32) -> u64 {
        self.tuples.get(tuple as usize).map_or(0, |note| u64::from(note.len))
    }

    pub(crate) fn tuple(&mut self, items: &[Value]) -> Value {
        let weight = Weight::tuple(items.iter().map(|item| self.weight(*item)));
        Value::Tuple(self.note_tuple(items, weight))
    }

    pub(crate) fn frozenset(&mut self, items: &[Value]) -> Value {
        let weight = Weight::frozenset(items.iter().map(|item| self.weight(*item)));
        Value::FrozenSet(self.note_tuple(items, weight))
    }

    fn note_tuple(&mut self, items: &[Value], weight: Weight) -> u32 {
        let mut note = TupleNote {
            start: u32::try_from(self.items.len()).unwrap_or(u32::MAX),
            kept: u8::try_from(items.len().min(KEPT_ITEMS)).unwrap_or(0),
            whole: items.len() <= KEPT_ITEMS,
            len: u32::try_from(items.len()).unwrap_or(u32::MAX),
            hashable: true,
            used: false,
            span: Span::default(),
            weight,
        };
        for item in items {
            note.hashable &= self.is_hashable(*item);
            note.span |= self.span_of(*item);
        }
        if !note.whole && matches!(items, [Value::Name(_) | Value::Text(_), ..]) {
            let id = u32::try_from(self.tuples.len()).unwrap_or(u32::MAX);
            self.keys.extend(self.keys_of(items).map(|keys| (id, keys)));
        }
        self.items.extend_from_slice(&items[..usize::from(note.kept)]);
        self.tuples.push(note);
        u32::try_from(self.tuples.len() - 1).unwrap_or(u32::MAX)
    }

    /// Whether a value can be hashed.
    pub(crate) fn is_hashable(&self, value: Value) -> bool {
        match value {
            Value::Tuple(id) => self.tuples[id as usize].hashable,
            Value::List(_) | Value::Dict(_) | Value::Set(_) => false,
            Value::ByteArray(_) | Value::Model(_, Form::ByteArray) => false,
            _ => true,
        }
    }

    /// Whether the file can choose a value's hash, so that many can have one.
    pub(crate) fn is_steered(&self, value: Value) -> bool {
        match value {
            Value::Int(number) => number.unsigned_abs() >= (1 << 61) - 1,
            Value::Bool(_) | Value::Float(_) => false,
            other => self.weight(other).print != 0,
        }
    }

    /// The cost of hashing, comparing and freeing a value.
    pub(crate) fn weight(&self, value: Value) -> Weight {
        match value {
            Value::Bool(number) => Weight::int(i64::from(number)),
            Value::Int(number) => Weight::int(number),
            Value::Word(number) => Weight::word(number),
            Value::BigInt(id) => Weight::big(self.bigs[id as usize]),
            Value::Float(bits) => Weight::float(bits),
            Value::Tuple(id) | Value::FrozenSet(id) => self.tuples[id as usize].weight,
            Value::List(id) | Value::Set(id) => self.lists[id as usize].weight,
            Value::Dict(id) => self.dicts[id as usize].weight,
            Value::Instance(id) => self.instances[id as usize].weight,
            _ => Weight::PLAIN,
        }
    }

    /// Whether hashing a value, or the values of a dict, could crash the loader.
    pub(crate) fn is_deep(&self, value: Value) -> bool {
        self.late_depth
            || self.weight(value).depth > MAX_KEY_DEPTH
            || matches!(value, Value::Dict(id) if self.dicts[id as usize].deep_value)
    }

    /// The texts of a tuple, taken together; `None` where it holds anything else.
    pub(crate) fn keys(&self, tuple: u32) -> Option<u64> {
        match self.items(tuple) {
            Some(items) => self.keys_of(items),
            None => self.keys.get(&tuple).copied(),
        }
    }

    fn keys_of(&self, items: &[Value]) -> Option<u64> {
        items.iter().try_fold(0_u64, |keys, item| match item {
            Value::Name(text) | Value::Text(Some(text)) => {
                Some(keys.wrapping_add(print_of_text(self.name(*text))))
            }
            _ => None,
        })
    }

    pub(crate) fn big(&mut self, number: Big) -> Value {
        self.bigs.push(number);
        Value::BigInt(u32::try_from(self.bigs.len() - 1).unwrap_or(u32::MAX))
    }

    /// Bytes of a number in the file, where they are many.
    pub(crate) fn length_of_number(&self, value: Value) -> u32 {
        match value {
            Value::BigInt(id) => self.bigs[id as usize].len,
            _ => 0,
        }
    }

    /// All items of a tuple, or `None` if it has more than are kept.
    pub(crate) fn items(&self, id: u32) -> Option<&[Value]> {
        let note = self.tuples[id as usize];
        let start = note.start as usize;
        note.whole.then(|| &self.items[start..start + usize::from(note.kept)])
    }

    /// The unexpanded numbers in a value.
    pub(crate) fn span_of(&self, value: Value) -> Span {
        match value {
            Value::Tuple(id) | Value::FrozenSet(id) => self.tuples[id as usize].span,
            Value::List(id) | Value::Set(id) => self.lists[id as usize].span,
            Value::Dict(id) => self.dicts[id as usize].span,
            Value::Instance(id) => self.instances[id as usize].span,
            _ => Span::default(),
        }
    }

    pub(crate) fn list(&mut self) -> Value {
        Value::List(self.note_list())
    }

    pub(crate) fn set(&mut self) -> Value {
        Value::Set(self.note_list())
    }

    fn note_list(&mut self) -> u32 {
        self.lists.push(ListNote {
            len: 0,
            span: Span::default(),
            settled: false,
            weight: Weight::holder(),
            steered: 0,
            others: 0,
            plain_item: false,
        });
        u32::try_from(self.lists.len() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn dict(&mut self) -> Value {
        self.dicts.push(DictNote::empty());
        Value::Dict(u32::try_from(self.dicts.len() - 1).unwrap_or(u32::MAX))
    }

    pub(crate) fn instance(&mut self, global: u32) -> Value {
        self.instances.push(InstanceNote {
            global,
            built: false,
            object_dtype: false,
            dtype: None,
            odd_size: false,
            span: Span::default(),
            weight: Weight::PLAIN,
            copied: false,
            raw: false,
            simple: false,
            flexible: false,
            buffers: 0,
            code: [0; 3],
            fields: 0,
            array: 0,
        });
        Value::Instance(u32::try_from(self.instances.len() - 1).unwrap_or(u32::MAX))
    }

    pub(crate) fn global(&mut self, module: &str, name: &str, grant: Grant) -> Value {
        let key = (module.to_owned(), name.to_owned());
        if let Some(id) = self.by_name.get(&key) {
            return Value::Global(*id);
        }
        let id = u32::try_from(self.globals.len()).unwrap_or(u32::MAX);
        self.globals.push(GlobalNote {
            module: key.0.clone(),
            name: key.1.clone(),
            grant,
            library: library_of(module),
        });
        self.by_name.insert(key, id);
        Value::Global(id)
    }

    pub(crate) fn global_note(&self, id: u32) -> &GlobalNote {
        &self.globals[id as usize]
    }

    /// Every class and function the pickle names and may name.
    pub(crate) fn globals(&self) -> &[GlobalNote] {
        &self.globals
    }

    /// The class or function an instance came from.
    pub(crate) fn global_of_instance(&self, id: u32) -> &GlobalNote {
        self.global_note(self.instances[id as usize].global)
    }

    /// The grant of the class or function an instance came from.
    pub(crate) fn grant_of_instance(&self, id: u32) -> Grant {
        self.global_of_instance(id).grant
    }
}

/// Counts the characters of a UTF-8 text, in pieces.
#[derive(Default)]
pub(crate) struct Characters {
    count: u64,
    /// One of them is none of Latin-1.
    wide: bool,
}

impl Characters {
    /// The length of the bytes that a whole text stands for.
    pub(crate) fn of(text: &[u8]) -> u64 {
        let mut length = Self::default();
        length.add(text);
        length.as_bytes()
    }

    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.count += piece.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64;
        self.wide |= piece.iter().any(|byte| *byte > 0xc3);
    }

    /// The length of the bytes that the text stands for, a byte a character.
    pub(crate) fn as_bytes(&self) -> u64 {
        if self.wide { NOT_BYTES } else { self.count }
    }
}
