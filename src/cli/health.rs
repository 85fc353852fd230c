//! `health`: the probe that a container without a shell needs.

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

/// Which service to ask.
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
            RegistryError::unavailable(format!("{url} does not answer as it should"), cause)
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

/// How the service's TLS is met. Another service's certificate is verified. This machine's own is for the name that
/// clients know, not for an address of this machine, and is not: the probe tells no secret, and hears no more than
/// over plain HTTP. A service that wants a certificate of its clients is shown its own, which it knows.
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

/// Where `serve` with these variables would be found from this machine.
///
/// # Errors
/// `INVALID_REQUEST` where the variable of the port holds none.
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
