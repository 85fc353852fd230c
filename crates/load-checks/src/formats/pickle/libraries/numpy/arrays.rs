//! What the state of an array may be.

use super::calls::Call;
use super::dtypes::product;
use super::is_empty_array;
use crate::formats::pickle::libraries::standard;
use crate::formats::pickle::rules::grants::{Make, Rule};
use crate::formats::pickle::unpickler::arena::Arena;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

pub(crate) fn check_state(
    machine: &mut Machine<'_, '_, '_>,
    instance: u32,
    state: Value,
) -> Result<(), Halt> {
    let make = machine.arena.grant_of_instance(instance).make;
    if make == Make::Ruled(Rule::Numpy(Call::EmptyMasked))
        && fills_with_containers(&machine.arena, state)
    {
        machine
            .bad_state(instance, "fills with what is no value, which would be laid out as a text");
    }
    if is_empty_array(make) && is_short_of_objects(&machine.arena, state) {
        machine.danger(
            "an array of objects is given fewer than its shape says, and numpy reads on beyond them",
        );
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
                | Value::Bytes
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
