//! Putting the parts together: the registry's directory, catalog and actors for every command, and the
//! server around them.

use std::{
    net::{TcpListener, ToSocketAddrs as _},
    path::Path,
    sync::Arc,
};

use actix_web::dev::Server;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::{
    actors::{
        AuthActor, DbActor, Handle, JanitorActor, ManifestActor, ValidatorActor,
        auth::RefreshKeys,
        blocking,
        db::ChangeLock,
        janitor::{self, Premises},
        supervise::{self, Fatal},
        validator::Checks,
    },
    artifacts::{
        ArtifactStore, RegistryRoot, VerifiedFiles, lock,
        root::{ARTIFACTS, CATALOG, MANIFEST},
    },
    auth::{Identity, StaticTokens},
    catalog::{Catalog, DatabaseUrl, PostgresCatalog, SqliteCatalog},
    config::{ServerSettings, Settings},
    error::{ErrorKind, RegistryError},
    formats::TrustedGlobals,
    http::{guard::HttpState, server},
    registry::Registry,
    sandbox::{Mode, Sandbox},
};

/// What a command wants of the registry directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// To look into everything, whatever state it is in. It must be there.
    Examining,
    /// To answer from it. It must be there, and manifest and catalog must not contradict each other.
    Reading,
    /// To change it. It must be there, and is first brought back to a whole state where a process was killed
    /// in the middle of a change.
    Changing,
    /// As [`Self::Changing`], and it is made where it is not there.
    Creating,
}

/// A registry whose actors run.
pub struct Core {
    /// The operations.
    pub registry: Registry,
    premises: Premises,
    /// Hears of actors that are lost for good.
    pub lost: mpsc::UnboundedReceiver<Fatal>,
    fatal: mpsc::UnboundedSender<Fatal>,
}

impl Core {
    /// Opens the registry directory and starts the actors over it.
    ///
    /// # Errors
    /// `INVALID_REQUEST` where there is no registry and none may be made; `CHECKSUM_MISMATCH` where its
    /// manifest and catalog disagree; `REGISTRY_UNAVAILABLE` where disk or catalog cannot be used.
    pub async fn open(settings: &Settings, opening: Opening) -> Result<Self, RegistryError> {
        let (directory, database) = (settings.registry_dir.clone(), settings.database.clone());
        let (root, catalog) = blocking(move || open_files(&directory, database, opening)).await?;
        let core = Self::wire(root, catalog, settings);
        match opening {
            Opening::Examining => {}
            Opening::Reading => core.registry.require_agreement().await?,
            Opening::Changing | Opening::Creating => {
                let premises = &core.premises;
                let _lock = ChangeLock::take(premises.store.root(), &premises.db).await?;
                janitor::settle(&core.premises).await?;
            }
        }
        Ok(core)
    }

    fn wire(root: Arc<RegistryRoot>, catalog: Arc<dyn Catalog>, settings: &Settings) -> Self {
        let policy = &settings.policy;
        let (fatal, lost) = mpsc::unbounded_channel();
        let store = ArtifactStore::new(root.clone());
        let verified = Arc::new(VerifiedFiles::default());
        let trusted = TrustedGlobals::new(policy.trusted_globals.iter().cloned());
        let checks = Checks {
            store: store.clone(),
            verified: verified.clone(),
            trusted: Arc::new(trusted),
            sandbox: Sandbox::new(settings.sandbox),
        };
        let memory = verified.clone();
        let db = supervise::start(move || DbActor::new(catalog.clone()), fatal.clone());
        let manifest = supervise::start(
            move || ManifestActor::new(root.clone(), memory.clone()),
            fatal.clone(),
        );
        let validator =
            supervise::start(move || ValidatorActor::new(checks.clone()), fatal.clone());
        let premises = Premises {
            store: store.clone(),
            verified: verified.clone(),
            db: db.clone(),
            manifest: manifest.clone(),
        };
        let policy = Arc::new(policy.clone());
        let registry = Registry { db, manifest, validator, store, verified, policy };
        Self { registry, premises, lost, fatal }
    }
}

type Files = (Arc<RegistryRoot>, Arc<dyn Catalog>);

fn open_files(
    directory: &Path,
    database: Option<DatabaseUrl>,
    opening: Opening,
) -> Result<Files, RegistryError> {
    let has = |name: &str| directory.join(name).symlink_metadata().is_ok();
    let embedded = database.is_none();
    if embedded && has(MANIFEST) && !has(CATALOG) {
        return Err(RegistryError::new(
            ErrorKind::IntegrityOnRead,
            format!(
                "{} has a manifest and no {CATALOG}: the catalog was lost, restore it from a backup; or it is \
                 in PostgreSQL, and DATABASE_URL is not set",
                directory.display()
            ),
        ));
    }
    let root = if opening == Opening::Creating {
        RegistryRoot::open_or_create(directory)?
    } else if has(if embedded { CATALOG } else { ARTIFACTS }) {
        RegistryRoot::open(directory)?
    } else {
        return Err(RegistryError::new(
            ErrorKind::InvalidRequest,
            format!(
                "{} holds no registry; name its directory with --registry-dir or MODEL_REGISTRY_DIR, or make \
                 one with `model-registry register`, `import` or `serve`",
                directory.display()
            ),
        ));
    };
    lock::check_writable(&root)?;
    let catalog: Arc<dyn Catalog> = match database {
        Some(url) => Arc::new(PostgresCatalog::open(url)?),
        None => Arc::new(SqliteCatalog::open(&root.path().join(CATALOG))?),
    };
    Ok((Arc::new(root), catalog))
}

/// A server that listens.
pub struct Application {
    server: Server,
    port: u16,
    lost: mpsc::UnboundedReceiver<Fatal>,
}

impl Application {
    /// Opens the registry, verifies it, and listens.
    ///
    /// # Errors
    /// As [`Core::open`]; `INVALID_REQUEST` where the address cannot be listened on.
    pub async fn build(
        settings: &Settings,
        server: &ServerSettings,
    ) -> Result<Self, RegistryError> {
        let core = Core::open(settings, Opening::Creating).await?;
        let mode = settings.sandbox;
        blocking(move || {
            tell_of_sandbox(mode);
            Ok(())
        })
        .await?;
        let auth = start_auth(server, core.fatal.clone());
        if server.identity.as_ref().is_some_and(|identity| identity.require_at_start) {
            auth.ask(RefreshKeys).await?;
        }
        let premises = core.premises.clone();
        // The janitor answers no one, so nobody keeps its handle; its watcher keeps it alive.
        drop(supervise::start(move || JanitorActor::new(premises.clone()), core.fatal.clone()));
        let listener = listen(&server.host, server.port)?;
        let port = listener.local_addr().map_err(RegistryError::internal)?.port();
        let state = HttpState::new(core.registry, auth);
        let server = server::start(listener, state, server.allowed_origins.clone())
            .map_err(RegistryError::internal)?;
        Ok(Self { server, port, lost: core.lost })
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves until SIGTERM or SIGINT, then lets requests in flight finish. A second signal ends it at once.
    ///
    /// # Errors
    /// An internal error where an actor is lost for good or a worker cannot go on.
    pub async fn run_until_stopped(mut self) -> Result<(), RegistryError> {
        let handle = self.server.handle();
        let mut terminate = signal(SignalKind::terminate()).map_err(RegistryError::internal)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(RegistryError::internal)?;
        let mut running = std::pin::pin!(self.server);
        tokio::select! {
            ended = &mut running => return ended.map_err(RegistryError::internal),
            _ = terminate.recv() => tracing::info!("SIGTERM: finishing requests in flight"),
            _ = interrupt.recv() => tracing::info!("SIGINT: finishing requests in flight"),
            fatal = self.lost.recv() => {
                // Requests in flight would wait for an actor that answers no more.
                return Err(RegistryError::internal(
                    fatal.map_or_else(|| "the actors are gone".to_owned(), |lost| lost.to_string()),
                ));
            }
        }
        let stop = handle.stop(true);
        tokio::select! {
            _ = async { tokio::join!(stop, &mut running) } => {}
            _ = terminate.recv() => tracing::warn!("second signal: ending at once"),
            _ = interrupt.recv() => tracing::warn!("second signal: ending at once"),
        }
        Ok(())
    }
}

/// Tries the sandbox of load checks once and tells the log what it is worth on this machine. Reads go on without
/// it; every load check would say the same again.
fn tell_of_sandbox(mode: Mode) {
    match Sandbox::new(mode).probe(Vec::new()) {
        Ok(probe) if probe.whole() => {
            tracing::info!(tried = probe.attempts.len(), "the sandbox of load checks holds");
        }
        Ok(probe) => {
            let missing = probe.missing.join("; ");
            let open: Vec<_> =
                probe.attempts.iter().filter(|a| !a.held).map(|a| a.tried.as_str()).collect();
            let open = open.join("; ");
            match mode {
                Mode::Strict => tracing::error!(
                    missing,
                    open,
                    "this machine lacks walls of the sandbox: nothing is validated or promoted here; \
                     MODEL_REGISTRY_SANDBOX=best-effort accepts it"
                ),
                Mode::BestEffort => {
                    tracing::warn!(missing, open, "load checks run without a whole sandbox");
                }
            }
        }
        Err(error) => tracing::error!(%error, "the sandbox of load checks cannot be tried"),
    }
}

fn start_auth(server: &ServerSettings, fatal: mpsc::UnboundedSender<Fatal>) -> Handle<AuthActor> {
    let tokens = Arc::new(StaticTokens::new(
        server.admin_token.as_ref(),
        server.read_token.as_ref(),
        server.legacy_token.as_ref(),
    ));
    let identity = server.identity.clone().map(Identity::new).map(Arc::new);
    supervise::start(move || AuthActor::new(tokens.clone(), identity.clone()), fatal)
}

fn listen(host: &str, port: u16) -> Result<TcpListener, RegistryError> {
    let refused = |error: std::io::Error| {
        RegistryError::new(
            ErrorKind::InvalidRequest,
            format!(
                "cannot listen on {host} port {port}: {error}; set MODEL_REGISTRY_HOST and \
                 MODEL_REGISTRY_PORT, or --host and --port, to an address of this machine that is free"
            ),
        )
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<_> = (bare, port).to_socket_addrs().map_err(refused)?.collect();
    let listener = TcpListener::bind(addresses.as_slice()).map_err(refused)?;
    listener.set_nonblocking(true).map_err(RegistryError::internal)?;
    Ok(listener)
}
