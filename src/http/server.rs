//! The HTTP server: workers, limits and CORS around the route table, over connections of our own.

use std::{io, net::TcpListener, time::Duration};

use actix_cors::Cors;
use actix_http::{HttpService, error::DispatchError};
use actix_service::{
    IntoServiceFactory as _, ServiceFactoryExt as _, apply_fn_factory, fn_service, map_config,
};
use actix_web::{
    App,
    dev::{AppConfig, Server},
    http::{Method, header},
    middleware::from_fn,
    web,
};
use tokio::net::TcpStream;

use super::{
    conduct::{InFlight, conduct},
    connection::Connection,
    exchange::{expected, follow},
    guard::HttpState,
    middleware::observe,
    routes,
};
use crate::limits;

/// Starts serving on a socket that listens already.
///
/// # Errors
/// The system's, where workers cannot be started.
pub fn start(
    listener: TcpListener,
    state: HttpState,
    allowed_origins: Vec<String>,
) -> io::Result<Server> {
    let state = web::Data::new(state);
    let in_flight =
        web::Data::new(InFlight::new(limits::REQUESTS_IN_FLIGHT, limits::DOWNLOADS_IN_FLIGHT));
    let server = Server::build()
        .max_concurrent_connections(limits::CONNECTIONS_PER_WORKER)
        .shutdown_timeout(limits::SHUTDOWN_SECONDS)
        .disable_signals();
    let stopping = server.graceful_shutdown_signal();
    let server = server.listen("http", listener, move || {
        let app = App::new()
            .app_data(state.clone())
            .app_data(in_flight.clone())
            .wrap(from_fn(conduct))
            .wrap(cors(&allowed_origins))
            .wrap(from_fn(observe))
            .configure(routes::mount)
            .default_service(web::to(routes::not_found));
        let app = app.into_factory().map_err(|error| error.error_response());
        let app = apply_fn_factory(map_config(app, |()| AppConfig::default()), follow);
        let stopping = stopping.clone();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(limits::KEEP_ALIVE)
            // The connection sees to it, for every head and not only for the first.
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(limits::LINGER)
            .expect(fn_service(|request| std::future::ready(expected(request))))
            .on_connect_ext(|connection: &Connection<TcpStream>, data| {
                data.insert(connection.exchange());
            })
            .h1(app);
        let accept = |io: TcpStream| {
            let peer = io.peer_addr().ok();
            std::future::ready(Ok::<_, DispatchError>((Connection::new(io), peer)))
        };
        fn_service(accept).and_then(http)
    })?;
    Ok(server.run())
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
