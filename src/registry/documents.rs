//! JSON that a client or an operator gives: read strictly, so that what was accepted can be read back.

use serde::de::DeserializeOwned;

use load_checks::json::scan_slice;

use crate::domain::{
    json_text::{self, MAX_NESTING},
    text::echo,
};

/// The most characters of an invalid document that an error shows.
const SHOWN_CHARACTERS: usize = 20;

/// Reads a document. The error is the end of a sentence that begins with its name; `expected` says what it must be, and
/// `place` where it is.
///
/// # Errors
/// The end of the sentence.
pub fn parse<T: DeserializeOwned>(text: &[u8], expected: &str, place: &str) -> Result<T, String> {
    let faults = json_text::faults(text, MAX_NESTING);
    if !faults.is_empty() {
        return Err(format!("cannot be kept: {}", faults.join("; ")));
    }
    // serde_json would silently keep the last of two equal keys.
    scan_slice(text).map_err(|fault| {
        let offset = usize::try_from(fault.offset).unwrap_or(usize::MAX);
        let rest = String::from_utf8_lossy(text.get(offset..).unwrap_or_default());
        let there = if rest.is_empty() {
            format!("at the end, after {offset} bytes")
        } else {
            let shown: String = rest.chars().take(SHOWN_CHARACTERS).collect();
            format!("at \"{}\", byte {offset}", echo(&shown))
        };
        let gap = if place.is_empty() { "" } else { " " };
        format!("{expected}; {} {there}{gap}{place}", fault.what)
    })?;
    serde_json::from_slice(text).map_err(|error| format!("has the wrong form: {error}"))
}
