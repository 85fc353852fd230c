//! Arrow tables as streams: a schema, then batches, each message with its own length before it.
//!
//! Polars pickles its frames so, and takes memory for whatever lengths the messages say.

use super::super::source::Source;
use super::super::{Halt, Job};
use super::flat::Table;
use super::schema::{Schema, Wrong};
use super::{Block, CONTINUATION, Depth, MAX_METADATA, batch};

/// Reads a stream to its end and to the end of what it stands in; nothing in it may be packed.
pub(in super::super) fn check_stream(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
) -> Result<Depth, Halt> {
    let mut schema = None;
    while let Some(metadata) = metadata(source, job)? {
        job.poll()?;
        let body = match read(&metadata, &mut schema) {
            Ok(body) => body,
            Err(what) => return job.broken(format!("a message of an Arrow stream: {what}")),
        };
        if let Some(danger) = schema.as_mut().and_then(|schema| schema.danger.take()) {
            job.danger(danger);
        }
        if !source.may_hold(body) || !source.skip(body)? {
            return job.broken("an Arrow stream is truncated within a message");
        }
    }
    if schema.is_none() || !source.at_end()? {
        return job.broken("an Arrow stream without a schema, or with bytes behind its end");
    }
    Ok(Depth::Parsed)
}

/// The next message without its body; `None` at the end of the stream.
fn metadata(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Option<Vec<u8>>, Halt> {
    if source.at_end()? {
        return Ok(None);
    }
    let (mut mark, mut size) = ([0; 4], [0; 4]);
    if !source.exact(&mut mark)? || !source.exact(&mut size)? || mark != CONTINUATION {
        return job.broken("an Arrow stream in which no message stands where one should");
    }
    match u64::from(u32::from_le_bytes(size)) {
        0 => Ok(None),
        size if size > MAX_METADATA || !source.may_hold(size) => {
            job.broken("an Arrow stream is truncated before a message")
        }
        size => match source.read_bytes(size)? {
            Some(bytes) => Ok(Some(bytes)),
            None => job.broken("an Arrow stream is truncated within a message"),
        },
    }
}

/// Holds a message against the schema, or takes the schema from it; answers how long its body is.
fn read(metadata: &[u8], schema: &mut Option<Schema>) -> Result<u64, Wrong> {
    let message = Table::root(metadata)?;
    let body = u64::try_from(message.i64(3)?).map_err(|_| "a negative length".to_owned())?;
    let kind = message.u8(1)?;
    match (kind, &schema) {
        (1, None) => {
            let Some(table) = message.table(2)? else {
                return Err("no schema where one should stand".to_owned());
            };
            *schema = Some(Schema::read(&table)?);
        }
        (2 | 3, Some(schema)) => {
            let block = Block { at: 0, metadata: 0, body };
            if !batch(metadata, &block, kind == 2, schema)?.is_empty() {
                return Err("a batch is packed, which no frame in a pickle is".to_owned());
            }
        }
        _ => return Err("a message of an unknown kind, or in the wrong place".to_owned()),
    }
    Ok(body)
}
