//! Arrow tables as files: messages between two magics, and a footer that says where they stand.
//!
//! Every message is held against the file, every buffer against its message, and the buffers of a
//! batch against the schema. What offsets within a column point to is not followed.

mod flat;
mod schema;
mod stream;

use std::io::Cursor;

use super::ends::{go, in_memory};
use super::report::{Depth, quoted};
use super::source::Source;
use super::{Halt, Job};
use flat::{Table, number, pair};
use schema::{Layout, Node, Schema, Wrong};

pub(super) use stream::check_stream;

pub(super) const MAGIC: &[u8; 6] = b"ARROW1";
/// The first version of Feather, which is another format.
pub(super) const FEATHER: &[u8; 4] = b"FEA1";
/// Before the size of a message.
pub(super) const CONTINUATION: [u8; 4] = [0xff; 4];
/// Bytes of the metadata of one message, and of the footer.
const MAX_METADATA: u64 = 64 * 1024 * 1024;
/// Bytes that a buffer may unpack to for any size, and for each byte it is packed in.
const BUFFER_FREE: i64 = 64 * 1024 * 1024;
const BUFFER_RATIO: i64 = 2000;

pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    if source.head().starts_with(FEATHER) {
        return job.broken(
            "the first version of Feather is not checked; save the table anew as Arrow or Parquet",
        );
    }
    if source.head().starts_with(&CONTINUATION) {
        return job.broken("a stream of Arrow messages is not checked: nothing says where it ends; save it as a file");
    }
    match source.len() {
        Some(len) => whole(source, len, job),
        None => {
            let bytes = in_memory(source, job)?;
            let len = bytes.len() as u64;
            whole(&mut Source::open(Cursor::new(bytes))?, len, job)
        }
    }
}

/// Where a message stands.
struct Block {
    at: u64,
    metadata: u64,
    body: u64,
}

impl Block {
    fn of(bytes: &[u8; 24]) -> Option<Self> {
        let metadata = bytes.get(8..12)?.first_chunk().map(|n| i32::from_le_bytes(*n))?;
        Some(Self {
            at: u64::try_from(number(bytes)).ok()?,
            metadata: u64::try_from(metadata).ok()?,
            body: u64::try_from(number(bytes.get(16..)?)).ok()?,
        })
    }

    fn end(&self) -> Option<u64> {
        self.at.checked_add(self.metadata)?.checked_add(self.body)
    }
}

fn whole(source: &mut Source<'_>, len: u64, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let Some(tail) = len.checked_sub(10).filter(|tail| *tail >= 8) else {
        return job.broken("the file ends before its footer");
    };
    source.seek_to(tail)?;
    let (mut size, mut magic) = ([0; 4], [0; 6]);
    if !source.exact(&mut size)? || !source.exact(&mut magic)? || magic != *MAGIC {
        return job.broken("the file is truncated: it does not end with ARROW1");
    }
    let size = u64::from(u32::from_le_bytes(size));
    let Some(start) = tail.checked_sub(size).filter(|start| *start >= 8 && size <= MAX_METADATA)
    else {
        return job.broken(format!("a footer of {size} bytes in a file of {len}"));
    };
    source.seek_to(start)?;
    let Some(bytes) = source.read_bytes(size)? else {
        return job.broken("the file is truncated within its footer");
    };
    let (schema, blocks) = match footer(&bytes) {
        Ok(found) => found,
        Err(what) => return job.broken(format!("the footer: {what}")),
    };
    let mut before = 8;
    let first = match first_message(source, start)?.map(|bytes| (schema_of(&bytes), bytes)) {
        Some((Ok(first), bytes)) => {
            before += bytes.len() as u64;
            Some(first)
        }
        Some((Err(what), bytes)) if bytes.starts_with(&CONTINUATION) => {
            return job.broken(format!("the schema at the start: {what}"));
        }
        // Polars writes it without a frame, so that no reader of streams can take it.
        _ => None,
    };
    // Most readers take the schema of the footer, those of streams the one at the start.
    for danger in [Some(&schema), first.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(|schema| schema.danger.as_ref())
    {
        job.danger(danger);
    }
    for (block, dictionary) in &blocks {
        job.poll()?;
        let end = block.end().filter(|end| *end <= start && block.at >= before);
        let (Some(end), 8..=MAX_METADATA) = (end, block.metadata) else {
            return job.broken(format!(
                "a message is said to stand at byte {}, where the file has no room for it",
                block.at
            ));
        };
        before = end;
        message(source, block, *dictionary, &schema, job)?;
    }
    Ok(Depth::Parsed)
}

/// The message that stands first, in its frame; `None` where it does not end before `end`.
fn first_message(source: &mut Source<'_>, end: u64) -> Result<Option<Vec<u8>>, Halt> {
    source.seek_to(8)?;
    let mut frame = [0; 8];
    if !source.exact(&mut frame)? {
        return Ok(None);
    }
    let (mark, rest) = frame.split_at(4);
    let (size, head) = if mark == CONTINUATION { (rest, 8) } else { (mark, 4) };
    let size = size.first_chunk().map_or(0, |size| u64::from(u32::from_le_bytes(*size)));
    if size > MAX_METADATA || size + head + 8 > end {
        return Ok(None);
    }
    source.seek_to(8)?;
    Ok(source.read_bytes(size + head)?)
}

/// The metadata of a message in its frame. Before the size stands a mark, which older writers did not know.
fn metadata_of(bytes: &[u8]) -> Option<&[u8]> {
    let framed = bytes.strip_prefix(&CONTINUATION).unwrap_or(bytes);
    let (size, rest) = framed.split_first_chunk()?;
    rest.get(..usize::try_from(u32::from_le_bytes(*size)).ok()?)
}

/// The schema of a message in its frame.
fn schema_of(bytes: &[u8]) -> Result<Schema, Wrong> {
    let metadata = metadata_of(bytes).ok_or("its message is cut")?;
    let message = Table::root(metadata)?;
    match (message.u8(1)?, message.table(2)?) {
        (1, Some(schema)) => Schema::read(&schema),
        _ => Err("no schema where one should stand".to_owned()),
    }
}

/// What is wrong with a schema that another format keeps as a message, or dangerous in it.
pub(super) fn check_schema(bytes: &[u8], job: &mut Job<'_>) -> Result<(), String> {
    if let Some(danger) = schema_of(bytes)?.danger {
        job.danger(danger);
    }
    Ok(())
}

type Found = (Schema, Vec<(Block, bool)>);

fn footer(bytes: &[u8]) -> Result<Found, Wrong> {
    let footer = Table::root(bytes)?;
    let Some(schema) = footer.table(1)? else {
        return Err("it has no schema".to_owned());
    };
    let properties = footer.properties(4)?;
    let mut schema = Schema::read(&schema)?;
    schema.danger = schema.danger.take().or_else(|| schema::refused_among(&properties));
    let mut blocks = Vec::new();
    for (field, dictionary) in [(2, true), (3, false)] {
        for block in footer.structs::<24>(field)? {
            match Block::of(block) {
                Some(block) => blocks.push((block, dictionary)),
                None => return Err("a message has a negative place or size".to_owned()),
            }
        }
    }
    // In the order of the file, so that it is read once however many there are.
    blocks.sort_unstable_by_key(|(block, _): &(Block, bool)| (block.at, block.end()));
    Ok((schema, blocks))
}

fn message(
    source: &mut Source<'_>,
    block: &Block,
    dictionary: bool,
    schema: &Schema,
    job: &mut Job<'_>,
) -> Result<(), Halt> {
    let at = block.at;
    go(source, at)?;
    let Some(bytes) = source.read_bytes(block.metadata)? else {
        return job.broken(format!("the file is truncated within the message at byte {at}"));
    };
    let Some(metadata) = metadata_of(&bytes) else {
        return job.broken(format!("the message at byte {at} is longer than the footer says"));
    };
    let packed = match batch(metadata, block, dictionary, schema) {
        Ok(packed) => packed,
        Err(what) => return job.broken(format!("the message at byte {at}: {what}")),
    };
    for (offset, length) in packed {
        // Of a packed buffer, the size that it unpacks to stands first; -1 says it is not packed.
        let mut size = [0; 8];
        let place = at.saturating_add(block.metadata).saturating_add(offset.unsigned_abs());
        if place < source.offset() {
            return job.broken(format!("two buffers overlap at byte {place}"));
        }
        go(source, place)?;
        if !source.exact(&mut size)? {
            return job.broken(format!("the file is truncated at byte {place}"));
        }
        let size = i64::from_le_bytes(size);
        if size < -1 {
            return job.broken(format!("the buffer at byte {place} unpacks to {size} bytes"));
        }
        if size > BUFFER_FREE && size / BUFFER_RATIO > length {
            job.danger(format!("the buffer at byte {place} would unpack {length} bytes to {size}"));
        }
    }
    Ok(())
}

/// Holds one batch against the schema; answers the buffers that are packed.
fn batch(
    metadata: &[u8],
    block: &Block,
    dictionary: bool,
    schema: &Schema,
) -> Result<Vec<(i64, i64)>, Wrong> {
    let message = Table::root(metadata)?;
    let version = message.i16(0)?;
    if u64::try_from(message.i64(3)?) != Ok(block.body) {
        return Err("its body is not as long as the footer says".to_owned());
    }
    let missing = || "it holds no batch".to_owned();
    let header = message.table(2)?.ok_or_else(missing)?;
    let (header, nodes) = match (message.u8(1)?, dictionary) {
        (2, true) => {
            let id = header.i64(0)?;
            let Some(nodes) = schema.dictionaries.get(&id) else {
                return Err(format!("the schema has no dictionary {id}"));
            };
            (header.table(1)?.ok_or_else(missing)?, nodes)
        }
        (3, false) => (header, &schema.nodes),
        _ => return Err(missing()),
    };
    let rows = header.i64(0)?;
    let packing = header.table(3)?;
    if let Some(packing) = packing
        && (packing.u8(0)? > 1 || packing.u8(1)? != 0)
    {
        return Err("it is packed in a way that is not known".to_owned());
    }
    let lengths = header.structs::<16>(1)?;
    let buffers = header.structs::<16>(2)?;
    let mut variadic = header.structs::<8>(4)?.iter();
    if rows < 0 || lengths.len() != nodes.len() {
        return Err(format!(
            "it has {} columns and parts; the schema has {}",
            lengths.len(),
            nodes.len()
        ));
    }
    let mut rest = buffers;
    // The third version of the format and those before gave unions a validity; it is the fourth
    // by its number.
    let union_validity = version < 4;
    for (node, length) in nodes.iter().zip(lengths) {
        let (length, nulls) = pair(length);
        let name = &node.name;
        if node.column && length != rows {
            return Err(format!("column \"{name}\" has {length} values in a batch of {rows} rows"));
        }
        if length < 0 || nulls < 0 || nulls > length {
            return Err(format!(
                "column \"{name}\" has {length} values of which {nulls} are missing"
            ));
        }
        let mut count = node.layout.buffers(union_validity);
        if node.layout == Layout::Views {
            let more = variadic.next().map_or(-1, |count| number(count));
            let more = usize::try_from(more).ok().filter(|more| *more <= rest.len());
            count += more.ok_or_else(|| format!("column \"{name}\" says no number of buffers"))?;
        }
        let Some((own, others)) = rest.split_at_checked(count) else {
            return Err(format!("column \"{name}\" has too few buffers"));
        };
        rest = others;
        held(node, own, length, nulls, block.body, packing.is_some())?;
    }
    if !rest.is_empty() || variadic.next().is_some() {
        return Err("it has more buffers than its columns need".to_owned());
    }
    let mut packed: Vec<_> = match packing {
        Some(_) => buffers.iter().map(pair).filter(|(_, length)| *length > 0).collect(),
        None => Vec::new(),
    };
    packed.sort_unstable();
    packed.dedup();
    Ok(packed)
}

/// Holds the buffers of one column against the body and the number of its values.
fn held(
    node: &Node,
    buffers: &[[u8; 16]],
    length: i64,
    nulls: i64,
    body: u64,
    packed: bool,
) -> Result<(), Wrong> {
    let rows = length.unsigned_abs();
    let needs = |i: usize| -> Option<u64> {
        let bits = match (node.layout, i) {
            (Layout::Union { .. }, _) | (_, 2..) | (Layout::Null | Layout::RunEnds, _) => {
                return Some(0);
            }
            (_, 0) if nulls == 0 => return Some(0),
            (_, 0) => 1,
            (Layout::Fixed(bits), _) => bits,
            (Layout::Views, _) => 128,
            (Layout::ListViews(bits), _) => bits,
            (Layout::Offsets(..), _) if rows == 0 => return Some(0),
            (Layout::Offsets(bits, _), _) => return rows.checked_add(1)?.checked_mul(bits / 8),
            (Layout::Validity, _) => return Some(0),
        };
        Some(rows.checked_mul(bits)?.div_ceil(8))
    };
    for (i, buffer) in buffers.iter().enumerate() {
        let name = quoted(&node.name);
        let (offset, size) = pair(buffer);
        let (Ok(offset), Ok(size)) = (u64::try_from(offset), u64::try_from(size)) else {
            return Err(format!("buffer {i} of column \"{name}\" has a negative place or size"));
        };
        if offset.checked_add(size).is_none_or(|end| end > body) {
            return Err(format!(
                "buffer {i} of column \"{name}\" ends beyond the body of {body} bytes"
            ));
        }
        // What says which values are missing is not looked at where none is.
        let read = size > 0 && (i > 0 || nulls > 0);
        if read && !offset.is_multiple_of(8) {
            return Err(format!(
                "buffer {i} of column \"{name}\" begins at {offset}, which is no multiple of 8"
            ));
        }
        let needed = needs(i);
        let short = needed.is_none_or(|needed| size < needed);
        if (packed && (1..8).contains(&size)) || (!packed && short) {
            return Err(format!(
                "buffer {i} of column \"{name}\" has {size} bytes, too few for {length} values"
            ));
        }
    }
    Ok(())
}
