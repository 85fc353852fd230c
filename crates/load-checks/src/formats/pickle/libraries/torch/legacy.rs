//! torch checkpoints of before 1.6, which `torch.save` still writes when asked: five pickles one
//! after the other, then the storages.
//!
//! Source of the rules: `_legacy_load` in torch's `serialization.py`. The pickles are a number that
//! marks the format, its version, what machine wrote it, the object, and the storages' keys in the
//! order in which they follow, each behind its own count of items.

use std::collections::HashMap;

use crate::formats::pickle::libraries::torch::storages::Storages;
use crate::formats::pickle::libraries::torch::tensors;
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::{Halt, Job};
use crate::report::{Depth, quoted};
use crate::source::Source;

/// The one version of this format there is.
const VERSION: i64 = 1001;
/// Bytes of a storage between two checks whether to go on.
const PIECE: u64 = 16 * 1024 * 1024;

pub(crate) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    // The format was recognised by this number, so that it is the right one.
    part(source, job).run()?;
    if part(source, job).run()? != Value::Int(VERSION) {
        return job.broken("a version of torch's old format that torch does not know");
    }
    part(source, job).run()?;
    let mut object = part(source, job).with_storages(Storages::legacy());
    object.run()?;
    let named = object.arena.globals();
    let weights_only = named.iter().all(|global| tensors::is_weight(&global.module, &global.name));
    let storages = object.storages.take().map(Storages::into_named).unwrap_or_default();
    if !weights_only {
        job.findings.note(
            "it holds more than tensors in plain containers: torch.load needs weights_only=False \
             for it",
        );
    }
    let keys = keys(source, job)?;
    let mut sizes: HashMap<&str, _> =
        storages.iter().map(|storage| (storage.key.as_str(), storage)).collect();
    for key in &keys {
        let name = quoted(key);
        let Some(storage) = sizes.remove(key.as_str()) else {
            return job.broken(format!("the storage {name} is one that no tensor lies over"));
        };
        let mut count = [0; 8];
        if !source.exact(&mut count)? || u64::from_le_bytes(count) != storage.count {
            return job.broken(format!("the storage {name} is not as long as its tensors take"));
        }
        match storage.bytes() {
            Some(bytes) if source.may_hold(bytes) => pass(source, job, bytes, &name)?,
            _ => return job.broken(format!("the file is truncated in the storage {name}")),
        }
    }
    let mut missing: Vec<_> = sizes.into_keys().collect();
    missing.sort_unstable();
    if let Some(key) = missing.first() {
        return job.broken(format!("the storage {} is not in the file", quoted(key)));
    }
    if !source.at_end()? {
        return job.broken("trailing bytes after the last storage");
    }
    Ok(Depth::Typed)
}

fn part<'a, 's, 'j>(source: &'a mut Source<'s>, job: &'a mut Job<'j>) -> Machine<'a, 's, 'j> {
    let mut machine = Machine::new(source, job);
    machine.inner = true;
    machine
}

/// The keys of the storages that follow, in their order.
fn keys(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Vec<String>, Halt> {
    let mut machine = part(source, job);
    machine.appended = Some(Vec::new());
    let list = machine.run()?;
    let items = machine.appended.take().unwrap_or_default();
    let keys: Option<Vec<_>> = items
        .into_iter()
        .map(|item| match item {
            Value::Name(key) => String::from_utf8(machine.arena.name(key).to_vec()).ok(),
            _ => None,
        })
        .collect();
    match (list, keys) {
        (Value::List(_), Some(keys)) => Ok(keys),
        _ => job.broken("the keys of the storages are no list of names"),
    }
}

fn pass(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    mut bytes: u64,
    name: &str,
) -> Result<(), Halt> {
    while bytes > 0 {
        let piece = bytes.min(PIECE);
        if !source.skip(piece)? {
            return job.broken(format!("the file is truncated in the storage {name}"));
        }
        job.poll()?;
        bytes -= piece;
    }
    Ok(())
}
