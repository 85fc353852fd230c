//! What stands beside a model in an archive and is proven to be harmless.
//!
//! Text, in UTF-8 and without control characters, and images and documents by their magic; of each it
//! is proven that no loader of pickles comes to a name in it, that no other file is hidden in it, and
//! that it is no configuration that names code. What is neither is not passed over.

use std::io::Read;

use super::super::naming::{self, Reached};
use super::super::report::quoted;
use super::super::source::Source;
use super::super::{Format, Halt, Job, hidden};
use super::names;

/// Bytes of a text that are read to prove that it names no code.
const MAX_TEXT: u64 = 64 * 1024 * 1024;

/// The old form of joblib's packed files: this, and a length in hexadecimal digits.
const OLD_JOBLIB: &[u8] = b"ZF";
const OLD_JOBLIB_LENGTH: std::ops::Range<usize> = 2..21;

/// Pictures and documents, which no loader of models takes.
const PICTURES: [&[u8]; 5] =
    [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"%PDF-"];

/// Whether these can be the first bytes of an object or array in JSON. Markdown may begin with a link
/// and YAML with a brace.
pub(super) fn may_be_json(head: &[u8]) -> bool {
    let mut bytes = head.iter().filter(|byte| !b" \t\r\n".contains(byte));
    match (bytes.next(), bytes.next()) {
        (Some(b'{'), second) => second.is_none_or(|byte| b"\"}".contains(byte)),
        (Some(b'['), second) => second.is_none_or(|byte| b"[]{\"-0123456789tfnNI".contains(byte)),
        _ => false,
    }
}

/// Passes over what is proven to be harmless; what is not is a finding.
pub(super) fn pass(inside: &mut Source<'_>, job: &mut Job<'_>, name: &str) -> Result<(), Halt> {
    let before = job.findings.len();
    job.format = Format::Unknown;
    hidden::refuse(inside, job)?;
    if is_old_joblib(inside.head()) {
        job.danger(
            "joblib's old packed form, a pickle that is not read here; load the model once where it \
             was made and save it with a newer joblib.dump",
        );
        return Ok(());
    }
    inside.seek_to(0)?;
    match naming::reached(inside, 0, job.keep_going)? {
        Some(Reached::Name(at, module)) => job.danger(format!(
            "it can be read as a pickle, which names {} at byte {at}",
            quoted(&module)
        )),
        Some(Reached::Exhaustion(at)) => job.danger(format!(
            "it can be read as a pickle, which takes far too much memory or time at byte {at}"
        )),
        None => {}
    }
    inside.seek_to(0)?;
    let head = inside.head();
    let webp = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP");
    let what = if webp || PICTURES.iter().any(|magic| head.starts_with(magic)) {
        "is an image or a document"
    } else {
        let Some(text) = text(inside)? else {
            job.findings.broken(
                "it is neither a model of a known format nor text or an image, so that nobody can say \
                 what loading it does; leave it out of the archive",
            );
            return Ok(());
        };
        names::in_text(&text, job);
        "is text"
    };
    if job.findings.len() == before {
        job.findings.note(format!("{} {what} and no model", quoted(name)));
    }
    Ok(())
}

/// Tells of code that the whole names, if it is text.
pub(super) fn names_in(inside: &mut Source<'_>, job: &mut Job<'_>) -> Result<(), Halt> {
    if let Some(text) = text(inside)? {
        names::in_text(&text, job);
    }
    Ok(())
}

fn is_old_joblib(head: &[u8]) -> bool {
    let length = head.get(OLD_JOBLIB_LENGTH).unwrap_or_default();
    let digits = |byte: &u8| byte.is_ascii_hexdigit() || b"xX_+ \t\r\n".contains(byte);
    head.starts_with(OLD_JOBLIB) && length.iter().all(digits)
}

/// The whole as text; `None` where it is none, or is too long to be read.
fn text(inside: &mut Source<'_>) -> Result<Option<String>, Halt> {
    if inside.len().is_none_or(|len| len > MAX_TEXT) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    inside.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).ok();
    Ok(text.filter(|text| !text.chars().any(|c| c.is_control() && !"\t\n\r\u{c}".contains(c))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_braces_that_begin_no_json_are_text() {
        for head in ["{}", "{ \"a\": 1}", "[", "[1, 2]", "\n[[]]", "[\"a\"]"] {
            assert!(may_be_json(head.as_bytes()), "{head}");
        }
        for head in ["[![badge](x)](y)", "[Alpha](x)", "{a: 1}", "{{ name }}", "{% if %}", "1,2"] {
            assert!(!may_be_json(head.as_bytes()), "{head}");
        }
    }

    #[test]
    fn joblibs_old_form_is_known_by_its_length() {
        assert!(is_old_joblib(b"ZF0x28               x\x9c"));
        assert!(is_old_joblib(b"ZF28                 x\x9c"));
        assert!(!is_old_joblib(b"ZF Friedrichshafen, a report"));
    }
}
