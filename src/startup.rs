//! Start-up: opens the registry's directory, catalog and actors for every command, and the server around them.

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
    sync::{Semaphore, mpsc},
};

use load_checks::{Mode, Sandbox};

use crate::{
    actors::{
        AuthActor, DbActor, Handle, JanitorActor, ManifestActor, ValidatorActor,
        auth::{RefreshKeys, Rounds},
        blocking,
        janitor::Chores,
        supervise::{self, Fatal},
        validator::Checks,
    },
    artifacts::{
        ArtifactStore, RegistryRoot, VerifiedFiles, lock, quarantine, reserve,
        root::{ARTIFACTS, CATALOG, MANIFEST},
        vacancy::{self, Place},
    },
    auth::{StaticTokens, TokenVerifier},
    catalog::{Author, Catalog, DatabaseUrl, PostgresCatalog, SqliteCatalog},
    clock,
    config::{ServerSettings, Settings},
    error::{ErrorKind, RegistryError},
    http::{
        edge::{
            client::Gateways,
            guard::{HttpState, WorkerActors},
            lifecycle::Lifecycle,
            scrape,
        },
        server::{self, Serving},
        v1::writes::WriteRules,
        wire::socket_filter::SocketFilter,
    },
    limits, metrics,
    registry::Registry,
    tls::{self, Credentials, TlsFiles},
};

/// The access that a command needs to the registry directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opening {
    /// Inspect everything, whatever its state. The registry must exist.
    Examining,
    /// Be restored, whatever its state. A missing registry is created, and a catalog file that cannot be used is moved
    /// to quarantine.
    Restoring,
    /// Read. The registry must exist, and its manifest and catalog must agree.
    Reading,
    /// Change. The registry must exist. If a process was killed during a change, the registry is first recovered.
    Changing,
    /// As [`Self::Changing`], but a missing registry is created.
    Creating,
    /// As [`Self::Creating`], and every row is checked against the log.
    Serving,
}

/// A registry with running actors.
pub struct Core {
    /// The operations.
    pub registry: Registry,
    /// Receives the actors that are lost for good.
    pub lost: mpsc::UnboundedReceiver<Fatal>,
    fatal: mpsc::UnboundedSender<Fatal>,
    root: Arc<RegistryRoot>,
    catalog: Arc<dyn Catalog>,
}

impl Core {
    /// Opens the registry directory and starts the actors over it.
    ///
    /// # Errors
    /// `INVALID_REQUEST` where the registry is missing and must not be created; `CHECKSUM_MISMATCH` where its
    /// manifest and catalog disagree; `REGISTRY_UNAVAILABLE` where the disk or the catalog cannot be used.
    pub async fn open(settings: &Settings, opening: Opening) -> Result<Self, RegistryError> {
        let (directory, database) = (settings.registry_dir.clone(), settings.database.clone());
        let files = blocking(move || open_files(&directory, database, opening)).await?;
        let core = Self::wire(files, settings);
        let author = Author {
            actor: format!("model-registry {}", env!("CARGO_PKG_VERSION")),
            authenticated_as: None,
        };
        match opening {
            Opening::Examining | Opening::Restoring => {}
            Opening::Reading => core.registry.require_agreement().await?,
            Opening::Changing | Opening::Creating => core.registry.prepare(&author).await?,
            Opening::Serving => {
                if core.registry.takes_changes().await? {
                    core.prepare_to_serve(&author).await?;
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

    /// Prepares a registry that is served. A full disk does not stop a start: a manifest that is one change behind the
    /// catalog, and cannot be written, does not affect reads.
    async fn prepare_to_serve(&self, author: &Author) -> Result<(), RegistryError> {
        match self.registry.prepare(author).await {
            Err(error) if error.is_out_of_room() => {
                tracing::warn!(%error, "the registry is served, but the disk is too full for changes");
                self.registry.require_agreement().await
            }
            prepared => prepared,
        }
    }

    fn wire(files: Files, settings: &Settings) -> Self {
        let Files { root, catalog, writable } = files;
        let policy = settings.policy.clone();
        let (fatal, lost) = mpsc::unbounded_channel();
        let store = ArtifactStore::new(root.clone());
        let verified = Arc::new(VerifiedFiles::default());
        let checks = Checks {
            store: store.clone(),
            verified: verified.clone(),
            policy: policy.clone(),
            sandbox: Sandbox::new(settings.sandbox),
        };
        let memory = verified.clone();
        let pool = catalog.clone();
        metrics::watch_pool(move || pool.pool_state());
        let (of_db, of_manifest) = ((catalog.clone(), root.clone()), root.clone());
        let db = supervise::start(
            move || DbActor::new(of_db.0.clone(), of_db.1.clone(), 0),
            fatal.clone(),
        );
        let manifest = supervise::start(
            move || ManifestActor::new(of_manifest.clone(), memory.clone()),
            fatal.clone(),
        );
        let validator =
            supervise::start(move || ValidatorActor::new(checks.clone()), fatal.clone());
        let lists = Arc::new(Semaphore::new(limits::LISTS_STREAMED));
        let registry = Registry {
            db,
            manifest,
            validator,
            store,
            verified,
            writable,
            policy,
            strict_versions: settings.strict_versions,
            readiness: Arc::default(),
            observed: Arc::default(),
            findings: Arc::default(),
            lists,
        };
        Self { registry, lost, fatal, root, catalog }
    }
}

/// The opened directory and catalog.
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
    if embedded && has(MANIFEST) && !has(CATALOG) && opening != Opening::Restoring {
        return Err(RegistryError::new(
            ErrorKind::IntegrityOnRead,
            format!(
                "{} has a manifest but no {CATALOG}: if the catalog was lost, restore it from a backup; if it is in \
                 PostgreSQL, set DATABASE_URL",
                directory.display()
            ),
        ));
    }
    let there = has(if embedded { CATALOG } else { ARTIFACTS });
    let root = if matches!(opening, Opening::Creating | Opening::Restoring)
        || (opening == Opening::Serving && !there)
    {
        RegistryRoot::open_or_create(directory)?
    } else if there {
        RegistryRoot::open(directory)?
    } else {
        return Err(RegistryError::new(
            ErrorKind::InvalidRequest,
            format!(
                "{} holds no registry; name its directory with --registry-dir or MODEL_REGISTRY_DIR, or create \
                 one with `model-registry register`, `import` or `serve`",
                directory.display()
            ),
        ));
    };
    let changes = matches!(opening, Opening::Changing | Opening::Creating | Opening::Restoring);
    if changes {
        lock::check_writable(&root)?;
    }
    let writable = changes || root.takes_changes(embedded);
    if opening == Opening::Serving && writable {
        root.folder()?.make_folder(ARTIFACTS)?;
    }
    let root = Arc::new(root);
    if embedded && writable && opening >= Opening::Changing {
        make_room(&root)?;
    }
    if embedded && opening == Opening::Restoring {
        set_aside_unusable(&root)?;
    }
    if embedded {
        root.share();
    }
    let catalog: Arc<dyn Catalog> = match database {
        Some(url) => Arc::new(PostgresCatalog::open(url)?),
        None if writable => Arc::new(SqliteCatalog::open(&root.path().join(CATALOG))?),
        None => Arc::new(SqliteCatalog::open_to_read(&root.path().join(CATALOG))?),
    };
    Ok(Files { root, catalog, writable })
}

/// Moves a catalog file that is damaged to quarantine, for a restore. A process that has it open would go on using it,
/// also where it was deleted; so there must be none.
fn set_aside_unusable(root: &Arc<RegistryRoot>) -> Result<(), RegistryError> {
    let file = root.path().join(CATALOG);
    let why = if file.symlink_metadata().is_err() {
        "is missing".to_owned()
    } else {
        match SqliteCatalog::damage(&file)? {
            None => return Ok(()),
            Some(why) => format!("is damaged ({why})"),
        }
    };
    if !root.try_take_alone()? {
        return Err(RegistryError::new(
            ErrorKind::RegistryLocked,
            format!(
                "{CATALOG} {why}, and another process has it open; stop the service and every other command on this \
                 registry, and restore then"
            ),
        ));
    }
    if let Some(place) = quarantine::catalog(root)? {
        tracing::warn!(why, place, "moved the catalog's file to quarantine");
    }
    Ok(())
}

/// Makes room for the files that SQLite creates when the catalog is opened. Where another process holds the lock, it has
/// created them.
fn make_room(root: &RegistryRoot) -> Result<(), RegistryError> {
    let Some(_lock) = lock::WriteLock::try_take(root)? else { return Ok(()) };
    if let Err(error) = reserve::make_room(root) {
        tracing::debug!(%error, "the reserve of the disk cannot be used");
    }
    Ok(())
}

/// Checks what is at the path of the registry directory, before anything is created there.
async fn look_at_place(settings: &Settings) -> Result<Place, RegistryError> {
    let (directory, external) = (settings.registry_dir.clone(), settings.database.is_some());
    let place = blocking(move || vacancy::look(&directory, external)).await?;
    if settings.require_existing && place != Place::Taken {
        return Err(RegistryError::new(
            ErrorKind::InvalidRequest,
            format!(
                "{} holds no registry, but MODEL_REGISTRY_REQUIRE_EXISTING requires one; mount or restore it, or \
                 unset that variable to create a new one",
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
        "created a new registry; if one should exist already, the directory's name is wrong or its volume is not \
         mounted; MODEL_REGISTRY_REQUIRE_EXISTING=true refuses to start without one"
    );
}

/// A listening server.
pub struct Application {
    server: Server,
    socket_filter: SocketFilter,
    port: u16,
    metrics_port: Option<u16>,
    lost: mpsc::UnboundedReceiver<Fatal>,
    lifecycle: Lifecycle,
    drain: Duration,
}

/// The way in which a server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Requests in flight finished first.
    Finished,
    /// A second signal stopped it at once.
    CutShort(Signal),
}

impl Application {
    /// Opens and verifies the registry, and listens.
    ///
    /// # Errors
    /// As [`Core::open`]; `INVALID_REQUEST` where the server cannot listen on the address.
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
        let identities = Identities::load(server)?;
        let auth = identities.start(core.fatal.clone());
        if server.identity.as_ref().is_some_and(|identity| identity.require_at_start) {
            auth.ask(RefreshKeys).await?;
        }
        core.registry.tell_of_unknown_types().await?;
        follow_policy(core.registry.clone())?;
        core.registry.watch();
        follow(&core);
        let start_worker = worker_actors(&core, identities);
        let chores: Arc<dyn Chores> = Arc::new(core.registry.clone());
        // The janitor takes no messages, so its handle is not kept; its watcher keeps it alive.
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
        let writes = server.largest_artifact;
        let serving = Serving {
            state,
            start_worker,
            lifecycle: lifecycle.clone(),
            gateways,
            allowed_origins: server.allowed_origins.clone(),
            writes: writes.map(|largest_artifact| WriteRules { largest_artifact }),
        };
        let server = server::start(listener, serving, tls).map_err(RegistryError::internal)?;
        let lost = core.lost;
        Ok(Self { server, socket_filter, port, metrics_port, lost, lifecycle, drain })
    }

    /// The port of the server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of the metrics, where they are enabled.
    #[must_use]
    pub fn metrics_port(&self) -> Option<u16> {
        self.metrics_port
    }

    /// Serves until SIGTERM or SIGINT. Then `/ready` answers no for the time of the drain, no more connections are
    /// accepted, and requests in flight finish. A second signal stops the server at once.
    ///
    /// # Errors
    /// An internal error where an actor is lost for good or a worker fails.
    pub async fn run_until_stopped(self, mut signals: Signals) -> Result<Ending, RegistryError> {
        let Self { server, socket_filter, mut lost, lifecycle, drain, .. } = self;
        let handle = server.handle();
        let mut running = std::pin::pin!(server);
        // Requests in flight would wait for ever for a lost actor.
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
        tracing::info!(signal = name, drain_seconds = drain.as_secs(), "received a signal to stop");
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
                "the system cannot refuse new connections: a connection made now may be reset"
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
            tracing::warn!(
                in_flight = lifecycle.in_flight(),
                "refusing the requests that are still unanswered"
            );
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

/// The signals that stop a server: SIGTERM and SIGINT, and SIGHUP where it has no other meaning.
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    /// Starts to listen for the signals; they no longer end the process directly.
    ///
    /// # Errors
    /// The system's error.
    pub fn new() -> Result<Self, RegistryError> {
        let on = |kind| signal(kind).map_err(RegistryError::internal);
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hang_up: None,
        })
    }

    /// As [`Self::new`], and also SIGHUP, which means that the terminal went away.
    ///
    /// # Errors
    /// The system's error.
    pub fn with_hang_up() -> Result<Self, RegistryError> {
        let hang_up = signal(SignalKind::hangup()).map_err(RegistryError::internal)?;
        Ok(Self { hang_up: Some(hang_up), ..Self::new()? })
    }

    /// Waits for the next signal.
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
    tracing::warn!(signal = name_of(signal), "second signal: stopping at once");
    Ending::CutShort(signal)
}

/// The error where a server ended without a signal.
fn over(ended: std::io::Result<()>) -> Result<Ending, RegistryError> {
    ended.map_err(RegistryError::internal)?;
    Err(RegistryError::internal("the server ended without a signal"))
}

/// Serves the metrics until the process ends, also during the drain.
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

/// Reads the certificates, and reloads their files when they change.
fn start_tls(files: TlsFiles) -> Result<rustls::ServerConfig, RegistryError> {
    let unusable = |problem: tls::TlsProblem| {
        RegistryError::new(ErrorKind::InvalidRequest, format!("TLS cannot be used: {problem}"))
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
                // The panic hook has logged the place.
                tracing::error!("the certificates are no longer read again when they change");
                return;
            };
            changes = looked;
            match found {
                None => {}
                Some(Ok(())) => tracing::info!("the TLS certificates changed and are in use"),
                Some(Err(problem)) => tracing::error!(
                    %problem,
                    "the TLS certificates changed but cannot be used; the previous ones stay in use"
                ),
            }
        }
    });
    credentials.server_config().map_err(RegistryError::internal)
}

/// Reads the policy's file again when it changes, and at each SIGHUP.
fn follow_policy(registry: Registry) -> Result<(), RegistryError> {
    if registry.policy.file().is_none() {
        return Ok(());
    }
    let mut hangups = signal(SignalKind::hangup()).map_err(RegistryError::internal)?;
    actix::spawn(async move {
        loop {
            let asked = tokio::select! {
                received = hangups.recv() => received.is_some(),
                () = tokio::time::sleep(limits::POLICY_ROUND) => false,
            };
            let policy = registry.policy.clone();
            let read = move || if asked { policy.reload() } else { policy.look() };
            match tokio::task::spawn_blocking(read).await {
                Ok(None) => {}
                Ok(Some(Ok(()))) => {
                    metrics::policy_read("ok");
                    tracing::info!("the policy file was read again and is in force");
                    if let Err(error) = registry.tell_of_unknown_types().await {
                        tracing::warn!(%error, "the types of the registry cannot be compared with the policy");
                    }
                }
                Ok(Some(Err(problem))) => {
                    metrics::policy_read("refused");
                    tracing::error!(
                        %problem,
                        "the policy file cannot be used; the last good policy stays in force"
                    );
                }
                Err(_) => {
                    // The panic hook has logged the place.
                    tracing::error!("the policy file is no longer read again when it changes");
                    return;
                }
            }
        }
    });
    Ok(())
}

/// Tests the sandbox of load checks once, and logs the result. Reads work without the sandbox; every load check would
/// report the same problem.
fn tell_of_sandbox(mode: Mode) {
    match Sandbox::new(mode).probe(Vec::new()) {
        Ok(probe) if probe.whole() => {
            tracing::info!(tried = probe.attempts.len(), "the sandbox of load checks works");
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
                    tracing::warn!(missing, open, "load checks run in an incomplete sandbox");
                }
            }
        }
        Err(error) => tracing::error!(%error, "the sandbox of load checks cannot be tested"),
    }
}

/// What the actors that resolve tokens share.
#[derive(Clone)]
struct Identities {
    tokens: Arc<StaticTokens>,
    verifier: Option<Arc<TokenVerifier>>,
}

impl Identities {
    fn load(server: &ServerSettings) -> Result<Self, RegistryError> {
        let tokens = StaticTokens::load(server.tokens.clone())
            .map_err(|what| RegistryError::new(ErrorKind::InvalidRequest, what))?;
        let verifier = server.identity.clone().map(TokenVerifier::new).map(Arc::new);
        if let Some(verifier) = verifier.clone() {
            metrics::watch_keys(move || verifier.keys_age(Instant::now()));
        }
        Ok(Self { tokens: Arc::new(tokens), verifier })
    }

    fn actor(&self, rounds: Rounds) -> AuthActor {
        AuthActor::new(self.tokens.clone(), self.verifier.clone(), rounds)
    }

    /// Starts the actor that follows files and keys.
    fn start(&self, fatal: mpsc::UnboundedSender<Fatal>) -> Handle<AuthActor> {
        let own = self.clone();
        supervise::start(move || own.actor(Rounds::Made), fatal)
    }

    /// Starts an actor for the requests of the calling thread.
    fn start_here(&self, fatal: mpsc::UnboundedSender<Fatal>) -> Handle<AuthActor> {
        let own = self.clone();
        supervise::start_here(move || own.actor(Rounds::LeftToAnother), fatal)
    }
}

/// How each worker starts its own actors, over what all of them share.
fn worker_actors(core: &Core, identities: Identities) -> server::StartWorker {
    let (catalog, root, fatal) = (core.catalog.clone(), core.root.clone(), core.fatal.clone());
    Arc::new(move || {
        let (catalog, root) = (catalog.clone(), root.clone());
        let view = limits::VIEW_BYTES / server::workers();
        let db = move || DbActor::new(catalog.clone(), root.clone(), view);
        WorkerActors {
            auth: identities.start_here(fatal.clone()),
            db: supervise::start_here(db, fatal.clone()),
        }
    })
}

/// Notices changes by other processes, and ends the process where the registry is no longer the one that was opened.
fn follow(core: &Core) {
    let (catalog, root, fatal) = (core.catalog.clone(), core.root.clone(), core.fatal.clone());
    actix::spawn(async move {
        let replaced = async {
            while !root.was_replaced() {
                tokio::time::sleep(limits::DIRECTORY_ROUND).await;
            }
            "another directory was put in the place of the registry's"
        };
        let what = tokio::select! {
            what = replaced => what.to_owned(),
            error = catalog.follow() => error.to_string(),
        };
        let what = format!("{what}: start again to serve what is there now");
        tracing::error!(what, "the registry was replaced");
        drop(fatal.send(Fatal::Replaced(what)));
    });
}

fn listen(host: &str, port: u16, remedy: &str) -> Result<TcpListener, RegistryError> {
    let refused = |error: std::io::Error| {
        RegistryError::new(
            ErrorKind::InvalidRequest,
            format!(
                "cannot listen on {host} port {port}: {error}; set {remedy} that is free on this machine"
            ),
        )
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<_> = (bare, port).to_socket_addrs().map_err(refused)?.collect();
    let listener = TcpListener::bind(addresses.as_slice()).map_err(refused)?;
    listener.set_nonblocking(true).map_err(RegistryError::internal)?;
    // A second `listen` changes only the length of the queue. The standard library sets it to 128.
    SockRef::from(&listener).listen(limits::CONNECTIONS_WAITING).map_err(refused)?;
    Ok(listener)
}
