//! The certificate checks of TLS to PostgreSQL: the same as libpq's at each `sslmode` (PostgreSQL documentation, "SSL
//! Support").

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, aws_lc_rs::default_provider, verify_tls12_signature,
        verify_tls13_signature, verify_tls13_signature_with_raw_key,
    },
    pki_types::{
        CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime, pem::PemObject as _,
    },
    version::{TLS12, TLS13},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::certificate::Certificate;
use crate::file_stamp::FileStamp;

/// The values of `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS only where the server requires it.
    Allow,
    /// TLS where the server supports it; the default.
    Prefer,
    /// TLS without a check of the server; with `sslrootcert`, the same as [`Self::VerifyCa`].
    Require,
    /// TLS with a certificate from a trusted authority.
    VerifyCa,
    /// TLS with a trusted certificate for this host.
    VerifyFull,
}

/// The source of the trusted certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// The system's store.
    System,
    /// A PEM file.
    File(PathBuf),
}

/// The TLS settings of the URL.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// The requested checks.
    pub mode: SslMode,
    /// The trusted certificates; `None` where the URL does not set them.
    pub roots: Option<Roots>,
    /// Whether TLS starts without PostgreSQL's own TLS request.
    pub direct: bool,
    /// Whether the handshake sends the host name to the server.
    pub server_name: bool,
    /// The lowest version, `TLSv1.2` or `TLSv1.3`.
    pub at_least: Version,
    /// The highest version.
    pub at_most: Version,
}

/// The supported versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `TLSv1.2`.
    Tls12,
    /// `TLSv1.3`.
    Tls13,
}

impl TlsOptions {
    fn protocols(&self) -> Vec<&'static SupportedProtocolVersion> {
        [(Version::Tls12, &TLS12), (Version::Tls13, &TLS13)]
            .into_iter()
            .filter(|(version, _)| (self.at_least..=self.at_most).contains(version))
            .map(|(_, protocol)| protocol)
            .collect()
    }

    /// Like libpq: where there is a root certificate, `require` verifies the chain.
    fn level(&self) -> SslMode {
        match self.mode {
            SslMode::Require if self.roots.is_some() => SslMode::VerifyCa,
            mode => mode,
        }
    }

    fn connector(&self) -> Result<MakeRustlsConnect, String> {
        let provider = Arc::new(default_provider());
        let trust = match self.level() {
            SslMode::VerifyCa | SslMode::VerifyFull => {
                Some(Trust::load(self.roots.as_ref().unwrap_or(&Roots::System), provider.clone())?)
            }
            _ => None,
        };
        let check_name = self.level() == SslMode::VerifyFull;
        let verifier = Verifier { trust, check_name, provider: provider.clone() };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.protocols())
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.enable_sni = self.server_name;
        if self.direct {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(MakeRustlsConnect::new(config))
    }
}

/// Connects by TLS. The file of root certificates is reloaded when it changes, because libpq reads it for each
/// connection.
#[derive(Clone)]
pub struct Tls {
    options: TlsOptions,
    loaded: Arc<Mutex<Loaded>>,
}

struct Loaded {
    stamp: Option<FileStamp>,
    connector: MakeRustlsConnect,
}

impl Tls {
    /// Reads the trusted certificates.
    ///
    /// # Errors
    /// The sentence for the operator where there are none.
    pub fn new(options: TlsOptions) -> Result<Self, String> {
        let stamp = options.stamp();
        let loaded = Loaded { stamp, connector: options.connector()? };
        Ok(Self { options, loaded: Arc::new(Mutex::new(loaded)) })
    }

    /// The checks that are made.
    #[must_use]
    pub fn mode(&self) -> SslMode {
        self.options.mode
    }

    /// The connector for new connections.
    #[must_use]
    pub fn connector(&self) -> MakeRustlsConnect {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.options.stamp();
        if stamp != loaded.stamp {
            loaded.stamp = stamp;
            match self.options.connector() {
                Ok(connector) => loaded.connector = connector,
                Err(why) => tracing::error!(
                    why,
                    "the root certificates of DATABASE_URL changed but cannot be used; the previous ones stay in use"
                ),
            }
        }
        loaded.connector.clone()
    }
}

impl TlsOptions {
    fn stamp(&self) -> Option<FileStamp> {
        match &self.roots {
            Some(Roots::File(file)) => FileStamp::of(file).ok(),
            _ => None,
        }
    }
}

/// The trusted certificates.
struct Trust {
    chain: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
}

impl Trust {
    fn load(roots: &Roots, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let roots = match roots {
            Roots::File(file) => read_pem(file)?,
            Roots::System => rustls_native_certs::load_native_certs().certs,
        };
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        if store.is_empty() {
            return Err(
                "sslmode verifies the server, and there is no root certificate; name one with \
                        sslrootcert, or install the system's (ca-certificates)"
                    .to_owned(),
            );
        }
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
            .build()
            .map_err(|error| format!("sslrootcert: {error}"))?;
        Ok(Self { chain, roots })
    }

    /// Accepts what OpenSSL trusts beyond version 3 chains that end at an authority: a self-signed certificate in the
    /// file of roots; and one issued directly by a root that is of version 1 or an authority.
    fn trusts_directly(
        &self,
        certificate: &CertificateDer<'_>,
        now: UnixTime,
        provider: &CryptoProvider,
    ) -> bool {
        let Some(leaf) = Certificate::parse(certificate) else { return false };
        if !leaf.is_valid_at(now.as_secs()) || !leaf.may_be_a_servers() {
            return false;
        }
        let pinned = leaf.issued_itself() && self.roots.iter().any(|root| root == certificate);
        let from_root = || {
            (leaf.is_version_1() || leaf.is_authority())
                && self.roots.iter().filter_map(|root| Certificate::parse(root)).any(|root| {
                    root.is_valid_at(now.as_secs()) && leaf.is_signed_by(&root, provider)
                })
        };
        pinned || from_root()
    }
}

fn read_pem(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable =
        |error: &dyn fmt::Display| format!("sslrootcert: cannot read {}: {error}", file.display());
    CertificateDer::pem_file_iter(file)
        .map_err(|error| unreadable(&error))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(&error))
}

/// Verifies what `sslmode` requires: nothing, the chain, or the chain and the host name.
struct Verifier {
    trust: Option<Trust>,
    check_name: bool,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("check_name", &self.check_name).finish_non_exhaustive()
    }
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
        use CertificateError::{NotValidForName, NotValidForNameContext};
        let Some(trust) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        let chain = &trust.chain;
        let refusal = match chain.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ) {
            Ok(verified) => return Ok(verified),
            // The chain is already verified here.
            Err(
                error @ rustls::Error::InvalidCertificate(
                    NotValidForName | NotValidForNameContext { .. },
                ),
            ) => error,
            Err(_) if trust.trusts_directly(end_entity, now, &self.provider) => {
                rustls::Error::InvalidCertificate(NotValidForName)
            }
            Err(error) => return Err(error),
        };
        let is_for_host = || {
            Certificate::parse(end_entity)
                .is_some_and(|leaf| leaf.is_for(server_name.to_str().as_ref()))
        };
        if self.check_name && !is_for_host() {
            return Err(refusal);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let Some(version_1) = Certificate::parse(cert).filter(Certificate::is_version_1) else {
            return verify_tls12_signature(message, cert, dss, algorithms);
        };
        let candidates = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme);
        let mut candidates = candidates.flat_map(|(_, algorithms)| algorithms.iter());
        if candidates.any(|algorithm| version_1.signed(*algorithm, message, dss.signature())) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::BadSignature))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let Some(version_1) = Certificate::parse(cert).filter(Certificate::is_version_1) else {
            return verify_tls13_signature(message, cert, dss, algorithms);
        };
        let key = SubjectPublicKeyInfoDer::from(version_1.public_key_info());
        verify_tls13_signature_with_raw_key(message, &key, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
