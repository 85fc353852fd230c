//! What a load check answers, and how its findings are gathered.
//!
//! Knows the words of the answer, not how any format is read. Everything quoted from an artifact
//! passes through [`quoted`], because an artifact's author may be an attacker writing to a log.

use std::fmt;

use serde::Serialize;

/// Findings told one by one; the rest are only counted.
const TOLD: usize = 20;
/// Characters of a name repeated in a sentence.
const QUOTED: usize = 120;

/// What the content is, decided by the bytes and never by a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A Python pickle of any protocol.
    Pickle,
    /// A JSON document.
    Json,
    /// A pickle with raw array bytes between its opcodes, as `joblib.dump` writes.
    Joblib,
    /// A gzip stream; joblib compresses so.
    Gzip,
    /// A bzip2 stream.
    Bzip2,
    /// An xz stream.
    Xz,
    /// A bare LZMA stream.
    Lzma,
    /// A zlib stream, joblib's default compression.
    Zlib,
    /// An LZ4 frame.
    Lz4,
    /// A Zstandard frame.
    Zstd,
    /// A zip archive; npz files and torch checkpoints are ones.
    Zip,
    /// Tensors behind a JSON header.
    Safetensors,
    /// One NumPy array.
    Npy,
    /// A GGUF language model.
    Gguf,
    /// A Parquet table.
    Parquet,
    /// An HDF5 file; older Keras models are ones.
    Hdf5,
    /// Universal Binary JSON, XGBoost's own format.
    Ubjson,
    /// LightGBM's text model.
    LightgbmText,
    /// None of these.
    Unknown,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Pickle => "pickle",
            Format::Json => "json",
            Format::Joblib => "joblib",
            Format::Gzip => "gzip",
            Format::Bzip2 => "bzip2",
            Format::Xz => "xz",
            Format::Lzma => "lzma",
            Format::Zlib => "zlib",
            Format::Lz4 => "lz4",
            Format::Zstd => "zstd",
            Format::Zip => "zip",
            Format::Safetensors => "safetensors",
            Format::Npy => "npy",
            Format::Gguf => "gguf",
            Format::Parquet => "parquet",
            Format::Hdf5 => "hdf5",
            Format::Ubjson => "ubjson",
            Format::LightgbmText => "lightgbm_text",
            Format::Unknown => "unknown",
        })
    }
}

/// The answer in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its own loader would take it, and nothing in it was found to run code.
    Loadable,
    /// Broken, or of a format without a reader.
    Unloadable,
    /// Loading it could run code, or was made to exhaust the machine. Wins over `Unloadable`.
    Unsafe,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Loadable => "loadable",
            Verdict::Unloadable => "unloadable",
            Verdict::Unsafe => "unsafe",
        })
    }
}

/// How deep the check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// The syntax holds to the last byte.
    Parsed,
    /// Every object's class was looked up as well.
    Typed,
    /// A smoke test ran on the loaded model.
    Executed,
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Depth::Parsed => "parsed",
            Depth::Typed => "typed",
            Depth::Executed => "executed",
        })
    }
}

/// The answer of a load check. `errors` is empty exactly when the verdict is `Loadable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// What the content is.
    pub format: Format,
    /// The answer.
    pub verdict: Verdict,
    /// How much the answer rests on.
    pub depth: Depth,
    /// Sentences for an operator, dangers first.
    pub errors: Vec<String>,
}

impl LoadReport {
    pub(super) fn loadable(format: Format, depth: Depth) -> Self {
        Self { format, verdict: Verdict::Loadable, depth, errors: Vec::new() }
    }

    pub(super) fn unloadable(format: Format, error: String) -> Self {
        Self { format, verdict: Verdict::Unloadable, depth: Depth::Parsed, errors: vec![error] }
    }
}

/// Gathers sentences; dangers first, because they are what an operator must read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    dangers: Vec<String>,
    faults: Vec<String>,
    untold: usize,
}

impl Findings {
    /// Loading this could run code, or was built to exhaust the machine.
    pub(super) fn danger(&mut self, sentence: String) {
        if self.dangers.contains(&sentence) {
            return;
        }
        if self.dangers.len() < TOLD {
            self.dangers.push(sentence);
        } else {
            self.untold += 1;
        }
    }

    /// Its own loader would fail here.
    pub(super) fn broken(&mut self, sentence: String) {
        if self.faults.len() < TOLD {
            self.faults.push(sentence);
        } else {
            self.untold += 1;
        }
    }

    pub(super) fn into_report(self, format: Format, depth: Depth) -> LoadReport {
        let (verdict, depth) = match (self.dangers.is_empty(), self.faults.is_empty()) {
            (false, _) => (Verdict::Unsafe, depth),
            (true, false) => (Verdict::Unloadable, Depth::Parsed),
            (true, true) => (Verdict::Loadable, depth),
        };
        let mut errors = self.dangers;
        errors.extend(self.faults);
        let untold = self.untold + errors.len().saturating_sub(TOLD);
        errors.truncate(TOLD);
        if untold > 0 {
            errors.push(format!("and {untold} more"));
        }
        LoadReport { format, verdict, depth, errors }
    }
}

/// A name from an artifact, fit for a log: control and other unprintable characters escaped, cut
/// to a readable length.
pub(super) fn quoted(name: &str) -> String {
    let mut out = String::new();
    for (count, c) in name.chars().enumerate() {
        if count == QUOTED {
            out.push('…');
            break;
        }
        if c.is_ascii_graphic() || c == ' ' || (c.is_alphanumeric() && !c.is_ascii()) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_name_cannot_write_to_the_terminal_or_fill_the_log() {
        assert_eq!(quoted("a\u{1b}[2J\n\u{202e}"), "a\\u{1b}[2J\\n\\u{202e}");
        assert_eq!(quoted(&"x".repeat(5000)).chars().count(), 121);
    }

    #[test]
    fn findings_beyond_the_cap_are_counted_and_danger_wins() {
        let mut findings = Findings::default();
        findings.broken("end".into());
        for i in 0..30 {
            findings.danger(format!("danger {i}"));
        }
        let report = findings.into_report(Format::Pickle, Depth::Typed);
        assert_eq!(report.verdict, Verdict::Unsafe);
        assert_eq!(report.errors.len(), TOLD + 1);
        assert_eq!(report.errors[TOLD], "and 11 more");
    }
}
