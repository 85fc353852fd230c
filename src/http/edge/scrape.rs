//! The server for metrics. It has a port of its own, which gateways do not expose, and needs no token.

use std::{io, net::TcpListener};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::Server,
    http::{Method, header},
    web,
};

use crate::{limits, metrics};

/// Starts to serve on a listening socket.
///
/// # Errors
/// The system's, where a worker cannot be started.
pub fn start(listener: TcpListener) -> io::Result<Server> {
    let server = HttpServer::new(|| {
        let metrics = web::resource("/metrics")
            .route(web::method(Method::GET).to(answer))
            .route(web::method(Method::HEAD).to(answer));
        App::new().service(metrics)
    })
    .workers(1)
    .keep_alive(limits::KEEP_ALIVE)
    .client_request_timeout(limits::REQUEST_HEAD_TIMEOUT)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}

async fn answer() -> HttpResponse {
    match metrics::render() {
        Ok(text) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, metrics::CONTENT_TYPE))
            .body(text),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be rendered");
            HttpResponse::InternalServerError().finish()
        }
    }
}
