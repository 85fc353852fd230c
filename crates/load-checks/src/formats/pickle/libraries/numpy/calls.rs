//! What NumPy's functions take that make arrays, scalars and random generators.

use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::{UNKNOWN, Value};

/// A function of NumPy's whose arguments keep a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// `_reconstruct(subtype, (0,), ...)`: an array without elements, before its state.
    EmptyArray,
    /// `numpy.ma.core._mareconstruct(class, base, (0,), type)`, likewise.
    EmptyMasked,
    /// `scalar(dtype, bytes)`; anything but bytes would be returned unchanged.
    Scalar,
    /// `numpy.dtype(text, align, copy)`.
    Dtype,
    /// A bit generator by its name or its class.
    BitGenerator,
    /// A random generator from a bit generator and its own constructor.
    Generator,
}

impl Machine<'_, '_, '_> {
    /// What a function of NumPy's returns; `None` if no pickle of NumPy's calls it so.
    pub(crate) fn call_numpy(&mut self, call: Call, global: u32, args: &[Value]) -> Option<Value> {
        let fits = match call {
            Call::Dtype => return self.dtype(global, args),
            Call::EmptyArray => self.is_empty_array(args),
            Call::EmptyMasked => match args {
                [Value::Global(class), array @ ..] => {
                    self.is_of_numpy(*class) && self.is_empty_array(array)
                }
                _ => false,
            },
            Call::Scalar => self.is_scalar(args),
            Call::BitGenerator => match args {
                [] | [Value::Name(_)] => true,
                [Value::Global(class)] => {
                    self.arena.global_note(*class).module.starts_with("numpy.random.")
                }
                _ => false,
            },
            Call::Generator => self.is_generator(args),
        };
        fits.then(|| self.arena.instance(global))
    }

    fn is_of_numpy(&self, class: u32) -> bool {
        self.arena.global_note(class).module.starts_with("numpy")
    }

    /// `_reconstruct(subtype, (0,), b'b')`
    fn is_empty_array(&self, args: &[Value]) -> bool {
        let [Value::Global(subtype), Value::Tuple(shape), Value::Bytes(_) | Value::Name(_)] = args
        else {
            return false;
        };
        self.is_of_numpy(*subtype) && self.arena.items(*shape) == Some(&[Value::Int(0)])
    }

    /// `scalar(dtype, bytes)`; bytes must not become references.
    fn is_scalar(&self, args: &[Value]) -> bool {
        let [Value::Instance(id), data] = args else {
            return false;
        };
        let dtype = &self.arena.instances[*id as usize];
        // No bytes at all are a call of `bytes` in protocols 0 to 2.
        let empty = matches!(data, Value::Instance(id) if {
            let class = self.arena.global_of_instance(*id);
            (class.module.as_str(), class.name.as_str()) == ("builtins", "bytes")
        });
        let bytes = matches!(
            data,
            Value::Bytes(_)
                | Value::Name(_)
                | Value::Text(_)
                | Value::LongText(_)
                | Value::Model(..)
        );
        let known = dtype.dtype.filter(|size| !matches!(*size, 0 | UNKNOWN) && !dtype.odd_size);
        let fits = match (known, self.arena.length(*data)) {
            (Some(size), Some(length)) => size == length,
            _ => true,
        };
        (bytes || empty) && fits && !dtype.object_dtype
    }

    fn is_generator(&self, args: &[Value]) -> bool {
        match args {
            [] | [Value::Name(_) | Value::Instance(_)] => true,
            [Value::Name(_) | Value::Instance(_), Value::Global(constructor)] => {
                self.arena.global_note(*constructor).name == "__bit_generator_ctor"
            }
            _ => false,
        }
    }
}
