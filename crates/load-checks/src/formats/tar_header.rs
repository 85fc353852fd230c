//! The headers of tar archives: what each field says of a member.

use std::ops::Range;

pub(super) const BLOCK: usize = 512;

/// Where the fields of a header stand.
const NAME: Range<usize> = 0..100;
const SIZE: Range<usize> = 124..136;
const SUM: Range<usize> = 148..156;
const KIND: usize = 156;
const MAGIC: Range<usize> = 257..265;
const PREFIX: Range<usize> = 345..500;

/// What a header says.
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) size: u64,
    /// `None` where it is no text.
    pub(super) name: Option<String>,
}

impl Header {
    /// `None` where these bytes are no header, or a damaged one.
    pub(super) fn read(header: &[u8; BLOCK]) -> Option<Self> {
        let known = matches!(&header[MAGIC], b"ustar\x0000" | b"ustar  \0");
        if !known || number(&header[SUM]) != Some(sum(header)) {
            return None;
        }
        Some(Self { kind: header[KIND], size: number(&header[SIZE])?, name: name(header) })
    }
}

/// Whether a reader of tar archives takes these for the first bytes of one. The oldest headers have
/// no magic, and readers go by the sum alone; some add up signed bytes.
pub(super) fn is_first_header(head: &[u8]) -> bool {
    let Some(header) = head.first_chunk::<BLOCK>() else {
        return false;
    };
    // A sum of nothing is none: the field itself counts as spaces.
    let Some(told @ 1..) = number(&header[SUM]) else {
        return false;
    };
    let high = header.iter().enumerate().filter(|(at, byte)| !SUM.contains(at) && **byte > 0x7f);
    let unsigned = sum(header);
    told == unsigned || Some(told) == unsigned.checked_sub(256 * high.count() as u64)
}

fn sum(header: &[u8; BLOCK]) -> u64 {
    let bytes = header.iter().enumerate();
    bytes.map(|(at, byte)| u64::from(if SUM.contains(&at) { b' ' } else { *byte })).sum()
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

fn name(header: &[u8; BLOCK]) -> Option<String> {
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

/// Records like `22 path=model.joblib\n`, each led by its own length.
pub(super) fn pax(mut body: &[u8]) -> Option<Vec<(String, String)>> {
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
