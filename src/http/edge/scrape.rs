//! The metrics' own server: on a port of its own, so that a gateway never leads there, and without a token.

use std::{io, net::TcpListener};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::Server,
    http::{Method, header},
    web,
};

use crate::{limits, metrics};

/// Starts serving on a socket that listens already.
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
            tracing::error!(%error, "the metrics could not be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}
