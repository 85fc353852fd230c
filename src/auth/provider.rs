//! Fetches the keys: from the identity provider by discovery, from a key set's address, or from a file. It blocks, so
//! that the caller needs a thread for it.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use flate2::read::MultiGzDecoder;
use jsonwebtoken::Algorithm;
use serde_json::Value;
use ureq::{
    http::{Uri, header::CONTENT_ENCODING},
    tls::{RootCerts, TlsConfig},
};

use super::{key_set::KeySet, strict_json};
use crate::{file_stamp::FileStamp, limits};

/// Characters of the provider's words that are repeated.
const QUOTED_CHARACTERS: usize = 200;

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
    stamp: FileStamp,
    since: Instant,
    /// Whether a change after the reading could not hide behind the file system's coarse clock.
    settled: bool,
}

/// Whether keys may be fetched from this address: over TLS, or without it where nothing leaves the machine.
///
/// # Errors
/// What it must be, as the end of a sentence.
pub fn check_address(address: &str) -> Result<(), &'static str> {
    let uri: Uri = address.parse().map_err(|_| "must be a URL that starts with https://")?;
    let host = uri.host().filter(|host| !host.is_empty());
    let host = host.ok_or("must be a URL that starts with https:// and names a host")?;
    let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    match uri.scheme_str() {
        _ if user => Err("must hold no user and no password: it is written into the log"),
        Some("https") => Ok(()),
        Some("http") if is_loopback(host) => Ok(()),
        Some("http") => {
            Err("must start with https://, because keys are fetched from there; http:// is \
                             allowed to this machine alone")
        }
        _ => Err("must be a URL that starts with https://"),
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
            // RFC 7517 section 8.5.2 registers the second; many providers answer with the first.
            .accept("application/json, application/jwk-set+json")
            .accept_encoding("gzip")
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
        match text("issuer") {
            Some(found) if found == issuer => {}
            Some(found) => {
                return Err(format!(
                    "{address}: it is the document of the issuer {}, and MODEL_REGISTRY_JWT_ISSUER is {}; they \
                     must be the same to the letter, a slash at the end included",
                    quoted(found),
                    quoted(issuer)
                ));
            }
            None => return Err(format!("{address}: it names no issuer")),
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
        let encoding = answer
            .headers()
            .get(CONTENT_ENCODING)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase());
        let limit = limits::PROVIDER_BODY;
        let body = answer.body_mut().with_config().limit(limit).read_to_vec().map_err(failed)?;
        match encoding.as_deref() {
            None | Some("" | "identity") => Ok(body),
            Some("gzip" | "x-gzip") => unpack(&body).map_err(|what| format!("{address}: {what}")),
            Some(other) => Err(format!(
                "{address}: the answer is encoded as {}, and gzip was asked for",
                quoted(other)
            )),
        }
    }

    fn read(&self, path: &Path) -> Result<Option<KeySet>, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = FileStamp::of(path).map_err(|error| error.to_string())?;
        let before = read.take_if(|before| before.stamp != stamp || !before.settled);
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
            .filter(|before| before.stamp == stamp)
            .map_or_else(Instant::now, |before| before.since);
        let settled = since.elapsed() >= limits::SIDECAR_SETTLED;
        let keys = KeySet::parse(&bytes, &self.algorithms);
        // A file that is of no use is read again, so that the failure lasts as long as the file does.
        *read = Some(ReadFile { stamp, since, settled: settled && keys.is_ok() });
        keys.map(Some)
    }
}

/// Something of the provider's, fit for a log line.
fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(QUOTED_CHARACTERS).collect();
    format!("\"{}\"", shown.escape_debug())
}

/// The content of a gzip answer; a small answer must not unpack to a large one.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    MultiGzDecoder::new(packed)
        .take(limits::PROVIDER_BODY + 1)
        .read_to_end(&mut content)
        .map_err(|error| format!("the answer is not the gzip that it says: {error}"))?;
    if content.len() as u64 > limits::PROVIDER_BODY {
        return Err(format!("the answer unpacks to more than {} bytes", limits::PROVIDER_BODY));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn pack(content: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(content).expect("in memory");
        packer.finish().expect("in memory")
    }

    #[test]
    fn a_packed_answer_is_unpacked_up_to_a_size() {
        assert_eq!(unpack(&pack(b"{}")).as_deref(), Ok(&b"{}"[..]));
        let most = vec![b' '; usize::try_from(limits::PROVIDER_BODY).expect("small")];
        assert_eq!(unpack(&pack(&most)), Ok(most.clone()));
        let bomb = pack(&vec![b' '; most.len() * 100]);
        assert!(
            bomb.len() < most.len() && unpack(&bomb).is_err_and(|why| why.contains("more than"))
        );
        assert!(unpack(b"{}").is_err() && unpack(&pack(b"{}")[..15]).is_err());
    }

    #[test]
    fn what_is_quoted_is_fit_for_a_log_line() {
        assert_eq!(quoted("https://idp.example/"), "\"https://idp.example/\"");
        assert_eq!(quoted("a\nb\""), "\"a\\nb\\\"\"");
        assert_eq!(quoted(&"x".repeat(9999)).len(), QUOTED_CHARACTERS + 2);
    }

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
