//! Load checks: would this artifact load, and could loading it run somebody's code?
//!
//! Decides from the bytes alone, reading as the format's own loader would, to the end. Knows
//! nothing of models, stages, storage or HTTP, imports nothing and runs nothing it reads.

mod arrow;
mod budget;
mod compressed;
mod gguf;
mod index;
pub mod json;
mod lightgbm;
mod npy;
mod onnx;
mod parquet;
mod pickle;
mod report;
mod safetensors;
mod sniff;
mod source;
mod tar;
mod trees;
mod xgboost;
mod zip;

use std::collections::HashSet;
use std::io::{self, Read, Seek};

pub use report::{Depth, Finding, Format, LoadReport, Severity, Verdict};

use budget::Budget;
use report::Findings;
use source::{Source, Spoiled};

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

    /// The pairs, to be handed on.
    #[must_use]
    pub fn pairs(&self) -> Vec<(String, String)> {
        self.0.iter().cloned().collect()
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
    /// Nothing can be read from here on; the finding is already written down.
    Broken,
    /// Nothing can be read from here on, and this is why.
    Found(Box<Finding>),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Spoiled>()) {
            Some(Spoiled::Broken(what)) => Halt::Found(Box::new(Finding::fault(what))),
            Some(Spoiled::Bomb(what)) => Halt::Found(Box::new(Finding::danger(what))),
            None => Halt::Io(error),
        }
    }
}

/// An input that came with a model, and what the model answered to it when it was made.
///
/// Rows of numbers. A check that can run the model compares; it never needs one.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    /// One row of features a line.
    pub input: Vec<Vec<f64>>,
    /// What the model answers to each row.
    pub expected: Vec<Vec<f64>>,
}

/// What one check shares among the readers of its parts.
struct Job<'a> {
    trusted: &'a TrustedGlobals,
    sample: Option<&'a Sample>,
    keep_going: &'a dyn Fn() -> bool,
    findings: Findings,
    /// What the content turned out to be.
    format: Format,
    /// The outermost packing.
    container: Option<Format>,
    budget: Budget,
}

impl Job<'_> {
    /// For a part that is read on its own: what is found there counts only if the caller says so.
    fn aside(&self, format: Format) -> Job<'_> {
        Job {
            trusted: self.trusted,
            sample: None,
            keep_going: self.keep_going,
            findings: Findings::default(),
            format,
            container: None,
            budget: Budget::of(0),
        }
    }

    /// To be asked between steps, so that a caller can give up on a slow artifact.
    fn poll(&self) -> Result<(), Halt> {
        Ok(poll(self.keep_going)?)
    }

    /// Writes down that its own loader would fail here, and stops.
    fn broken<T>(&mut self, sentence: impl Into<String>) -> Result<T, Halt> {
        self.findings.broken(sentence);
        Err(Halt::Broken)
    }

    /// Writes down a danger; reading may go on.
    fn danger(&mut self, sentence: impl Into<String>) {
        self.findings.danger(sentence);
    }
}

/// Fails with `Interrupted` when the caller asked to stop.
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
///
/// # Errors
/// The system's, and `Interrupted`.
pub fn check<R: Read + Seek>(
    artifact: R,
    trusted: &TrustedGlobals,
    sample: Option<&Sample>,
    keep_going: &dyn Fn() -> bool,
) -> io::Result<LoadReport> {
    poll(keep_going)?;
    let mut source = Source::open(artifact)?;
    let mut job = Job {
        trusted,
        sample,
        keep_going,
        findings: Findings::default(),
        format: Format::Unknown,
        container: None,
        budget: Budget::of(source.len().unwrap_or(0)),
    };
    let depth = match read(&mut source, &mut job) {
        Ok(depth) => depth,
        Err(Halt::Broken) => Depth::Parsed,
        Err(Halt::Found(finding)) => {
            job.findings.add(*finding);
            Depth::Parsed
        }
        Err(Halt::Io(error)) => return Err(error),
    };
    Ok(job.findings.into_report(job.format, job.container, depth))
}

/// Reads a whole artifact, or all that is packed in one, by the reader of what it is.
fn read(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    if source.at_end()? {
        return job.broken("the file is empty");
    }
    job.format = sniff::format_of(source.head(), source.len());
    match job.format {
        Format::Arrow => arrow::check(source, job),
        Format::Gguf => gguf::check(source, job),
        // An XGBoost model is JSON as well.
        Format::Json => xgboost::check_json(source, job),
        Format::LightgbmText => lightgbm::check(source, job),
        Format::Npy => npy::check(source, job),
        Format::Onnx => onnx::check(source, job),
        Format::Parquet => parquet::check(source, job),
        Format::Pickle => pickle::check(source, job),
        Format::Safetensors => safetensors::check(source, job),
        Format::Tar => tar::check(source, job),
        Format::TorchLegacy => pickle::torch_legacy::check(source, job),
        Format::Ubjson => xgboost::check_ubjson(source, job),
        Format::Zip => zip::check(source, job),
        Format::Gzip | Format::Zlib | Format::Bzip2 | Format::Xz | Format::Lzma | Format::Lz4 => {
            compressed::check(source, job)
        }
        other => job.broken(no_check(other)),
    }
}

fn no_check(format: Format) -> String {
    format!("no load check for this format yet ({format})")
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
        let error =
            check(Cursor::new(b"{}"), &TrustedGlobals::default(), None, &|| false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn a_format_without_a_reader_is_named_and_refused() {
        let report =
            check(Cursor::new(b"\x28\xb5\x2f\xfdrest"), &TrustedGlobals::default(), None, &go)
                .unwrap();
        assert_eq!((report.format, report.verdict), (Format::Zstd, Verdict::Unloadable));
        assert_eq!(report.errors, ["no load check for this format yet (zstd)"]);
    }

    #[test]
    fn trust_is_an_exact_pair() {
        let trusted = TrustedGlobals::new([("ours.models".to_owned(), "Risk".to_owned())]);
        assert!(trusted.contains("ours.models", "Risk"));
        assert!(!trusted.contains("ours", "models.Risk"));
        assert!(!trusted.contains("ours.models", "Risk2"));
    }
}
