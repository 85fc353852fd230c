//! What the state of an array may be.

use super::calls::Call;
use super::dtypes::product;
use super::is_empty_array;
use crate::formats::pickle::libraries::standard;
use crate::formats::pickle::rules::grants::{Make, Rule};
use crate::formats::pickle::unpickler::arena::{Arena, InstanceNote};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::{UNKNOWN, Value};
use crate::job::Halt;

/// Dimensions of an array that are kept.
const KEPT: usize = 3;

/// The type and the shape of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Array {
    /// The start of the text that names its dtype: `f8`, `V64`.
    pub(crate) code: [u8; 3],
    /// Tells the fields of its records apart; 0 where it has none.
    pub(crate) fields: u64,
    dims: [u64; KEPT],
    count: u8,
}

impl Array {
    fn new(dtype: &InstanceNote, shape: &[Value]) -> Option<Self> {
        let mut dims = [0; KEPT];
        for (at, length) in shape.iter().enumerate() {
            let Value::Int(length) = length else {
                return None;
            };
            if let Some(to) = dims.get_mut(at) {
                *to = u64::try_from(*length).ok()?;
            }
        }
        let count = u8::try_from(shape.len()).ok()?;
        Some(Self { code: dtype.code, fields: dtype.fields, dims, count })
    }

    /// Bytes.
    pub(crate) fn of_bytes(length: u64) -> Self {
        Self { code: *b"u1\0", fields: 0, dims: [length, 0, 0], count: 1 }
    }

    /// Stands for arrays of this length.
    pub(crate) fn of_length(length: u64) -> Self {
        Self { code: *b"f8\0", fields: 0, dims: [length, 0, 0], count: 1 }
    }

    /// Its lengths; `None` where there are more than are kept.
    pub(crate) fn dims(&self) -> Option<&[u64]> {
        self.dims.get(..usize::from(self.count))
    }

    /// Its length, if it is of one dimension and of this type.
    pub(crate) fn length_of(&self, code: &[u8]) -> Option<u64> {
        match self.dims() {
            Some([length]) if self.is(code) => Some(*length),
            _ => None,
        }
    }

    /// Whether its dtype has this name.
    pub(crate) fn is(&self, code: &[u8]) -> bool {
        self.code.starts_with(code) && self.code[code.len()..].iter().all(|rest| *rest == 0)
    }
}

/// What a dtype, a shape and bytes that are to be an array come to.
pub(crate) enum Laid {
    /// They fit, as far as they are known.
    Fits(Option<Array>),
    /// They do not.
    Not,
}

/// Lays bytes out as an array. `data` may be of a length that is not known.
pub(crate) fn lay(arena: &Arena, dtype: Value, shape: Value, data: Value) -> Laid {
    let (Value::Instance(dtype), Value::Tuple(shape)) = (dtype, shape) else {
        return Laid::Not;
    };
    let dtype = &arena.instances[dtype as usize];
    let Some(shape) = arena.items(shape) else {
        return Laid::Not;
    };
    let Some(size) = dtype.dtype else {
        // numpy's texts of any length have dtypes that are made by a function.
        return Laid::Fits(None);
    };
    let Some(array) = Array::new(dtype, shape) else {
        return Laid::Not;
    };
    let known = !matches!(size, 0 | UNKNOWN) && !dtype.odd_size && !dtype.object_dtype;
    match arena.length(data) {
        Some(length) if known && product(shape).checked_mul(size) != Some(length) => Laid::Not,
        _ => Laid::Fits(Some(array)),
    }
}

pub(crate) fn check_state(
    machine: &mut Machine<'_, '_, '_>,
    instance: u32,
    state: Value,
) -> Result<(), Halt> {
    let make = machine.arena.grant_of_instance(instance).make;
    let masked = make == Make::Ruled(Rule::Numpy(Call::EmptyMasked));
    if masked && fills_with_containers(&machine.arena, state) {
        machine
            .bad_state(instance, "fills with what is no value, which would be laid out as a text");
    }
    if !is_empty_array(make) || state.is_refused() {
        return Ok(());
    }
    if is_short_of_objects(&machine.arena, state) {
        machine.danger(
            "an array of objects is given fewer than its shape says, and numpy reads on beyond them",
        );
        return Ok(());
    }
    let items = match state {
        Value::Tuple(id) => machine.arena.items(id).map(<[Value]>::to_vec).unwrap_or_default(),
        _ => Vec::new(),
    };
    let (shape, dtype, data) = match items.as_slice() {
        [Value::Int(0 | 1), shape, dtype, Value::Bool(_) | Value::Int(_), data, rest @ ..]
            if rest.len() == if masked { 2 } else { 0 } =>
        {
            (*shape, *dtype, *data)
        }
        [shape, dtype, Value::Bool(_) | Value::Int(_), data] => (*shape, *dtype, *data),
        _ if items.iter().any(|item| item.is_refused()) => return Ok(()),
        _ => return machine.broken("an array is given a state that is no array's"),
    };
    if [shape, dtype, data].iter().any(|part| part.is_refused()) {
        return Ok(());
    }
    let listed = matches!(data, Value::List(_));
    let bytes = matches!(
        data,
        Value::Bytes(_)
            | Value::ByteArray(_)
            | Value::Name(_)
            | Value::Text(_)
            | Value::LongText(_)
            | Value::Model(..)
            | Value::Instance(_)
    );
    let plain = matches!(dtype, Value::Instance(id) if {
        let dtype = &machine.arena.instances[id as usize];
        dtype.dtype.is_some() && listed != dtype.object_dtype
    });
    if plain || !(listed || bytes) {
        return machine.broken("an array whose items are not kept as its type asks");
    }
    match lay(&machine.arena, dtype, shape, data) {
        Laid::Fits(Some(array)) => machine.arena.note_array(instance, array),
        Laid::Fits(None) => {}
        Laid::Not => {
            return machine
                .broken("an array whose bytes are not as many as its shape and type say");
        }
    }
    Ok(())
}

/// Whether a masked array is given anything but a value for what is missing.
fn fills_with_containers(arena: &Arena, state: Value) -> bool {
    let Value::Tuple(id) = state else {
        return false;
    };
    let fill = arena.items(id).and_then(|items| items.get(6));
    fill.is_some_and(|fill| match fill {
        Value::Instance(id) => !is_number(arena, *id),
        _ => !matches!(
            fill,
            Value::None
                | Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Name(_)
                | Value::Text(_)
                | Value::Bytes(_)
        ),
    })
}

/// Whether an object is a number or an array, and none that computes its items.
fn is_number(arena: &Arena, instance: u32) -> bool {
    let class = arena.global_of_instance(instance);
    matches!(
        class.grant.make,
        Make::Ruled(
            Rule::Numpy(Call::EmptyArray | Call::Scalar)
                | Rule::Standard(standard::Call::Encode)
                | Rule::JoblibArray
        )
    ) || matches!(
        (class.module.as_str(), class.name.as_str()),
        ("builtins", "complex") | ("datetime" | "decimal", _)
    )
}

/// Whether the list in an array's state is shorter than the shape beside it.
fn is_short_of_objects(arena: &Arena, state: Value) -> bool {
    let Value::Tuple(state) = state else {
        return false;
    };
    let Some(items) = arena.items(state) else {
        return true;
    };
    let (shape, data) = match items {
        [Value::Tuple(shape), _, _, data] | [_, Value::Tuple(shape), _, _, data, ..] => {
            (arena.items(*shape), data)
        }
        _ => return true,
    };
    match data {
        Value::List(id) => arena.lists[*id as usize].len < shape.map_or(u64::MAX, product),
        // No bytes at all are a call of `bytes` in protocols 0 to 2; any other call could return a list.
        Value::Instance(id) => arena.global_of_instance(*id).name != "bytes",
        _ => false,
    }
}
