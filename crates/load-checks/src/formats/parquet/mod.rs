//! Parquet tables: column chunks made of pages, and a footer that says where they stand.
//!
//! Reads the footer as Thrift's compact protocol, holds every chunk against the file and the
//! schema, and walks the pages by their headers. What is in a page is not unpacked.

mod footer;
mod thrift;

use std::io::Cursor;

use super::ends::{go, in_memory};
use super::report::{Depth, quoted};
use super::source::Source;
use super::{Halt, Job, arrow, extension};
use footer::{Column, Footer};
use thrift::{Struct, Thrift};

pub(super) const MAGIC: &[u8; 4] = b"PAR1";
const ENCRYPTED: &[u8; 4] = b"PARE";
/// Bytes of a footer.
const MAX_FOOTER: u64 = 128 * 1024 * 1024;
/// A page may claim so many bytes for any size, and so many for each byte it is packed in.
const PAGE_FREE: i64 = 64 * 1024 * 1024;
const PAGE_RATIO: i64 = 2000;

pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    match source.len() {
        Some(len) => whole(source, len, job),
        None => {
            let bytes = in_memory(source, job)?;
            let len = bytes.len() as u64;
            whole(&mut Source::open(Cursor::new(bytes))?, len, job)
        }
    }
}

fn whole(source: &mut Source<'_>, len: u64, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let Some(tail) = len.checked_sub(8).filter(|tail| *tail >= 4) else {
        return job.broken("the file ends before its footer");
    };
    source.seek_to(tail)?;
    let (mut size, mut magic) = ([0; 4], [0; 4]);
    if !source.exact(&mut size)? || !source.exact(&mut magic)? {
        return job.broken("the file is truncated");
    }
    if magic == *ENCRYPTED {
        return job.broken("the table is encrypted; no key is asked for here");
    }
    if magic != *MAGIC {
        return job.broken("the file is truncated: it does not end with PAR1");
    }
    let size = u64::from(u32::from_le_bytes(size));
    let Some(start) = tail.checked_sub(size).filter(|start| *start >= 4 && size <= MAX_FOOTER)
    else {
        return job.broken(format!("a footer of {size} bytes in a file of {len}"));
    };
    source.seek_to(start)?;
    let mut thrift = Thrift::new(source, job.keep_going, tail);
    let footer = Footer::read(&mut thrift)?;
    if thrift.offset() != tail {
        return thrift.fault("bytes after the metadata in the footer");
    }
    if let Some(danger) = &footer.danger {
        job.danger(danger);
    }
    if let Some(schema) = &footer.arrow_schema {
        arrow_schema(schema, job)?;
    }
    footer.consistent(start).or_else(|what| job.broken(what))?;
    let mut columns: Vec<_> = footer.groups.iter().flat_map(|group| &group.columns).collect();
    // In the order of the file, so that it is read once however many there are.
    columns.sort_unstable_by_key(|column| column.start());
    source.seek_to(4)?;
    for column in columns {
        job.poll()?;
        pages(source, column, job)?;
    }
    Ok(Depth::Parsed)
}

/// The schema of Arrow, from which its libraries make their own types.
fn arrow_schema(schema: &[u8], job: &mut Job<'_>) -> Result<(), Halt> {
    let bytes = std::str::from_utf8(schema).ok().and_then(extension::base64);
    let Some(bytes) = bytes else {
        return job.broken("the footer's ARROW:schema is no Base64");
    };
    arrow::check_schema(&bytes, job)
        .or_else(|what| job.broken(format!("the footer's ARROW:schema: {what}")))
}

#[derive(Default)]
struct Page {
    kind: Option<i64>,
    unpacked: Option<i64>,
    packed: Option<i64>,
    values: Option<i64>,
    encoding: Option<i64>,
}

/// Walks the pages of a chunk, which must fill it.
fn pages(source: &mut Source<'_>, column: &Column, job: &mut Job<'_>) -> Result<(), Halt> {
    let end = column.end();
    go(source, column.start())?;
    let mut values = 0_i64;
    let mut first = true;
    while source.offset() < end {
        let at = source.offset();
        let mut thrift = Thrift::new(source, job.keep_going, end);
        let page = Page::read(&mut thrift)?;
        let (Some(kind), Some(unpacked @ 0..), Some(packed @ 0..)) =
            (page.kind, page.unpacked, page.packed)
        else {
            return job.broken(format!("a page without its sizes at byte {at}"));
        };
        if unpacked > PAGE_FREE && unpacked / PAGE_RATIO > packed {
            job.danger(format!("the page at byte {at} would unpack {packed} bytes to {unpacked}"));
        }
        match kind {
            0 | 3 => {
                let (Some(count @ 0..), Some(true)) =
                    (page.values, page.encoding.map(footer::is_encoding))
                else {
                    return job.broken(format!("a page without values or encoding at byte {at}"));
                };
                values = values.saturating_add(count);
            }
            2 if first && page.values.is_some() => {}
            2 => return job.broken(format!("a dictionary out of place at byte {at}")),
            1 => {}
            _ => return job.broken(format!("there is no kind {kind} of pages, at byte {at}")),
        }
        first = false;
        let packed = packed.unsigned_abs();
        if packed > end.saturating_sub(source.offset()) || !source.skip(packed)? {
            return job.broken(format!(
                "the page at byte {at} of {packed} bytes runs beyond its column, which ends at {end}"
            ));
        }
        job.poll()?;
    }
    if values != column.values {
        let name = quoted(&column.name);
        return job.broken(format!(
            "the pages of column \"{name}\" hold {values} values; {} are declared",
            column.values
        ));
    }
    Ok(())
}

impl Page {
    fn read(thrift: &mut Thrift<'_, '_>) -> Result<Self, Halt> {
        let mut page = Self::default();
        let mut within = Struct::default();
        while let Some((number, kind)) = thrift.field(&mut within)? {
            match (number, kind) {
                (1, thrift::Kind::Int) => page.kind = Some(thrift.int()?),
                (2, thrift::Kind::Int) => page.unpacked = Some(thrift.int()?),
                (3, thrift::Kind::Int) => page.packed = Some(thrift.int()?),
                (5 | 7, thrift::Kind::Struct) => page.about(thrift, 2)?,
                (8, thrift::Kind::Struct) => page.about(thrift, 4)?,
                _ => thrift.pass(kind)?,
            }
        }
        Ok(page)
    }

    /// Values and encoding, which stands in another field in the second version.
    fn about(&mut self, thrift: &mut Thrift<'_, '_>, encoding: i64) -> Result<(), Halt> {
        let mut within = Struct::default();
        while let Some((number, kind)) = thrift.field(&mut within)? {
            match (number, kind) {
                (1, thrift::Kind::Int) => self.values = Some(thrift.int()?),
                (at, thrift::Kind::Int) if at == encoding => self.encoding = Some(thrift.int()?),
                _ => thrift.pass(kind)?,
            }
        }
        Ok(())
    }
}
