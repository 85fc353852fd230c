//! joblib's pickles: after the state of an array wrapper, the array's raw bytes follow, between the opcodes.
//!
//! Their number follows from the wrapper's state, which must be known exactly: a reader that counts differently from
//! joblib can be made to skip opcodes. An array of objects is a pickle of its own there. Source of the rules: joblib's
//! `numpy_pickle.py` from 0.10 on.

use super::Library;
use super::numpy::arrays::{Laid, lay};
use crate::formats::pickle::rules::grants::{Entry, Rule, ruled};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;
use crate::report::Format;
use crate::report::quoted;

pub(crate) static LIBRARY: Library =
    Library { packages: &["joblib"], grants: GRANTS, ..Library::UNKNOWN };

const GRANTS: &[Entry] =
    &[("joblib.numpy_pickle", ruled(Rule::JoblibArray).with_state(), "NumpyArrayWrapper")];

/// The wrappers of joblib before 0.10, which kept each array in a file of its own.
pub(crate) fn is_file_of_array(module: &str, name: &str) -> bool {
    matches!(module, "joblib.numpy_pickle" | "joblib.numpy_pickle_compat")
        && matches!(name, "NDArrayWrapper" | "ZNDArrayWrapper")
}

/// The largest padding that joblib writes. Its bytes are no opcodes, so that `pickle.load` fails there and never takes
/// array bytes for opcodes.
const MAX_PADDING: u8 = 16;
/// Bytes of an array between two checks whether to go on.
const PIECE: u64 = 16 * 1024 * 1024;

/// What is known of the wrapper whose state is being read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wrapper {
    /// The dict of its state, once that has begun.
    dict: Option<u32>,
    /// A wrapper was made, and its state has not begun.
    awaited: bool,
    subclass: Option<Value>,
    shape: Option<Value>,
    order: Option<Value>,
    dtype: Option<Value>,
    alignment: Option<Value>,
    /// A key that is no attribute of a wrapper; it could replace a method.
    foreign: bool,
}

impl Machine<'_, '_, '_> {
    /// `NumpyArrayWrapper.__new__`: the next dict is its state.
    pub(crate) fn new_wrapper(&mut self, global: u32) -> Value {
        self.job.format = Format::Joblib;
        self.wrapper = Wrapper { awaited: true, ..Wrapper::default() };
        self.arena.instance(global)
    }

    pub(crate) fn new_dict(&mut self) -> Value {
        let dict = self.arena.dict();
        if let (true, Value::Dict(id)) = (self.wrapper.awaited, dict) {
            self.wrapper.awaited = false;
            self.wrapper.dict = Some(id);
        }
        dict
    }

    /// Remembers an item of the dict that is a wrapper's state.
    pub(crate) fn note_wrapper_item(&mut self, dict: u32, key: Value, value: Value) {
        if self.wrapper.dict != Some(dict) {
            return;
        }
        let name = self.arena.key(key);
        let slot = match name {
            b"subclass" => &mut self.wrapper.subclass,
            b"shape" => &mut self.wrapper.shape,
            b"order" => &mut self.wrapper.order,
            b"dtype" => &mut self.wrapper.dtype,
            b"numpy_array_alignment_bytes" => &mut self.wrapper.alignment,
            b"allow_mmap" => return,
            _ => {
                self.wrapper.foreign = true;
                return;
            }
        };
        *slot = Some(value);
    }

    /// BUILD of a wrapper: joblib reads the array here and puts it in the wrapper's place.
    pub(crate) fn read_wrapped_array(&mut self, id: u32, state: Value) -> Result<(), Halt> {
        let wrapper = std::mem::take(&mut self.wrapper);
        if self.storages.is_some() {
            self.danger(
                "a joblib array in a torch checkpoint: torch would take its bytes for opcodes",
            );
            return Err(Halt::Broken);
        }
        if self.inner {
            return self
                .broken("a joblib array within an array of objects, which joblib does not read");
        }
        if state.is_refused() {
            return self.broken("a joblib array that cannot be read on from what was refused");
        }
        if !matches!((state, wrapper.dict), (Value::Dict(state), Some(dict)) if state == dict) {
            return self.broken("a joblib array whose description does not stand beside it");
        }
        if wrapper.foreign {
            self.danger("a joblib array is given attributes that are none of an array's");
            return Err(Halt::Broken);
        }
        if self.frame_end.take().is_some_and(|end| end != self.source.offset()) {
            self.danger("a joblib array in the middle of a frame, which hides what stands beyond");
            return Err(Halt::Broken);
        }
        self.arena.instances[id as usize].built = true;
        self.check_subclass(wrapper.subclass)?;
        let (Some(Value::Tuple(shape)), Some(Value::Instance(dtype))) =
            (wrapper.shape, wrapper.dtype)
        else {
            return self.broken("a joblib array without a shape or a type that can be read");
        };
        let Some(count) = self.count(shape) else {
            return self.broken("a joblib array of an impossible shape");
        };
        let note = self.arena.instances[dtype as usize];
        if note.object_dtype {
            return self.object_array();
        }
        let size = match note.dtype {
            Some(size) if size > 0 && size < u64::from(u32::MAX) && !note.odd_size => size,
            _ => return self.broken("a joblib array of a type whose size is not known"),
        };
        let order = wrapper.order.unwrap_or(Value::None);
        if !self.arena.is_name(order, "C") && !self.arena.is_name(order, "F") {
            return self.broken("a joblib array of an unknown order");
        }
        match wrapper.alignment {
            Some(Value::Int(_)) => self.padding()?,
            None | Some(Value::None) => self.job.findings.note(
                "arrays of joblib before 1.2: load with joblib.load only, never with pickle.load",
            ),
            Some(_) => return self.broken("a joblib array of an unknown alignment"),
        }
        if let Laid::Fits(Some(array)) =
            lay(&self.arena, Value::Instance(dtype), Value::Tuple(shape), Value::None)
        {
            self.arena.note_array(id, array);
        }
        self.array_bytes(count.checked_mul(size))
    }

    /// Checks the class that the array gets in the end, which must be one of numpy's own.
    fn check_subclass(&mut self, subclass: Option<Value>) -> Result<(), Halt> {
        let Some(Value::Global(class)) = subclass else {
            return self.broken("a joblib array without a class that can be read");
        };
        let note = self.arena.global_note(class);
        let known = ["ndarray", "matrix", "memmap", "recarray", "MaskedArray"];
        if !note.module.starts_with("numpy") || !known.contains(&note.name.as_str()) {
            let name = quoted(&format!("{}.{}", note.module, note.name));
            self.danger(&format!(
                "a joblib array is turned into {name}, which is no array of numpy's"
            ));
            return Err(Halt::Broken);
        }
        Ok(())
    }

    fn count(&self, shape: u32) -> Option<u64> {
        self.arena.items(shape)?.iter().try_fold(1_u64, |count, length| match length {
            Value::Int(length) => count.checked_mul(u64::try_from(*length).ok()?),
            _ => None,
        })
    }

    fn padding(&mut self) -> Result<(), Halt> {
        let [len] = self.array::<1>()?;
        if len > MAX_PADDING {
            return self.broken("a joblib array with more padding than joblib writes");
        }
        self.skip(u64::from(len))
    }

    fn array_bytes(&mut self, len: Option<u64>) -> Result<(), Halt> {
        let Some(mut len) = len.filter(|len| self.source.may_hold(*len)) else {
            return self
                .broken("the file is truncated: a joblib array is longer than what is left");
        };
        self.mentions.stands(len);
        while len > 0 {
            let piece = len.min(PIECE);
            self.skip(piece)?;
            self.job.poll()?;
            len -= piece;
        }
        Ok(())
    }

    fn object_array(&mut self) -> Result<(), Halt> {
        let mut inner = Machine::new(&mut *self.source, &mut *self.job);
        inner.inner = true;
        inner.held_outside =
            self.held_outside + self.arena.held() + self.stack.capacity() * size_of::<Value>();
        match inner.run()? {
            Value::Instance(_) | Value::Refused(_) => Ok(()),
            _ => self.broken("a joblib array of objects that is no array"),
        }
    }
}
