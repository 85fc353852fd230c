//! `serve`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, Failure, Outcome, output::complain, start_logging};
use crate::{
    config::{ServerSettings, Settings, read_log_filter},
    error::RegistryError,
    startup::{Application, Ending, Signals},
    telemetry,
};

/// The default log filter.
const DEFAULT_FILTER: &str = "info";
/// The log filter for troubleshooting.
const CLOSER_FILTER: &str = "info,model_registry=debug";

/// Flags of `serve`; everything else comes from the environment.
#[derive(Debug, Args)]
pub struct Serve {
    /// The address to listen on [default: $MODEL_REGISTRY_HOST, else 0.0.0.0]
    #[arg(long)]
    host: Option<String>,
    /// The port to listen on, 0 for a free one [default: $MODEL_REGISTRY_PORT, else 8003]
    #[arg(long, value_parser = super::port)]
    port: Option<u16>,
}

impl Serve {
    /// Serves until a signal stops it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, mut context: Context) -> Outcome {
        context.flags.host = self.host;
        context.flags.port = self.port;
        let (settings, server) = ServerSettings::load(&context.variables, &context.flags)
            .map_err(Failure::Configuration)?;
        start_logging(&settings, DEFAULT_FILTER);
        telemetry::write_behind();
        follow_hangups(&settings, server.edge.log_filter_file.clone())?;
        let mut signals = Signals::new()?;
        let application = tokio::select! {
            built = Application::build(&settings, &server) => built?,
            // An interrupted start leaves the same state as a crash; the next start recovers it.
            _ = signals.next() => {
                tracing::info!("received a signal to stop before it served");
                return Ok(());
            }
        };
        tracing::info!(
            host = server.host,
            port = application.port(),
            metrics_port = application.metrics_port(),
            registry_dir = %settings.registry_dir.display(),
            "serving"
        );
        let output = context.output;
        if output.is_json() {
            let document = json!({
                "host": server.host,
                "port": application.port(),
                "metrics_port": application.metrics_port(),
                "registry_dir": settings.registry_dir,
            });
            output.result(&document, String::new);
        }
        match application.run_until_stopped(signals).await {
            Ok(Ending::Finished) => {
                tracing::info!("stopped");
                Ok(())
            }
            // The exit status that a shell gives to a program ended by a signal.
            Ok(Ending::CutShort(signal)) => {
                Err(Failure::Verdict(u8::try_from(128 + signal.as_raw()).unwrap_or(u8::MAX)))
            }
            // The one JSON document is already printed.
            Err(error) if output.is_json() => {
                complain(&format!("error: {error} [{}]", error.kind().code()));
                Err(Failure::Verdict(error.kind().exit_status()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Sets the log filter, at the start and at each SIGHUP, from the file if there is one. Without a file, each SIGHUP
/// switches between the default filter and a more detailed one. SIGHUP never ends the service.
fn follow_hangups(settings: &Settings, file: Option<PathBuf>) -> Result<(), RegistryError> {
    let otherwise = settings.log_filter.clone().unwrap_or_else(|| DEFAULT_FILTER.to_owned());
    let set = |filter: String| telemetry::set_filter(&filter).map(|()| filter);
    let empty = otherwise.clone();
    let read = move |file: &PathBuf| set(read_log_filter(file)?.unwrap_or_else(|| empty.clone()));
    if let Some(file) = &file {
        read(file).map_err(|why| RegistryError::unavailable("cannot set the log filter", why))?;
    }
    let mut hangups = signal(SignalKind::hangup()).map_err(RegistryError::internal)?;
    actix::spawn(async move {
        let mut closer = false;
        while hangups.recv().await.is_some() {
            closer = !closer;
            let now = match &file {
                Some(file) => read(file),
                None if closer => set(CLOSER_FILTER.to_owned()),
                None => set(otherwise.clone()),
            };
            match now {
                // A warning, so that most filters show it.
                Ok(filter) => tracing::warn!(filter, "SIGHUP: the log filter is set"),
                Err(why) => tracing::error!(why, "SIGHUP: the log filter is unchanged"),
            }
        }
    });
    Ok(())
}
