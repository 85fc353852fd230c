//! The arrays and objects that are open, and the keys of those objects.

use super::super::index::Index;
use super::{Expected, KEY_OVERHEAD, MAX_KEY_BYTES};

/// Keys that are compared one by one; most objects have no more.
const FEW: usize = 8;

/// The arrays and objects that are open. Their keys stand one after the other, those of the innermost object last, and
/// go when it closes.
#[derive(Default)]
pub(in super::super) struct Nesting {
    open: Vec<Open>,
    text: Vec<u8>,
    /// Where each key ends.
    ends: Vec<u32>,
}

struct Open {
    object: bool,
    /// Keys of the objects around it.
    before: usize,
    /// Where its keys are found, once there are more than a few.
    index: Option<Box<Index>>,
}

impl Nesting {
    pub(super) fn in_object(&self) -> bool {
        self.open.last().is_some_and(|open| open.object)
    }

    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    pub(super) fn after_value(&self) -> Expected {
        if self.open.is_empty() { Expected::End } else { Expected::CommaOrEnd }
    }

    pub(in super::super) fn enter(&mut self, object: bool) -> Expected {
        self.open.push(Open { object, before: self.ends.len(), index: None });
        if object { Expected::KeyOrEnd } else { Expected::ValueOrEnd }
    }

    pub(in super::super) fn close(&mut self) -> Expected {
        if let Some(closed) = self.open.pop() {
            self.ends.truncate(closed.before);
            self.text.truncate(self.ends.last().map_or(0, |end| *end as usize));
        }
        self.after_value()
    }

    /// Bytes the next key may take.
    pub(in super::super) fn room(&self) -> usize {
        let held = self.text.len() + (self.ends.len() + 1) * KEY_OVERHEAD;
        MAX_KEY_BYTES.saturating_sub(held)
    }

    pub(in super::super) fn add_key(&mut self, key: &[u8]) -> Result<(), String> {
        let Self { open, text, ends } = self;
        let Some(Open { object: true, before, index }) = open.last_mut() else {
            return Ok(());
        };
        let at = |number: usize| {
            let start = number.checked_sub(1).map_or(0, |previous| ends[previous] as usize);
            &text[start..ends[number] as usize]
        };
        let known = |number: u32, key: &[u8]| at(number as usize) == key;
        let all = *before..ends.len();
        let there = if all.len() < FEW {
            all.into_iter().any(|number| at(number) == key)
        } else {
            let index = index.get_or_insert_with(|| {
                let mut index = Box::<Index>::default();
                for number in all {
                    index.place(at(number), number as u32, |other| known(other, at(number)));
                }
                index
            });
            let next = ends.len() as u32;
            index.place(key, next, |other| known(other, key)) != next
        };
        if there {
            let name = super::super::report::quoted(&String::from_utf8_lossy(key));
            return Err(format!("duplicate key \"{name}\""));
        }
        text.extend_from_slice(key);
        // Bounded by what all keys may take.
        ends.push(text.len() as u32);
        Ok(())
    }

    pub(super) fn end_of_input(&self, tokens: u32) -> &'static str {
        if tokens == 1 && self.open.is_empty() {
            "no document in the file"
        } else {
            "the document ends before it is complete"
        }
    }
}
