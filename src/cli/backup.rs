//! `backup create`, `list`, `verify` and `prune`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    Context, Failure, Outcome,
    output::{complain, table},
    progress,
};
use crate::{
    config::Settings,
    domain::backup::{BackupId, BackupManifest},
    error::{ErrorKind, RegistryError},
    registry::backup::{
        self, BackupRequest, Choice, Listed, ListedState, MadeBackup, PruneReason, Pruned, Stop,
    },
    startup::Opening,
};

/// How long backups are kept, in days.
const KEEP_DAYS: u32 = 90;
/// The exit status of a command that SIGINT or SIGTERM stopped, as shells count it.
const INTERRUPTED: u8 = 130;

/// The commands of `backup`.
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Make a backup, verified, while reads and changes go on
    Create(Create),
    /// List backups, oldest first
    List(Place),
    /// Re-hash a backup, and load its catalog into a temporary one
    Verify(Verify),
    /// Remove old and incomplete backups; says only what it would do, without --execute
    Prune(Prune),
}

/// The folder of backups.
#[derive(Debug, Args)]
pub struct Place {
    /// The folder of the backups [default: backups/ in the registry directory]
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
}

impl Place {
    /// The folder that is meant.
    #[must_use]
    pub fn path(&self, settings: &Settings) -> PathBuf {
        let own = || backup::place_of(&settings.registry_dir);
        self.from.clone().unwrap_or_else(own)
    }
}

/// Arguments of `backup create`.
#[derive(Debug, Args)]
pub struct Create {
    /// The folder in which the backup gets its own folder [default: backups/ in the registry directory]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Arguments of `backup verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// `latest`, or the backup's name, for example backup_20260115_093000_1f2e3d4c
    #[arg(value_name = "latest|ID", value_parser = parse_choice)]
    which: Choice,
    #[command(flatten)]
    place: Place,
}

/// Parses `latest` or a backup's name.
///
/// # Errors
/// The remedy, for clap.
pub fn parse_choice(text: &str) -> Result<Choice, String> {
    if text == "latest" {
        return Ok(Choice::Latest);
    }
    BackupId::parse(text)
        .map(Choice::Named)
        .map_err(|error| format!("`latest`, or a name: {error}"))
}

/// Arguments of `backup prune`.
#[derive(Debug, Args)]
pub struct Prune {
    /// Keep backups of so many days; the newest good one is always kept
    #[arg(long, value_name = "N", default_value_t = KEEP_DAYS)]
    keep_days: u32,
    /// Remove them
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    place: Place,
}

impl Backup {
    /// Runs the command.
    ///
    /// # Errors
    /// [`Failure`]; a verdict of 5 where `verify` finds differences.
    pub async fn run(self, context: Context) -> Outcome {
        match self {
            Self::Create(create) => create.run(context).await,
            Self::List(place) => list(&place, &context).await,
            Self::Verify(verify) => verify.run(&context).await,
            Self::Prune(prune) => prune.run(&context).await,
        }
    }
}

/// What every document says of a backup.
#[must_use]
pub fn described(manifest: &BackupManifest) -> Value {
    json!({
        "backup_id": manifest.backup_id, "kind": manifest.kind, "created_at": manifest.created_at,
        "versions": manifest.versions, "log_size": manifest.log_size, "root": manifest.root,
        "size_bytes": manifest.size_bytes, "verified": manifest.verified, "faults": manifest.faults,
        "program_version": manifest.program_version,
    })
}

impl Create {
    async fn run(self, context: Context) -> Outcome {
        let core = context.open(Opening::Changing).await?;
        let stop = Stop::default();
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt()).map_err(RegistryError::internal)?,
            signal(SignalKind::terminate()).map_err(RegistryError::internal)?,
        );
        let progress = progress::bar(context.output);
        let request = BackupRequest { to: self.to, stop: stop.clone() };
        let mut stopped = false;
        let made = {
            let mut making = std::pin::pin!(core.registry.back_up(request, &progress));
            loop {
                tokio::select! {
                    made = &mut making => break made,
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                stopped = true;
                stop.stop();
            }
        };
        drop(progress);
        let made = match made {
            Err(error) if stopped => {
                complain(error.detail());
                return Err(Failure::Verdict(INTERRUPTED));
            }
            made => made?,
        };
        let MadeBackup { manifest, path, cost } = made;
        let mut document = described(&manifest);
        document["path"] = json!(path.display().to_string());
        document["copied_bytes"] = json!(cost.copied_bytes);
        document["linked_bytes"] = json!(cost.linked_bytes);
        document["cloned_bytes"] = json!(cost.cloned_bytes);
        context.output.result(&document, || {
            let shared = cost.linked_bytes + cost.cloned_bytes;
            format!(
                "{} holds {} versions and {} log entries, {} bytes, of which {shared} are shared with the registry \
                 and {} were copied; every file was hashed and verified",
                path.display(),
                manifest.versions,
                manifest.log_size,
                manifest.size_bytes,
                cost.copied_bytes,
            )
        });
        Ok(())
    }
}

async fn list(place: &Place, context: &Context) -> Outcome {
    let place = place.path(&context.settings()?);
    let listed = backup::list(&place).await?;
    let documents: Vec<_> = listed.iter().map(listed_document).collect();
    let document = json!({ "place": place.display().to_string(), "backups": documents });
    context.output.result(&document, || {
        if listed.is_empty() {
            return format!("no backups in {}", place.display());
        }
        let rows: Vec<_> = listed.iter().map(listed_row).collect();
        table(&["ID", "TIME", "VERSIONS", "BYTES", "KIND", "VERIFIED"], &rows)
    });
    Ok(())
}

/// What an entry of the list is, in a word, and why.
fn state_of(listed: &Listed) -> (&'static str, Option<String>) {
    match &listed.state {
        ListedState::Complete(manifest) if manifest.verified => ("complete", None),
        ListedState::Complete(manifest) => ("not_intact", Some(manifest.faults.join("; "))),
        ListedState::BeingMade => ("being_made", None),
        ListedState::Incomplete => ("incomplete", None),
        ListedState::Unreadable(why) => ("unreadable", Some(why.to_string())),
    }
}

fn listed_document(listed: &Listed) -> Value {
    let (state, why) = state_of(listed);
    let mut document = match &listed.state {
        ListedState::Complete(manifest) => described(manifest),
        _ => json!({ "backup_id": listed.id, "verified": false }),
    };
    document["state"] = json!(state);
    document["detail"] = json!(why);
    document
}

fn listed_row(listed: &Listed) -> Vec<String> {
    let (state, why) = state_of(listed);
    let none = || "-".to_owned();
    let told = match (state, why) {
        ("complete", _) => "yes".to_owned(),
        (_, None) => format!("no: {}", state.replace('_', " ")),
        (_, Some(why)) => format!("no: {why}"),
    };
    match &listed.state {
        ListedState::Complete(manifest) => vec![
            listed.id.to_string(),
            manifest.created_at.to_string(),
            manifest.versions.to_string(),
            manifest.size_bytes.to_string(),
            manifest.kind.to_string(),
            told,
        ],
        _ => vec![listed.id.to_string(), none(), none(), none(), none(), told],
    }
}

impl Verify {
    async fn run(self, context: &Context) -> Outcome {
        let place = self.place.path(&context.settings()?);
        let id = backup::choose(&place, self.which).await?;
        let found = backup::open(&place, id).await?;
        let progress = progress::bar(context.output);
        let checked = backup::check(&found, &progress).await?;
        drop(progress);
        let manifest = found.manifest();
        let mut document = described(manifest);
        document["valid"] = json!(checked.differences.is_empty());
        document["differences"] = json!(checked.differences);
        context.output.result(&document, || {
            let looked_at = format!(
                "{}: {} versions, {} files, {} bytes and {} log entries checked",
                manifest.backup_id,
                manifest.versions,
                manifest.files.len(),
                manifest.size_bytes,
                manifest.log_size
            );
            if checked.differences.is_empty() {
                return format!("{looked_at}: it can be restored");
            }
            format!("{looked_at}: it is not good\n{}", checked.differences.join("\n"))
        });
        if checked.differences.is_empty() {
            Ok(())
        } else {
            Err(Failure::Verdict(ErrorKind::ChecksumMismatch.exit_status()))
        }
    }
}

impl Prune {
    async fn run(self, context: &Context) -> Outcome {
        let place = self.place.path(&context.settings()?);
        let pruned = backup::prune(&place, self.keep_days, self.execute).await?;
        let reason = |pruned: &Pruned| match pruned.reason {
            PruneReason::Old => "old",
            PruneReason::Incomplete => "incomplete",
        };
        let documents: Vec<_> = pruned
            .iter()
            .map(|it| {
                json!({
                    "backup_id": it.id, "reason": reason(it), "size_bytes": it.size_bytes,
                    "removed": it.removed, "error": it.error,
                })
            })
            .collect();
        let document = json!({
            "keep_days": self.keep_days, "execute": self.execute, "backups": documents,
        });
        context.output.result(&document, || {
            if pruned.is_empty() {
                return "nothing to remove".to_owned();
            }
            let mut lines: Vec<_> = pruned
                .iter()
                .map(|it| {
                    let done = match (&it.error, self.execute) {
                        (Some(error), _) => format!("not removed: {error}"),
                        (None, true) => "removed".to_owned(),
                        (None, false) => "would be removed".to_owned(),
                    };
                    format!("{}: {}, {done}", it.id, reason(it))
                })
                .collect();
            if !self.execute {
                lines.push("nothing was removed; --execute does it".to_owned());
            }
            lines.join("\n")
        });
        if pruned.iter().any(|it| it.error.is_some()) {
            return Err(Failure::Verdict(ErrorKind::RegistryUnavailable.exit_status()));
        }
        Ok(())
    }
}
