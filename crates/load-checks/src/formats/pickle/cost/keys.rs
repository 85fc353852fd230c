//! The cost of hashing the keys of dicts and sets, and of comparing keys with equal hashes.
//!
//! Python hashes a nested tuple again for each mention of it, so that a few opcodes can cause more hashing than any
//! machine will finish. The work is counted here without doing it.

use crate::formats::pickle::cost::hashing::MAX_KEY_DEPTH;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

/// Steps that all hashing may take, besides those that the file's size allows.
const MAX_HASH_WORK: u64 = 200_000_000;
/// Steps that each byte of the file allows.
const WORK_OF_BYTE: u64 = 16;
/// Steps up to which a key costs no more than reading it.
const LIGHT: u64 = 8;

impl Machine<'_, '_, '_> {
    /// Refuses keys that cannot be hashed, or whose hashing could hang or crash the loader.
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

    /// Counts hashing a key, and comparing it with the other keys of its hash.
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

    /// Counts hashing each value that is put into another, because a library may hash it later.
    pub(crate) fn weigh(&mut self, start: usize) -> Result<(), Halt> {
        for at in start..self.stack.len() {
            self.settle(self.stack[at]);
            if let Value::Tuple(_) | Value::FrozenSet(_) | Value::BigInt(_) = self.stack[at] {
                self.work(u64::from(self.arena.weight(self.stack[at]).steps))?;
            }
        }
        Ok(())
    }

    /// Counts steps, and fails when there are too many for the file's size.
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

    /// Counts hashing the items of a call's arguments.
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
