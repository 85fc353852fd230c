//! What a pickle could copy again and again.
//!
//! `bytearray(x)` takes six bytes of a pickle and copies all of `x`, which the memo gives back as often as it is
//! asked. Lists, tuples and dicts know how long they are; of texts and bytes the length is remembered here, and how
//! often a long one was mentioned again. Knows lengths, not what is done with them.

use std::collections::HashMap;

use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

/// Bodies up to this many bytes cost little more than the opcodes that copy them.
const SHORT: u64 = 128;
/// Bytes that one item of a copy takes.
const ITEM: u64 = 8;

/// The lengths of texts and bytes, and how often they came again.
#[derive(Debug, Default)]
pub(crate) struct Mentions {
    /// Of long bodies in the memo, by their keys.
    lengths: HashMap<u64, u64>,
    longest: u64,
    /// The body that was read last, and where it ended.
    last: (u64, u64),
    /// How often a long body was mentioned again and not copied yet.
    again: u64,
    /// The longest of those.
    longest_again: u64,
}

fn is_body(value: Value) -> bool {
    matches!(
        value,
        Value::Bytes(_)
            | Value::ByteArray(_)
            | Value::Text(_)
            | Value::LongText(_)
            | Value::Template
            | Value::Model(..)
    )
}

impl Mentions {
    /// A body was read.
    pub(crate) fn read(&mut self, len: u64, end: u64) {
        self.longest = self.longest.max(len);
        self.last = (len, end);
    }

    /// Bytes that stand between the opcodes.
    pub(crate) fn stands(&mut self, len: u64) {
        self.longest = self.longest.max(len);
    }

    /// A value was put into the memo by the opcode at `at`.
    pub(crate) fn put(&mut self, key: u64, value: Value, at: u64) {
        if !is_body(value) {
            self.forget(key);
            return;
        }
        // What is not memoised at once could be any that was read.
        let len = if self.last.1 == at { self.last.0 } else { self.longest };
        if len > SHORT {
            self.lengths.insert(key, len);
        } else {
            self.forget(key);
        }
    }

    /// Most keys were never of a long body.
    fn forget(&mut self, key: u64) {
        if !self.lengths.is_empty() {
            self.lengths.remove(&key);
        }
    }

    /// A value came from the memo.
    pub(crate) fn get(&mut self, key: u64, value: Value) {
        if is_body(value)
            && let Some(len) = self.lengths.get(&key)
        {
            self.again += 1;
            self.longest_again = self.longest_again.max(*len);
        }
    }

    /// A value was doubled on the stack, which no pickler does.
    pub(crate) fn duplicate(&mut self, value: Value) {
        if is_body(value) {
            self.again += 1;
            self.longest_again = self.longest_again.max(self.longest);
        }
    }

    /// Bytes that copying a body may take beyond what stands in the file.
    fn copied(&mut self) -> u64 {
        if self.again == 0 {
            return 0;
        }
        self.again -= 1;
        self.longest_again
    }

    pub(crate) fn held(&self) -> usize {
        self.lengths.capacity() * 2 * size_of::<u64>()
    }
}

impl Machine<'_, '_, '_> {
    /// Counts what a call copies out of its arguments, or an object out of its state: out of each of `parts`, which
    /// are all of `whole`. What is used once more can have been copied then, too.
    pub(crate) fn count_use(&mut self, whole: Value, parts: &[Value]) -> Result<(), Halt> {
        let again = match whole {
            Value::Tuple(id) => std::mem::replace(&mut self.arena.tuples[id as usize].used, true),
            Value::Dict(id) => std::mem::replace(&mut self.arena.dicts[id as usize].used, true),
            _ => false,
        };
        let (mut cost, mut holds) = (0_u64, false);
        for part in parts {
            holds |= is_body(*part) || matches!(part, Value::Instance(_) | Value::Dict(_));
            cost = cost.saturating_add(match part {
                Value::List(id) | Value::Set(id) => {
                    ITEM.saturating_mul(self.arena.lists[*id as usize].len)
                }
                Value::Dict(id) => {
                    ITEM.saturating_mul(self.arena.dicts[*id as usize].len).saturating_mul(4)
                }
                Value::Tuple(id) | Value::FrozenSet(id) => {
                    ITEM.saturating_mul(self.arena.tuple_len(*id))
                }
                value if is_body(*value) => self.mentions.copied(),
                _ => 0,
            });
        }
        if again && holds {
            cost = cost.saturating_add(self.mentions.longest);
        }
        self.count_copy(cost)
    }

    /// Counts what an object copies from its state.
    pub(crate) fn count_state(&mut self, state: Value) -> Result<(), Halt> {
        match state {
            Value::Tuple(id) => {
                let items = self.arena.items(id).map(<[Value]>::to_vec).unwrap_or_default();
                self.count_use(state, &items)?;
            }
            other => self.count_use(other, &[other])?,
        }
        Ok(())
    }

    /// Counts a copy of an array that several states share.
    pub(crate) fn count_longest(&mut self) -> Result<(), Halt> {
        self.count_copy(self.mentions.longest)
    }

    /// Counts what a booster allocates for its model.
    pub(crate) fn count_model(&mut self, model: Option<Value>) -> Result<(), Halt> {
        if model.is_some_and(is_body) {
            let model = self.mentions.copied().saturating_mul(ITEM);
            self.count_copy(model)?;
        }
        Ok(())
    }

    pub(crate) fn count_copy(&mut self, cost: u64) -> Result<(), Halt> {
        self.job.budget.copy(cost).map_err(std::io::Error::from)?;
        Ok(())
    }
}
