//! `DATABASE_URL`: read once, and connected to as libpq would, with `sslmode` and `sslrootcert` honoured
//! (PostgreSQL documentation, "SSL Support").

use std::{path::PathBuf, str::FromStr as _, sync::Arc};

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::AsyncPgConnection;
use percent_encoding::percent_decode_str;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio_postgres::{Config, NoTls, config::SslMode as WireMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::session;
use crate::limits;

/// A database's address and how to speak to it. It cannot be printed: there may be a password in it.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

/// The URL cannot be used. The sentence never repeats the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidDatabaseUrl(String);

/// libpq's levels of protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

fn invalid(what: impl Into<String>) -> InvalidDatabaseUrl {
    InvalidDatabaseUrl(what.into())
}

impl DatabaseUrl {
    /// Reads a `postgres://` URL.
    ///
    /// # Errors
    /// [`InvalidDatabaseUrl`], naming the parameter and what it may be.
    pub fn parse(url: &str) -> Result<Self, InvalidDatabaseUrl> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(invalid(
                "starts with postgres://; without it the catalog is SQLite in the registry directory",
            ));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = SslMode::Prefer;
        let mut root_file = None;
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| invalid(format!("{name} is not UTF-8")))?;
            match name {
                "sslmode" => mode = ssl_mode(&value)?,
                "sslrootcert" => root_file = Some(PathBuf::from(value.as_ref())),
                "sslcert" | "sslkey" | "sslcrl" | "sslpassword" => {
                    return Err(invalid(format!("{name} is not supported; leave it out")));
                }
                _ => kept.push(pair),
            }
        }
        // The parser's own message may repeat a value.
        let mut config = Config::from_str(&format!("{base}?{}", kept.join("&"))).map_err(|_| {
            invalid("is not postgres://user:password@host:port/database?parameter=value; characters other \
                     than letters and digits in the password are written as %XX")
        })?;
        if config.get_hosts().is_empty() {
            return Err(invalid("names no host"));
        }
        config
            .ssl_mode(match mode {
                SslMode::Disable => WireMode::Disable,
                SslMode::Prefer => WireMode::Prefer,
                _ => WireMode::Require,
            })
            .connect_timeout(limits::CATALOG_CONNECTION_WAIT)
            .keepalives(true)
            .keepalives_idle(limits::DATABASE_KEEPALIVE)
            .tcp_user_timeout(limits::CATALOG_ANSWER_WAIT);
        if config.get_application_name().is_none() {
            config.application_name("model-registry");
        }
        let tls = match mode {
            SslMode::Disable => None,
            _ => Some(MakeRustlsConnect::new(client_config(mode, root_file)?)),
        };
        Ok(Self { config, tls })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// The server's or the network's, without the password.
    pub async fn connect(&self) -> ConnectionResult<AsyncPgConnection> {
        let refused = |error: tokio_postgres::Error| {
            let mut told = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                told = format!("{told}: {cause}");
                source = cause.source();
            }
            ConnectionError::BadConnection(told)
        };
        let conn = match &self.tls {
            Some(tls) => {
                let (client, connection) =
                    self.config.connect(tls.clone()).await.map_err(refused)?;
                session::open(client, connection).await?
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(refused)?;
                session::open(client, connection).await?
            }
        };
        Ok(conn)
    }
}

fn ssl_mode(text: &str) -> Result<SslMode, InvalidDatabaseUrl> {
    match text {
        "disable" => Ok(SslMode::Disable),
        "allow" | "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-full" => Ok(SslMode::VerifyFull),
        _ => Err(invalid(
            "sslmode is one of disable, allow, prefer, require, verify-ca, verify-full",
        )),
    }
}

fn client_config(
    mode: SslMode,
    root_file: Option<PathBuf>,
) -> Result<ClientConfig, InvalidDatabaseUrl> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let has_root_file = root_file.is_some();
    // As libpq does: with a root certificate at hand, `require` verifies the chain.
    let level = match mode {
        SslMode::Require if has_root_file => SslMode::VerifyCa,
        other => other,
    };
    let chain = match level {
        SslMode::VerifyCa | SslMode::VerifyFull => {
            let verifier = WebPkiServerVerifier::builder_with_provider(
                Arc::new(roots(root_file)?),
                provider.clone(),
            );
            Some(verifier.build().map_err(|error| invalid(format!("sslrootcert: {error}")))?)
        }
        _ => None,
    };
    let verifier =
        Verifier { chain, check_name: level == SslMode::VerifyFull, provider: provider.clone() };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn roots(file: Option<PathBuf>) -> Result<RootCertStore, InvalidDatabaseUrl> {
    let mut store = RootCertStore::empty();
    let certificates = match file.filter(|file| file.as_os_str() != "system") {
        Some(file) => {
            let unreadable = |error: &dyn std::fmt::Display| {
                invalid(format!("sslrootcert: cannot read {}: {error}", file.display()))
            };
            CertificateDer::pem_file_iter(&file)
                .map_err(|error| unreadable(&error))?
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| unreadable(&error))?
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        return Err(invalid(
            "sslmode verifies the server, and there is no root certificate; name one with sslrootcert, or \
             install the system's (ca-certificates)",
        ));
    }
    Ok(store)
}

/// Verifies as much as `sslmode` asks for: nothing, the chain, or the chain and the host's name.
#[derive(Debug)]
struct Verifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    check_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        let verified =
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The chain was verified before the name was looked at.
            Err(rustls::Error::InvalidCertificate(
                NotValidForName | NotValidForNameContext { .. },
            )) if !self.check_name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_the_url() {
        for (url, named) in [
            ("mysql://u:hunter2@h/d", "postgres://"),
            ("postgres://u:hunter2@h:port/d", "postgres://"),
            ("postgres://u:hunter2@h/d?sslmode=sometimes", "sslmode"),
            ("postgres://u:hunter2@h/d?sslkey=x", "sslkey"),
            ("postgres://u:hunter2@h/d?sslmode=verify-full&sslrootcert=/no/such", "/no/such"),
        ] {
            let told = DatabaseUrl::parse(url).expect_err(url).to_string();
            assert!(told.contains(named) && !told.contains("hunter2"), "{url}: {told}");
        }
    }

    #[test]
    fn a_url_is_never_printed() {
        let url = DatabaseUrl::parse("postgres://u:hunter2@h/d?sslmode=require").expect("good");
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
