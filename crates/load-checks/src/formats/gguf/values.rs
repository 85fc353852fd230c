//! The named values of a GGUF file.
//!
//! Keeps what the checks ask for: numbers, short arrays, the tokens, the chat templates and a few
//! strings. Of everything else it keeps the type alone.

use std::collections::HashMap;
use std::fmt;

use super::super::index::Index;

pub(super) const U32: u32 = 4;
pub(super) const I32: u32 = 5;
pub(super) const F32: u32 = 6;
pub(super) const BOOL: u32 = 7;
pub(super) const TEXT: u32 = 8;

/// The names of the types, as llama.cpp writes them.
const KINDS: [&str; 13] =
    ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"];

/// One value.
#[derive(Debug)]
pub(super) enum Value {
    Number {
        kind: u32,
        bits: u64,
    },
    /// Empty where nothing asks for it.
    Text(String),
    List(List),
}

/// An array.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) kind: u32,
    pub(super) count: u64,
    /// Its numbers, where it is short or holds the types of the tokens.
    pub(super) numbers: Vec<u64>,
    /// Its texts, where they are tokens or templates.
    pub(super) texts: Texts,
}

/// Texts one after the other.
#[derive(Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} texts", self.ends.len())
    }
}

impl Texts {
    /// Adds a text; false where all together would have more than `most` bytes.
    pub(super) fn add(&mut self, text: &[u8], most: u64) -> bool {
        let end = self.bytes.len() + text.len();
        match u32::try_from(end) {
            Ok(place) if end as u64 <= most => {
                self.bytes.extend_from_slice(text);
                self.ends.push(place);
                true
            }
            _ => false,
        }
    }

    pub(super) fn get(&self, i: usize) -> &[u8] {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.bytes[start..self.ends[i] as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The first text that was there before, each read as C does: up to its first zero.
    pub(super) fn first_again(&self) -> Option<usize> {
        let mut seen = Index::default();
        (0..self.len()).find(|i| {
            let text = up_to_zero(self.get(*i));
            // Loaders give empty tokens names of their own.
            !text.is_empty()
                && seen.place(text, *i as u32, |other| up_to_zero(self.get(other as usize)) == text)
                    != *i as u32
        })
    }
}

fn up_to_zero(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Every value by its key.
#[derive(Debug, Default)]
pub(super) struct Values(HashMap<Box<[u8]>, Value>);

impl Values {
    /// False where the key is there already.
    pub(super) fn insert(&mut self, key: Vec<u8>, value: Value) -> bool {
        self.0.insert(key.into_boxed_slice(), value).is_none()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key.as_bytes())
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A 32-bit number.
    pub(super) fn u32(&self, key: &str) -> Option<u64> {
        match self.get(key) {
            Some(Value::Number { kind: U32, bits }) => Some(*bits),
            _ => None,
        }
    }

    pub(super) fn list(&self, key: &str) -> Option<&List> {
        match self.get(key) {
            Some(Value::List(list)) => Some(list),
            _ => None,
        }
    }

    /// Every value that holds a chat template, with its key.
    pub(super) fn templates(&self) -> impl Iterator<Item = (String, &Value)> {
        self.0
            .iter()
            .filter(|(key, _)| is_template(key))
            .map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), value))
    }
}

impl Value {
    /// Its type in words.
    pub(super) fn kind_name(&self) -> String {
        let name = |kind: u32| KINDS.get(kind as usize).copied().unwrap_or("unknown");
        match self {
            Value::Number { kind, .. } => name(*kind).to_owned(),
            Value::Text(_) => name(TEXT).to_owned(),
            Value::List(list) => format!("array of {}", name(list.kind)),
        }
    }

    /// The number of its type; 9 of an array.
    pub(super) fn kind(&self) -> u32 {
        match self {
            Value::Number { kind, .. } => *kind,
            Value::Text(_) => TEXT,
            Value::List(_) => 9,
        }
    }
}

/// Whether a string is kept.
pub(super) fn is_read(key: &[u8]) -> bool {
    const READ: [&[u8]; 4] =
        [b"general.architecture", b"general.type", b"tokenizer.ggml.model", b"tokenizer.ggml.pre"];
    READ.contains(&key) || key.ends_with(b".rope.scaling.type") || is_template(key)
}

/// Whether a value may hold a chat template.
pub(super) fn is_template(key: &[u8]) -> bool {
    key.windows(b"template".len()).any(|part| part.eq_ignore_ascii_case(b"template"))
}

pub(super) fn is_tokens(key: &[u8]) -> bool {
    key == b"tokenizer.ggml.tokens"
}

pub(super) fn is_token_types(key: &[u8]) -> bool {
    key == b"tokenizer.ggml.token_type"
}
