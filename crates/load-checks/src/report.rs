//! The report of a load check, and how its findings are collected.
//!
//! Knows no format. Everything quoted from an artifact passes through [`quoted`], because its author may be an
//! attacker who writes to a log.

use std::{collections::HashSet, fmt};

use serde::{Deserialize, Serialize};

/// Sentences listed among a report's errors; the rest are only counted.
const TOLD: usize = 20;
/// Findings kept with all their parts.
const KEPT: usize = 1000;
/// Characters of a name that a sentence shows.
const QUOTED: usize = 120;

/// The format of the content, told by its bytes and never by a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// A zip archive that is none of the formats below.
    Zip,
    /// A tar archive.
    Tar,
    /// A zip archive of NumPy arrays.
    Npz,
    /// A torch checkpoint, as `torch.save` has written it since 1.6: a zip archive.
    Torch,
    /// A torch checkpoint of before: pickles one after the other, then the tensors.
    TorchLegacy,
    /// A Keras v3 model: a zip archive.
    Keras,
    /// A model of scikit-learn's as skops keeps it: a zip archive of a schema and arrays.
    Skops,
    /// An ONNX graph.
    Onnx,
    /// Tensors behind a JSON header.
    Safetensors,
    /// One NumPy array.
    Npy,
    /// A GGUF language model.
    Gguf,
    /// A Parquet table.
    Parquet,
    /// An Arrow table, as a file.
    Arrow,
    /// An HDF5 file; older Keras models are ones.
    Hdf5,
    /// Universal Binary JSON that is no XGBoost model.
    Ubjson,
    /// An XGBoost model as JSON.
    XgboostJson,
    /// An XGBoost model as Universal Binary JSON.
    XgboostUbjson,
    /// LightGBM's text model.
    LightgbmText,
    /// None of these.
    Unknown,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 29] = [
        Self::Pickle,
        Self::Json,
        Self::Joblib,
        Self::Gzip,
        Self::Bzip2,
        Self::Xz,
        Self::Lzma,
        Self::Zlib,
        Self::Lz4,
        Self::Zstd,
        Self::Zip,
        Self::Tar,
        Self::Npz,
        Self::Torch,
        Self::TorchLegacy,
        Self::Keras,
        Self::Skops,
        Self::Onnx,
        Self::Safetensors,
        Self::Npy,
        Self::Gguf,
        Self::Parquet,
        Self::Arrow,
        Self::Hdf5,
        Self::Ubjson,
        Self::XgboostJson,
        Self::XgboostUbjson,
        Self::LightgbmText,
        Self::Unknown,
    ];

    /// Whether this is one file packed into a stream.
    pub(crate) fn is_packing(self) -> bool {
        matches!(
            self,
            Format::Gzip
                | Format::Zlib
                | Format::Bzip2
                | Format::Xz
                | Format::Lzma
                | Format::Lz4
                | Format::Zstd
        )
    }
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
            Format::Tar => "tar",
            Format::Npz => "npz",
            Format::Torch => "torch",
            Format::TorchLegacy => "torch_legacy",
            Format::Keras => "keras",
            Format::Skops => "skops",
            Format::Onnx => "onnx",
            Format::Safetensors => "safetensors",
            Format::Npy => "npy",
            Format::Gguf => "gguf",
            Format::Parquet => "parquet",
            Format::Arrow => "arrow",
            Format::Hdf5 => "hdf5",
            Format::Ubjson => "ubjson",
            Format::XgboostJson => "xgboost_json",
            Format::XgboostUbjson => "xgboost_ubjson",
            Format::LightgbmText => "lightgbm_text",
            Format::Unknown => "unknown",
        })
    }
}

/// The result in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its own loader would take it, and nothing in it was found to run code.
    Loadable,
    /// Damaged, or of a format without a reader.
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

/// How much was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// The syntax holds to the last byte.
    Parsed,
    /// Every class, type, shape and size was checked as well.
    Typed,
    /// The model was run on its sample as well, and predicted what it should.
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

/// Whether a finding is a danger or a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Loading could run code or exhaust the machine.
    Danger,
    /// Loading would fail.
    Fault,
}

/// One thing that was found, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Danger or fault.
    pub severity: Severity,
    /// What was found, and what can be done, in a sentence for an operator.
    pub sentence: String,
    /// The part of the artifact, where it has parts: a member of an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Its byte offset within that part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The pickle opcode there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opcode: Option<String>,
    /// The class or function concerned, as `module.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global: Option<String>,
    /// The call that loading would make, with its arguments as far as they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_call: Option<String>,
}

impl Finding {
    /// Loading this could run code, or was built to exhaust the machine.
    pub(super) fn danger(sentence: impl Into<String>) -> Self {
        Self::new(Severity::Danger, sentence.into())
    }

    /// Its own loader would fail here.
    pub(super) fn fault(sentence: impl Into<String>) -> Self {
        Self::new(Severity::Fault, sentence.into())
    }

    fn new(severity: Severity, sentence: String) -> Self {
        Self {
            severity,
            sentence,
            member: None,
            offset: None,
            opcode: None,
            global: None,
            would_call: None,
        }
    }

    /// Sets where it was found.
    pub(super) fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }
}

/// The report of a load check. `errors` is empty exactly when the verdict is `Loadable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// The format of the content.
    pub format: Format,
    /// The format of its container, if it has one: a gzip stream around a pickle, for instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Format>,
    /// The result.
    pub verdict: Verdict,
    /// How much was checked.
    pub depth: Depth,
    /// Sentences for an operator, dangers first.
    pub errors: Vec<String>,
    /// The same, each with where it was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Remarks that do not change the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl LoadReport {
    /// The report of a check that ended without a result: a file that cannot be shown to load counts as unloadable.
    #[must_use]
    pub fn inconclusive(sentence: String) -> Self {
        let mut findings = Findings::default();
        findings.broken(sentence);
        findings.into_report(Format::Unknown, None, Depth::Parsed)
    }
}

/// Collects findings. Dangers come first in the report, because an operator must read those.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    /// Sentences so far. A repeated one is dropped: a class is named again for each of its objects.
    told: HashSet<String>,
    notes: Vec<String>,
    /// The member of an archive that is being read.
    member: Option<String>,
    dangers: usize,
    untold: usize,
}

impl Findings {
    pub(super) fn add(&mut self, mut finding: Finding) {
        if let (None, Some(member)) = (&finding.member, &self.member) {
            finding.sentence = format!("{member}: {}", finding.sentence);
            finding.member = Some(member.clone());
        }
        let danger = finding.severity == Severity::Danger;
        if self.kept.len() >= KEPT && (!danger || self.dangers > 0) {
            self.untold += 1;
        } else if self.told.insert(finding.sentence.clone()) {
            self.dangers += usize::from(danger);
            self.kept.push(finding);
        }
    }

    /// Loading this could run code, or was built to exhaust the machine.
    pub(super) fn danger(&mut self, sentence: impl Into<String>) {
        self.add(Finding::danger(sentence));
    }

    /// Its own loader would fail here.
    pub(super) fn broken(&mut self, sentence: impl Into<String>) {
        self.add(Finding::fault(sentence));
    }

    /// Adds to an earlier finding what would have been called.
    pub(super) fn would_call(&mut self, finding: usize, call: &str) {
        if let Some(finding) = self.kept.get_mut(finding) {
            finding.would_call = Some(call.to_owned());
        }
    }

    /// Adds a remark that does not change the verdict.
    pub(super) fn note(&mut self, sentence: impl Into<String>) {
        if self.notes.len() < TOLD {
            self.notes.push(sentence.into());
        }
    }

    /// Sets the member of an archive that all further findings name: the innermost, where archives stand in archives.
    /// Returns the one before, to be set again at the member's end.
    pub(super) fn within(&mut self, member: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.member, member)
    }

    /// Removes the findings after the first `start` ones, and returns them.
    pub(super) fn take_back(&mut self, start: usize) -> Vec<Finding> {
        let found: Vec<_> = self.kept.drain(start.min(self.kept.len())..).collect();
        for finding in &found {
            self.told.remove(&finding.sentence);
            self.dangers -= usize::from(finding.severity == Severity::Danger);
        }
        found
    }

    /// Whether a danger is among the findings after the first `start` ones.
    pub(super) fn dangers_since(&self, start: usize) -> bool {
        let found = self.kept.get(start..).unwrap_or_default();
        found.iter().any(|finding| finding.severity == Severity::Danger)
    }

    /// Whether further findings are only counted.
    pub(super) fn is_full(&self) -> bool {
        self.kept.len() >= KEPT && self.dangers > 0
    }

    /// The number of findings so far.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn into_report(
        mut self,
        format: Format,
        container: Option<Format>,
        depth: Depth,
    ) -> LoadReport {
        let (verdict, depth) = match (self.dangers, self.kept.len()) {
            (1.., _) => (Verdict::Unsafe, depth),
            (0, 1..) => (Verdict::Unloadable, Depth::Parsed),
            (0, 0) => (Verdict::Loadable, depth),
        };
        self.kept.sort_by_key(|finding| finding.severity != Severity::Danger);
        let mut errors: Vec<_> =
            self.kept.iter().take(TOLD).map(|finding| finding.sentence.clone()).collect();
        let untold = self.untold + self.kept.len().saturating_sub(TOLD);
        if untold > 0 {
            errors.push(format!("and {untold} more"));
        }
        LoadReport {
            format,
            container,
            verdict,
            depth,
            errors,
            findings: self.kept,
            notes: self.notes,
        }
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
        findings.broken("end");
        for i in 0..30 {
            findings.danger(format!("danger {i}"));
        }
        let report = findings.into_report(Format::Pickle, None, Depth::Typed);
        assert_eq!(report.verdict, Verdict::Unsafe);
        assert_eq!(report.errors.len(), TOLD + 1);
        assert_eq!(report.errors[TOLD], "and 11 more");
    }
}
