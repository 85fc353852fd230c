//! `health`: the probe that a container without a shell needs.

use clap::Args;

use super::{Context, Outcome};
use crate::{
    config::Variables,
    error::{ErrorKind, RegistryError},
    limits,
};

/// Which service to ask.
#[derive(Debug, Args)]
pub struct Health {
    /// Its base URL [default: http://$MODEL_REGISTRY_HOST:$MODEL_REGISTRY_PORT on this machine]
    #[arg(long)]
    url: Option<String>,
    /// Ask whether it can answer questions now (/ready), not only whether it lives (/health)
    #[arg(long)]
    ready: bool,
}

impl Health {
    /// Asks, and prints the answer.
    ///
    /// # Errors
    /// `REGISTRY_UNAVAILABLE` where it does not answer, or answers that it is not well.
    pub fn run(self, context: &Context) -> Outcome {
        let base = self.url.unwrap_or_else(|| base_url(&context.variables));
        let path = if self.ready { "/ready" } else { "/health" };
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(limits::PROBE_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build()
            .into();
        let unavailable = |cause: String| {
            RegistryError::unavailable(format!("{url} does not answer as it should"), cause)
        };
        if !url.starts_with("http://") {
            return Err(RegistryError::new(
                ErrorKind::InvalidRequest,
                format!(
                    "--url {base}: starts with http://; ask the service itself, not its gateway"
                ),
            )
            .into());
        }
        let mut answer = agent.get(&url).call().map_err(|error| unavailable(error.to_string()))?;
        let body =
            answer.body_mut().read_to_string().map_err(|error| unavailable(error.to_string()))?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(unavailable(format!("status {status}: {body}")).into());
        }
        let document: serde_json::Value =
            serde_json::from_str(&body).map_err(|error| unavailable(error.to_string()))?;
        context.output.result(&document, || body);
        Ok(())
    }
}

/// Where `serve` with these variables would be found from this machine.
fn base_url(variables: &Variables) -> String {
    let set = |name: &str, default: &str| {
        variables.text(name).filter(|text| !text.trim().is_empty()).unwrap_or(default.to_owned())
    };
    let host = match set("MODEL_REGISTRY_HOST", "127.0.0.1").as_str() {
        "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" | "[::]" => "[::1]".to_owned(),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        host => host.to_owned(),
    };
    format!("http://{host}:{}", set("MODEL_REGISTRY_PORT", "8003"))
}
