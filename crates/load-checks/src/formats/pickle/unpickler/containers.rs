//! Opcodes that gather values into tuples, lists, dicts and sets.

use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::opcodes::Opcode;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

impl Machine<'_, '_, '_> {
    pub(crate) fn make_tuple(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let len = self.stack.len();
        let start = match opcode {
            Opcode::EmptyTuple => len,
            Opcode::Tuple => self.marker()?,
            _ => {
                let count = match opcode {
                    Opcode::Tuple1 => 1,
                    Opcode::Tuple2 => 2,
                    _ => 3,
                };
                if len < self.fence() + count {
                    return self.underflow();
                }
                len - count
            }
        };
        let tuple = self.gather(start);
        self.push(tuple);
        Ok(())
    }

    /// Moves everything on the stack from `start` on into a tuple.
    pub(crate) fn gather(&mut self, start: usize) -> Value {
        for at in start..self.stack.len() {
            self.settle(self.stack[at]);
        }
        let tuple = self.arena.tuple(&self.stack[start..]);
        self.stack.truncate(start);
        tuple
    }

    pub(crate) fn make_from_mark(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let mark = self.marker()?;
        let value = match opcode {
            Opcode::Dict => {
                let dict = self.new_dict();
                self.fill_dict(dict, mark)?;
                dict
            }
            Opcode::FrozenSet => {
                self.hash_all(mark, 1)?;
                self.arena.frozenset(&self.stack[mark..])
            }
            _ => {
                self.weigh(mark)?;
                let list = self.arena.list();
                self.note_elements(list, mark);
                list
            }
        };
        self.stack.truncate(mark);
        self.push(value);
        Ok(())
    }

    /// The container that an opcode fills, which is below the items; `None` when there are no items.
    pub(crate) fn target(&mut self, start: usize) -> Result<Option<Value>, Halt> {
        if start > self.stack.len() || start <= self.fence() {
            return self.underflow();
        }
        if start == self.stack.len() {
            return Ok(None);
        }
        Ok(Some(self.stack[start - 1]))
    }

    pub(crate) fn append(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let start = match opcode {
            Opcode::Appends => self.marker()?,
            _ => self.stack.len().saturating_sub(1),
        };
        if let Some(target) = self.target(start)? {
            self.may_append(target)?;
            self.weigh(start)?;
            self.note_elements(target, start);
            if let Some(appended) = &mut self.appended {
                appended.extend_from_slice(&self.stack[start..]);
            }
            self.stack.truncate(start);
        }
        Ok(())
    }

    pub(crate) fn set_items(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let start = match opcode {
            Opcode::SetItems => self.marker()?,
            _ => self.stack.len().saturating_sub(2),
        };
        if let Some(target) = self.target(start)? {
            self.may_set_items(target)?;
            self.fill_dict(target, start)?;
            self.stack.truncate(start);
        }
        Ok(())
    }

    pub(crate) fn add_items(&mut self) -> Result<(), Halt> {
        let start = self.marker()?;
        if let Some(target) = self.target(start)? {
            self.may_add_items(target)?;
            self.hash_all(start, 1)?;
            self.note_elements(target, start);
            self.stack.truncate(start);
        }
        Ok(())
    }

    pub(crate) fn fill_dict(&mut self, target: Value, start: usize) -> Result<(), Halt> {
        if !(self.stack.len() - start).is_multiple_of(2) {
            return self.broken("a dict is given a key without a value");
        }
        self.hash_all(start, 2)?;
        self.weigh(start)?;
        self.check_items_of(target, start);
        if let Value::Dict(id) = target {
            for at in (start..self.stack.len()).step_by(2) {
                let (key, value) = (self.stack[at], self.stack[at + 1]);
                self.note_item(id, key, value);
                self.note_wrapper_item(id, key, value);
            }
        }
        Ok(())
    }
}
