//! The schema of a skops file: JSON, held as a whole.
//!
//! Knows objects and lists, not what they mean. Values stand in one list and name each other by their
//! places, so that nothing is nested in memory and nothing recurses.

use super::super::super::json::{Scalar, Visitor};
use super::names::{FILE, ID};

/// Values of a schema. A forest of a thousand trees has some 300,000.
const MAX_VALUES: usize = 3_000_000;

/// The place of a value.
pub(super) type Place = usize;

#[derive(Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
    List(Vec<Place>),
    Object(Vec<(Box<str>, Place)>),
}

/// All values; the first is the whole.
#[derive(Debug, Default)]
pub(super) struct Schema {
    values: Vec<Json>,
    /// Lists and objects that are not at their end.
    open: Vec<Place>,
    key: Box<str>,
}

impl Schema {
    pub(super) fn get(&self, place: Place) -> &Json {
        self.values.get(place).unwrap_or(&Json::Null)
    }

    /// The value of an object under a key.
    pub(super) fn member(&self, object: Place, key: &str) -> Option<Place> {
        let Json::Object(members) = self.get(object) else {
            return None;
        };
        members.iter().find(|(known, _)| **known == *key).map(|(_, place)| *place)
    }

    pub(super) fn text(&self, object: Place, key: &str) -> Option<&str> {
        match self.get(self.member(object, key)?) {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self, object: Place, key: &str) -> Option<&[Place]> {
        match self.get(self.member(object, key)?) {
            Json::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn object(&self, object: Place, key: &str) -> Option<&[(Box<str>, Place)]> {
        match self.get(self.member(object, key)?) {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Whether two nodes are the same throughout, but for the identities of what is in them. `same_file` says
    /// whether two files hold the same kind of thing. `None` where that takes more than `steps` to say.
    pub(super) fn same(
        &self,
        one: Place,
        other: Place,
        steps: &mut usize,
        same_file: impl Fn(&str, &str) -> bool,
    ) -> Option<bool> {
        let mut pairs = vec![(one, other, "")];
        while let Some((one, other, key)) = pairs.pop() {
            *steps = steps.checked_sub(1)?;
            let same = match (self.get(one), self.get(other)) {
                _ if one == other || key == ID => true,
                (Json::Text(one), Json::Text(other)) if key == FILE => same_file(one, other),
                (Json::List(one), Json::List(other)) => {
                    let both = one.iter().zip(other);
                    pairs.extend(both.map(|(one, other)| (*one, *other, "")));
                    one.len() == other.len()
                }
                (Json::Object(one), Json::Object(other)) => {
                    let both = one.iter().zip(other);
                    pairs.extend(both.map(|((key, one), (_, other))| (*one, *other, &**key)));
                    one.iter().map(|(key, _)| key).eq(other.iter().map(|(key, _)| key))
                }
                (one, other) => one == other,
            };
            if !same {
                return Some(false);
            }
        }
        Some(true)
    }

    fn add(&mut self, value: Json) -> Place {
        let place = self.values.len();
        // What is beyond the bound is told at the next value or end.
        if place > MAX_VALUES {
            return place;
        }
        self.values.push(value);
        let key = std::mem::take(&mut self.key);
        if let Some(open) = self.open.last() {
            match self.values.get_mut(*open) {
                Some(Json::List(items)) => items.push(place),
                Some(Json::Object(members)) => members.push((key, place)),
                _ => {}
            }
        }
        place
    }

    fn bounded(&self) -> Result<(), String> {
        if self.values.len() > MAX_VALUES {
            return Err(format!("a schema of more than {MAX_VALUES} values"));
        }
        Ok(())
    }
}

impl Visitor for Schema {
    fn wants(&self) -> bool {
        self.values.len() <= MAX_VALUES
    }

    fn open(&mut self, object: bool) {
        let value = if object { Json::Object(Vec::new()) } else { Json::List(Vec::new()) };
        let place = self.add(value);
        self.open.push(place);
    }

    fn key(&mut self, key: &[u8]) {
        self.key = String::from_utf8_lossy(key).into();
    }

    fn close(&mut self) -> Result<(), String> {
        self.open.pop();
        self.bounded()
    }

    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), String> {
        self.add(match scalar {
            Scalar::Null => Json::Null,
            Scalar::Bool(value) => Json::Bool(value),
            Scalar::Int(value) => Json::Int(value),
            Scalar::Float(value) => Json::Float(value),
            Scalar::Text(text) => Json::Text(text.into()),
        });
        self.bounded()
    }
}

/// Takes any value that Python's own reader takes.
pub(super) struct Plain;

impl Visitor for Plain {
    fn wants(&self) -> bool {
        false
    }

    fn takes_endless(&self) -> bool {
        true
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
