//! tar archives (ustar, pax and GNU): a model in several files, or one among its papers.
//!
//! Every member must be a loadable model or proven to be harmless (`member`; `papers` says of what it
//! is, `names` what code a text names), and at least one must be a model. Only files and folders may
//! stand in it: a link, a device or a name that leads elsewhere would make unpacking write outside its
//! folder. Stricter than Python's `tarfile`, which takes a cut file for a whole one: both end blocks
//! must be there.

mod member;
mod names;
mod papers;

use std::collections::HashSet;
use std::io::{self, Read};

use super::report::{Depth, quoted};
use super::source::Source;
use super::tar_header::{BLOCK, Header, pax};
use super::{Format, Halt, Job, hidden, pickle};

/// Bytes of a header that only lengthens a name or carries attributes.
const MAX_EXTENSION: u64 = 1024 * 1024;

/// What extension headers say of the next member.
#[derive(Default)]
struct Extension {
    name: Option<String>,
    size: Option<u64>,
}

pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    refuse_pickle_too(source.head(), job)?;
    job.budget.enter().map_err(io::Error::from)?;
    let container = job.container;
    let depth = members(source, job);
    job.budget.leave();
    job.format = Format::Tar;
    job.container = container;
    depth
}

/// A header is text, and text can be a pickle: its first name could begin a line that only ends
/// within a member. `c` may begin a name: no module is found by one that holds a header.
fn refuse_pickle_too(head: &[u8], job: &mut Job<'_>) -> Result<(), Halt> {
    let mut as_pickle = Source::unpacked(head, Some(head.len() as u64))?;
    let mut aside = job.aside(Format::Pickle);
    let read = pickle::check(&mut as_pickle, &mut aside);
    if read.is_ok() || (as_pickle.at_end()? && head.first() != Some(&b'c')) {
        job.danger("the archive can also be read as a pickle; rename its first member");
        return Err(Halt::Broken);
    }
    Ok(())
}

fn members(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let mut names = HashSet::new();
    let mut next = Extension::default();
    let (mut models, mut depth) = (0_u64, Depth::Typed);
    loop {
        job.poll()?;
        job.budget.members(1).map_err(io::Error::from)?;
        let at = source.offset();
        let mut header = [0; BLOCK];
        if !source.exact(&mut header)? {
            return job.broken(format!("the archive is truncated: it has no end at byte {at}"));
        }
        if header == [0; BLOCK] {
            return match (end(source, job), models) {
                (Ok(()), 0) => job.broken("no member of the archive is a model"),
                (Ok(()), _) => Ok(depth),
                (Err(halt), _) => Err(halt),
            };
        }
        refuse_end_record(&header, at, job);
        let Some(Header { kind, size, name }) = Header::read(&header) else {
            return job.broken(format!("the header at byte {at} is none, or is damaged"));
        };
        if matches!(kind, b'x' | b'g' | b'L' | b'K') {
            extend(source, job, kind, size, &mut next)?;
            continue;
        }
        let extension = std::mem::take(&mut next);
        let size = extension.size.unwrap_or(size);
        let Some(name) = extension.name.or(name) else {
            return job.broken(format!("the member at byte {at} has a name that is no text"));
        };
        accept(job, kind, &name, &mut names)?;
        if kind == b'5' {
            continue;
        }
        if !source.may_hold(size) {
            return job.broken(format!("the archive is truncated within {}", quoted(&name)));
        }
        let start = source.offset();
        if let Some(found) = member::check(source, job, &name, size)? {
            models += 1;
            depth = if found == Depth::Parsed { Depth::Parsed } else { depth };
        }
        let rest = size.saturating_sub(source.offset() - start);
        if !source.skip(rest)? {
            return job.broken(format!("the archive is truncated within {}", quoted(&name)));
        }
        pad(source, job, size)?;
    }
}

/// Between members no reader of zip archives must find one. What is within a member is looked at there.
fn refuse_end_record(bytes: &[u8], at: u64, job: &mut Job<'_>) {
    if hidden::holds_end_record(bytes) {
        job.findings.broken(format!("the end record of a zip archive in the header at byte {at}"));
    }
}

fn accept(
    job: &mut Job<'_>,
    kind: u8,
    name: &str,
    names: &mut HashSet<String>,
) -> Result<(), Halt> {
    let told = quoted(name);
    match kind {
        b'0' | 0 | b'7' | b'5' => {}
        b'1' | b'2' | b'3' | b'4' | b'6' => {
            job.danger(format!("{told} is a link or a device; an archive of a model holds files"));
            return Err(Halt::Broken);
        }
        other => {
            return job.broken(format!("{told} is of the unknown kind {:?}", char::from(other)));
        }
    }
    if kind != b'5' && name.ends_with('/') {
        job.danger(format!(
            "{told} is a file named as a folder is; readers differ in what follows"
        ));
        return Err(Halt::Broken);
    }
    let leads_away = name.starts_with('/')
        || name.contains(['\\', ':'])
        || name.split('/').any(|part| part == "..");
    if leads_away || name.chars().any(char::is_control) {
        job.danger(format!("{told} is a name that leads out of the folder it is unpacked to"));
        return Err(Halt::Broken);
    }
    let plain = name.split('/').filter(|part| !part.is_empty() && *part != ".");
    if !names.insert(plain.collect::<Vec<_>>().join("/")) && kind != b'5' {
        return job
            .broken(format!("two members are named {told}; which one is meant is not clear"));
    }
    Ok(())
}

/// A long name, or pax attributes. Global attributes are about no member's content.
fn extend(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    kind: u8,
    size: u64,
    next: &mut Extension,
) -> Result<(), Halt> {
    let body = if size > MAX_EXTENSION { None } else { source.read_bytes(size)? };
    let Some(body) = body else {
        return job.broken("the archive is truncated within an extended header, or it is too long");
    };
    refuse_end_record(&body, source.offset() - size, job);
    pad(source, job, size)?;
    if kind == b'K' {
        return Ok(());
    }
    if kind == b'L' {
        refuse_second(next.name.is_some(), job)?;
        let name = body.split(|byte| *byte == 0).next().unwrap_or_default();
        next.name = String::from_utf8(name.to_vec()).ok();
        return if next.name.is_some() {
            Ok(())
        } else {
            job.broken("a long name that is no text")
        };
    }
    let Some(records) = pax(&body) else {
        return job.broken("an extended header that is damaged");
    };
    for (key, value) in records {
        match key.as_str() {
            "path" | "size" if kind == b'g' => {
                return job.broken("attributes for the whole archive that are one member's");
            }
            "path" => {
                refuse_second(next.name.is_some(), job)?;
                next.name = Some(value);
            }
            "size" => match value.parse() {
                Ok(size) => {
                    refuse_second(next.size.is_some(), job)?;
                    next.size = Some(size);
                }
                Err(_) => return job.broken("an extended header with a size that is no number"),
            },
            key if key.starts_with("GNU.sparse") => {
                return job.broken("a sparse file; pack the model without holes");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Readers differ in which of two names or sizes of one member counts.
fn refuse_second(second: bool, job: &mut Job<'_>) -> Result<(), Halt> {
    if second {
        job.broken("a member with two names or sizes in its extended headers")
    } else {
        Ok(())
    }
}

/// Passes over the zeros that fill a member's last block.
fn pad(source: &mut Source<'_>, job: &mut Job<'_>, size: u64) -> Result<(), Halt> {
    let fill = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    match source.read_bytes(fill)? {
        Some(bytes) if bytes.iter().all(|byte| *byte == 0) => Ok(()),
        Some(_) => job.broken("bytes hidden between two members"),
        None => job.broken("the archive is truncated: it ends within a member's last block"),
    }
}

/// The second end block, and nothing but zeros after it.
fn end(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<(), Halt> {
    let mut block = [0; BLOCK];
    if !source.exact(&mut block)? || block != [0; BLOCK] {
        return job.broken("the archive does not end with two empty blocks");
    }
    let mut rest = [0; BLOCK];
    loop {
        match source.read(&mut rest)? {
            0 => return Ok(()),
            count if rest[..count].iter().all(|byte| *byte == 0) => job.poll()?,
            _ => return job.broken("bytes after the end of the archive"),
        }
    }
}
