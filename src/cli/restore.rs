//! `restore`: replaces the registry by a backup.

use clap::Args;
use serde_json::json;

use super::{
    Context, Outcome,
    backup::{Place, described, parse_choice},
    operator::author,
    progress,
};
use crate::{
    config::Settings,
    domain::backup::{BackupId, Moment},
    error::{ErrorKind, RegistryError},
    registry::{
        backup::{self, Choice, Rehearsed},
        restore::{RestorePlan, RestoreRequest},
    },
    startup::{Core, Opening},
};

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// `latest`, or the backup's name
    #[arg(value_name = "latest|ID", value_parser = parse_choice)]
    which: Option<Choice>,
    /// The backup's name, for example backup_20260115_093000_1f2e3d4c
    #[arg(long, value_name = "ID", value_parser = BackupId::parse, conflicts_with = "which")]
    backup: Option<BackupId>,
    /// The backup nearest to a date, 2026-01-15, or to a time, 2026-01-15T09:30:00Z
    #[arg(long, value_name = "DATE", value_parser = Moment::parse, conflicts_with_all = ["which", "backup"])]
    from_backup: Option<Moment>,
    /// Check the backup, and say what would change; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Who asks for it, beside the user who runs the command
    #[arg(long)]
    user: Option<String>,
    /// Why, for the log
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Restore {
    fn choice(&self) -> Result<Choice, RegistryError> {
        let named = self.backup.clone().map(Choice::Named);
        let nearest = self.from_backup.map(Choice::Nearest);
        self.which.clone().or(named).or(nearest).ok_or_else(|| {
            RegistryError::new(
                ErrorKind::InvalidRequest,
                "name the backup: `latest`, --backup ID or --from-backup DATE",
            )
        })
    }

    /// Checks the backup, and then restores it.
    ///
    /// # Errors
    /// [`super::Failure`].
    pub async fn run(self, context: Context) -> Outcome {
        let settings = context.settings()?;
        let choice = self.choice()?;
        let place = self.place.path(&settings);
        let id = backup::choose(&place, choice).await?;
        let found = backup::open(&place, id).await?;
        let progress = progress::bar(context.output);
        // Before anything is opened or created: a backup that is not good changes nothing.
        let checked = backup::check(&found, &progress).await?;
        let Some(rehearsed) = checked.rehearsed else {
            return Err(backup::not_good(&found, &checked.differences).into());
        };
        if self.dry_run {
            drop(progress);
            let plan = plan(&settings, &rehearsed).await?;
            let mut document = described(found.manifest());
            document["dry_run"] = json!(true);
            document["added"] = json!(plan.added);
            document["removed"] = json!(plan.removed);
            document["changed"] = json!(plan.changed);
            document["present_log_size"] = json!(plan.log_size);
            context.output.result(&document, || described_plan(&rehearsed, &plan));
            return Ok(());
        }
        let core = Core::open(&settings, Opening::Restoring).await?;
        let request = RestoreRequest { backup: found.clone(), rehearsed, safety_place: None };
        let by = author(self.user);
        let done = core.registry.restore(request, &by, self.reason.as_deref(), &progress).await?;
        drop(progress);
        let safety = done.safety_copy.as_ref().map(|made| made.manifest.backup_id.clone());
        let document = json!({
            "backup_id": done.backup_id, "safety_copy": safety,
            "safety_copy_path": done.safety_copy.as_ref().map(|made| made.path.display().to_string()),
            "versions": done.versions, "folders_restored": done.folders_restored,
            "folders_moved_away": done.folders_moved_away, "root": done.root, "log_size": done.log_size,
            "replaced_root": done.replaced_root,
        });
        context.output.result(&document, || {
            let mut lines = vec![format!(
                "restored {}: {} versions; {} folders came from the backup, {} were moved to quarantine/",
                done.backup_id, done.versions, done.folders_restored, done.folders_moved_away
            )];
            lines.push(match &done.safety_copy {
                Some(made) if made.manifest.verified => format!(
                    "the state before is kept as {}; `model-registry restore --backup {}` goes back to it",
                    made.path.display(),
                    made.manifest.backup_id
                ),
                Some(made) => format!(
                    "the state before was not intact; what there was of it is kept as {}",
                    made.path.display()
                ),
                None => "there was nothing before that could be copied".to_owned(),
            });
            lines.push(format!("the log has {} entries, and the root {}", done.log_size, done.root));
            lines.join("\n")
        });
        Ok(())
    }
}

async fn plan(settings: &Settings, rehearsed: &Rehearsed) -> Result<RestorePlan, RegistryError> {
    match Core::open(settings, Opening::Examining).await {
        Ok(core) => core.registry.plan_restore(rehearsed).await,
        // There is none, or it cannot be read: then everything comes from the backup.
        Err(error) => {
            tracing::warn!(%error, "there is no registry to compare the backup with");
            let added = rehearsed.records.iter().map(|record| record.name()).collect();
            Ok(RestorePlan { added, ..RestorePlan::default() })
        }
    }
}

fn described_plan(rehearsed: &Rehearsed, plan: &RestorePlan) -> String {
    let mut lines = vec![format!(
        "the backup is good: {} versions and {} log entries; the registry has {} log entries",
        rehearsed.records.len(),
        rehearsed.state.summary.log_size,
        plan.log_size
    )];
    for (what, names) in [
        ("would come back", &plan.added),
        ("would be moved to quarantine", &plan.removed),
        ("would change", &plan.changed),
    ] {
        if !names.is_empty() {
            lines.push(format!("{} {what}: {}", names.len(), names.join(", ")));
        }
    }
    lines.push("nothing was changed".to_owned());
    lines.join("\n")
}
