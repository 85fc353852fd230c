//! torch checkpoints (`torch.save` since 1.6): one pickle, and a member for each storage.
//!
//! The pickle names every storage with its size; each must be there, and exactly as large, because
//! torch itself takes the size on trust. A TorchScript archive stands on the same ground and
//! carries code; it is refused.

use std::collections::HashMap;

use super::super::report::{Depth, quoted};
use super::super::source::Source;
use super::super::{Halt, Job, pickle};
use super::directory::Member;
use super::member;

/// The pickle, under the folder that all members share.
const PICKLE: &str = "data.pkl";
/// Versions that torch's reader knows.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=10;
/// Bytes a record of one word can take.
const MAX_WORD: u64 = 64;

/// The folder all members share, if this is a torch archive.
pub(super) fn folder(members: &[Member]) -> Option<&str> {
    let (folder, _) = members.first()?.name.split_once('/')?;
    let holds = |name: &str| {
        members.iter().any(|member| strip(&member.name, folder).is_some_and(|rest| rest == name))
    };
    holds(PICKLE).then_some(folder)
}

fn strip<'a>(name: &'a str, folder: &str) -> Option<&'a str> {
    name.strip_prefix(folder)?.strip_prefix('/')
}

enum Part<'a> {
    Pickle,
    Version,
    ByteOrder,
    Number,
    Word,
    Storage(&'a str),
    Code,
    Unknown,
}

fn part<'a>(name: &'a str, folder: &str) -> Part<'a> {
    match strip(name, folder) {
        Some(PICKLE) => Part::Pickle,
        Some("version" | ".data/version") => Part::Version,
        Some("byteorder") => Part::ByteOrder,
        Some(".format_version" | ".storage_alignment") => Part::Number,
        Some(".data/serialization_id") => Part::Word,
        Some("constants.pkl" | "attributes.pkl" | "model.json") => Part::Code,
        Some(rest) if rest.starts_with("code/") => Part::Code,
        Some(rest) => match rest.strip_prefix("data/") {
            Some(key) => Part::Storage(key),
            None => Part::Unknown,
        },
        None => Part::Unknown,
    }
}

pub(super) fn check(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    members: &[Member],
    folder: &str,
) -> Result<Depth, Halt> {
    let mut members = members.to_vec();
    forget_unset_checksums(job, &mut members);
    refuse_lookalikes(job, &members)?;
    if members.iter().any(|member| matches!(part(&member.name, folder), Part::Code)) {
        job.danger(
            "a TorchScript archive: it carries code that runs when it is loaded; save the \
             model's state_dict with torch.save",
        );
        return Err(Halt::Broken);
    }
    let Some(pickled) = members.iter().find(|m| matches!(part(&m.name, folder), Part::Pickle))
    else {
        return job.broken("the archive holds no data.pkl");
    };
    let told = job.findings.len();
    let named = member::open(source, job, pickled, pickle::check_torch)?;
    if job.findings.len() > told {
        // What it names is not known where something was refused.
        return Err(Halt::Broken);
    }
    if !named.weights_only {
        job.findings.note(
            "it holds more than tensors in plain containers: torch.load needs weights_only=False \
             for it",
        );
    }
    if named.elsewhere {
        job.findings.note(
            "its tensors were saved on a device: torch.load needs map_location where there is none",
        );
    }
    let mut sizes: HashMap<&str, Option<u64>> =
        named.storages.iter().map(|storage| (storage.key.as_str(), storage.bytes())).collect();
    let mut versioned = false;
    for one in &members {
        job.poll()?;
        match part(&one.name, folder) {
            Part::Pickle => {}
            Part::Version => {
                versioned = true;
                version(source, job, one)?;
            }
            Part::ByteOrder => byte_order(source, job, one)?,
            Part::Number => number(source, job, one)?,
            Part::Word => {
                if std::str::from_utf8(&word(source, job, one)?).is_err() {
                    return job.broken(format!("{} is no text", quoted(&one.name)));
                }
            }
            Part::Storage(key) => storage(source, job, one, sizes.remove(key))?,
            Part::Code | Part::Unknown => {
                return job
                    .broken(format!("{} is no part of a torch checkpoint", quoted(&one.name)));
            }
        }
    }
    if !versioned {
        return job.broken("the archive does not say its version, which torch asks for");
    }
    let mut missing: Vec<_> = sizes.into_keys().collect();
    missing.sort_unstable();
    match missing.first() {
        Some(key) => job.broken(format!("the storage data/{} is not in the archive", quoted(key))),
        None => Ok(Depth::Typed),
    }
}

/// torch can be told to leave checksums out, and writes zeros instead, in all members.
fn forget_unset_checksums(job: &mut Job<'_>, members: &mut [Member]) {
    if members.iter().all(|member| member.crc == Some(0)) {
        job.findings.note("saved without checksums: damage in its numbers would not be seen");
        for member in members {
            member.crc = None;
        }
    }
}

/// torch's reader looks members up without regard to case.
fn refuse_lookalikes(job: &mut Job<'_>, members: &[Member]) -> Result<(), Halt> {
    let mut names: Vec<_> = members.iter().map(|m| m.name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            job.danger(format!(
                "the archive holds two members whose names differ by case alone, {}; which one \
                 is loaded depends on the reader",
                quoted(&pair[0])
            ));
            Err(Halt::Broken)
        }
        None => Ok(()),
    }
}

fn storage(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    one: &Member,
    named: Option<Option<u64>>,
) -> Result<(), Halt> {
    let name = quoted(&one.name);
    match named {
        None => job.broken(format!("{name} is a storage that no tensor lies over")),
        Some(bytes) if bytes != Some(one.size) => job.broken(format!(
            "{name} holds {} bytes where its tensors take {}",
            one.size,
            bytes.unwrap_or(u64::MAX)
        )),
        Some(_) => member::pass(source, job, one),
    }
}

fn word(source: &mut Source<'_>, job: &mut Job<'_>, one: &Member) -> Result<Vec<u8>, Halt> {
    if one.size > MAX_WORD {
        return job.broken(format!("{} is longer than one word", quoted(&one.name)));
    }
    member::open(source, job, one, |inner, _| Ok(inner.read_bytes(one.size)?.unwrap_or_default()))
}

fn version(source: &mut Source<'_>, job: &mut Job<'_>, one: &Member) -> Result<(), Halt> {
    let word = word(source, job, one)?;
    let number = std::str::from_utf8(word.trim_ascii()).ok().and_then(|word| word.parse().ok());
    if number.is_some_and(|number| VERSIONS.contains(&number)) {
        return Ok(());
    }
    job.broken("a version of torch's archives that torch does not know")
}

fn number(source: &mut Source<'_>, job: &mut Job<'_>, one: &Member) -> Result<(), Halt> {
    let word = word(source, job, one)?;
    if word.is_empty() || !word.iter().all(u8::is_ascii_digit) {
        return job.broken(format!("{} is no number", quoted(&one.name)));
    }
    Ok(())
}

fn byte_order(source: &mut Source<'_>, job: &mut Job<'_>, one: &Member) -> Result<(), Halt> {
    match word(source, job, one)?.as_slice() {
        b"little" | b"big" => Ok(()),
        _ => job.broken("a byte order that is neither little nor big"),
    }
}
