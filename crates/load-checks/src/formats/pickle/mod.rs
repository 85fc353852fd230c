//! Pickles, read symbolically: every opcode is followed, nothing is imported and nothing is called.
//!
//! Four rooms: [`unpickler`] follows the opcodes as CPython's C unpickler does; [`cost`] counts what hashing, copying
//! and laying out values take; [`rules`] says which classes and functions a pickle may use, and how; [`libraries`]
//! holds what is known of each library, a file each.

mod cost;
mod libraries;
mod rules;
mod unpickler;

use crate::job::{Halt, Job};
use crate::report::{Depth, Finding, Format};
use crate::source::Source;
use libraries::torch::storages::Storages;
use libraries::torch::tensors;
use rules::grants;
use unpickler::machine;

pub use rules::never_trusted::NEVER_TRUSTED;
pub(super) use rules::never_trusted::runs_anything;

pub(super) use libraries::torch::legacy as torch_legacy;
pub(super) use libraries::torch::storages::Storage;

/// Checks one pickle up to its STOP, and that the file ends there.
pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let start = source.offset();
    machine::Machine::new(source, job).run()?;
    if job.format == Format::Joblib && source.len().is_some() {
        source.seek_to(start)?;
        without_joblib(source, job)?;
    }
    Ok(Depth::Typed)
}

/// What a pickle may do with a class or function, for other formats that name them as pickles do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Granted {
    /// It may stand in a value.
    Named,
    /// A function that may stand in a value, and nothing more.
    Function,
    /// It may be made without arguments and given any state.
    Stated,
}

/// What the list of names says of a class or function; `None` where it is not in the list.
pub(super) fn granted(module: &str, name: &str) -> Option<Granted> {
    let grant = grants::grant(module, name)?;
    Some(match grant.make {
        grants::Make::Empty if grant.state => Granted::Stated,
        grants::Make::Named if !name.starts_with(|c: char| c.is_ascii_uppercase()) => {
            Granted::Function
        }
        _ => Granted::Named,
    })
}

/// Whether an operator's word can cover a name of this module.
pub(super) fn may_be_trusted(module: &str) -> bool {
    rules::never_trusted::runs_anything(module).is_none()
}

/// Reads a file of joblib once more, as `pickle.load` would, which takes the bytes of arrays for opcodes. It will fail
/// somewhere; what it would call before that is a danger.
fn without_joblib(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<(), Halt> {
    let mut aside = job.aside(Format::Pickle);
    match machine::Machine::new(source, &mut aside).without_joblib().run() {
        Err(Halt::Io(error)) => return Err(error.into()),
        Ok(_) | Err(Halt::Broken | Halt::Found(_)) => {}
    }
    let found = aside.findings.into_report(Format::Pickle, None, Depth::Parsed).findings;
    for finding in found {
        // That reading counts the memo differently, and so combines the file's own names wrongly: a module of one
        // harmless name with the name of another, which does not exist.
        let strange = finding.global.as_deref().is_some_and(|global| {
            let (module, name) = global.rsplit_once('.').unwrap_or(("", global));
            !(grants::knows_module(module) && grants::knows_name(name))
        });
        if let (Some(call), true) = (&finding.would_call, strange) {
            let told = format!(
                "read by pickle.load instead of joblib.load this file would call {call}; do not \
                 load it, and have the model saved again"
            );
            job.findings.add(Finding { sentence: told, ..finding });
        }
    }
    Ok(())
}

/// The result of checking a torch pickle.
pub(super) struct TorchPickle {
    /// The storages of its tensors; each must be in the file, and exactly as large.
    pub(super) storages: Vec<Storage>,
    /// `torch.load` accepts it with `weights_only=True`, which is the default.
    pub(super) weights_only: bool,
    /// A storage was on a device other than the processor.
    pub(super) elsewhere: bool,
}

/// Checks the pickle of a torch checkpoint, whose numbers are stored outside the pickle.
pub(super) fn check_torch(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<TorchPickle, Halt> {
    let mut machine = machine::Machine::new(source, job).with_storages(Storages::default());
    machine.run()?;
    let named = machine.arena.globals();
    let weights_only = named.iter().all(|global| tensors::is_weight(&global.module, &global.name));
    let storages = machine.storages.take().unwrap_or_default();
    let elsewhere = storages.elsewhere();
    Ok(TorchPickle { storages: storages.into_named(), weights_only, elsewhere })
}
