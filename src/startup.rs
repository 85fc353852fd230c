//! Putting the parts together: the registry's directory, catalog and actors for every command, and the
//! server around them.

use std::{
    net::{TcpListener, ToSocketAddrs as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::dev::Server;
use rustix::process::Signal;
use socket2::SockRef;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use load_checks::{Mode, Sandbox, TrustedGlobals};

use crate::{
    actors::{
        AuthActor, DbActor, Handle, JanitorActor, ManifestActor, ValidatorActor,
        auth::RefreshKeys,
        blocking,
        janitor::Chores,
        supervise::{self, Fatal},
        validator::Checks,
    },
    artifacts::{
        ArtifactStore, RegistryRoot, VerifiedFiles, lock,
        root::{ARTIFACTS, CATALOG, MANIFEST},
        vacancy::{self, Place},
    },
    auth::{StaticTokens, TokenVerifier},
    catalog::{Author, Catalog, DatabaseUrl, PostgresCatalog, SqliteCatalog},
    clock,
    config::{ServerSettings, Settings},
    error::{ErrorKind, RegistryError},
    http::{
        edge::{client::Gateways, guard::HttpState, lifecycle::Lifecycle, scrape},
        server,
        wire::socket_filter::SocketFilter,
    },
    limits, metrics,
    registry::Registry,
    tls::{self, Credentials, TlsFiles},
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
    /// As [`Self::Creating`], and every row is held against the log.
    Serving,
}

/// A registry whose actors run.
pub struct Core {
    /// The operations.
    pub registry: Registry,
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
        let files = blocking(move || open_files(&directory, database, opening)).await?;
        let core = Self::wire(files, settings);
        let author = Author {
            actor: format!("model-registry {}", env!("CARGO_PKG_VERSION")),
            authenticated_as: None,
        };
        match opening {
            Opening::Examining => {}
            Opening::Reading => core.registry.require_agreement().await?,
            Opening::Changing | Opening::Creating => core.registry.prepare(&author).await?,
            Opening::Serving => {
                if core.registry.takes_changes().await? {
                    core.registry.prepare(&author).await?;
                } else {
                    tracing::warn!(
                        "the registry can only be read from here: its directory or its database takes no changes of \
                         this process; changes are refused"
                    );
                    core.registry.require_agreement().await?;
                }
                core.registry.require_audit().await?;
            }
        }
        Ok(core)
    }

    fn wire(files: Files, settings: &Settings) -> Self {
        let Files { root, catalog, writable } = files;
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
        let pool = catalog.clone();
        metrics::watch_pool(move || pool.pool_state());
        let db = supervise::start(move || DbActor::new(catalog.clone()), fatal.clone());
        let manifest = supervise::start(
            move || ManifestActor::new(root.clone(), memory.clone()),
            fatal.clone(),
        );
        let validator =
            supervise::start(move || ValidatorActor::new(checks.clone()), fatal.clone());
        let policy = Arc::new(policy.clone());
        let readiness = Arc::default();
        let registry =
            Registry { db, manifest, validator, store, verified, writable, policy, readiness };
        Self { registry, lost, fatal }
    }
}

/// What a command opened.
struct Files {
    root: Arc<RegistryRoot>,
    catalog: Arc<dyn Catalog>,
    /// Whether the directory can be changed.
    writable: bool,
}

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
    let there = has(if embedded { CATALOG } else { ARTIFACTS });
    let root = if opening == Opening::Creating || (opening == Opening::Serving && !there) {
        RegistryRoot::open_or_create(directory)?
    } else if there {
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
    let changes = matches!(opening, Opening::Changing | Opening::Creating);
    if changes {
        lock::check_writable(&root)?;
    }
    let writable = changes || root.takes_changes(embedded);
    if opening == Opening::Serving && writable {
        root.folder()?.make_folder(ARTIFACTS)?;
    }
    let catalog: Arc<dyn Catalog> = match database {
        Some(url) => Arc::new(PostgresCatalog::open(url)?),
        None if writable => Arc::new(SqliteCatalog::open(&root.path().join(CATALOG))?),
        None => Arc::new(SqliteCatalog::open_to_read(&root.path().join(CATALOG))?),
    };
    Ok(Files { root: Arc::new(root), catalog, writable })
}

/// Looks at what is in the place of the registry directory, before anything is made there.
async fn look_at_place(settings: &Settings) -> Result<Place, RegistryError> {
    let (directory, external) = (settings.registry_dir.clone(), settings.database.is_some());
    let place = blocking(move || vacancy::look(&directory, external)).await?;
    if settings.require_existing && place != Place::Taken {
        return Err(RegistryError::new(
            ErrorKind::InvalidRequest,
            format!(
                "{} holds no registry, and MODEL_REGISTRY_REQUIRE_EXISTING wants one to be there; mount or restore \
                 it, or unset that variable to make a new one",
                settings.registry_dir.display()
            ),
        ));
    }
    Ok(place)
}

fn tell_of_new_registry(place: Place, settings: &Settings) {
    let before = match place {
        Place::Taken => return,
        Place::Absent => "absent",
        Place::Empty => "empty",
    };
    tracing::warn!(
        registry_dir = %settings.registry_dir.display(),
        before,
        "made a new registry; where there should have been one, the directory's name is wrong or its volume is not \
         mounted, and MODEL_REGISTRY_REQUIRE_EXISTING=true refuses such a start"
    );
}

/// A server that listens.
pub struct Application {
    server: Server,
    socket_filter: SocketFilter,
    port: u16,
    metrics_port: Option<u16>,
    lost: mpsc::UnboundedReceiver<Fatal>,
    lifecycle: Lifecycle,
    drain: Duration,
}

/// How a server that was told to stop came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// After the requests in flight.
    Finished,
    /// By a second signal, at once.
    CutShort(Signal),
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
        let metrics_listener = server.edge.metrics_port.map(|port| {
            metrics::enable(env!("CARGO_PKG_VERSION"), clock::now()?.unix_seconds());
            listen(&server.host, port, "MODEL_REGISTRY_METRICS_PORT to a port")
        });
        let metrics_listener = metrics_listener.transpose()?;
        let place = look_at_place(settings).await?;
        let core = Core::open(settings, Opening::Serving).await?;
        tell_of_new_registry(place, settings);
        let mode = settings.sandbox;
        blocking(move || {
            tell_of_sandbox(mode);
            Ok(())
        })
        .await?;
        let auth = start_auth(server, core.fatal.clone())?;
        if server.identity.as_ref().is_some_and(|identity| identity.require_at_start) {
            auth.ask(RefreshKeys).await?;
        }
        let chores: Arc<dyn Chores> = Arc::new(core.registry.clone());
        // The janitor answers no one, so nobody keeps its handle; its watcher keeps it alive.
        drop(supervise::start(move || JanitorActor::new(chores.clone()), core.fatal.clone()));
        let listener = listen(
            &server.host,
            server.port,
            "MODEL_REGISTRY_HOST and MODEL_REGISTRY_PORT, or --host and --port, to an address",
        )?;
        let port = listener.local_addr().map_err(RegistryError::internal)?.port();
        let socket_filter =
            SocketFilter::for_listener(&listener).map_err(RegistryError::internal)?;
        let state = HttpState::new(core.registry, auth, server.publisher.clone());
        let tls = server.edge.tls.clone().map(start_tls).transpose()?;
        let (lifecycle, drain) = (Lifecycle::default(), server.edge.drain);
        let watched = lifecycle.clone();
        metrics::watch_in_flight(move || watched.in_flight());
        let metrics_port = metrics_listener.map(serve_metrics).transpose()?;
        let gateways = Gateways {
            trusted: server.edge.trusted_proxies.clone(),
            encrypted: tls.is_some(),
            hosts: server.edge.allowed_hosts.clone(),
        };
        let server = server::start(
            listener,
            state,
            lifecycle.clone(),
            gateways,
            server.allowed_origins.clone(),
            tls,
        )
        .map_err(RegistryError::internal)?;
        let lost = core.lost;
        Ok(Self { server, socket_filter, port, metrics_port, lost, lifecycle, drain })
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port on which the metrics are, where they are wanted.
    #[must_use]
    pub fn metrics_port(&self) -> Option<u16> {
        self.metrics_port
    }

    /// Serves until SIGTERM or SIGINT; then goes on for the time of the drain while `/ready` says no, takes no
    /// more connections, and lets requests in flight finish. A second signal ends it at once.
    ///
    /// # Errors
    /// An internal error where an actor is lost for good or a worker cannot go on.
    pub async fn run_until_stopped(self, mut signals: Signals) -> Result<Ending, RegistryError> {
        let Self { server, socket_filter, mut lost, lifecycle, drain, .. } = self;
        let handle = server.handle();
        let mut running = std::pin::pin!(server);
        // Requests in flight would wait for ever for an actor that answers no more.
        let mut lost = std::pin::pin!(async move {
            let why = lost.recv().await.map(|lost| lost.to_string());
            RegistryError::internal(why.unwrap_or_else(|| "the actors are gone".to_owned()))
        });
        let signal = tokio::select! {
            ended = &mut running => return over(ended),
            error = &mut lost => return Err(error),
            signal = signals.next() => signal,
        };
        let name = name_of(signal);
        tracing::info!(signal = name, drain_seconds = drain.as_secs(), "told to stop");
        lifecycle.stop();
        tokio::select! {
            ended = &mut running => return over(ended),
            error = &mut lost => return Err(error),
            signal = signals.next() => return Ok(cut_short(signal)),
            () = tokio::time::sleep(drain) => {}
        }
        match socket_filter.drop_new_connections() {
            Ok(()) => tokio::time::sleep(limits::LAST_CONNECTIONS_WAIT).await,
            Err(error) => tracing::warn!(
                %error,
                "the system cannot keep new connections away: one that is made in this moment may be reset"
            ),
        }
        tracing::info!(in_flight = lifecycle.in_flight(), "finishing requests in flight");
        let finished = async {
            let stop = handle.stop(true);
            let ((), ended) = tokio::join!(stop, &mut running);
            ended.map_err(RegistryError::internal)
        };
        let patience = limits::SHUTDOWN_SECONDS - limits::LAST_ANSWERS_SECONDS;
        let refuse_the_rest = async {
            tokio::time::sleep(Duration::from_secs(patience)).await;
            tracing::warn!(in_flight = lifecycle.in_flight(), "refusing what is not answered yet");
            lifecycle.run_out_of_time();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = finished => ended.map(|()| Ending::Finished),
            () = refuse_the_rest => Ok(Ending::Finished),
            error = &mut lost => Err(error),
            signal = signals.next() => Ok(cut_short(signal)),
        }
    }
}

/// The signals that end a server: SIGTERM and SIGINT, and SIGHUP where that has no other meaning.
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    /// Hears them from now on; none ends the process by itself any more.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> Result<Self, RegistryError> {
        let on = |kind| signal(kind).map_err(RegistryError::internal);
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hang_up: None,
        })
    }

    /// As [`Self::new`], and SIGHUP: the terminal went away.
    ///
    /// # Errors
    /// The system's.
    pub fn with_hang_up() -> Result<Self, RegistryError> {
        let hang_up = signal(SignalKind::hangup()).map_err(RegistryError::internal)?;
        Ok(Self { hang_up: Some(hang_up), ..Self::new()? })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.interrupt.recv() => Signal::INT,
            _ = hang_up => Signal::HUP,
        }
    }
}

fn name_of(signal: Signal) -> &'static str {
    match signal {
        Signal::TERM => "SIGTERM",
        Signal::HUP => "SIGHUP",
        _ => "SIGINT",
    }
}

fn cut_short(signal: Signal) -> Ending {
    tracing::warn!(signal = name_of(signal), "second signal: ending at once");
    Ending::CutShort(signal)
}

/// A server never ends by itself.
fn over(ended: std::io::Result<()>) -> Result<Ending, RegistryError> {
    ended.map_err(RegistryError::internal)?;
    Err(RegistryError::internal("the server ended without being told to"))
}

/// Serves the metrics for as long as the process lives, its last seconds included.
fn serve_metrics(listener: TcpListener) -> Result<u16, RegistryError> {
    let port = listener.local_addr().map_err(RegistryError::internal)?.port();
    let server = scrape::start(listener).map_err(RegistryError::internal)?;
    actix::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the metrics are no longer served");
        }
    });
    Ok(port)
}

/// Reads the certificates, and follows their files.
fn start_tls(files: TlsFiles) -> Result<rustls::ServerConfig, RegistryError> {
    let unusable = |problem: tls::TlsProblem| {
        RegistryError::new(ErrorKind::InvalidRequest, format!("TLS cannot be had: {problem}"))
    };
    let (credentials, mut changes) = Credentials::load(files).map_err(unusable)?;
    actix::spawn(async move {
        loop {
            tokio::time::sleep(limits::TLS_ROUND).await;
            let looked = tokio::task::spawn_blocking(move || {
                let found = changes.look();
                (changes, found)
            });
            let Ok((looked, found)) = looked.await else {
                // The hook that logs panics has told where.
                tracing::error!("the certificates are no longer read again when they change");
                return;
            };
            changes = looked;
            match found {
                None => {}
                Some(Ok(())) => tracing::info!("the TLS certificates changed and are in use"),
                Some(Err(problem)) => tracing::error!(
                    %problem,
                    "the TLS certificates changed and cannot be used; the ones before stay in use"
                ),
            }
        }
    });
    credentials.server_config().map_err(RegistryError::internal)
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

fn start_auth(
    server: &ServerSettings,
    fatal: mpsc::UnboundedSender<Fatal>,
) -> Result<Handle<AuthActor>, RegistryError> {
    let tokens = StaticTokens::load(server.tokens.clone())
        .map_err(|what| RegistryError::new(ErrorKind::InvalidRequest, what))?;
    let tokens = Arc::new(tokens);
    let verifier = server.identity.clone().map(TokenVerifier::new).map(Arc::new);
    if let Some(verifier) = verifier.clone() {
        metrics::watch_keys(move || verifier.keys_age(Instant::now()));
    }
    Ok(supervise::start(move || AuthActor::new(tokens.clone(), verifier.clone()), fatal))
}

fn listen(host: &str, port: u16, remedy: &str) -> Result<TcpListener, RegistryError> {
    let refused = |error: std::io::Error| {
        RegistryError::new(
            ErrorKind::InvalidRequest,
            format!(
                "cannot listen on {host} port {port}: {error}; set {remedy} of this machine that is free"
            ),
        )
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<_> = (bare, port).to_socket_addrs().map_err(refused)?.collect();
    let listener = TcpListener::bind(addresses.as_slice()).map_err(refused)?;
    listener.set_nonblocking(true).map_err(RegistryError::internal)?;
    // To listen again changes nothing but the length of the queue, of which the standard library makes 128.
    SockRef::from(&listener).listen(limits::CONNECTIONS_WAITING).map_err(refused)?;
    Ok(listener)
}
