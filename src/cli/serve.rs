//! `serve`.

use clap::Args;

use super::{Context, Failure, Outcome, start_logging};
use crate::{
    config::ServerSettings,
    startup::{Application, Ending},
};

/// Flags of `serve`; everything else comes from the environment.
#[derive(Debug, Args)]
pub struct Serve {
    /// The address to listen on [default: $MODEL_REGISTRY_HOST, else 0.0.0.0]
    #[arg(long)]
    host: Option<String>,
    /// The port to listen on, 0 for a free one [default: $MODEL_REGISTRY_PORT, else 8003]
    #[arg(long)]
    port: Option<u16>,
}

impl Serve {
    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, mut context: Context) -> Outcome {
        context.flags.host = self.host;
        context.flags.port = self.port;
        let (settings, server) = ServerSettings::load(&context.variables, &context.flags)
            .map_err(Failure::Configuration)?;
        start_logging(&settings, "info");
        for name in server.weak_tokens() {
            tracing::warn!("{name} is shorter than 16 characters; use a long random token");
        }
        let application = Application::build(&settings, &server).await?;
        tracing::info!(
            host = server.host,
            port = application.port(),
            registry_dir = %settings.registry_dir.display(),
            "serving"
        );
        match application.run_until_stopped().await? {
            Ending::Finished => {
                tracing::info!("stopped");
                Ok(())
            }
            // As a shell tells of a program that a signal ended.
            Ending::CutShort(signal) => {
                Err(Failure::Verdict(u8::try_from(128 + signal.as_raw()).unwrap_or(u8::MAX)))
            }
        }
    }
}
