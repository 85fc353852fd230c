//! A document, or a part of one, in memory: arrays of numbers packed.

use super::super::report::quoted;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Numbers(Numbers),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// An array of nothing but numbers, or of nothing at all.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numbers {
    pub(super) kind: Kind,
    pub(super) values: Vec<f64>,
}

/// What an array's numbers are, and how they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An array of no elements that says no type.
    Empty,
    Ints,
    Floats,
    Bools,
    /// Elements that do not belong together; none is kept.
    Mixed,
    /// A typed array of the binary form, with its mark.
    Typed(u8),
}

impl Value {
    /// What an object holds under a key.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// An object under a key.
    pub(super) fn object(&self, key: &str) -> Result<&Value, String> {
        match self.get(key) {
            Some(value @ Value::Object(_)) => Ok(value),
            Some(_) => Err(format!("{key} is no object")),
            None => Err(format!("there is no {key}")),
        }
    }

    /// A text under a key.
    pub(super) fn text(&self, key: &str) -> Result<&str, String> {
        match self.get(key) {
            Some(Value::Text(text)) => Ok(text),
            Some(_) => Err(format!("{key} is no string")),
            None => Err(format!("there is no {key}")),
        }
    }

    /// A whole number written as a text, as XGBoost keeps its parameters.
    pub(super) fn count(&self, key: &str) -> Result<usize, String> {
        let text = self.text(key)?;
        match text.parse::<i32>().map(usize::try_from) {
            Ok(Ok(count)) => Ok(count),
            _ => Err(format!("{key} is \"{}\" and no count", quoted(text))),
        }
    }

    /// An array of numbers under a key, of a kind that `takes` accepts.
    pub(super) fn numbers(
        &self,
        key: &str,
        takes: impl Fn(Kind) -> bool,
    ) -> Result<&[f64], String> {
        match self.get(key) {
            Some(Value::Numbers(numbers)) if takes(numbers.kind) => Ok(&numbers.values),
            Some(_) => Err(format!("{key} is no array of the numbers that belong there")),
            None => Err(format!("there is no {key}")),
        }
    }

    /// The elements of an array that holds no numbers.
    pub(super) fn elements(&self) -> Option<&[Value]> {
        match self {
            Value::Array(elements) => Some(elements),
            Value::Numbers(numbers) if numbers.kind == Kind::Empty => Some(&[]),
            _ => None,
        }
    }
}
