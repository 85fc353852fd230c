//! Load checks: would this artifact load, and could loading it run somebody's code?
//!
//! Decides from the bytes alone, reading as the format's own loader would, to the end. Knows
//! nothing of models, stages, storage or HTTP, imports nothing and runs nothing it reads.

pub mod json;
mod pickle;
mod report;
mod sniff;
mod source;

use std::collections::HashSet;
use std::io::{self, Read, Seek};

pub use report::{Depth, Format, LoadReport, Verdict};

use report::Findings;
use source::Source;

/// Exact (module, name) pairs an operator trusts in addition to the built-in allow-list.
///
/// Trusting a pair means: it may be called while loading, with any arguments, and its result may
/// be given any state.
#[derive(Debug, Clone, Default)]
pub struct TrustedGlobals(HashSet<(String, String)>);

impl TrustedGlobals {
    /// Trusts exactly these pairs.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// Whether this very pair is trusted.
    pub fn contains(&self, module: &str, name: &str) -> bool {
        // A set of pairs of owned strings cannot be asked with borrowed ones; the list is short.
        self.0.iter().any(|(m, n)| m == module && n == name)
    }
}

/// Why a reader stopped before the end of its work.
#[derive(Debug)]
enum Halt {
    /// The artifact could not be read, or the caller asked to stop.
    Io(io::Error),
    /// The content is broken from here on; the finding is already written down.
    Broken,
    /// A part of the stream begins that no reader here understands.
    Foreign(Format),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Halt::Io(error)
    }
}

/// Polled between steps, so that a caller can give up on a slow artifact.
pub(crate) fn poll(keep_going: &dyn Fn() -> bool) -> io::Result<()> {
    if keep_going() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::Interrupted, "the load check was cancelled"))
    }
}

/// Reads the whole artifact and says whether its own loader would accept it, and at what risk.
///
/// Everything about the content is in the report. An error means the artifact could not be read,
/// or (`ErrorKind::Interrupted`) that `keep_going` answered false.
pub fn check<R: Read + Seek>(
    artifact: R,
    trusted: &TrustedGlobals,
    keep_going: &dyn Fn() -> bool,
) -> io::Result<LoadReport> {
    poll(keep_going)?;
    let mut source = Source::open(artifact, sniff::WINDOW)?;
    if source.len() == 0 {
        return Ok(LoadReport::unloadable(Format::Unknown, "the file is empty".into()));
    }
    let format = sniff::format_of(source.head(), source.len());
    match format {
        Format::Json => check_json(&mut source, keep_going),
        Format::Pickle => check_pickle(&mut source, trusted, keep_going),
        other => Ok(LoadReport::unloadable(other, no_check(other))),
    }
}

fn no_check(format: Format) -> String {
    format!("no load check for this format yet ({format})")
}

fn check_json<R: Read + Seek>(
    source: &mut Source<R>,
    keep_going: &dyn Fn() -> bool,
) -> io::Result<LoadReport> {
    match json::scan(source.buffered(), keep_going) {
        Ok(()) => Ok(LoadReport::loadable(Format::Json, Depth::Parsed)),
        Err(json::ScanError::Fault(fault)) => {
            Ok(LoadReport::unloadable(Format::Json, fault.to_string()))
        }
        Err(json::ScanError::Io(error)) => Err(error),
    }
}

fn check_pickle<R: Read + Seek>(
    source: &mut Source<R>,
    trusted: &TrustedGlobals,
    keep_going: &dyn Fn() -> bool,
) -> io::Result<LoadReport> {
    let mut findings = Findings::default();
    let format = match pickle::run(source, trusted, keep_going, &mut findings) {
        Ok(()) | Err(Halt::Broken) => Format::Pickle,
        Err(Halt::Foreign(format)) => {
            findings.broken(no_check(format));
            format
        }
        Err(Halt::Io(error)) => return Err(error),
    };
    Ok(findings.into_report(format, Depth::Typed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn go() -> bool {
        true
    }

    #[test]
    fn a_cancelled_check_is_an_interrupted_error_and_no_report() {
        let error = check(Cursor::new(b"{}"), &TrustedGlobals::default(), &|| false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn a_format_without_a_reader_is_named_and_refused() {
        let report =
            check(Cursor::new(b"\x1f\x8b\x08\0rest"), &TrustedGlobals::default(), &go).unwrap();
        assert_eq!((report.format, report.verdict), (Format::Gzip, Verdict::Unloadable));
        assert_eq!(report.errors, ["no load check for this format yet (gzip)"]);
    }

    #[test]
    fn trust_is_an_exact_pair() {
        let trusted = TrustedGlobals::new([("ours.models".to_owned(), "Risk".to_owned())]);
        assert!(trusted.contains("ours.models", "Risk"));
        assert!(!trusted.contains("ours", "models.Risk"));
        assert!(!trusted.contains("ours.models", "Risk2"));
    }
}
