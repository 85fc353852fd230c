//! Chooses the reader of a format, and runs a whole check.

use std::io::{self, Read, Seek};

use super::{
    arrow, compressed, gguf, hidden, lightgbm, npy, onnx, parquet, pickle, safetensors, tar,
    xgboost, zip,
};
use crate::budget::Budget;
use crate::job::{Halt, Job, Sample, TrustedGlobals, poll};
use crate::report::{Depth, Findings, Format, LoadReport};
use crate::sniff;
use crate::source::Source;

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

/// Reads a whole artifact, or all of an unpacked stream, with the reader of its format.
pub(crate) fn read(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    if source.at_end()? {
        return job.broken("the file is empty");
    }
    job.format = sniff::format_of(source.head(), source.len());
    hidden::refuse(source, job)?;
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
    use crate::report::Verdict;
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
}
