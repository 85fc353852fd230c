//! The memo: values a pickle put aside, by key.
//!
//! Knows keys and how the real unpickler counts them, nothing of what the values are.

use std::collections::HashMap;

use super::values::Value;

/// Values by memo key. Real keys are dense; a far one goes to the map, so that one opcode cannot
/// make the table grow.
#[derive(Default)]
pub(super) struct Memo {
    dense: Vec<Option<Value>>,
    sparse: HashMap<u64, Value>,
    len: u64,
}

impl Memo {
    const SLACK: usize = 1024;

    pub(super) fn held(&self) -> usize {
        self.dense.capacity() * size_of::<Option<Value>>() + self.sparse.capacity() * 48
    }

    /// Keys written so far, as the real unpickler counts them for MEMOIZE.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn get(&self, key: u64) -> Option<Value> {
        let dense = usize::try_from(key).ok().and_then(|key| self.dense.get(key)).copied();
        match dense.flatten() {
            None if !self.sparse.is_empty() => self.sparse.get(&key).copied(),
            near => near,
        }
    }

    pub(super) fn put(&mut self, key: u64, value: Value) {
        let before = match usize::try_from(key) {
            Ok(at) if at < self.dense.len() + Self::SLACK => {
                if at >= self.dense.len() {
                    self.dense.resize(at + 1, None);
                }
                // A key that was far once may be near now.
                let far = if self.sparse.is_empty() { None } else { self.sparse.remove(&key) };
                self.dense[at].replace(value).or(far)
            }
            _ => self.sparse.insert(key, value),
        };
        self.len += u64::from(before.is_none());
    }
}
