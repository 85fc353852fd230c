//! Where the keys come from: the identity provider by discovery, a key set's address, or a file. Blocking; the
//! caller has a thread for it.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use jsonwebtoken::Algorithm;
use serde_json::Value;
use ureq::{
    http::Uri,
    tls::{RootCerts, TlsConfig},
};

use super::{key_set::KeySet, strict_json};
use crate::limits;

/// Where to find the key set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The issuer's OpenID discovery document says.
    Discovery {
        /// The issuer.
        issuer: String,
    },
    /// Here.
    Url(String),
    /// In this file, which is read again when it changes.
    File(PathBuf),
}

/// Fetches key sets.
pub struct Provider {
    source: KeySource,
    algorithms: Vec<Algorithm>,
    agent: ureq::Agent,
    read: Mutex<Option<ReadFile>>,
}

/// A file as it was read.
struct ReadFile {
    identity: FileIdentity,
    since: Instant,
    /// Whether a change after the reading could not hide behind the file system's coarse clock.
    settled: bool,
}

#[derive(PartialEq, Eq, Clone, Copy)]
struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Whether keys may be fetched from here: over TLS, or without it where nothing leaves the machine.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub fn check_address(address: &str) -> Result<(), &'static str> {
    let uri: Uri = address.parse().map_err(|_| "is no URL")?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or("is no URL with a host")?;
    let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    match uri.scheme_str() {
        _ if user => Err("holds a user or password, which would end up in logs"),
        Some("https") => Ok(()),
        Some("http") if is_loopback(host) => Ok(()),
        Some("http") => Err("is not https, and not on this machine"),
        _ => Err("is no URL that starts with https://"),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn on_this_machine(address: &str) -> bool {
    address.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(is_loopback))
}

impl Provider {
    /// Fetches keys for these algorithms from this source.
    #[must_use]
    pub fn new(source: KeySource, algorithms: Vec<Algorithm>) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(
                rustls::crypto::aws_lc_rs::default_provider(),
            ))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(limits::PROVIDER_TIMEOUT))
            .http_status_as_error(false)
            // Whoever answers for the provider answers itself.
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections(0)
            .user_agent(concat!("model-registry/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .build();
        Self { source, algorithms, agent: agent.into(), read: Mutex::default() }
    }

    /// Whether looking costs no more than a look at a file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.source, KeySource::File(_))
    }

    /// The key set as it is now; `None` where the file is still the one that was read.
    ///
    /// # Errors
    /// What went wrong, for the log.
    pub fn fetch(&self) -> Result<Option<KeySet>, String> {
        match &self.source {
            KeySource::Discovery { issuer } => {
                let address = self.discover(issuer)?;
                self.get_keys(&address).map(Some)
            }
            KeySource::Url(address) => self.get_keys(address).map(Some),
            KeySource::File(path) => {
                self.read(path).map_err(|why| format!("{}: {why}", path.display()))
            }
        }
    }

    /// OpenID Connect Discovery 1.0, section 4.
    fn discover(&self, issuer: &str) -> Result<String, String> {
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document = self.get(&address)?;
        let document = strict_json::object(&document)
            .ok_or_else(|| format!("{address}: the answer is not a JSON object"))?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if text("issuer") != Some(issuer) {
            return Err(format!("{address}: the document is another issuer's"));
        }
        let keys = text("jwks_uri").ok_or_else(|| format!("{address}: it names no jwks_uri"))?;
        check_address(keys).map_err(|what| format!("{address}: its jwks_uri {what}"))?;
        if on_this_machine(keys) && !on_this_machine(issuer) {
            return Err(format!("{address}: its jwks_uri leads to this machine"));
        }
        Ok(keys.to_owned())
    }

    fn get_keys(&self, address: &str) -> Result<KeySet, String> {
        let body = self.get(address)?;
        KeySet::parse(&body, &self.algorithms).map_err(|what| format!("{address}: {what}"))
    }

    fn get(&self, address: &str) -> Result<Vec<u8>, String> {
        let failed = |error: ureq::Error| format!("{address}: {error}");
        let mut answer = self.agent.get(address).call().map_err(failed)?;
        let status = answer.status();
        if status != 200 {
            return Err(format!("{address}: status {}", status.as_u16()));
        }
        answer.body_mut().with_config().limit(limits::PROVIDER_BODY).read_to_vec().map_err(failed)
    }

    fn read(&self, path: &Path) -> Result<Option<KeySet>, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let identity = identify(path).map_err(|error| error.to_string())?;
        let before = read.take_if(|before| before.identity != identity || !before.settled);
        if read.is_some() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(limits::PROVIDER_BODY + 1).read_to_end(&mut bytes))
            .map_err(|error| error.to_string())?;
        if bytes.len() as u64 > limits::PROVIDER_BODY {
            return Err(format!("is larger than {} bytes", limits::PROVIDER_BODY));
        }
        let since = before
            .filter(|before| before.identity == identity)
            .map_or_else(Instant::now, |before| before.since);
        let settled = since.elapsed() >= limits::SIDECAR_SETTLED;
        let keys = KeySet::parse(&bytes, &self.algorithms);
        // A file that is of no use is read again, so that the failure lasts as long as the file does.
        *read = Some(ReadFile { identity, since, settled: settled && keys.is_ok() });
        keys.map(Some)
    }
}

fn identify(path: &Path) -> std::io::Result<FileIdentity> {
    let found = path.metadata()?;
    if !found.is_file() {
        return Err(std::io::Error::other("is not a file"));
    }
    Ok(FileIdentity {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_travel_over_tls_or_not_at_all() {
        for good in [
            "https://idp.example",
            "https://idp.example:8443/realms/a",
            "http://127.0.0.1:9400",
            "http://[::1]:9400/keys",
            "http://localhost/keys",
        ] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for bad in [
            "http://idp.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "http://10.0.0.1",
            "https://user:pw@idp.example",
            "ftp://idp.example",
            "file:///etc/keys",
            "idp.example",
            "https://",
            "",
        ] {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }
}
