//! The HTTP server: the route table with its layers, on connections of [`super::wire`].

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZero,
    sync::Arc,
    time::Duration,
};

use actix_cors::Cors;
use actix_http::{HttpService, Protocol, error::DispatchError};
use actix_server::GracefulShutdownSignal;
use actix_service::{
    IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory, fn_service,
    map_config,
};
use actix_tls::accept::{
    max_concurrent_tls_connect,
    rustls_0_23::{Acceptor, TlsStream},
};
use actix_web::{
    App, HttpRequest,
    dev::{AppConfig, Server},
    http::header,
    web,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    edge::{
        admission::RequestLimits,
        client::Gateways,
        guard::{HttpState, WorkerActors},
        lifecycle::Lifecycle,
        service::{Edge, Layers, endpoint},
    },
    openapi::ApiDocument,
    route::{self, RouteSpec},
    routes,
    v1::writes::WriteRules,
    wire::{
        connection::Connection,
        mailbox::{check_expectation, serve},
    },
};
use crate::limits;

/// The only protocol over TLS. HTTP/2 is left to gateways: the framework limits neither its heads nor its streams, and
/// waits for ever for a client that does not receive its answer.
const HTTP_1: &[u8] = b"http/1.1";

/// Starts the actors of a worker, on its thread.
pub type StartWorker = Arc<dyn Fn() -> WorkerActors + Send + Sync>;

/// What all workers share.
#[derive(Clone)]
struct Shared {
    state: web::Data<HttpState>,
    start_worker: StartWorker,
    lifecycle: web::Data<Lifecycle>,
    gateways: Gateways,
    request_limits: web::Data<RequestLimits>,
    document: web::Data<ApiDocument>,
    writes: Option<WriteRules>,
    allowed_origins: Vec<String>,
    stopping: GracefulShutdownSignal,
}

/// What a server serves, and to whom.
pub struct Serving {
    /// The registry, and what the handlers share.
    pub state: HttpState,
    /// Starts the actors of a worker.
    pub start_worker: StartWorker,
    /// Whether the service is stopping.
    pub lifecycle: Lifecycle,
    /// Who is believed about clients, and which hosts are served.
    pub gateways: Gateways,
    /// Origins that browsers may call from.
    pub allowed_origins: Vec<String>,
    /// What clients may change; `None` where the API only reads.
    pub writes: Option<WriteRules>,
}

/// Starts to serve on a listening socket.
///
/// # Errors
/// The system's, where workers cannot be started.
pub fn start(
    listener: TcpListener,
    serving: Serving,
    tls: Option<ServerConfig>,
) -> io::Result<Server> {
    let Serving { state, start_worker, lifecycle, gateways, allowed_origins, writes } = serving;
    let workers = workers();
    let connections = connections_per_worker(workers);
    let server = Server::build()
        .workers(workers)
        .max_concurrent_connections(connections)
        .shutdown_timeout(limits::SHUTDOWN_SECONDS)
        .disable_signals();
    let request_limits = RequestLimits::new(
        limits::REQUESTS_IN_FLIGHT,
        limits::DOWNLOADS_IN_FLIGHT,
        limits::REGISTRY_REQUESTS,
        limits::TURN_WAIT,
    );
    let document =
        ApiDocument::new(routes::table(writes).iter().map(RouteSpec::documented).collect());
    let shared = Shared {
        state: web::Data::new(state),
        start_worker,
        lifecycle: web::Data::new(lifecycle),
        gateways,
        request_limits: web::Data::new(request_limits),
        document: web::Data::new(document),
        writes,
        allowed_origins,
        stopping: server.graceful_shutdown_signal(),
    };
    let server = match tls {
        None => server.listen("http", listener, move || {
            let accepted = |io: TcpStream| {
                let peer = io.peer_addr().ok();
                std::future::ready(Ok((Connection::new(io, peer), Protocol::Http1, peer)))
            };
            fn_service(accepted).and_then(protocol(shared.clone()))
        })?,
        Some(mut tls) => {
            tls.alpn_protocols = vec![HTTP_1.to_vec()];
            // The default is 256. That many silent connections would keep all others waiting.
            max_concurrent_tls_connect(connections);
            server.listen("https", listener, move || {
                let mut acceptor = Acceptor::new(tls.clone());
                acceptor.set_handshake_timeout(limits::TLS_HANDSHAKE_TIMEOUT);
                let encrypted = acceptor.map_init_err(drop).map_err(drop);
                let encrypted = encrypted.map(|io: TlsStream<TcpStream>| {
                    let peer = io.get_ref().0.peer_addr().ok();
                    (Connection::new(io, peer), Protocol::Http1, peer)
                });
                encrypted.and_then(protocol(shared.clone()).map_err(drop))
            })?
        }
    };
    Ok(server.run())
}

/// The number of threads that answer requests.
#[must_use]
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, NonZero::get)
}

/// How many connections each worker may hold, so that enough open files are left for everything else. First raises the
/// process's soft limit of open files to the hard one.
fn connections_per_worker(workers: usize) -> usize {
    let mut files = getrlimit(Resource::Nofile);
    if files.current != files.maximum {
        let most = Rlimit { current: files.maximum, maximum: files.maximum };
        match setrlimit(Resource::Nofile, most) {
            Ok(()) => files = most,
            Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
        }
    }
    let Some(files) = files.current.and_then(|files| usize::try_from(files).ok()) else {
        return limits::CONNECTIONS_PER_WORKER;
    };
    let room = files.saturating_sub(limits::FILES_BESIDES_CONNECTIONS) / workers;
    let connections =
        room.clamp(limits::LEAST_CONNECTIONS_PER_WORKER, limits::CONNECTIONS_PER_WORKER);
    if connections < limits::CONNECTIONS_PER_WORKER {
        let connections = connections * workers;
        tracing::warn!(
            files,
            connections,
            "the limit of open files is low: fewer connections are accepted"
        );
    }
    connections
}

/// The application on connections of any transport.
fn protocol<T: AsyncRead + AsyncWrite + Unpin + 'static>(
    shared: Shared,
) -> impl ServiceFactory<
    (Connection<T>, Protocol, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = DispatchError,
    InitError = (),
> {
    let actors = web::Data::new((shared.start_worker)());
    let table = routes::table(shared.writes);
    let paths = route::paths(&table);
    let not_found = endpoint(move |request: HttpRequest| {
        std::future::ready(routes::not_found(&paths, &request))
    });
    let edge = Edge {
        routing: route::routing(table, not_found),
        gateways: shared.gateways,
        lifecycle: shared.lifecycle.get_ref().clone(),
        limits: shared.request_limits.get_ref().clone(),
    };
    let mut app = App::new();
    if let Some(writes) = shared.writes {
        app = app.app_data(web::Data::new(writes));
    }
    let app = app
        .app_data(shared.state)
        .app_data(actors)
        .app_data(shared.lifecycle)
        .app_data(shared.request_limits)
        .app_data(shared.document)
        .wrap(Layers::new(edge, cors(&shared.allowed_origins)));
    let app = app.into_factory().map_err(|error| error.error_response());
    let app = apply_fn_factory(map_config(app, |()| AppConfig::default()), serve);
    let stopping = shared.stopping;
    let largest_body = routes::largest_body(&routes::table(shared.writes));
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(limits::KEEP_ALIVE)
        .h1_write_buffer_size(limits::ANSWER_PIECE)
        // Our connection limits the time of every head, not only of the first.
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(limits::LINGER)
        .expect(fn_service(move |request| {
            std::future::ready(check_expectation(request, largest_body))
        }))
        .on_connect_ext(|connection: &Connection<T>, data| {
            data.insert(connection.mailbox());
        })
        .finish(app)
}

/// What programs add to requests so that they can be followed from one service to the next: ours, and those of W3C Trace
/// Context and W3C Baggage.
const TRACING: [&str; 4] = ["x-request-id", "traceparent", "tracestate", "baggage"];

fn cors(allowed_origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(routes::methods())
        .allowed_headers([
            header::AUTHORIZATION,
            header::ACCEPT,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_RANGE,
            header::RANGE,
        ])
        .allowed_headers(TRACING)
        .expose_headers([
            "accept-ranges",
            "content-disposition",
            "content-range",
            "digest",
            "etag",
            "link",
            "repr-digest",
            "retry-after",
            "www-authenticate",
            "x-request-id",
        ])
        .supports_credentials()
        .max_age(600);
    allowed_origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
