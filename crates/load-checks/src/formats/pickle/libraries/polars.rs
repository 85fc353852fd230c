//! polars: frames and series, whose state is a table in a stream of Arrow's.
//!
//! Missing on purpose: `polars.expr` and lazy frames, whose bytes hide a pickle of their own.

use super::models::Kind;
use super::{Argument, Library, Made, takes_its_own};
use crate::formats::pickle::rules::grants::{CALL, Entry, Fill, PLAIN};
use crate::formats::pickle::unpickler::arena::{Arena, GlobalNote};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::{Form, Value};
use crate::job::Halt;

pub(crate) static LIBRARY: Library = Library {
    packages: &["polars"],
    grants: GRANTS,
    computes_items: &["polars."],
    lays_out_state: &["polars"],
    takes,
    made: |_, function, _| Made {
        hashed_by_code: function.module == "polars.datatypes.classes",
        ..Made::default()
    },
    check_state,
    check_items,
    ..Library::UNKNOWN
};

fn takes(arena: &Arena, function: &GlobalNote, argument: Argument<'_>) -> bool {
    match argument {
        Argument::Dict(dict) => function.module == "polars.schema" && !arena.is_deep(dict),
        other => takes_its_own(arena, function, other),
    }
}

/// polars allocates whatever its state says, and aborts the process where there is not as much memory.
fn check_state(machine: &mut Machine<'_, '_, '_>, instance: u32, state: Value) -> Result<(), Halt> {
    let class = machine.arena.global_of_instance(instance);
    let frame = match (class.module.as_str(), class.name.as_str()) {
        ("polars.dataframe.frame", "DataFrame") => true,
        ("polars.series.series", "Series") => false,
        _ => return Ok(()),
    };
    let fault = match state {
        Value::Refused(_) => return Ok(()),
        // Older versions write a frame as the list of its columns.
        Value::List(id) if frame && !machine.arena.lists[id as usize].plain_item => return Ok(()),
        Value::Model(id, Form::Bytes) => match machine.models.fault(id, Kind::Arrow) {
            Some(None) => return Ok(()),
            Some(Some(fault)) => fault.to_owned(),
            None => "it is no table".to_owned(),
        },
        _ => "it cannot be read as a table".to_owned(),
    };
    machine.danger(&format!(
        "a frame of polars is given a state that can exhaust or end the loader ({fault})"
    ));
    Ok(())
}

/// A schema looks up the types that it is given, which hashes them.
fn check_items(machine: &mut Machine<'_, '_, '_>, global: u32, start: usize) {
    let schema = machine.arena.global_note(global).module == "polars.schema";
    if schema && machine.stack[start..].iter().any(|value| machine.arena.is_deep(*value)) {
        machine.danger("a polars schema of a type nested so deep that it can crash the loader");
    }
}

const GRANTS: &[Entry] = &[
    ("polars.dataframe.frame", PLAIN, "DataFrame"),
    (
        "polars.datatypes.classes",
        PLAIN,
        "Array Binary Boolean Categorical Categories Date Datetime Decimal Duration Enum Field Float16 \
         Float32 Float64 Int128 Int16 Int32 Int64 Int8 List Null Object String Struct Time UInt128 UInt16 UInt32 \
         UInt64 UInt8 Unknown",
    ),
    ("polars.schema", CALL.filled(Fill::Mapping), "Schema"),
    ("polars.series.series", PLAIN, "Series"),
];
