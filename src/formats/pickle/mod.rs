//! Pickles, read symbolically: every opcode is followed, nothing is imported and nothing called.
//!
//! `machine` keeps the stack as the C unpickler does (`arguments` and `containers` hold the opcodes
//! of their kind), `calls` decides what a pickle may do with the objects it names (`dtypes`: with numpy's; `joblib`: where array bytes stand between opcodes), `allow_list`
//! holds the names, `telling` words what is found. None of them knows what a model is.

mod allow_list;
mod arguments;
mod calls;
mod containers;
mod dtypes;
mod joblib;
mod machine;
mod memo;
mod opcodes;
mod telling;
mod text;
mod values;

use super::report::Depth;
use super::source::Source;
use super::{Halt, Job};

/// Follows one pickle to its STOP and to the end of the file, writing down what it finds.
pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    machine::Machine::new(source, job).run()?;
    Ok(Depth::Typed)
}
