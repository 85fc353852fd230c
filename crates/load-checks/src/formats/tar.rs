//! tar archives (ustar, pax and GNU): a model in several files, or one among its papers.
//!
//! Every member that is of a known format must be loadable, and at least one must be; what is of no
//! known format is passed over and noted. Only files and folders may stand in it: a link, a device
//! or a name that leads elsewhere would make unpacking write outside its folder. Stricter than
//! Python's `tarfile`, which takes a cut file for a whole one: both end blocks must be there.

use std::collections::HashSet;
use std::io::{self, Read};

use super::report::{Depth, Finding, quoted};
use super::source::Source;
use super::{Format, Halt, Job, pickle, read};

const BLOCK: usize = 512;
/// Bytes of a header that only lengthens a name or carries attributes.
const MAX_EXTENSION: u64 = 1024 * 1024;

/// Where the fields of a header stand.
const NAME: std::ops::Range<usize> = 0..100;
const SIZE: std::ops::Range<usize> = 124..136;
const SUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const MAGIC: std::ops::Range<usize> = 257..265;
const PREFIX: std::ops::Range<usize> = 345..500;

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
        let Some(size) = is_header(&header).then(|| number(&header[SIZE])).flatten() else {
            return job.broken(format!("the header at byte {at} is none, or is damaged"));
        };
        let kind = header[KIND];
        if matches!(kind, b'x' | b'g' | b'L' | b'K') {
            extend(source, job, kind, size, &mut next)?;
            continue;
        }
        let extension = std::mem::take(&mut next);
        let size = extension.size.unwrap_or(size);
        let Some(name) = extension.name.or_else(|| header_name(&header)) else {
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
        if let Some(found) = member(source, job, &name, size)? {
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

/// Reads one member by its content; `None` of what is no model.
fn member(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    name: &str,
    size: u64,
) -> Result<Option<Depth>, Halt> {
    let mut inside = Source::unpacked(source.take(size), Some(size))?;
    let format = super::sniff::format_of(inside.head(), Some(size));
    if size == 0 || format == Format::Unknown {
        job.findings.note(no_model(name));
        return Ok(None);
    }
    // Any text may begin as a pickle or as JSON does; it is one if it is whole.
    let first = inside.head().iter().find(|byte| !byte.is_ascii_whitespace()).copied();
    let perhaps_text = match format {
        Format::Pickle => first != Some(0x80),
        Format::Json => !matches!(first, Some(b'{' | b'[')),
        _ => false,
    };
    let before = job.findings.len();
    let outer = job.findings.within(Some(quoted(name)));
    let depth = read_member(&mut inside, format, job);
    job.findings.within(outer);
    let depth = depth?;
    if perhaps_text && job.findings.len() > before && job.findings.take_back(before) {
        job.findings.note(no_model(name));
        return Ok(None);
    }
    Ok(Some(depth))
}

/// What is found is told, and the members after it are read all the same.
fn read_member(inside: &mut Source<'_>, format: Format, job: &mut Job<'_>) -> Result<Depth, Halt> {
    Ok(match read(inside, job) {
        Ok(depth) => depth,
        Err(Halt::Broken) => Depth::Parsed,
        Err(Halt::Found(finding)) => {
            job.findings.add(*finding);
            Depth::Parsed
        }
        Err(Halt::Io(error)) if error.kind() == io::ErrorKind::Unsupported => {
            job.findings.add(Finding::fault(format!(
                "a {format} file, which its loader needs unpacked from the archive"
            )));
            Depth::Parsed
        }
        Err(Halt::Io(error)) => return Err(Halt::Io(error)),
    })
}

fn no_model(name: &str) -> String {
    format!("{} is of no known format and was not checked", quoted(name))
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
    pad(source, job, size)?;
    if kind == b'K' {
        return Ok(());
    }
    if kind == b'L' {
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
            "path" => next.name = Some(value),
            "size" => match value.parse() {
                Ok(size) => next.size = Some(size),
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

/// Records like `22 path=model.joblib\n`, each led by its own length.
fn pax(mut body: &[u8]) -> Option<Vec<(String, String)>> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let space = body.iter().position(|byte| *byte == b' ')?;
        let len: usize = std::str::from_utf8(&body[..space]).ok()?.parse().ok()?;
        let record = body.get(space + 1..len)?.strip_suffix(b"\n")?;
        let (key, value) = std::str::from_utf8(record).ok()?.split_once('=')?;
        records.push((key.to_owned(), value.to_owned()));
        body = &body[len..];
    }
    Some(records)
}

fn is_header(header: &[u8; BLOCK]) -> bool {
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| u64::from(if SUM.contains(&at) { b' ' } else { *byte }))
        .sum();
    matches!(&header[MAGIC], b"ustar\x0000" | b"ustar  \0") && number(&header[SUM]) == Some(sum)
}

/// Octal digits, or a number of base 256 behind a set bit.
fn number(field: &[u8]) -> Option<u64> {
    if field.first() == Some(&0x80) {
        return field[1..]
            .iter()
            .try_fold(0_u64, |sum, byte| Some(sum.checked_mul(256)? | u64::from(*byte)));
    }
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.split('\0').next().unwrap_or_default().trim_matches(' ');
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

fn header_name(header: &[u8; BLOCK]) -> Option<String> {
    let text = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        field[end..]
            .iter()
            .all(|byte| *byte == 0)
            .then(|| String::from_utf8(field[..end].to_vec()).ok())
            .flatten()
    };
    let name = text(&header[NAME])?;
    // GNU's own headers keep times where ustar keeps a prefix.
    let prefix =
        if header[MAGIC] == *b"ustar\x0000" { text(&header[PREFIX])? } else { String::new() };
    let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
    (!name.is_empty()).then_some(name)
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
