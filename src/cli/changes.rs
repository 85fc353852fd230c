//! `promote`, `rollback` and `fail`.

use clap::Args;

use super::{Context, Outcome, VersionArguments, operator::author};
use crate::{
    domain::{ModelType, Version},
    registry::promote,
    schemas::written::{FailedResponse, PromotionResponse, RollbackResponse},
    startup::Opening,
};

/// Arguments of `promote`.
#[derive(Debug, Args)]
pub struct Promote {
    #[command(flatten)]
    version: VersionArguments,
    /// Who promotes [default: the user who runs the command]
    #[arg(long)]
    user: Option<String>,
    /// Promote even if gates fail; requires a --reason, and the history records both
    #[arg(long)]
    skip_gates: bool,
    /// The reason, for the history
    #[arg(long)]
    reason: Option<String>,
}

impl Promote {
    /// Promotes the version.
    ///
    /// # Errors
    /// [`super::Failure`].
    pub async fn run(self, context: Context) -> Outcome {
        let core = context.open(Opening::Changing).await?;
        let promoted = core
            .registry
            .promote(promote::Promote {
                model_type: self.version.model_type,
                version: self.version.version,
                author: author(self.user),
                reason: self.reason,
                skip_gates: self.skip_gates,
            })
            .await?;
        let document = PromotionResponse::from(&promoted);
        context.output.result(&document, || {
            let archived = promoted
                .archived
                .map_or(String::new(), |version| format!(", {version} is archived"));
            format!("{} {} is in production{archived}", promoted.model_type, promoted.version)
        });
        Ok(())
    }
}

/// Arguments of `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The model type
    #[arg(value_parser = ModelType::parse)]
    model_type: ModelType,
    /// Who rolls back [default: the user who runs the command]
    #[arg(long)]
    user: Option<String>,
    /// The reason, for the history
    #[arg(long)]
    reason: Option<String>,
}

impl Rollback {
    /// Rolls back to the last archived version.
    ///
    /// # Errors
    /// [`super::Failure`].
    pub async fn run(self, context: Context) -> Outcome {
        let core = context.open(Opening::Changing).await?;
        let author = author(self.user);
        let done =
            core.registry.roll_back(&self.model_type, &author, self.reason.as_deref()).await?;
        let document = RollbackResponse::from(&done);
        context.output.result(&document, || done.message.clone());
        Ok(())
    }
}

/// Arguments of `fail`.
#[derive(Debug, Args)]
pub struct Fail {
    /// The model type
    #[arg(value_parser = ModelType::parse)]
    model_type: ModelType,
    /// The version
    #[arg(value_parser = Version::parse)]
    version: Version,
    /// The reason why the version must never be promoted
    #[arg(long)]
    reason: String,
    /// Who marks it failed [default: the user who runs the command]
    #[arg(long)]
    user: Option<String>,
}

impl Fail {
    /// Marks the version failed.
    ///
    /// # Errors
    /// [`super::Failure`].
    pub async fn run(self, context: Context) -> Outcome {
        let core = context.open(Opening::Changing).await?;
        let author = author(self.user);
        let record =
            core.registry.fail(&self.model_type, self.version, &author, &self.reason).await?;
        let document = FailedResponse::from(&record);
        context.output.result(&document, || {
            format!(
                "{} {} is marked failed and can never be promoted",
                record.model_type, record.version
            )
        });
        Ok(())
    }
}
