//! The HTTP server: workers, limits and CORS around the route table.

use std::{io, net::TcpListener};

use actix_cors::Cors;
use actix_web::{
    App, HttpServer,
    dev::Server,
    http::{Method, header},
    middleware::from_fn,
    web,
};

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
) -> io::Result<Server> {
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
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
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
