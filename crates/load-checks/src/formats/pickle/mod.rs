//! Pickles, read symbolically: every opcode is followed, nothing is imported and nothing called.
//!
//! `machine` keeps the stack as the C unpickler does (`arguments` and `containers` hold the opcodes
//! of their kind), `calls` decides what a pickle may do with the objects it names (`takes`: with what is handed to them;
//! `weights`: what hashing, comparing and freeing them takes; `attributes`: with what `getattr` takes from them;
//! `distributions`: with scipy's, which run code; `filling`: how they are filled; `dtypes`: with numpy's;
//! `boosters`: with the models within
//! boosters; `spans`: with numbers that stand there by their ends alone; `joblib`: where array bytes stand between opcodes; `torch`: with torch's and its persistent ids), `allow_list`
//! holds the names, `telling` words what is found. None of them knows what a model is.

mod cost;
mod libraries;
mod rules;
mod unpickler;

use crate::job::{Halt, Job};
use crate::report::{Depth, Finding, Format};
use crate::source::Source;
use libraries::torch::storages::Storages;
use libraries::torch::tensors;
use rules::grants as allow_list;
use unpickler::machine;

pub use rules::never_trusted::NEVER_TRUSTED;
pub(super) use rules::never_trusted::runs_anything;

pub(super) use libraries::torch::legacy as torch_legacy;
pub(super) use libraries::torch::storages::Storage;

/// Follows one pickle to its STOP and to the end of the file, writing down what it finds.
pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let start = source.offset();
    machine::Machine::new(source, job).run()?;
    if job.format == Format::Joblib && source.len().is_some() {
        source.seek_to(start)?;
        without_joblib(source, job)?;
    }
    Ok(Depth::Typed)
}

/// Follows a file of joblib once more, as `pickle.load` would: to it, the bytes of arrays are
/// opcodes. It will break somewhere; what it would call before that is dangerous.
fn without_joblib(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<(), Halt> {
    let mut aside = job.aside(Format::Pickle);
    match machine::Machine::new(source, &mut aside).without_joblib().run() {
        Err(Halt::Io(error)) => return Err(error.into()),
        Ok(_) | Err(Halt::Broken | Halt::Found(_)) => {}
    }
    let found = aside.findings.into_report(Format::Pickle, None, Depth::Parsed).findings;
    for finding in found {
        // Such a reading counts the memo otherwise, and puts the file's own names together wrongly; what is made
        // of two harmless ones names nothing that there is.
        let strange = finding.global.as_deref().is_some_and(|global| {
            let (module, name) = global.rsplit_once('.').unwrap_or(("", global));
            !(allow_list::knows_module(module) && allow_list::knows_name(name))
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

/// What a torch pickle says besides what it is checked for.
pub(super) struct TorchPickle {
    /// The storages its tensors lie over; each must be there, and exactly as large.
    pub(super) storages: Vec<Storage>,
    /// `torch.load` takes it with `weights_only=True`, which is its default.
    pub(super) weights_only: bool,
    /// A storage was on a device that is not the processor.
    pub(super) elsewhere: bool,
}

/// Follows the pickle of a torch checkpoint, whose numbers stand elsewhere.
pub(super) fn check_torch(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<TorchPickle, Halt> {
    let mut machine = machine::Machine::new(source, job).with_storages(Storages::default());
    machine.run()?;
    let named = machine.arena.globals();
    let weights_only = named.iter().all(|global| tensors::is_weight(&global.module, &global.name));
    let storages = machine.storages.take().unwrap_or_default();
    let elsewhere = storages.elsewhere();
    Ok(TorchPickle { storages: storages.into_named(), weights_only, elsewhere })
}
