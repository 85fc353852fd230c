//! What arguments a call may have.
//!
//! A library's error often shows the argument it refuses, for which it formats the whole argument as a text. Libraries
//! also copy, convert and look up their arguments. So a call may have plain values, and objects of the kinds that its
//! library itself writes there.

use crate::formats::pickle::libraries::Argument;
use crate::formats::pickle::rules::grants::{Make, NAMED};
use crate::formats::pickle::unpickler::arena::{Arena, GlobalNote};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;

/// Bytes of a number that may be calculated with.
const MAX_NUMBER: u32 = 512;
/// Tuples within tuples that an argument may have.
const MAX_DEPTH: u16 = 4;
/// Steps to go through an argument that is a tuple.
pub(crate) const MAX_STEPS: u32 = 4096;

impl Machine<'_, '_, '_> {
    /// Whether a function that may be called takes these arguments.
    pub(crate) fn takes(&self, global: u32, args: &[Value]) -> bool {
        let function = self.arena.global_note(global);
        function.is_trusted()
            || (args.iter().all(|arg| self.is_argument(function, *arg, 0))
                // What was refused inside the arguments has been told; do not tell it twice.
                && (args.iter().any(|arg| arg.is_refused())
                    || (function.library.fits)(&self.arena, function, args)))
    }

    fn is_argument(&self, function: &GlobalNote, arg: Value, depth: u16) -> bool {
        let library = |argument| (function.library.takes)(&self.arena, function, argument);
        match arg {
            Value::Tuple(id) => {
                depth < MAX_DEPTH
                    && self.arena.weight(arg).steps <= MAX_STEPS
                    && match self.arena.items(id) {
                        Some(items) => {
                            items.iter().all(|item| self.is_argument(function, *item, depth + 1))
                        }
                        None => library(Argument::LongTuple),
                    }
            }
            Value::List(_) => library(Argument::List),
            Value::Dict(_) => library(Argument::Dict(arg)),
            Value::Set(_) | Value::FrozenSet(_) | Value::Storage(_) | Value::Getter => false,
            Value::BigInt(_) => is_calculable(&self.arena, arg),
            Value::LongText(_) | Value::Template => library(Argument::LongText),
            Value::Instance(id) => {
                let object = &self.arena.instances[id as usize];
                let class = self.arena.global_note(object.global);
                class.is_trusted() || library(Argument::Object(object, class))
            }
            _ => true,
        }
    }

    /// Whether a function that is given a class makes an object of that class, and may be given the other arguments.
    pub(crate) fn class_first(&self, global: u32, args: &[Value]) -> bool {
        let Some((Value::Global(class), rest)) = args.split_first() else {
            return false;
        };
        let (function, class) = (self.arena.global_note(global), self.arena.global_note(*class));
        // Cython's own: the class, a checksum of its fields, and their values or nothing.
        let compiled = function.name.starts_with("__pyx_unpickle_");
        if compiled && !matches!(rest, [Value::Int(_), Value::None | Value::Tuple(_)]) {
            return false;
        }
        // What has a rule of its own must not be made around it, and no library makes the objects of another.
        !matches!(class.grant.make, Make::Ruled(_) | Make::Stated)
            && (function.library.makes)(function, class)
            && rest.iter().all(|arg| self.is_state_of_class(*arg))
            && (function.library.fits)(&self.arena, function, args)
    }

    /// A state that a function is given to make an object with: its parts must not be hashed by code.
    fn is_state_of_class(&self, state: Value) -> bool {
        !self.arena.weight(state).risky
            && !self.arena.is_deep(state)
            && is_calculable(&self.arena, state)
    }

    /// Functions that may only be named, tied to arguments: scikit-learn ties keywords to its input check, and users
    /// to metrics and scores. With other arguments they are no more than they could be given later.
    pub(crate) fn may_be_tied(&self, function: u32) -> bool {
        let note = self.arena.global_note(function);
        let class = note.name.starts_with(|first: char| first.is_ascii_uppercase());
        (note.library.may_be_tied)(note) && !class && note.grant == NAMED
    }
}

/// Whether a number is so short that calculating with it is no work.
pub(crate) fn is_calculable(arena: &Arena, number: Value) -> bool {
    arena.length_of_number(number) <= MAX_NUMBER
}

/// What a slice may end with.
pub(crate) fn is_end(value: Value) -> bool {
    matches!(
        value,
        Value::None
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Word(_)
            | Value::Float(_)
            | Value::Name(_)
            | Value::Text(_)
    )
}
