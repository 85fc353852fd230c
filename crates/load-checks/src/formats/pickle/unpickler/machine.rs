//! The machine: its state, its loop over the opcodes, and its errors.

use crate::formats::pickle::cost::copying::Mentions;
use crate::formats::pickle::cost::hashing::Crowd;
use crate::formats::pickle::libraries::joblib::Wrapper;
use crate::formats::pickle::libraries::models::Models;
use crate::formats::pickle::libraries::torch::storages::Storages;
use crate::formats::pickle::unpickler::arena::Arena;
use crate::formats::pickle::unpickler::memo::Memo;
use crate::formats::pickle::unpickler::opcodes::Opcode;
use crate::formats::pickle::unpickler::telling::RefusedNote;
use crate::formats::pickle::unpickler::values::{Form, Value};
use crate::job::{Halt, Job};
use crate::source::Source;

/// The most opcodes of one pickle.
const MAX_OPCODES: u64 = 1 << 30;
/// The most memory for stack, memo and arena together, in bytes.
const MAX_HELD: usize = 256 * 1024 * 1024;
/// Opcodes between two checks of the budgets.
const POLL_EVERY: u64 = 4096;

pub(crate) struct Machine<'a, 's, 'j> {
    pub(crate) source: &'a mut Source<'s>,
    pub(crate) job: &'a mut Job<'j>,
    pub(crate) arena: Arena,
    pub(crate) stack: Vec<Value>,
    pub(super) marks: Vec<usize>,
    pub(super) memo: Memo,
    pub(crate) protocol: u8,
    pub(crate) frame_end: Option<u64>,
    /// The offset of the current opcode.
    pub(crate) at: u64,
    pub(crate) line: Vec<u8>,
    pub(crate) hash_work: u64,
    /// Keys whose hashes the file can choose.
    pub(crate) crowd: Crowd,
    pub(crate) mentions: Mentions,
    /// The joblib array whose state is being read.
    pub(crate) wrapper: Wrapper,
    /// This pickle is within another one, so that more may follow its STOP.
    pub(crate) inner: bool,
    /// The current opcode.
    pub(crate) opcode: Opcode,
    /// The call that the current opcode makes, as callable and arguments.
    pub(crate) calling: Option<(Value, Value)>,
    /// The class or function that a finding about the current opcode names.
    pub(crate) about: Option<u32>,
    pub(crate) refused: Vec<RefusedNote>,
    /// Memory held by the pickle around this one, in bytes.
    pub(crate) held_outside: usize,
    /// Set where the caller wants the items of lists: those so far.
    pub(crate) appended: Option<Vec<Value>>,
    /// Read as `pickle.load` reads it, which does not know joblib's arrays.
    pub(crate) plain: bool,
    /// The models of boosters read so far.
    pub(crate) models: Models,
    /// Set for torch, where persistent ids name storages: those named so far.
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

    /// Treats joblib's arrays as ordinary objects.
    pub(crate) fn without_joblib(self) -> Self {
        Self { plain: true, ..self }
    }

    /// Lets persistent ids name storages, as torch's loader resolves them.
    pub(crate) fn with_storages(self, storages: Storages) -> Self {
        Self { storages: Some(storages), ..self }
    }

    /// Follows the pickle to its STOP, and returns the value on the stack there.
    pub(crate) fn run(&mut self) -> Result<Value, Halt> {
        for step in 0..MAX_OPCODES {
            if step % POLL_EVERY == POLL_EVERY - 1 {
                self.job.poll()?;
                if self.job.findings.is_full() {
                    // No pickle that a library wrote has so many findings.
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
                Value::Bytes(_)
                | Value::ByteArray(_)
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
        // The real loader reads the whole frame when it begins. The end of an unpacked stream was not known then.
        if self.frame_end.is_some_and(|end| end > self.at) {
            return self.broken("the pickle is truncated: it stops before the end of its frame");
        }
        if !self.inner && !self.source.at_end()? {
            return self.broken("trailing bytes after the pickle");
        }
        Ok(value)
    }

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
}
