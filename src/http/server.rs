//! The HTTP server: workers, limits and CORS around the route table.

use std::{any::Any, io, net::TcpListener};

use actix_cors::Cors;
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{
    App, HttpServer,
    dev::Server,
    http::{Method, header},
    middleware::from_fn,
    rt::net::TcpStream,
    web,
};
use rustls::ServerConfig;

use super::{
    client::Gateways, guard::HttpState, lifecycle::Lifecycle, middleware::observe, routes,
};
use crate::limits;

/// Starts serving on a socket that listens already.
///
/// # Errors
/// The system's, where workers cannot be started.
pub fn start(
    listener: TcpListener,
    state: HttpState,
    lifecycle: Lifecycle,
    gateways: Gateways,
    allowed_origins: Vec<String>,
    tls: Option<ServerConfig>,
) -> io::Result<Server> {
    let connections = lifecycle.clone();
    let (state, lifecycle) = (web::Data::new(state), web::Data::new(lifecycle));
    let gateways = web::Data::new(gateways);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(lifecycle.clone())
            .app_data(gateways.clone())
            .wrap(cors(&allowed_origins))
            .wrap(from_fn(observe))
            .configure(routes::mount)
            .default_service(web::to(routes::not_found))
    })
    .keep_alive(limits::KEEP_ALIVE)
    .client_request_timeout(limits::REQUEST_HEAD_TIMEOUT)
    .shutdown_timeout(limits::SHUTDOWN_SECONDS)
    .tls_handshake_timeout(limits::TLS_HANDSHAKE_TIMEOUT)
    .disable_signals();
    let server = match tls {
        None => server.listen(listener)?,
        Some(tls) => server
            .on_connect(move |connection, data| {
                if !speaks_http2(connection) {
                    data.insert(connections.begin_connection());
                }
            })
            .listen_rustls_0_23(listener, tls)?,
    };
    Ok(server.run())
}

/// Whether client and server agreed on HTTP/2 in their handshake.
fn speaks_http2(connection: &dyn Any) -> bool {
    let tls = connection.downcast_ref::<TlsStream<TcpStream>>();
    tls.is_some_and(|tls| tls.get_ref().1.alpn_protocol() == Some(b"h2"))
}

fn cors(allowed_origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::HEAD, Method::POST])
        .allowed_headers([
            header::AUTHORIZATION,
            header::ACCEPT,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            header::IF_RANGE,
            header::RANGE,
        ])
        .allowed_header("x-request-id")
        .expose_headers([
            "accept-ranges",
            "content-disposition",
            "content-range",
            "digest",
            "etag",
            "repr-digest",
            "retry-after",
            "www-authenticate",
            "x-request-id",
        ])
        .supports_credentials()
        .max_age(600);
    allowed_origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
