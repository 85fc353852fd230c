//! The stack machine: follows opcodes as CPython's C unpickler does, over symbolic values.
//!
//! Knows how opcodes move values between stack, marks and memo, and when the real unpickler
//! would give up. What a named object may be used for is decided in `calls`.

use crate::formats::pickle::cost::copying::Mentions;
use crate::formats::pickle::cost::hashing::Crowd;
use crate::formats::pickle::libraries::joblib::Wrapper;
use crate::formats::pickle::libraries::models::Models;
use crate::formats::pickle::libraries::torch::tensors::Storages;
use crate::formats::pickle::unpickler::arena::Arena;
use crate::formats::pickle::unpickler::memo::Memo;
use crate::formats::pickle::unpickler::opcodes::Opcode;
use crate::formats::pickle::unpickler::telling::RefusedNote;
use crate::formats::pickle::unpickler::text;
use crate::formats::pickle::unpickler::values::{Form, Value};
use crate::job::{Halt, Job};
use crate::source::Source;

/// Opcodes of one pickle.
const MAX_OPCODES: u64 = 1 << 30;
/// Bytes held for stack, memo and arena together.
const MAX_HELD: usize = 256 * 1024 * 1024;
/// A memo key that no small pickle needs. The C unpickler keeps a table of twice as many.
const FAR_KEY: u64 = 1 << 22;
/// Opcodes between two looks at the budgets.
const POLL_EVERY: u64 = 4096;

pub(crate) struct Machine<'a, 's, 'j> {
    pub(crate) source: &'a mut Source<'s>,
    pub(crate) job: &'a mut Job<'j>,
    pub(crate) arena: Arena,
    pub(crate) stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Memo,
    pub(crate) protocol: u8,
    pub(crate) frame_end: Option<u64>,
    /// Where the current opcode stands.
    pub(crate) at: u64,
    pub(crate) line: Vec<u8>,
    pub(crate) hash_work: u64,
    /// Keys whose hashes the file chose.
    pub(crate) crowd: Crowd,
    pub(crate) mentions: Mentions,
    /// The joblib array that is being described.
    pub(crate) wrapper: Wrapper,
    /// A pickle within another: it ends at its STOP, not at the end of the file.
    pub(crate) inner: bool,
    /// The opcode that stands at `at`.
    pub(crate) opcode: Opcode,
    /// The call it makes, and the class or function it is about.
    pub(crate) calling: Option<(Value, Value)>,
    pub(crate) about: Option<u32>,
    pub(crate) refused: Vec<RefusedNote>,
    /// Bytes held by the pickle around this one.
    pub(crate) held_outside: usize,
    /// What is put into lists, where that is asked for.
    pub(crate) appended: Option<Vec<Value>>,
    /// Read as `pickle.load` does, which knows nothing of joblib's arrays.
    pub(crate) plain: bool,
    /// The models of boosters, as far as they were read.
    pub(crate) models: Models,
    /// Where persistent ids may name storages, those named so far; elsewhere none may stand.
    pub(crate) storages: Option<Storages>,
}

impl<'a, 's, 'j> Machine<'a, 's, 'j> {
    pub(crate) fn new(source: &'a mut Source<'s>, job: &'a mut Job<'j>) -> Self {
        Self {
            source,
            job,
            arena: Arena::default(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Memo::default(),
            protocol: 0,
            frame_end: None,
            at: 0,
            line: Vec::new(),
            hash_work: 0,
            crowd: Crowd::default(),
            mentions: Mentions::default(),
            wrapper: Wrapper::default(),
            inner: false,
            opcode: Opcode::Stop,
            calling: None,
            about: None,
            refused: Vec::new(),
            held_outside: 0,
            appended: None,
            plain: false,
            models: Models::default(),
            storages: None,
        }
    }

    /// Takes joblib's arrays for ordinary objects.
    pub(crate) fn without_joblib(self) -> Self {
        Self { plain: true, ..self }
    }

    /// Lets persistent ids name storages, as torch's loader resolves them.
    pub(crate) fn with_storages(self, storages: Storages) -> Self {
        Self { storages: Some(storages), ..self }
    }

    /// Follows the pickle to its STOP, and answers what stands on the stack there.
    pub(crate) fn run(&mut self) -> Result<Value, Halt> {
        for step in 0..MAX_OPCODES {
            if step % POLL_EVERY == POLL_EVERY - 1 {
                self.job.poll()?;
                if self.job.findings.is_full() {
                    // More would tell nothing; no pickle of any library comes here.
                    return Err(Halt::Broken);
                }
                if self.held_outside + self.held() > MAX_HELD {
                    return self.broken("too many values to check within the memory budget");
                }
            }
            self.at = self.source.offset();
            if self.frame_end == Some(self.at) {
                self.frame_end = None;
            }
            let Some(byte) = self.source.byte()? else {
                return self.truncated();
            };
            let Some(opcode) = Opcode::from_byte(byte) else {
                return self.broken(&format!("unknown opcode 0x{byte:02x}"));
            };
            (self.opcode, self.calling, self.about) = (opcode, None, None);
            if opcode == Opcode::Stop {
                return self.stop();
            }
            self.step(opcode)?;
            if self.frame_end.is_some_and(|end| self.source.offset() > end) {
                return self.broken("an opcode that runs past the end of its frame");
            }
        }
        self.broken("more opcodes than the check's budget")
    }

    pub(crate) fn held(&self) -> usize {
        self.arena.held()
            + self.stack.capacity() * size_of::<Value>()
            + self.marks.capacity() * size_of::<usize>()
            + self.memo.held()
            + self.mentions.held()
            + self.crowd.held()
            + self.models.held()
            + self.storages.as_ref().map_or(0, Storages::held)
    }

    pub(crate) fn step(&mut self, opcode: Opcode) -> Result<(), Halt> {
        use Opcode as Op;
        match opcode {
            Op::Stop => {}
            Op::Proto => self.proto()?,
            Op::Frame => self.frame()?,
            Op::None => self.push(Value::None),
            Op::NewTrue => self.push(Value::Bool(true)),
            Op::NewFalse => self.push(Value::Bool(false)),
            Op::Int | Op::Long | Op::Float => self.text_number(opcode)?,
            Op::BinInt | Op::BinInt1 | Op::BinInt2 => self.binary_int(opcode)?,
            Op::Long1 | Op::Long4 => self.binary_long(opcode)?,
            Op::BinFloat => {
                let bits = u64::from_be_bytes(self.array()?);
                self.push(Value::Float(bits));
            }
            Op::String | Op::Unicode => {
                self.text_line(opcode)?;
                self.note_body();
            }
            Op::BinString | Op::ShortBinString => {
                self.ascii_text(opcode)?;
                self.note_body();
            }
            Op::BinUnicode | Op::ShortBinUnicode | Op::BinUnicode8 => {
                self.unicode_text(opcode)?;
                self.note_body();
            }
            Op::BinBytes | Op::ShortBinBytes | Op::BinBytes8 | Op::ByteArray8 => {
                self.binary_bytes(opcode)?;
                self.note_body();
            }
            Op::Mark => self.marks.push(self.stack.len()),
            Op::Pop => self.pop_or_unmark()?,
            Op::PopMark => {
                let mark = self.marker()?;
                self.stack.truncate(mark);
            }
            Op::Dup => {
                let top = self.top()?;
                self.mentions.duplicate(top);
                self.push(top);
            }
            Op::EmptyTuple | Op::Tuple1 | Op::Tuple2 | Op::Tuple3 | Op::Tuple => {
                self.make_tuple(opcode)?;
            }
            Op::EmptyList => {
                let list = self.arena.list();
                self.push(list);
            }
            Op::EmptySet => {
                let set = self.arena.set();
                self.push(set);
            }
            Op::EmptyDict => {
                let dict = self.new_dict();
                self.push(dict);
            }
            Op::List | Op::Dict | Op::FrozenSet => self.make_from_mark(opcode)?,
            Op::Append | Op::Appends => self.append(opcode)?,
            Op::SetItem | Op::SetItems => self.set_items(opcode)?,
            Op::AddItems => self.add_items()?,
            Op::Get | Op::BinGet | Op::LongBinGet => self.get(opcode)?,
            Op::Put | Op::BinPut | Op::LongBinPut | Op::Memoize => self.put(opcode)?,
            Op::Global | Op::StackGlobal | Op::Inst => self.name_global(opcode)?,
            Op::Reduce | Op::NewObj | Op::NewObjEx | Op::Obj => self.make_object(opcode)?,
            Op::Build => {
                let state = self.pop()?;
                let target = self.top()?;
                self.build(target, state)?;
            }
            Op::PersId | Op::BinPersId => self.persistent_id(opcode)?,
            Op::Ext1 | Op::Ext2 | Op::Ext4 => self.extension(opcode)?,
            Op::NextBuffer => {
                return self.broken("array data kept outside the file (an out-of-band buffer)");
            }
            Op::ReadonlyBuffer => match self.top()? {
                Value::Bytes
                | Value::ByteArray
                | Value::Model(_, Form::Bytes | Form::ByteArray)
                | Value::Instance(_)
                | Value::Refused(_) => {}
                _ => return self.broken("a read-only buffer of something that is no buffer"),
            },
        }
        Ok(())
    }

    pub(crate) fn stop(&mut self) -> Result<Value, Halt> {
        let value = self.pop()?;
        self.refuse_kept_getter(value);
        if !self.stack.is_empty() || !self.marks.is_empty() {
            return self.broken("the pickle stops with values left on its stack");
        }
        self.at = self.source.offset();
        // The loader asks for the whole frame when it begins; of an unpacked stream its end was not known then.
        if self.frame_end.is_some_and(|end| end > self.at) {
            return self.broken("the pickle is truncated: it stops before the end of its frame");
        }
        if !self.inner && !self.source.at_end()? {
            return self.broken("trailing bytes after the pickle");
        }
        Ok(value)
    }

    // ---- what cannot go on -------------------------------------------------------------------

    pub(crate) fn broken<T>(&mut self, what: &str) -> Result<T, Halt> {
        self.job.findings.broken(format!("{what} at byte {}", self.at));
        Err(Halt::Broken)
    }

    pub(crate) fn truncated<T>(&mut self) -> Result<T, Halt> {
        self.job.findings.broken(format!(
            "the pickle is truncated: the file ends at byte {}, within the opcode at byte {}",
            self.source.len().unwrap_or_else(|| self.source.offset()),
            self.at
        ));
        Err(Halt::Broken)
    }

    // ---- stack, marks and memo ---------------------------------------------------------------

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

    fn note_body(&mut self) {
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

    // ---- names and objects -------------------------------------------------------------------

    pub(crate) fn name_global(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let value = match opcode {
            Opcode::StackGlobal => {
                let name = self.pop()?;
                let module = self.pop()?;
                self.global_of_values(module, name)?
            }
            Opcode::Inst => {
                let mark = self.marker()?;
                let args = self.gather(mark);
                let class = self.global_of_lines()?;
                self.call(class, args)?
            }
            _ => self.global_of_lines()?,
        };
        self.push(value);
        Ok(())
    }

    pub(crate) fn global_of_lines(&mut self) -> Result<Value, Halt> {
        let mut whole = self.read_line()?;
        let module = String::from_utf8(self.line.clone());
        whole &= self.read_line()?;
        let name = String::from_utf8(self.line.clone());
        match (module, name) {
            (Ok(module), Ok(name)) if whole => self.find_global(&module, &name),
            _ => self.broken("a module or name that is not UTF-8 or far too long"),
        }
    }

    pub(crate) fn make_object(&mut self, opcode: Opcode) -> Result<(), Halt> {
        let value = match opcode {
            Opcode::Obj => {
                let mark = self.marker()?;
                if mark == self.stack.len() {
                    return self.underflow();
                }
                let args = self.gather(mark + 1);
                let class = self.pop()?;
                self.call(class, args)?
            }
            Opcode::NewObjEx => {
                let kwargs = self.pop()?;
                let args = self.pop()?;
                let class = self.pop()?;
                self.new_object(class, args, Some(kwargs))?
            }
            Opcode::NewObj => {
                let args = self.pop()?;
                let class = self.pop()?;
                self.new_object(class, args, None)?
            }
            _ => {
                let args = self.pop()?;
                let callable = self.pop()?;
                self.call(callable, args)?
            }
        };
        self.push(value);
        Ok(())
    }

    pub(crate) fn persistent_id(&mut self, opcode: Opcode) -> Result<(), Halt> {
        match opcode {
            Opcode::PersId => {
                self.read_line()?;
                if self.storages.is_some() {
                    return self.broken("a persistent id that names no storage as torch does");
                }
            }
            _ => {
                let id = self.pop()?;
                if self.storages.is_some() {
                    let storage = self.storage(id)?;
                    self.push(storage);
                    return Ok(());
                }
            }
        }
        self.danger_with_remedy(
            "a persistent id, which a loader of its own resolves to anything",
            "save the model with pickle.dump alone",
        );
        self.push(Value::REFUSED);
        Ok(())
    }

    pub(crate) fn extension(&mut self, opcode: Opcode) -> Result<(), Halt> {
        match opcode {
            Opcode::Ext1 => drop(self.array::<1>()?),
            Opcode::Ext2 => drop(self.array::<2>()?),
            _ => drop(self.array::<4>()?),
        }
        self.danger_with_remedy(
            "an extension code, which hides the name of a class or function",
            "save the model without copyreg.add_extension",
        );
        self.push(Value::REFUSED);
        Ok(())
    }
}
