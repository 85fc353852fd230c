//! `validate`, `inspect`, `verify` and `import`: what is it worth, before it counts?

use std::{fs::File, path::PathBuf};

use clap::Args;
use serde_json::json;

use super::{Context, Failure, Outcome, VersionArguments, output::table, progress};
use crate::{
    error::{ErrorKind, RegistryError},
    formats::{self, LoadReport, TrustedGlobals, Verdict},
    registry::{import::check_source, verify::Verification},
    schemas::ValidationResultResponse,
    startup::{Core, Opening},
};

/// `validate`: is a version intact, and would it load?
///
/// # Errors
/// [`Failure`].
pub async fn validate(version: VersionArguments, context: Context) -> Outcome {
    let core = context.open(Opening::Reading).await?;
    let progress = progress::bar(context.output);
    let validated = core.registry.validate(&version.model_type, version.version, progress).await?;
    context.output.result(&ValidationResultResponse::from(&validated), || {
        let load = validated.validation.load.as_ref();
        let load = load.map_or(String::new(), |load| format!(" ({}, {})", load.format, load.depth));
        format!("{} {} is intact and would load{load}", version.model_type, version.version)
    });
    Ok(())
}

/// The file to inspect.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The model file
    file: PathBuf,
}

impl Inspect {
    /// Reads the file as its loader would.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let report = self.check(&settings.policy.trusted_globals)?;
        context.output.result(&report, || {
            let mut lines = vec![
                format!("format   {}", report.format),
                format!("verdict  {}", report.verdict),
                format!("depth    {}", report.depth),
            ];
            lines.extend(report.errors.iter().map(|error| format!("error    {error}")));
            lines.join("\n")
        });
        if report.verdict == Verdict::Loadable { Ok(()) } else { Err(Failure::Verdict(1)) }
    }

    fn check(
        &self,
        trusted: &std::collections::BTreeSet<(String, String)>,
    ) -> Result<LoadReport, RegistryError> {
        let refused = |error: std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                std::io::ErrorKind::Other => ErrorKind::InvalidRequest,
                _ => ErrorKind::RegistryUnavailable,
            };
            RegistryError::new(kind, format!("cannot read {}: {error}", self.file.display()))
        };
        let trusted = TrustedGlobals::new(trusted.iter().cloned());
        let file = open_regular(&self.file).map_err(refused)?;
        formats::check(file, &trusted, None, &|| true).map_err(refused)
    }
}

/// Opens a file of the operator's; a folder or a pipe is refused, which could not be read twice.
///
/// # Errors
/// The system's.
pub fn open_regular(path: &std::path::Path) -> std::io::Result<File> {
    if std::fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(std::io::Error::other("it is not a regular file"))
    }
}

/// How far to go.
#[derive(Debug, Args)]
pub struct Verify {
    /// Mend what can be mended safely, and say what was done
    #[arg(long)]
    repair: bool,
}

impl Verify {
    /// Re-hashes everything.
    ///
    /// # Errors
    /// [`Failure`]; a verdict of 5 where something disagrees, or still does.
    pub async fn run(self, context: Context) -> Outcome {
        let core = context.open(Opening::Examining).await?;
        let progress = progress::bar(context.output);
        let (repairs, found) = if self.repair {
            core.registry.repair(&progress).await?
        } else {
            (Vec::new(), core.registry.verify(&progress).await?)
        };
        drop(progress);
        let document = json!({
            "valid": found.findings.is_empty(), "versions": found.versions,
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
    let looked_at = format!(
        "{} versions, {} bytes and {} rows of history re-hashed",
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

/// The directory to import.
#[derive(Debug, Args)]
pub struct Import {
    /// A registry directory of the Python service, `catalog-export/` included
    directory: PathBuf,
}

impl Import {
    /// Brings it in, all or nothing.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, context: Context) -> Outcome {
        let settings = context.settings()?;
        // Before anything is made: a mistyped path must not leave an empty registry behind.
        check_source(&self.directory, &settings.registry_dir)?;
        let core = Core::open(&settings, Opening::Creating).await?;
        let progress = progress::bar(context.output);
        let done = core.registry.import(&self.directory, &progress).await?;
        drop(progress);
        let document = json!({
            "versions_imported": done.versions, "versions_moved": done.moved,
            "versions_unchanged": done.unchanged, "transitions_imported": done.transitions,
        });
        context.output.result(&document, || {
            format!(
                "{} versions and {} rows of history imported, {} versions moved, {} as they were",
                done.versions, done.transitions, done.moved, done.unchanged
            )
        });
        Ok(())
    }
}
