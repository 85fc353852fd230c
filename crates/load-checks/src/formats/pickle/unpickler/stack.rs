//! The stack with its marks, and the opcodes that move values between the stack and the memo.

use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::opcodes::Opcode;
use crate::formats::pickle::unpickler::text;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

/// A memo key that no small pickle needs. The C unpickler allocates a table twice as large.
const FAR_KEY: u64 = 1 << 22;

impl Machine<'_, '_, '_> {
    pub(crate) fn fence(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(crate) fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    pub(crate) fn pop(&mut self) -> Result<Value, Halt> {
        if self.stack.len() <= self.fence() {
            return self.underflow();
        }
        match self.stack.pop() {
            Some(value) => Ok(value),
            None => self.underflow(),
        }
    }

    pub(crate) fn top(&mut self) -> Result<Value, Halt> {
        if self.stack.len() <= self.fence() {
            return self.underflow();
        }
        match self.stack.last() {
            Some(value) => Ok(*value),
            None => self.underflow(),
        }
    }

    pub(crate) fn underflow<T>(&mut self) -> Result<T, Halt> {
        let what = if self.marks.is_empty() {
            "an opcode takes more values than the stack holds"
        } else {
            "an opcode takes a value from below a mark"
        };
        self.broken(what)
    }

    pub(crate) fn marker(&mut self) -> Result<usize, Halt> {
        match self.marks.pop() {
            Some(mark) => Ok(mark),
            None => self.broken("an opcode needs a mark and none is set"),
        }
    }

    pub(crate) fn pop_or_unmark(&mut self) -> Result<(), Halt> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    /// Remembers the length of the text or the bytes just read.
    pub(super) fn note_body(&mut self) {
        let end = self.source.offset();
        self.mentions.read(end - self.at, end);
    }

    pub(crate) fn get(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let key = self.memo_key(opcode)?;
        match self.memo.get(key) {
            Some(value) => {
                self.mentions.get(key, value);
                self.push(value);
                Ok(())
            }
            None => self.broken(&format!("memo {key} is read before it is written")),
        }
    }

    pub(crate) fn put(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let key = match opcode {
            Opcode::Memoize => self.memo.len(),
            _ => self.memo_key(opcode)?,
        };
        let value = self.top()?;
        if key > FAR_KEY.max(2 * self.memo.len()) {
            self.danger("a memo key so far from the others that the loader would take memory for all between");
            return Err(Halt::Broken);
        }
        self.mentions.put(key, value, self.at);
        self.memo.put(key, value);
        Ok(())
    }

    pub(crate) fn memo_key(&mut self, opcode: Opcode) -> Result<u64, Halt> {
        match opcode {
            Opcode::BinGet | Opcode::BinPut => Ok(u64::from(self.array::<1>()?[0])),
            Opcode::LongBinGet | Opcode::LongBinPut => {
                Ok(u64::from(u32::from_le_bytes(self.array::<4>()?)))
            }
            _ => {
                let whole = self.read_line()?;
                match text::memo_line(&self.line) {
                    Some(key) if whole => Ok(key),
                    _ => self.broken("a memo key that is no number"),
                }
            }
        }
    }
}
