//! What a zip archive holds, read so that no two readers could see two different archives.
//!
//! The end record stands at the very end, the central directory right before it, and before that
//! the members one after the other from the first byte, without a gap: what a writer leaves that
//! writes an archive once. Central and local headers must agree. Knows headers and offsets, not
//! what the members mean.

use std::collections::HashSet;

use super::super::report::{Finding, quoted};
use super::super::source::Source;
use super::super::{Halt, Job};
use super::extra::{self, Sizes};
use super::go_to;

/// Members between two questions whether to go on.
const POLL_EVERY: usize = 256;

const END: u64 = 22;
const END_64: u64 = 56;
const LOCATOR_64: u64 = 20;
const CENTRAL: u64 = 46;
const LOCAL: usize = 30;

const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const END_64_SIGNATURE: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64_SIGNATURE: [u8; 4] = *b"PK\x06\x07";
const CENTRAL_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
const LOCAL_SIGNATURE: [u8; 4] = *b"PK\x03\x04";
const DESCRIPTOR_SIGNATURE: [u8; 4] = *b"PK\x07\x08";

/// Sizes and checksum stand after the data as well.
const FLAG_DESCRIPTOR: u16 = 1 << 3;
/// The name is UTF-8.
const FLAG_UTF8: u16 = 1 << 11;
/// How hard the compressor tried; no reader looks at it.
const FLAG_EFFORT: u16 = 0b110;
const FLAG_ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;

const UNIX_TYPE: u32 = 0o170_000;
const UNIX_LINK: u32 = 0o120_000;

/// How a member is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
}

/// One member, as both of its headers describe it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) method: Method,
    /// `None` where the writer was told to leave it out.
    pub(super) crc: Option<u32>,
    pub(super) packed: u64,
    pub(super) size: u64,
    /// Where its packed bytes begin.
    pub(super) data: u64,
    header: u64,
    flags: u16,
}

impl Member {
    pub(super) fn is_folder(&self) -> bool {
        self.name.ends_with('/')
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Where the central directory stands and how many members it lists.
struct Place {
    start: u64,
    end: u64,
    count: u64,
}

/// Reads all headers of an archive.
pub(super) fn read(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Vec<Member>, Halt> {
    let Some(len) = source.len() else {
        return job.broken(
            "a zip archive inside a compressed stream, which no loader opens; store the archive \
             itself",
        );
    };
    let place = end_record(source, job, len)?;
    let mut members = central_directory(source, job, &place)?;
    local_headers(source, job, &mut members, place.start)?;
    Ok(members)
}

fn fixed<const N: usize>(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<[u8; N], Halt> {
    let mut bytes = [0; N];
    if source.exact(&mut bytes)? { Ok(bytes) } else { truncated(job) }
}

fn truncated<T>(job: &mut Job<'_>) -> Result<T, Halt> {
    job.broken("the archive is truncated: it ends within a header")
}

fn end_record(source: &mut Source<'_>, job: &mut Job<'_>, len: u64) -> Result<Place, Halt> {
    let Some(end_at) = len.checked_sub(END) else {
        return job.broken("the archive is truncated: it is shorter than its end record");
    };
    go_to(source, end_at)?;
    let end: [u8; END as usize] = fixed(source, job)?;
    if !end.starts_with(&END_SIGNATURE) || u16_at(&end, 20) != 0 {
        return job.broken(
            "the archive does not end with its end record: it is truncated, or a comment or \
             other bytes follow; save the model again",
        );
    }
    let [disk, start_disk, here, count] = [4, 6, 8, 10].map(|at| u64::from(u16_at(&end, at)));
    let [size, start] = [12, 16].map(|at| u64::from(u32_at(&end, at)));
    let saturated = [here, count].contains(&0xffff) || [size, start].contains(&0xffff_ffff);
    let locator = match end_at.checked_sub(LOCATOR_64) {
        Some(at) => {
            go_to(source, at)?;
            let bytes: [u8; LOCATOR_64 as usize] = fixed(source, job)?;
            bytes.starts_with(&LOCATOR_64_SIGNATURE).then_some((at, bytes))
        }
        None => None,
    };
    let place = match locator {
        Some((at, locator)) => {
            let (place, end_64) = end_record_64(source, job, at, &locator)?;
            let agrees = |short: u64, long: u64, most: u64| short == most || short == long;
            if !agrees(here, place.count, 0xffff)
                || !agrees(count, place.count, 0xffff)
                || !agrees(size, place.end - place.start, 0xffff_ffff)
                || !agrees(start, place.start, 0xffff_ffff)
            {
                return job.broken("the archive's two end records contradict each other");
            }
            if place.end != end_64 {
                return misplaced(job);
            }
            place
        }
        None if saturated => {
            return job.broken("the archive needs a zip64 end record and has none");
        }
        None => {
            if here != count || start.checked_add(size) != Some(end_at) {
                return misplaced(job);
            }
            Place { start, end: end_at, count }
        }
    };
    if disk != 0 || start_disk != 0 {
        return job.broken("the archive is one part of several");
    }
    Ok(place)
}

fn misplaced<T>(job: &mut Job<'_>) -> Result<T, Halt> {
    job.broken(
        "the archive's end record does not say where its directory stands: bytes were put before \
         or between its parts, or are missing",
    )
}

/// The zip64 end record and where it stands, right before the locator that stands at `locator_at`.
fn end_record_64(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    locator_at: u64,
    locator: &[u8],
) -> Result<(Place, u64), Halt> {
    let at = u64_at(locator, 8);
    if u32_at(locator, 4) != 0
        || u32_at(locator, 16) > 1
        || at.checked_add(END_64) != Some(locator_at)
    {
        return misplaced(job);
    }
    go_to(source, at)?;
    let end: [u8; END_64 as usize] = fixed(source, job)?;
    let [here, count, size, start] = [24, 32, 40, 48].map(|at| u64_at(&end, at));
    if !end.starts_with(&END_64_SIGNATURE)
        || u64_at(&end, 4) != END_64 - 12
        || u64_at(&end, 16) != 0
        || here != count
    {
        return misplaced(job);
    }
    match start.checked_add(size) {
        Some(end) if end <= at => Ok((Place { start, end, count }, at)),
        _ => misplaced(job),
    }
}

fn central_directory(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    place: &Place,
) -> Result<Vec<Member>, Halt> {
    if place.count > (place.end - place.start) / CENTRAL {
        return job.broken("the archive lists more members than its directory has room for");
    }
    if let Err(spoiled) = job.budget.members(place.count) {
        return Err(std::io::Error::from(spoiled).into());
    }
    go_to(source, place.start)?;
    let mut members: Vec<Member> = Vec::new();
    for count in 0..place.count {
        if (count as usize).is_multiple_of(POLL_EVERY) {
            job.poll()?;
        }
        let member = central_header(source, job, place.end)?;
        if members.last().is_some_and(|last| member.header <= last.header) {
            let name = quoted(&member.name);
            job.danger(format!("{name} stands over or before the member listed before it"));
            return Err(Halt::Broken);
        }
        members.push(member);
    }
    if source.offset() != place.end {
        return job.broken("bytes between the archive's directory and its end record");
    }
    refuse_doubles(job, &members)?;
    Ok(members)
}

fn refuse_doubles(job: &mut Job<'_>, members: &[Member]) -> Result<(), Halt> {
    let mut names = HashSet::new();
    for member in members {
        if !names.insert(member.name.trim_end_matches('/')) {
            job.danger(format!(
                "the archive holds two members of the name {}; which one is loaded depends on \
                 the reader",
                quoted(&member.name)
            ));
            return Err(Halt::Broken);
        }
    }
    Ok(())
}

fn central_header(source: &mut Source<'_>, job: &mut Job<'_>, end: u64) -> Result<Member, Halt> {
    let at = source.offset();
    let bytes: [u8; CENTRAL as usize] = fixed(source, job)?;
    if !bytes.starts_with(&CENTRAL_SIGNATURE) {
        return fault_at(job, "the archive's directory holds something else", at);
    }
    let [flags, method, name_len, extra_len, comment_len, disk] =
        [8, 10, 28, 30, 32, 34].map(|at| u16_at(&bytes, at));
    let lens = u64::from(name_len) + u64::from(extra_len);
    if source.offset() + lens > end {
        return fault_at(job, "the archive's directory is truncated", at);
    }
    let (Some(name), Some(extra)) =
        (source.read_bytes(name_len.into())?, source.read_bytes(extra_len.into())?)
    else {
        return truncated(job);
    };
    let name = member_name(job, name, flags, at)?;
    if comment_len != 0 {
        return fault_at(job, &format!("{} carries a comment", quoted(&name)), at);
    }
    if u32_at(&bytes, 38) >> 16 & UNIX_TYPE == UNIX_LINK {
        job.danger(format!("{} is a symbolic link", quoted(&name)));
        return Err(Halt::Broken);
    }
    let [packed, size, header] = [20, 24, 42].map(|at| u32_at(&bytes, at));
    let mut sizes = Sizes::new(size, packed, Some(header));
    if let Err(what) = extra::read(&extra, &mut sizes) {
        return fault_at(job, &format!("{}: {what}", quoted(&name)), at);
    }
    if disk != 0 {
        return fault_at(job, &format!("{} stands in another file", quoted(&name)), at);
    }
    let method = method_of(job, method, flags, &name)?;
    Ok(Member {
        name,
        method,
        crc: Some(u32_at(&bytes, 16)),
        packed: sizes.packed,
        size: sizes.size,
        data: 0,
        header: sizes.header.unwrap_or_default(),
        flags,
    })
}

fn fault_at<T>(job: &mut Job<'_>, what: &str, at: u64) -> Result<T, Halt> {
    job.findings.add(Finding::fault(format!("{what} at byte {at}")).at(at));
    Err(Halt::Broken)
}

fn method_of(job: &mut Job<'_>, method: u16, flags: u16, name: &str) -> Result<Method, Halt> {
    let name = quoted(name);
    if flags & FLAG_ENCRYPTED != 0 {
        return job.broken(format!("{name} is encrypted, which no loader of models opens"));
    }
    if flags & !(FLAG_DESCRIPTOR | FLAG_UTF8 | FLAG_EFFORT) != 0 {
        return job.broken(format!("{name} uses unknown features of zip (flags 0x{flags:04x})"));
    }
    match method {
        0 => Ok(Method::Stored),
        8 => Ok(Method::Deflated),
        other => job.broken(format!(
            "{name} is packed by method {other}; stored and deflated members alone are read"
        )),
    }
}

/// A name that means the same to every reader, and no place outside a folder.
fn member_name(job: &mut Job<'_>, name: Vec<u8>, flags: u16, at: u64) -> Result<String, Halt> {
    let Ok(name) = String::from_utf8(name) else {
        return fault_at(job, "a member's name is not UTF-8", at);
    };
    if !name.is_ascii() && flags & FLAG_UTF8 == 0 {
        let what = format!("the encoding of the name {} is not told", quoted(&name));
        return fault_at(job, &what, at);
    }
    let path = name.strip_suffix('/').unwrap_or(&name);
    if name.contains(['\0', '\\']) || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        job.danger(format!(
            "a member is named \"{}\", which is no plain relative path",
            quoted(&name)
        ));
        return Err(Halt::Broken);
    }
    Ok(name)
}

/// Goes through the members from the first byte on: each must begin where the one before ends.
fn local_headers(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    members: &mut [Member],
    directory: u64,
) -> Result<(), Halt> {
    go_to(source, 0)?;
    let next_starts: Vec<u64> =
        members.iter().skip(1).map(|m| m.header).chain([directory]).collect();
    for (count, (member, next)) in members.iter_mut().zip(next_starts).enumerate() {
        if count.is_multiple_of(POLL_EVERY) {
            job.poll()?;
        }
        let here = source.offset();
        if member.header != here {
            let name = quoted(&member.name);
            if member.header < here {
                job.danger(format!("{name} overlaps the member before it"));
                return Err(Halt::Broken);
            }
            return fault_at(job, &format!("bytes that belong to no member, before {name},"), here);
        }
        local_header(source, job, member)?;
        if !pass_data(source, member, next)? {
            let name = quoted(&member.name);
            if member.data.checked_add(member.packed).is_none_or(|end| end > next) {
                job.danger(format!("{name} reaches into what stands after it"));
                return Err(Halt::Broken);
            }
            return job.broken(format!(
                "what stands between {name} and the next member is no description of it"
            ));
        }
    }
    if source.offset() != directory {
        return job.broken("bytes that belong to no member, before the archive's directory");
    }
    Ok(())
}

fn local_header(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    member: &mut Member,
) -> Result<(), Halt> {
    let at = member.header;
    let bytes: [u8; LOCAL] = fixed(source, job)?;
    let name = quoted(&member.name);
    if !bytes.starts_with(&LOCAL_SIGNATURE) {
        return fault_at(job, &format!("{name} has no header of its own"), at);
    }
    let [flags, method, name_len, extra_len] = [6, 8, 26, 28].map(|at| u16_at(&bytes, at));
    let (Some(local_name), Some(extra)) =
        (source.read_bytes(name_len.into())?, source.read_bytes(extra_len.into())?)
    else {
        return truncated(job);
    };
    let [crc, packed, size] = [14, 18, 22].map(|at| u32_at(&bytes, at));
    let later = flags & FLAG_DESCRIPTOR != 0;
    let mut sizes = Sizes { later, ..Sizes::new(size, packed, None) };
    if let Err(what) = extra::read(&extra, &mut sizes) {
        return fault_at(job, &format!("{name}: {what}"), at);
    }
    let method_agrees = match member.method {
        Method::Stored => method == 0,
        Method::Deflated => method == 8,
    };
    let agrees = |local: u64, central: u64| local == central || (later && local == 0);
    let different = if local_name != member.name.as_bytes() {
        "names"
    } else if flags != member.flags {
        "flags"
    } else if !method_agrees {
        "methods"
    } else if !agrees(sizes.size, member.size) || !agrees(sizes.packed, member.packed) {
        "sizes"
    } else if sizes.header.is_some_and(|told| told != member.header) {
        "places"
    } else if !agrees(crc.into(), member.crc.unwrap_or_default().into()) {
        "checksums"
    } else {
        member.data = source.offset();
        return Ok(());
    };
    job.danger(format!(
        "the two headers of {name} tell different {different}; what is loaded depends on the reader"
    ));
    Err(Halt::Broken)
}

/// Passes over a member's bytes and its descriptor; false when they do not end at `next`.
fn pass_data(source: &mut Source<'_>, member: &Member, next: u64) -> Result<bool, Halt> {
    let Some(end) = member.data.checked_add(member.packed).filter(|end| *end <= next) else {
        return Ok(false);
    };
    if member.method == Method::Stored && member.packed != member.size
        || member.is_folder() && member.size != 0
        || !source.skip(member.packed)?
    {
        return Ok(false);
    }
    if member.flags & FLAG_DESCRIPTOR == 0 {
        return Ok(end == next);
    }
    let mut descriptor = [0; 24];
    let used = match next - end {
        16 => &mut descriptor[..16],
        24 => &mut descriptor[..],
        _ => return Ok(false),
    };
    if !source.exact(used)? {
        return Ok(false);
    }
    let (packed, size) = match used.len() {
        16 => (u32_at(used, 8).into(), u32_at(used, 12).into()),
        _ => (u64_at(used, 8), u64_at(used, 16)),
    };
    Ok(used.starts_with(&DESCRIPTOR_SIGNATURE)
        && Some(u32_at(used, 4)) == member.crc
        && packed == member.packed
        && size == member.size)
}
