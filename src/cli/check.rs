//! `validate`, `inspect`, `sandbox`, `verify` and `import`: commands that check versions, files and registries.

use std::{fs::File, path::PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    Context, Failure, Outcome, VersionArguments, operator::author, output::table, progress,
};
use load_checks::{LoadReport, Sandbox, Verdict};

use crate::{
    config::Settings,
    error::{ErrorKind, RegistryError},
    registry::{
        import::{Invalid, check_source},
        verify::Verification,
    },
    schemas::ValidationResultResponse,
    startup::{Core, Opening},
};

/// `validate`: checks that a version is intact and would load.
///
/// # Errors
/// [`Failure`].
pub async fn validate(version: VersionArguments, context: Context) -> Outcome {
    let core = context.open(Opening::Reading).await?;
    let progress = progress::bar(context.output);
    let validated = core.registry.validate(&version.model_type, version.version, progress).await?;
    context.output.result(&ValidationResultResponse::from(&validated), || {
        let load = validated.validation.load.as_ref();
        let read = load.map_or(String::new(), |load| format!(" ({}, {})", load.format, load.depth));
        let said =
            format!("{} {} is intact and would load{read}", version.model_type, version.version);
        let notes = load.into_iter().flat_map(|load| load.notes.iter());
        notes.fold(said, |said, note| format!("{said}\nnote     {note}"))
    });
    Ok(())
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The model file
    file: PathBuf,
}

impl Inspect {
    /// Reads the file in the sandbox, as its loader would.
    ///
    /// # Errors
    /// [`Failure`]; a verdict of 1 where the file would not load or must not be loaded.
    pub fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let report = self.check(&settings)?;
        context.output.result(&report, || describe_report(&report));
        if report.verdict == Verdict::Loadable { Ok(()) } else { Err(Failure::Verdict(1)) }
    }

    fn check(&self, settings: &Settings) -> Result<LoadReport, RegistryError> {
        let shown = self.file.display();
        let refused = |error: std::io::Error| {
            RegistryError::new(ErrorKind::InvalidRequest, format!("cannot read {shown}: {error}"))
        };
        let rules = settings.policy.now();
        let file = open_regular(&self.file).map_err(refused)?;
        Sandbox::new(settings.sandbox).check(&file, &rules.trusted, None, &|| true).map_err(
            |error| {
                RegistryError::new(
                    ErrorKind::RegistryUnavailable,
                    format!("cannot check {shown}: {error}"),
                )
            },
        )
    }
}

fn describe_report(report: &LoadReport) -> String {
    let mut lines = vec![
        format!("format   {}", report.format),
        format!("verdict  {}", report.verdict),
        format!("depth    {}", report.depth),
    ];
    if let Some(container) = report.container {
        lines.insert(1, format!("packed   {container}"));
    }
    for finding in &report.findings {
        lines.push(format!("error    {}", finding.sentence));
        let place = finding.offset.map(|offset| format!("byte {offset}"));
        let parts = [
            ("opcode", finding.opcode.as_ref()),
            ("at", place.as_ref()),
            ("names", finding.global.as_ref()),
            ("calls", finding.would_call.as_ref()),
        ];
        let parts = parts.into_iter().filter_map(|(word, part)| Some(format!("{word} {}", part?)));
        let parts = parts.collect::<Vec<_>>().join(", ");
        if !parts.is_empty() {
            lines.push(format!("         {parts}"));
        }
    }
    let untold = report.errors.last().filter(|error| error.starts_with("and "));
    lines.extend(untold.map(|untold| format!("         {untold}")));
    lines.extend(report.notes.iter().map(|note| format!("note     {note}")));
    lines.join("\n")
}

/// Arguments of `sandbox`.
#[derive(Debug, Args)]
pub struct TrySandbox {
    /// Leave one wall out (limits, landlock, seccomp), to test the others; only in debug builds
    #[arg(long, hide = true)]
    without: Vec<String>,
}

impl TrySandbox {
    /// Tests every wall of the load checks' sandbox on this machine.
    ///
    /// # Errors
    /// [`Failure`]; a verdict of 1 where a wall is missing or failed.
    pub fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let probe = Sandbox::new(settings.sandbox).probe(self.without).map_err(|error| {
            RegistryError::new(ErrorKind::RegistryUnavailable, error.to_string())
        })?;
        let document = json!({
            "whole": probe.whole(), "missing": probe.missing, "attempts": probe.attempts,
        });
        context.output.result(&document, || {
            let rows: Vec<_> = probe
                .attempts
                .iter()
                .map(|attempt| {
                    let held = if attempt.held { "yes" } else { "NO" };
                    vec![attempt.tried.clone(), held.to_owned(), attempt.outcome.clone()]
                })
                .collect();
            let mut lines = vec![table(&["TRIED", "PREVENTED", "OUTCOME"], &rows)];
            lines.extend(probe.missing.iter().map(|wall| format!("this kernel lacks {wall}")));
            lines.join("\n")
        });
        if probe.whole() { Ok(()) } else { Err(Failure::Verdict(1)) }
    }
}

/// Opens a file of the operator's. Folders and pipes are refused, because they cannot be read twice.
///
/// # Errors
/// The system's error.
pub fn open_regular(path: &std::path::Path) -> std::io::Result<File> {
    if std::fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(std::io::Error::other("it is not a regular file"))
    }
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Repair what can be repaired safely, and report the repairs
    #[arg(long)]
    repair: bool,
    /// Re-hash the files of only N versions, chosen at random, and of those in production
    #[arg(long, value_name = "N", conflicts_with = "repair")]
    sample: Option<usize>,
}

impl Verify {
    /// Re-hashes everything.
    ///
    /// # Errors
    /// [`Failure`]; a verdict of 5 where faults are found and not repaired.
    pub async fn run(self, context: Context) -> Outcome {
        let core = context.open(Opening::Examining).await?;
        let progress = progress::bar(context.output);
        let (repairs, found) = if self.repair {
            core.registry.repair(&progress).await?
        } else {
            (Vec::new(), core.registry.verify(self.sample, &progress).await?)
        };
        drop(progress);
        let document = json!({
            "valid": found.findings.is_empty(), "versions": found.versions, "sample_of": found.sample_of,
            "transitions": found.transitions, "bytes": found.bytes,
            "findings": found.findings, "repairs": repairs,
        });
        context.output.result(&document, || {
            let mut lines: Vec<_> = repairs
                .iter()
                .map(|repair| format!("repaired {}: {}", repair.subject, repair.done))
                .collect();
            lines.push(describe(&found));
            lines.join("\n")
        });
        if found.findings.is_empty() {
            Ok(())
        } else {
            Err(Failure::Verdict(ErrorKind::ChecksumMismatch.exit_status()))
        }
    }
}

fn describe(found: &Verification) -> String {
    let of = found.sample_of.map_or_else(String::new, |all| format!(" (a sample of {all})"));
    let looked_at = format!(
        "{} versions{of}, {} bytes and {} log entries re-hashed",
        found.versions, found.bytes, found.transitions
    );
    if found.findings.is_empty() {
        return format!("{looked_at}: all agree");
    }
    let rows: Vec<_> = found
        .findings
        .iter()
        .map(|finding| {
            vec![
                finding.kind.to_owned(),
                finding.subject.clone(),
                finding.detail.clone(),
                finding.remedy.to_owned(),
            ]
        })
        .collect();
    format!("{looked_at}\n{}", table(&["KIND", "SUBJECT", "WHAT", "REMEDY"], &rows))
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// A registry directory of the Python service, including `catalog-export/`
    directory: PathBuf,
    /// Skip versions that break the rules, with their history, and list them
    #[arg(long)]
    skip_invalid: bool,
}

impl Import {
    /// Imports the directory in one transaction; with `--skip-invalid`, only what the rules allow.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, context: Context) -> Outcome {
        let settings = context.settings()?;
        // Before anything is created: a wrong path must not leave an empty registry behind.
        check_source(&self.directory, &settings.registry_dir)?;
        let core = Core::open(&settings, Opening::Creating).await?;
        let progress = progress::bar(context.output);
        let invalid = if self.skip_invalid { Invalid::LeaveOut } else { Invalid::Refuse };
        let done = core.registry.import(&self.directory, invalid, &author(None), &progress).await?;
        drop(progress);
        let document = json!({
            "versions_imported": done.versions, "versions_moved": done.moved,
            "versions_unchanged": done.unchanged, "transitions_imported": done.transitions,
            "left_out": done.left_out,
        });
        context.output.result(&document, || {
            let mut lines = vec![format!(
                "{} versions and {} rows of history imported, {} versions moved, {} as they were",
                done.versions, done.transitions, done.moved, done.unchanged
            )];
            for part in &done.left_out {
                lines.push(format!("left out {}", part.subject));
                lines.extend(part.faults.iter().map(|fault| format!("         {fault}")));
            }
            lines.join("\n")
        });
        Ok(())
    }
}
