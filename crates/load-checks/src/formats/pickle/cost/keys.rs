//! What hashing the keys of dicts and sets takes, and comparing those of one hash.
//!
//! Python hashes a nested tuple again for every mention of it, so that a few opcodes can ask for more hashing than
//! any machine will finish: the work is counted here without doing it.

use crate::formats::pickle::cost::hashing::MAX_KEY_DEPTH;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

/// Steps that all hashing of nested tuples may take together.
const MAX_HASH_WORK: u64 = 200_000_000;
/// Steps that one byte of the file pays for.
const WORK_OF_BYTE: u64 = 16;
/// Up to this a key costs no more than reading it did.
const LIGHT: u64 = 8;

impl Machine<'_, '_, '_> {
    /// Refuses keys that cannot be hashed, or only at the price of a hang or a crash.
    pub(crate) fn hash_all(&mut self, start: usize, step: usize) -> Result<(), Halt> {
        for at in (start..self.stack.len()).step_by(step) {
            self.settle(self.stack[at]);
            let key = self.stack[at];
            if !self.arena.is_hashable(key) {
                return self.broken("a dict key or set item that cannot be hashed");
            }
            self.count_key(key)?;
        }
        Ok(())
    }

    /// Counts what hashing a key takes, and comparing it with the others of its hash.
    fn count_key(&mut self, key: Value) -> Result<(), Halt> {
        let weight = self.arena.weight(key);
        if weight.depth > MAX_KEY_DEPTH {
            self.danger("a dict key nested so deep that hashing it can crash the loader");
            return Err(Halt::Broken);
        }
        if weight.risky {
            self.danger("a dict key whose hash is computed from a state of any size");
            return Err(Halt::Broken);
        }
        let others = if self.arena.is_steered(key) { self.crowd.add(weight) } else { 0 };
        self.work(u64::from(weight.steps).saturating_mul(others + 1))
    }

    /// Counts values wherever they go, because what takes them may hash them later.
    pub(crate) fn weigh(&mut self, start: usize) -> Result<(), Halt> {
        for at in start..self.stack.len() {
            self.settle(self.stack[at]);
            if let Value::Tuple(_) | Value::FrozenSet(_) | Value::BigInt(_) = self.stack[at] {
                self.work(u64::from(self.arena.weight(self.stack[at]).steps))?;
            }
        }
        Ok(())
    }

    /// Each byte of the file pays for some work; the rest is given once.
    pub(crate) fn work(&mut self, steps: u64) -> Result<(), Halt> {
        if steps > LIGHT {
            self.hash_work = self.hash_work.saturating_add(steps);
            if self.hash_work > MAX_HASH_WORK.saturating_add(WORK_OF_BYTE.saturating_mul(self.at)) {
                self.danger("keys made so that hashing or comparing them would hang the loader");
                return Err(Halt::Broken);
            }
        }
        Ok(())
    }

    /// Counts what hashing takes that a call does with the items of its arguments.
    pub(crate) fn count_elements(&mut self, args: &[Value]) -> Result<(), Halt> {
        for arg in args {
            let weight = self.arena.weight(*arg);
            if self.arena.is_deep(*arg) {
                self.danger("items nested so deep that hashing them can crash the loader");
                return Err(Halt::Broken);
            }
            if weight.risky {
                self.danger("a key whose hash is computed from a state of any size");
                return Err(Halt::Broken);
            }
            let (unknown, others) = match arg {
                Value::List(id) | Value::Set(id) => {
                    let note = &self.arena.lists[*id as usize];
                    (u64::from(note.steered), note.others)
                }
                Value::Tuple(id) if weight.print != 0 => (self.arena.tuple_len(*id), 0),
                _ => (0, 0),
            };
            let compared = (unknown * unknown / 2).saturating_add(others);
            self.work(compared.saturating_add(u64::from(weight.steps)))?;
        }
        Ok(())
    }
}
