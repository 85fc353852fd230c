//! `health`: a probe for containers that have no shell.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::{Context, Outcome};
use crate::{
    config::{Variables, service_link},
    error::{ErrorKind, RegistryError},
    limits,
};

const TLS_CERT: &str = "MODEL_REGISTRY_TLS_CERT";
const TLS_KEY: &str = "MODEL_REGISTRY_TLS_KEY";
const TLS_CLIENT_CA: &str = "MODEL_REGISTRY_TLS_CLIENT_CA";
const CA_FILE: &str = "MODEL_REGISTRY_CA_FILE";
const PORT: &str = "MODEL_REGISTRY_PORT";

/// Arguments of `health`.
#[derive(Debug, Args)]
pub struct Health {
    /// Its base URL, http:// or https:// [default: $MODEL_REGISTRY_HOST:$MODEL_REGISTRY_PORT on this machine, with
    /// TLS where $MODEL_REGISTRY_TLS_CERT is set]
    #[arg(long)]
    url: Option<String>,
    /// A PEM file with the authorities that the certificate of --url may come from [default:
    /// $MODEL_REGISTRY_CA_FILE, else those that the system trusts]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Check that it can answer requests now (/ready), not only that it runs (/health)
    #[arg(long)]
    ready: bool,
}

impl Health {
    /// Sends the request and prints the answer.
    ///
    /// # Errors
    /// `REGISTRY_UNAVAILABLE` where the service does not answer, or answers that it is not healthy.
    pub fn run(self, context: &Context) -> Outcome {
        let base = match &self.url {
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => url.clone(),
            Some(_) => {
                let what = "--url must start with http:// or https://";
                return Err(RegistryError::new(ErrorKind::InvalidRequest, what).into());
            }
            None => base_url(&context.variables)?,
        };
        let ca = self.ca_file.or_else(|| path(&context.variables, CA_FILE));
        let path = if self.ready { "/ready" } else { "/health" };
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(limits::PROBE_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .tls_config(probe_tls(&context.variables, self.url.as_deref(), ca.as_deref())?)
            .build()
            .into();
        let unavailable = |cause: String| {
            RegistryError::unavailable(format!("{url} does not answer correctly"), cause)
        };
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

/// The TLS settings of the probe. Another service's certificate is verified. The certificate of this machine's own
/// service is for the name that clients use, not for this machine's address, so it is not verified: the probe sends
/// no secret, and the answer needs no more protection than over plain HTTP. To a service that requires client
/// certificates, the probe shows the service's own certificate.
fn probe_tls(
    variables: &Variables,
    url: Option<&str>,
    ca: Option<&Path>,
) -> Result<TlsConfig, RegistryError> {
    let client = match (path(variables, TLS_CERT), path(variables, TLS_KEY)) {
        (Some(certificate), Some(key)) if path(variables, TLS_CLIENT_CA).is_some() => {
            let chain = certificates(TLS_CERT, &certificate)?;
            let key = PrivateKey::from_pem(&read(TLS_KEY, &key)?)
                .map_err(|error| unusable(TLS_KEY, &key, &error))?;
            Some(ClientCert::new_with_certs(&chain, key))
        }
        _ => None,
    };
    let roots = match ca {
        Some(file) => {
            let found = certificates("--ca-file", file)?;
            if found.is_empty() {
                return Err(unusable("--ca-file", file, &"it holds no certificate in PEM"));
            }
            RootCerts::new_with_certs(&found)
        }
        None => RootCerts::PlatformVerifier,
    };
    Ok(TlsConfig::builder()
        .disable_verification(url.is_none())
        .root_certs(roots)
        .client_cert(client)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build())
}

fn unusable(name: &str, path: &Path, why: &dyn std::fmt::Display) -> RegistryError {
    let path = path.display();
    RegistryError::new(ErrorKind::InvalidRequest, format!("{name}: cannot use {path}: {why}"))
}

fn read(name: &str, path: &Path) -> Result<Vec<u8>, RegistryError> {
    std::fs::read(path).map_err(|error| unusable(name, path, &error))
}

fn certificates(name: &str, path: &Path) -> Result<Vec<Certificate<'static>>, RegistryError> {
    parse_pem(&read(name, path)?)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(unusable(name, path, &error))),
        })
        .collect()
}

fn path(variables: &Variables, name: &str) -> Option<PathBuf> {
    variables.text(name).filter(|text| !text.is_empty()).map(PathBuf::from)
}

/// The URL at which `serve` with these variables listens on this machine.
///
/// # Errors
/// `INVALID_REQUEST` where the variable of the port is not a port.
fn base_url(variables: &Variables) -> Result<String, RegistryError> {
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
    let port = set(PORT, "8003");
    if let Some(what) = service_link(&port) {
        return Err(RegistryError::new(ErrorKind::InvalidRequest, format!("{PORT}: {what}")));
    }
    Ok(format!("{scheme}://{host}:{port}"))
}
