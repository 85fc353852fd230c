//! TLS, for a service without a gateway: its certificate and key, and the authorities whose client certificates it
//! accepts. When the files change, they are read again without a restart.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{
        CryptoProvider, aws_lc_rs::default_provider, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};

use crate::file_stamp::FileStamp;

/// The largest file of certificates or keys, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The files, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The service's certificate, followed by the intermediate certificates.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// The authorities of client certificates; `None` if clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFile {
    /// The certificate.
    Certificate,
    /// The key.
    Key,
    /// The authorities of client certificates.
    ClientCa,
}

/// Why the files cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsProblem {
    /// The file to mend.
    pub file: TlsFile,
    /// The reason, with the file's path.
    pub why: String,
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// The contents of the files.
#[derive(Debug)]
struct Loaded {
    own: Arc<CertifiedKey>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl TlsFiles {
    /// Checks that the files can be used.
    ///
    /// # Errors
    /// The first problem.
    pub fn check(&self) -> Result<(), TlsProblem> {
        self.load(&Arc::new(default_provider())).map(drop)
    }

    fn load(&self, provider: &Arc<CryptoProvider>) -> Result<Loaded, TlsProblem> {
        let problem = |file, path: &Path, why: &dyn fmt::Display| TlsProblem {
            file,
            why: format!("{}: {why}", path.display()),
        };
        let certificates = |file, path: &Path| {
            let pem = read(path).map_err(|error| problem(file, path, &error))?;
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
            match found {
                Ok(found) if found.is_empty() => {
                    Err(problem(file, path, &"holds no PEM certificate"))
                }
                Ok(found) => Ok(found),
                Err(error) => Err(problem(file, path, &error)),
            }
        };
        let of_key = |why: &dyn fmt::Display| problem(TlsFile::Key, &self.key, why);
        let chain = certificates(TlsFile::Certificate, &self.certificate)?;
        let pem = read(&self.key).map_err(|error| of_key(&error))?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| of_key(&error))?;
        let own = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
            of_key(&format!(
                "does not belong to the certificate in {}: {error}",
                self.certificate.display()
            ))
        })?;
        let clients = self.client_ca.as_ref().map(|path| {
            let of_ca = |why: &dyn fmt::Display| problem(TlsFile::ClientCa, path, why);
            let mut roots = RootCertStore::empty();
            for authority in certificates(TlsFile::ClientCa, path)? {
                roots.add(authority).map_err(|error| of_ca(&error))?;
            }
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(|error| of_ca(&error))
        });
        Ok(Loaded { own: Arc::new(own), clients: clients.transpose()? })
    }

    /// What changes when one of the files does. Symbolic links are followed: mounted secrets are such links.
    fn stamp(&self) -> Vec<Option<FileStamp>> {
        let paths = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        paths.into_iter().flatten().map(|path| FileStamp::of(path).ok()).collect()
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The certificates in use, which each handshake reads.
pub struct Credentials {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    loaded: RwLock<Arc<Loaded>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest holds a private key.
        f.debug_struct("Credentials").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads the files.
    ///
    /// # Errors
    /// The first problem.
    pub fn load(files: TlsFiles) -> Result<(Arc<Self>, Changes), TlsProblem> {
        let provider = Arc::new(default_provider());
        let seen = files.stamp();
        let loaded = RwLock::new(Arc::new(files.load(&provider)?));
        let credentials = Arc::new(Self { files, provider, loaded });
        let changes = Changes { credentials: credentials.clone(), seen };
        Ok((credentials, changes))
    }

    fn current(&self) -> Arc<Loaded> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The configuration of a TLS server with these certificates. The server adds its protocols (ALPN).
    ///
    /// # Errors
    /// Where the cryptography provider does not support it.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?;
        let builder = if self.current().clients.is_some() {
            builder.with_client_cert_verifier(self.clone())
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_cert_resolver(self.clone());
        if self.current().clients.is_some() {
            // A resumed session skips the client certificate, which may be valid no longer.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

/// Watches the files for changes.
pub struct Changes {
    credentials: Arc<Credentials>,
    seen: Vec<Option<FileStamp>>,
}

impl Changes {
    /// Reads the files again if they changed since the last call; `None` if they did not. It blocks: call it on a
    /// blocking thread.
    ///
    /// # Errors
    /// The first problem; the certificates in use stay in use.
    pub fn look(&mut self) -> Option<Result<(), TlsProblem>> {
        let Credentials { files, provider, loaded } = &*self.credentials;
        let now = files.stamp();
        if now == self.seen {
            return None;
        }
        self.seen = now;
        Some(files.load(provider).map(|new| {
            *loaded.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        }))
    }
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().own.clone())
    }
}

/// Accepts clients with a certificate of the authorities, and clients that hold the service's own key: its own probe.
impl ClientCertVerifier for Credentials {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // The authorities may change, but this reference may not.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let loaded = self.current();
        // The handshake's signature proves that the client has the key.
        if loaded.own.end_entity_cert().is_ok_and(|own| own == end_entity) {
            return Ok(ClientCertVerified::assertion());
        }
        match &loaded.clients {
            Some(clients) => clients.verify_client_cert(end_entity, intermediates, now),
            None => Err(rustls::Error::General(
                "no authority of client certificates is configured".to_owned(),
            )),
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
