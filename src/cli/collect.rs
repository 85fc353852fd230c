//! `gc` and `delete`.

use clap::Args;
use serde_json::json;

use super::{
    Context, Failure, Outcome,
    operator::author,
    output::{self, table},
};
use crate::{
    domain::{ModelType, Version, retention::Expired},
    registry::collect::{Collect, Collection},
    startup::Opening,
};

/// Arguments of `gc`.
#[derive(Debug, Args)]
pub struct Gc {
    /// Only versions of this type [default: all types]
    #[arg(value_parser = ModelType::parse)]
    model_type: Option<ModelType>,
    /// Remove the files; without this, only tell which ones would be removed
    #[arg(long)]
    execute: bool,
    /// The days for which staged versions are kept, from their registration [default: the policy's, else 30]
    #[arg(long, value_name = "DAYS")]
    staged_days: Option<u32>,
    /// The days for which archived and failed versions are kept, from when they became so [default: the policy's,
    /// else 90]
    #[arg(long, value_name = "DAYS")]
    archived_days: Option<u32>,
    /// How many of the newest versions of each type are kept, however old they are
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep: u32,
    /// Who collects [default: the user who runs the command]
    #[arg(long)]
    user: Option<String>,
}

impl Gc {
    /// Removes the files of versions that are no longer kept, or tells which ones those are.
    ///
    /// # Errors
    /// [`Failure`]; the exit status of the first version that could not be collected.
    pub async fn run(self, context: Context) -> Outcome {
        let opening = if self.execute { Opening::Changing } else { Opening::Reading };
        let core = context.open(opening).await?;
        let done = core
            .registry
            .collect(Collect {
                model_type: self.model_type,
                staged_days: self.staged_days,
                archived_days: self.archived_days,
                newest: self.keep,
                execute: self.execute,
                author: author(self.user),
            })
            .await?;
        let failures: Vec<_> = done
            .failures
            .iter()
            .map(|(expired, error)| {
                json!({
                    "model_type": expired.record.model_type, "version": expired.record.version,
                    "code": error.kind().code(), "detail": error.to_string(),
                })
            })
            .collect();
        let document = json!({
            "executed": done.executed,
            "staged_days": done.retention.staged_days,
            "archived_days": done.retention.archived_days,
            "versions": done.versions.iter().map(described).collect::<Vec<_>>(),
            "bytes": done.bytes,
            "failures": failures,
        });
        context.output.result(&document, || text(&done));
        match done.failures.first() {
            Some((_, error)) => {
                for (expired, error) in &done.failures {
                    output::complain(&format!("error: {}: {error}", expired.record.name()));
                }
                Err(Failure::Verdict(error.kind().exit_status()))
            }
            None => Ok(()),
        }
    }
}

fn described(expired: &Expired) -> serde_json::Value {
    let record = &expired.record;
    json!({
        "model_id": record.model_id, "model_type": record.model_type, "version": record.version,
        "status": record.status, "since": expired.since, "days": expired.days,
        "bytes": record.total_size_bytes,
    })
}

fn text(done: &Collection) -> String {
    let rows: Vec<_> = done
        .versions
        .iter()
        .map(|expired| {
            let record = &expired.record;
            vec![
                record.model_type.to_string(),
                record.version.to_string(),
                record.status.to_string(),
                expired.since.to_string(),
                record.total_size_bytes.to_string(),
            ]
        })
        .collect();
    let (count, bytes) = (rows.len(), done.bytes);
    let told = if done.executed {
        format!("the files of {count} versions are removed, {bytes} bytes are freed")
    } else {
        format!(
            "the files of {count} versions would be removed and {bytes} bytes freed; add --execute to do it"
        )
    };
    if rows.is_empty() {
        return told;
    }
    format!("{}\n{told}", table(&["TYPE", "VERSION", "STATUS", "SINCE", "BYTES"], &rows))
}

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// The model type
    #[arg(value_parser = ModelType::parse)]
    model_type: ModelType,
    /// The version
    #[arg(value_parser = Version::parse)]
    version: Version,
    /// The reason, for the history
    #[arg(long)]
    reason: String,
    /// Who deletes [default: the user who runs the command]
    #[arg(long)]
    user: Option<String>,
}

impl Delete {
    /// Removes the files of the version.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, context: Context) -> Outcome {
        let core = context.open(Opening::Changing).await?;
        let author = author(self.user);
        let record =
            core.registry.delete(&self.model_type, self.version, &author, &self.reason).await?;
        let document = json!({
            "model_id": record.model_id, "model_type": record.model_type,
            "version": record.version, "status": record.status,
            "collected_at": record.collected.map(|it| it.collected_at),
            "bytes": record.total_size_bytes,
        });
        context.output.result(&document, || {
            format!(
                "the files of {} {} are removed, {} bytes are freed; its history stays",
                record.model_type, record.version, record.total_size_bytes
            )
        });
        Ok(())
    }
}
