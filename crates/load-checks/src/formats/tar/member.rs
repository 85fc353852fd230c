//! One member: a model, read by its content, or a paper that is proven to be harmless.
//!
//! What a real loader would make of a member is not known, for names decide nothing. So a member is
//! passed over only where `papers` proves that no loader runs anything of it.

use std::io::{self, Cursor, Read};

use super::super::hidden::Watched;
use super::super::naming::{self, Reached};
use super::super::report::{Depth, Finding, Severity, quoted};
use super::super::source::Source;
use super::super::{Format, Halt, Job, read, sniff};
use super::{names, papers};

/// Bytes of a member of a packed archive that are held to be read from their end or twice.
const IN_MEMORY: u64 = 128 * 1024 * 1024;

/// The opcode of a persistent id of text.
const PERSISTENT_ID: &str = "PERSID";

/// Reads one member; `None` of what is no model.
pub(super) fn check(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    name: &str,
    size: u64,
) -> Result<Option<Depth>, Halt> {
    let outer = job.findings.within(Some(quoted(name)));
    let depth = if size == 0 {
        job.findings.note(format!("{} is empty", quoted(name)));
        Ok(None)
    } else if source.seeks() {
        whole(&mut source.section(size)?, job, name)
    } else if size <= IN_MEMORY {
        in_memory(source, size, job, name)
    } else {
        streamed(source, size, job)
    };
    job.findings.within(outer);
    depth
}

fn in_memory(
    source: &mut Source<'_>,
    size: u64,
    job: &mut Job<'_>,
    name: &str,
) -> Result<Option<Depth>, Halt> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    if !source.read_into(&mut bytes, size)? {
        return job.broken("the archive is truncated within it");
    }
    whole(&mut Source::open(Cursor::new(bytes))?, job, name)
}

/// A large member of a packed archive, which can be read once and from its start.
fn streamed(source: &mut Source<'_>, size: u64, job: &mut Job<'_>) -> Result<Option<Depth>, Halt> {
    let (stream, watch) = Watched::new(source.take(size));
    let mut inside = Source::unpacked(stream, Some(size))?;
    let format = sniff::format_of(inside.head(), Some(size));
    if matches!(format, Format::Unknown | Format::Json) {
        job.findings.broken(format!(
            "it is larger than {IN_MEMORY} bytes and cannot be proven to be harmless within a packed \
             archive; store the archive unpacked"
        ));
        return Ok(None);
    }
    let depth = attempt(&mut inside, format, job)?;
    while !inside.at_end()? {
        job.poll()?;
        inside.stream(inside.left().unwrap_or(0).clamp(1, 1 << 22), |_| Ok(()))?;
    }
    if let Some(what) = watch.borrow().found(format) {
        job.findings.broken(what);
    }
    Ok(Some(depth))
}

fn whole(inside: &mut Source<'_>, job: &mut Job<'_>, name: &str) -> Result<Option<Depth>, Halt> {
    match sniff::format_of(inside.head(), inside.len()) {
        Format::Pickle => pickle(inside, job, name),
        Format::Json if papers::may_be_json(inside.head()) => {
            let before = job.findings.len();
            let depth = attempt(inside, Format::Json, job)?;
            inside.seek_to(0)?;
            if job.findings.len() > before {
                // YAML begins so as well.
                papers::names_in(inside, job)?;
            } else if job.format == Format::Json {
                names::in_json(inside, job)?;
            }
            Ok(Some(depth))
        }
        Format::Unknown | Format::Json => papers::pass(inside, job, name).map(|()| None),
        format => attempt(inside, format, job).map(Some),
    }
}

/// What may be a pickle: any text may begin as one does. It is one if it is whole.
fn pickle(inside: &mut Source<'_>, job: &mut Job<'_>, name: &str) -> Result<Option<Depth>, Halt> {
    let told = inside.head().first() == Some(&0x80);
    let reached = naming::reached(inside, 0, job.keep_going)?;
    inside.seek_to(0)?;
    let before = job.findings.len();
    let depth = attempt(inside, Format::Pickle, job)?;
    let stopped = inside.offset();
    if job.findings.len() == before {
        return Ok(Some(depth));
    }
    if !told && reached.is_none() {
        // Names that no module has, and persistent ids of text, are something to our reader alone.
        let found = job.findings.take_back(before);
        let harmless = |one: &Finding| {
            one.severity == Severity::Fault
                || one.global.is_some()
                || one.opcode.as_deref() == Some(PERSISTENT_ID)
        };
        if found.iter().all(harmless) {
            return papers::pass(inside, job, name).map(|()| None);
        }
        found.into_iter().for_each(|finding| job.findings.add(finding));
    }
    if job.findings.dangers_since(before) {
        return Ok(Some(depth));
    }
    // Our reader stopped where another loader might go on.
    inside.seek_to(0)?;
    let seen = if told { stopped } else { 0 };
    match naming::reached(inside, seen, job.keep_going)? {
        Some(Reached::Name(at, module)) => job.danger(format!(
            "a loader that goes on where this check stops comes to the name {} at byte {at}; do not load it",
            quoted(&module)
        )),
        Some(Reached::Exhaustion(at)) => {
            job.danger(format!("a loader would take far too much memory or time at byte {at}"));
        }
        None => {}
    }
    Ok(Some(depth))
}

/// What is found is told, and the members after it are read all the same.
fn attempt(inside: &mut Source<'_>, format: Format, job: &mut Job<'_>) -> Result<Depth, Halt> {
    Ok(match read(inside, job) {
        Ok(depth) => depth,
        Err(Halt::Broken) => Depth::Parsed,
        Err(Halt::Found(finding)) => {
            job.findings.add(*finding);
            Depth::Parsed
        }
        Err(Halt::Io(error)) if error.kind() == io::ErrorKind::Unsupported => {
            job.findings.add(Finding::fault(format!(
                "a {format} file of more than {IN_MEMORY} bytes in a packed archive, which is read from \
                 its end; store the archive unpacked"
            )));
            Depth::Parsed
        }
        Err(Halt::Io(error)) => return Err(Halt::Io(error)),
    })
}
