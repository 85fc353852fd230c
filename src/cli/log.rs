//! `log`: checkpoints of the log, and proofs for others to check.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{
    Context, Failure, Outcome, VersionArguments, on_system, operator::author, output::table,
    start_logging,
};
use crate::{
    config::load_publisher,
    domain::{
        log::{
            evidence::{self, EVIDENCE_BYTES, Report},
            growth::{Growth, check_grown},
            note::{KeyName, SigningKey, VerifierKey},
            published::PublishedCheckpoint,
            publisher::Publisher,
        },
        text::printable,
    },
    error::{ErrorKind, RegistryError},
    registry::log,
    startup::{Core, Opening},
};

/// The largest accepted checkpoint, in bytes.
const CHECKPOINT_BYTES: usize = 1024 * 1024;

/// The commands of `log`.
#[derive(Debug, Subcommand)]
pub enum Log {
    /// Print the checkpoint: the log's name, size and root, signed if there is a key
    Checkpoint,
    /// Write a file that proves the log's entries on a version
    Prove(Prove),
    /// Check a proof without a registry, or check that the log only grew since a checkpoint
    Check(Check),
    /// Let the times of later changes follow this machine's clock again, after a change under a clock that was ahead
    ResetClock(ResetClock),
    /// Make a key that signs checkpoints, for MODEL_REGISTRY_LOG_KEY_FILE
    NewKey(NewKey),
}

/// Arguments of `log prove`.
#[derive(Debug, Args)]
pub struct Prove {
    #[command(flatten)]
    version: VersionArguments,
    /// The file to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Arguments of `log check`.
#[derive(Debug, Args)]
pub struct Check {
    /// A file that `log prove` wrote
    #[arg(required_unless_present = "since")]
    file: Option<PathBuf>,
    /// A file with an earlier checkpoint of this registry's log
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "file")]
    since: Option<PathBuf>,
    /// The log's verifier key, NAME+ID+BASE64; without it the check does not prove which log it is
    #[arg(long, value_parser = VerifierKey::parse)]
    key: Option<VerifierKey>,
}

/// Arguments of `log reset-clock`.
#[derive(Debug, Args)]
pub struct ResetClock {
    /// The reason, for the log
    #[arg(long)]
    reason: String,
    /// Confirm that this machine's clock is right; without it, only print both times
    #[arg(long)]
    yes: bool,
    /// Who resets the clock [default: the user who runs the command]
    #[arg(long)]
    user: Option<String>,
}

impl ResetClock {
    async fn run(self, context: Context) -> Outcome {
        let core = context.open(Opening::Changing).await?;
        let done = core.registry.reset_clock(&author(self.user), &self.reason, self.yes).await?;
        let document = json!({ "from": done.from, "to": done.to });
        context.output.result(&document, || {
            format!(
                "Times follow the clock again: the last change had {}, this one {}",
                done.from, done.to
            )
        });
        Ok(())
    }
}

/// Arguments of `log new-key`.
#[derive(Debug, Args)]
pub struct NewKey {
    /// The log's name, for example registry.example.com/models
    #[arg(value_parser = KeyName::parse)]
    name: KeyName,
    /// The file for the private key; it must not exist yet
    file: PathBuf,
}

impl Log {
    /// Runs the command.
    ///
    /// # Errors
    /// [`Failure`]; a verdict of 1 where a check fails.
    pub fn run(self, context: Context) -> Outcome {
        match self {
            Self::Checkpoint => on_system(checkpoint(context)),
            Self::Prove(prove) => on_system(prove.run(context)),
            Self::Check(check) => check.run(context),
            Self::ResetClock(reset) => on_system(reset.run(context)),
            Self::NewKey(key) => key.run(&context),
        }
    }
}

async fn open(context: &Context) -> Result<(Core, Publisher), Failure> {
    let (settings, publisher) =
        load_publisher(&context.variables, &context.flags).map_err(Failure::Configuration)?;
    start_logging(&settings, "warn");
    let core = Core::open(&settings, Opening::Reading).await?;
    core.registry.require_log().await?;
    Ok((core, publisher))
}

async fn checkpoint(context: Context) -> Outcome {
    let (core, publisher) = open(&context).await?;
    let published = log::checkpoint(&core.registry, &publisher).await?;
    let mut document = describe(&published);
    document["key"] = json!(publisher.verifier().map(VerifierKey::to_string));
    document["note"] = json!(published.to_string());
    context.output.result(&document, || without_line_feed(published.to_string()));
    Ok(())
}

/// A checkpoint, for programs.
fn describe(published: &PublishedCheckpoint) -> Value {
    let checkpoint = published.checkpoint();
    json!({
        "origin": checkpoint.origin.as_str(),
        "size": checkpoint.size,
        "root": checkpoint.root,
    })
}

/// The line feed is left out, because printing adds one.
fn without_line_feed(mut text: String) -> String {
    text.truncate(text.trim_end_matches('\n').len());
    text
}

impl Prove {
    async fn run(self, context: Context) -> Outcome {
        let (core, publisher) = open(&context).await?;
        let VersionArguments { model_type, version } = &self.version;
        let evidence = log::prove(&core.registry, &publisher, model_type, *version).await?;
        let Some(path) = self.output else {
            let text = || evidence.to_json().map(without_line_feed).unwrap_or_default();
            context.output.result(&evidence, text);
            return Ok(());
        };
        let json = evidence.to_json().map_err(RegistryError::internal)?;
        fs::write(&path, json).map_err(|error| unusable("write", &path, &error))?;
        let document = json!({
            "file": path, "model_type": model_type, "version": version,
            "entries": evidence.entries.len(), "log_size": evidence.log_size,
        });
        context.output.result(&document, || {
            format!(
                "{}: {} entries on {model_type} {version}, in a log of {}",
                path.display(),
                evidence.entries.len(),
                evidence.log_size
            )
        });
        Ok(())
    }
}

impl Check {
    fn run(self, context: Context) -> Outcome {
        match (self.file, self.since) {
            (Some(file), _) => check_evidence(&file, self.key.as_ref(), &context),
            (None, Some(since)) => on_system(check_growth(since, self.key, context)),
            (None, None) => {
                Err(RegistryError::new(ErrorKind::InvalidRequest, "nothing to check").into())
            }
        }
    }
}

fn check_evidence(file: &Path, key: Option<&VerifierKey>, context: &Context) -> Outcome {
    let bytes = read(file, EVIDENCE_BYTES)?;
    match evidence::check(&bytes, key) {
        Ok(report) => {
            let mut document = describe(&report.checkpoint);
            document["valid"] = json!(true);
            document["verified_by"] = json!(report.verified_by);
            document["model_type"] = json!(report.model_type);
            document["version"] = json!(report.version);
            let said = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
            document["entries"] = report.entries.iter().map(|it| said(&it.entry)).collect();
            context.output.result(&document, || describe_report(&report));
            Ok(())
        }
        Err(fault) => Err(say_no(context, &fault)),
    }
}

/// Prints that a check failed, and why.
fn say_no(context: &Context, fault: &dyn std::fmt::Display) -> Failure {
    let fault = printable(&fault.to_string()).into_owned();
    context.output.result(&json!({ "valid": false, "fault": fault }), || format!("NO: {fault}"));
    Failure::Verdict(1)
}

fn describe_report(report: &Report) -> String {
    let checkpoint = report.checkpoint.checkpoint();
    let rows: Vec<_> = report
        .entries
        .iter()
        .map(|proven| {
            let said: Value = serde_json::from_str(&proven.entry).unwrap_or_default();
            let member = |name: &str| printable(said[name].as_str().unwrap_or("-")).into_owned();
            vec![
                proven.index.to_string(),
                member("time"),
                member("action"),
                member("from_status"),
                member("to_status"),
                member("actor"),
                member("reason"),
            ]
        })
        .collect();
    let header = ["ENTRY", "WHEN", "WHAT", "FROM", "TO", "WHO", "WHY"];
    let whose = match &report.verified_by {
        Some(_) => "the log's key signed the checkpoint".to_owned(),
        None => {
            "no key was given: the parts of the file belong together, but it is not proved whose \
                 log it is"
                .to_owned()
        }
    };
    format!(
        "{}\n{} {}: these {} entries are in the log {}, of {} entries, root {}\n{whose}",
        table(&header, &rows),
        printable(&report.model_type),
        printable(&report.version),
        rows.len(),
        checkpoint.origin,
        checkpoint.size,
        checkpoint.root,
    )
}

async fn check_growth(since: PathBuf, key: Option<VerifierKey>, context: Context) -> Outcome {
    let bytes = read(&since, CHECKPOINT_BYTES)?;
    let old = match std::str::from_utf8(&bytes).map(PublishedCheckpoint::parse) {
        Ok(Ok(old)) => old,
        Ok(Err(fault)) => return Err(say_no(&context, &fault)),
        Err(_) => return Err(say_no(&context, &"the earlier checkpoint is not UTF-8 text")),
    };
    if let Some(Err(fault)) = key.as_ref().map(|key| old.verify(key)) {
        return Err(say_no(&context, &format!("the earlier checkpoint: {fault}")));
    }
    let (core, publisher) = open(&context).await?;
    let log::GrowthProof { checkpoint, proof } =
        log::growth(&core.registry, &publisher, old.checkpoint()).await?;
    let (old, new) = (old.checkpoint(), checkpoint.checkpoint());
    let grown = match check_grown(old, new, &proof) {
        Ok(grown) => grown,
        Err(fault) => return Err(say_no(&context, &fault)),
    };
    let by = match grown {
        Growth::Unchanged => 0,
        Growth::Grew { by } => by,
    };
    let mut document = describe(&checkpoint);
    document["valid"] = json!(true);
    document["grew_by"] = json!(by);
    document["proof"] = json!(proof);
    document["verified_by"] = json!(key.map(|key| key.name().to_string()));
    context.output.result(&document, || match grown {
        Growth::Unchanged => format!("{}: the same {} entries", new.origin, new.size),
        Growth::Grew { by } => {
            format!("{}: the earlier {} entries and {by} more", new.origin, old.size)
        }
    });
    Ok(())
}

impl NewKey {
    fn run(self, context: &Context) -> Outcome {
        let mut seed = secrecy::zeroize::Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *seed).map_err(RegistryError::internal)?;
        let internal = RegistryError::internal;
        let secret = SigningKey::write_secret(self.name.clone(), &seed).map_err(internal)?;
        let key = SigningKey::from_seed(self.name, &seed).map_err(internal)?;
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.file)
            .and_then(|mut file| writeln!(file, "{}", secret.expose_secret()));
        written.map_err(|error| unusable("write", &self.file, &error))?;
        let verifier = key.verifier().to_string();
        let document = json!({ "key": verifier, "file": self.file });
        context.output.result(&document, || verifier);
        Ok(())
    }
}

/// Reads a file up to a size limit.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, RegistryError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    super::check::open_regular(path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| unusable("read", path, &error))?;
    Ok(bytes)
}

fn unusable(what: &str, path: &Path, error: &std::io::Error) -> RegistryError {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::Other | std::io::ErrorKind::AlreadyExists => ErrorKind::InvalidRequest,
        _ => ErrorKind::RegistryUnavailable,
    };
    RegistryError::new(kind, format!("cannot {what} {}: {error}", path.display()))
}
