//! `health`: the probe that a container without a shell needs.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use ureq::tls::{ClientCert, PemItem, PrivateKey, TlsConfig, parse_pem};

use super::{Context, Outcome};
use crate::{
    config::Variables,
    error::{ErrorKind, RegistryError},
    limits,
};

const TLS_CERT: &str = "MODEL_REGISTRY_TLS_CERT";
const TLS_KEY: &str = "MODEL_REGISTRY_TLS_KEY";
const TLS_CLIENT_CA: &str = "MODEL_REGISTRY_TLS_CLIENT_CA";

/// Which service to ask.
#[derive(Debug, Args)]
pub struct Health {
    /// Its base URL, of http [default: $MODEL_REGISTRY_HOST:$MODEL_REGISTRY_PORT on this machine, with TLS
    /// where $MODEL_REGISTRY_TLS_CERT is set]
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
        let own = self.url.is_none();
        let base = self.url.unwrap_or_else(|| base_url(&context.variables));
        let path = if self.ready { "/ready" } else { "/health" };
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(limits::PROBE_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .tls_config(probe_tls(&context.variables)?)
            .build()
            .into();
        let unavailable = |cause: String| {
            RegistryError::unavailable(format!("{url} does not answer as it should"), cause)
        };
        if !own && !url.starts_with("http://") {
            return Err(RegistryError::new(
                ErrorKind::InvalidRequest,
                format!(
                    "--url {base}: starts with http://; ask the service itself, not its gateway, and a service that \
                     speaks TLS without --url, where its variables are"
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

/// How the service's own TLS is met. Its certificate is for the name that clients know, not for an address of
/// this machine, and so is not checked: the probe tells no secret, and hears no more than over plain HTTP. A
/// service that wants a certificate of its clients is shown its own, which it knows.
fn probe_tls(variables: &Variables) -> Result<TlsConfig, RegistryError> {
    let client = match (path(variables, TLS_CERT), path(variables, TLS_KEY)) {
        (Some(certificate), Some(key)) if path(variables, TLS_CLIENT_CA).is_some() => {
            let read = |name: &str, path: &PathBuf| {
                std::fs::read(path).map_err(|error| {
                    let path = path.display();
                    RegistryError::unavailable(format!("{name}: {path} cannot be read"), error)
                })
            };
            let damaged = |error| RegistryError::unavailable("the certificate is damaged", error);
            let chain: Vec<_> = parse_pem(&read(TLS_CERT, &certificate)?)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                    Ok(_) => None,
                    Err(error) => Some(Err(error)),
                })
                .collect::<Result<_, _>>()
                .map_err(damaged)?;
            let key = PrivateKey::from_pem(&read(TLS_KEY, &key)?).map_err(damaged)?;
            Some(ClientCert::new_with_certs(&chain, key))
        }
        _ => None,
    };
    Ok(TlsConfig::builder()
        .disable_verification(true)
        .client_cert(client)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build())
}

fn path(variables: &Variables, name: &str) -> Option<PathBuf> {
    variables.text(name).filter(|text| !text.is_empty()).map(PathBuf::from)
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
    let scheme = if path(variables, TLS_CERT).is_some() { "https" } else { "http" };
    format!("{scheme}://{host}:{}", set("MODEL_REGISTRY_PORT", "8003"))
}
