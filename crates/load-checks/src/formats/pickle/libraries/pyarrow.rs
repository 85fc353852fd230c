//! pyarrow: arrays, as buffers that it believes when they are used.

use super::{Argument, Library, Made, package_of, takes_its_own};
use crate::formats::pickle::rules::grants::{CALL, Entry, Rule, ruled};
use crate::formats::pickle::unpickler::arena::{Arena, GlobalNote};
use crate::formats::pickle::unpickler::values::Value;

pub(crate) static LIBRARY: Library = Library {
    packages: &["pyarrow"],
    grants: GRANTS,
    takes,
    made: |arena, function, args| Made {
        holds_buffers: function.name != "type_for_alias",
        buffers: buffers_of(arena, function, args),
        ..Made::default()
    },
    ..Library::UNKNOWN
};

fn takes(arena: &Arena, function: &GlobalNote, argument: Argument<'_>) -> bool {
    match argument {
        Argument::List => true,
        Argument::Object(_, class)
            if !class.is_plain_or_fields() && function.name == "py_buffer" =>
        {
            match package_of(&class.module) {
                "numpy" | "joblib" | "pyarrow" => true,
                "builtins" => matches!(class.name.as_str(), "bytearray" | "bytes"),
                _ => false,
            }
        }
        other => takes_its_own(arena, function, other),
    }
}

/// `pyarrow.lib._restore_array((type, length, nulls, offset, buffers, children, dictionary))`: Arrow reads as many
/// buffers as the type has, whether or not there are so many.
pub(crate) fn is_array(arena: &Arena, args: &[Value]) -> bool {
    let [Value::Tuple(parts)] = args else {
        return false;
    };
    match arena.items(*parts) {
        Some(
            [
                Value::Instance(kind),
                Value::Int(length),
                Value::Int(_),
                Value::Int(offset),
                Value::List(buffers),
                Value::List(children),
                Value::None,
            ],
        ) => {
            let kind = &arena.instances[*kind as usize];
            let buffers = &arena.lists[*buffers as usize];
            kind.buffers > 0
                && *length >= 0
                && *offset >= 0
                && buffers.len == u64::from(kind.buffers)
                && !buffers.plain_item
                && arena.lists[*children as usize].len == 0
        }
        _ => false,
    }
}

/// The number of buffers that an array of the type has which a call makes; 0 where it makes no type.
fn buffers_of(arena: &Arena, function: &GlobalNote, args: &[Value]) -> u8 {
    match function.name.as_str() {
        "decimal128" | "duration" | "time32" | "time64" | "timestamp" => 2,
        "type_for_alias" => match args {
            [Value::Name(alias)] => match arena.name(*alias) {
                b"null" | b"na" => 1,
                b"string" | b"str" | b"utf8" | b"binary" | b"large_string" | b"large_str"
                | b"large_utf8" | b"large_binary" => 3,
                b"string_view" | b"binary_view" => 0,
                _ => 2,
            },
            [Value::Text(_)] => 2,
            _ => 0,
        },
        _ => 0,
    }
}

const GRANTS: &[Entry] = &[
    (
        "pyarrow.lib",
        CALL,
        "chunked_array decimal128 duration py_buffer time32 time64 timestamp type_for_alias",
    ),
    ("pyarrow.lib", ruled(Rule::ArrowArray), "_restore_array"),
];
