//! The baseline: actix-web with one handler that sends an answer it was given, and nothing around it.

use std::path::Path;

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::StatusCode,
    web::{self, Bytes},
};

use crate::load::Answer;

/// Makes this program the bare server.
pub const ARGUMENT: &str = "--bare";

/// Serves the answer in this file until it is killed. Prints its port.
pub fn run(file: &str) {
    let answer = Answer::read_from(Path::new(file));
    let status = StatusCode::from_u16(answer.status).unwrap();
    let headers = answer.headers;
    let body = Bytes::from(answer.body);
    // The framework's own pattern matching is part of any service.
    let path = "/{path:.*}";
    actix_web::rt::System::new()
        .block_on(async {
            let server = HttpServer::new(move || {
                let (headers, body) = (headers.clone(), body.clone());
                let handler = move |_: HttpRequest| {
                    let mut response = HttpResponse::build(status);
                    for (name, value) in &headers {
                        response.insert_header((name.as_str(), value.as_str()));
                    }
                    let body = body.clone();
                    async move { response.body(body) }
                };
                App::new().route(path, web::route().to(handler))
            })
            .workers(1)
            .bind(("127.0.0.1", 0))?;
            println!("{}", server.addrs()[0].port());
            server.run().await
        })
        .unwrap();
}
