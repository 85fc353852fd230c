//! The unpickler: follows opcodes as CPython's C unpickler does, over symbolic values.
//!
//! It moves values between stack, marks and memo, and stops where the real unpickler would. Which classes and
//! functions may be used, and how, is decided in [`super::rules`].

pub(crate) mod arena;
pub(crate) mod containers;
pub(crate) mod literals;
pub(crate) mod machine;
pub(crate) mod memo;
pub(crate) mod notes;
pub(crate) mod objects;
pub(crate) mod opcodes;
pub(crate) mod stack;
pub(crate) mod telling;
pub(crate) mod text;
pub(crate) mod values;
