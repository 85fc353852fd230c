//! `check-compatibility`.

use clap::Args;

use super::{Context, Failure, Outcome, VersionArguments};
use crate::{
    domain::compatibility::{self, Level},
    error::{ErrorKind, RegistryError},
    schemas::CompatibilityResponse,
    startup::Opening,
};

/// Arguments of `check-compatibility`.
#[derive(Debug, Args)]
pub struct CheckCompatibility {
    #[command(flatten)]
    version: VersionArguments,
    /// A data set at hand, for example crsp:v1.2.4; repeat it for each one
    #[arg(long = "dataset", value_name = "NAME:VERSION")]
    datasets: Vec<String>,
}

impl CheckCompatibility {
    /// Compares the data sets at hand with those that the version was trained on.
    ///
    /// # Errors
    /// [`Failure`]; a verdict of 1 where the version must not be used with them.
    pub async fn run(self, context: Context) -> Outcome {
        let at_hand = compatibility::datasets(&self.datasets)
            .map_err(|what| RegistryError::new(ErrorKind::InvalidRequest, format!("--{what}")))?;
        let core = context.open(Opening::Reading).await?;
        let (model_type, version) = (&self.version.model_type, self.version.version);
        let found = core.registry.check_compatibility(model_type, version, &at_hand).await?;
        let document = CompatibilityResponse::new(model_type, version, &found);
        context.output.result(&document, || {
            let fits = match (found.level, found.compatible) {
                (Level::Exact, _) => "was trained on these data sets",
                (_, true) => "was trained on other versions, which are accepted",
                (_, false) => "must not be used with these data sets",
            };
            let mut lines = found.warnings();
            lines.push(format!("{model_type} {version} {fits}"));
            lines.join("\n")
        });
        if found.compatible { Ok(()) } else { Err(Failure::Verdict(1)) }
    }
}
