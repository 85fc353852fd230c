//! Formats whose end says what they are, so that they are read from there.

use super::source::Source;
use super::{Halt, Job};

/// Bytes of a packed table that is unpacked into memory to be read from its end.
const MAX_PACKED: u64 = 64 * 1024 * 1024;

/// A packed file whose end says what it is.
pub(super) fn in_memory(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Vec<u8>, Halt> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(&mut *source, MAX_PACKED + 1), &mut bytes)?;
    if bytes.len() as u64 > MAX_PACKED {
        return job.broken(format!(
            "a packed table of more than {MAX_PACKED} bytes; store it unpacked to be checked"
        ));
    }
    // Held besides what was unpacked to get here.
    job.budget.unpack(bytes.len() as u64).map_err(std::io::Error::from)?;
    Ok(bytes)
}

/// Goes to a place; ahead, without reading anew what is at hand.
pub(super) fn go(source: &mut Source<'_>, to: u64) -> std::io::Result<()> {
    match to.checked_sub(source.offset()) {
        Some(ahead) if source.skip(ahead)? => Ok(()),
        _ => source.seek_to(to),
    }
}
