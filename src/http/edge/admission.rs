//! What is asked of every request before its route sees it: a host that is one, a body that may be ignored, and
//! room for it.

use std::{convert::Infallible, pin::Pin, sync::Arc, task};

use actix_http::error::PayloadError;
use actix_web::{
    Error, HttpMessage as _, ResponseError as _,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{ConnectionType, Method, header},
    middleware::Next,
    web::{self, Bytes},
};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    error::{ErrorKind, RegistryError},
    http::{errors::ApiError, routes, wire::head::is_host},
    limits,
};

/// Room for requests, shared by all workers.
#[derive(Debug, Clone)]
pub struct InFlight {
    requests: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
}

impl InFlight {
    /// So much room.
    #[must_use]
    pub fn new(requests: usize, downloads: usize) -> Self {
        let room = |size| Arc::new(Semaphore::new(size));
        Self { requests: room(requests), downloads: room(downloads) }
    }

    /// A place for a request; none is needed to ask whether the service lives.
    fn admit(&self, request: &ServiceRequest) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        let room = match request.path() {
            "/health" | "/ready" => return Ok(None),
            path if routes::is_download(path) => &self.downloads,
            _ => &self.requests,
        };
        room.clone().try_acquire_owned().map(Some).map_err(|_| {
            let detail = "More requests are being answered than is taken on; try again";
            RegistryError::new(ErrorKind::Overloaded, detail).into()
        })
    }
}

/// Lets a request through, or says why not.
///
/// # Errors
/// Those of layers beneath.
pub async fn conduct(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if let Err(error) = check_target(&request) {
        return Ok(refused(request, &error));
    }
    if let Err(error) = ignore_body(&mut request).await {
        return Ok(refused(request, &error));
    }
    if request.method() == Method::OPTIONS && request.path() == "*" {
        return Ok(request.into_response(routes::options(routes::METHODS)));
    }
    let room = request.app_data::<web::Data<InFlight>>().map(|room| room.admit(&request));
    let permit = match room {
        Some(Ok(permit)) => permit,
        Some(Err(error)) => {
            let response = error.error_response();
            return Ok(request.into_response(response));
        }
        None => None,
    };
    let response = next.call(request).await?.map_into_boxed_body();
    Ok(response.map_body(|_, body| match (body.try_into_bytes(), permit) {
        (Ok(bytes), _) => in_pieces(bytes),
        (Err(body), None) => body,
        (Err(body), Some(permit)) => BoxBody::new(Sent { body, _permit: permit }),
    }))
}

/// A refusal after which the connection cannot be used: what the client sends next may not be a request.
fn refused(request: ServiceRequest, error: &ApiError) -> ServiceResponse<BoxBody> {
    let mut response = error.error_response();
    response.head_mut().set_connection_type(ConnectionType::Close);
    request.into_response(response)
}

/// The framework refuses a request without a host, and one with two.
fn check_target(request: &ServiceRequest) -> Result<(), ApiError> {
    let uri = request.uri();
    let names_host_alone = uri.authority().is_some() && uri.scheme().is_none();
    if names_host_alone && request.method() != Method::CONNECT {
        return Err(malformed("The request's target is neither a path nor an address").into());
    }
    if uri.authority().is_some_and(|authority| !is_host(authority.as_str().as_bytes())) {
        return Err(malformed("The request's target names no host and port").into());
    }
    match request.headers().get(header::HOST) {
        Some(host) if !is_host(host.as_bytes()) => {
            Err(malformed("The Host header is not a host and a port").into())
        }
        _ => Ok(()),
    }
}

/// Reads the body and forgets it, so that the next request begins where both sides think it does. It is counted
/// as it comes: nothing needs to have told its length.
async fn ignore_body(request: &mut ServiceRequest) -> Result<(), ApiError> {
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.trim().parse::<u64>().ok()).unwrap_or(0);
    if length > limits::REQUEST_BODY as u64 {
        return Err(too_large());
    }
    let has_body = length > 0 || headers.contains_key(header::TRANSFER_ENCODING);
    // What follows the head of another protocol has no end. The connection closes after the answer.
    if !has_body || headers.contains_key(header::UPGRADE) || request.method() == Method::CONNECT {
        return Ok(());
    }
    let body = discard(request.take_payload());
    tokio::time::timeout(limits::REQUEST_BODY_TIMEOUT, body).await.unwrap_or_else(|_| {
        let detail = format!(
            "The request's body did not come within {} seconds",
            limits::REQUEST_BODY_TIMEOUT.as_secs()
        );
        Err(RegistryError::new(ErrorKind::RequestTimeout, detail).into())
    })
}

async fn discard(mut body: Payload) -> Result<(), ApiError> {
    let mut read = 0;
    while let Some(piece) = body.next().await {
        let piece: Bytes = piece.map_err(|error| match error {
            PayloadError::Overflow => too_large(),
            _ => ApiError(malformed("The request's body is not framed as RFC 9112 has it")),
        })?;
        read += piece.len();
        if read > limits::REQUEST_BODY {
            return Err(too_large());
        }
    }
    Ok(())
}

fn malformed(detail: &str) -> RegistryError {
    RegistryError::new(ErrorKind::MalformedRequest, detail)
}

fn too_large() -> ApiError {
    let detail = format!(
        "The request's body is larger than {} bytes; this route takes none",
        limits::REQUEST_BODY
    );
    RegistryError::new(ErrorKind::TooLarge, detail).into()
}

/// A body that is here as a whole, and whose request is done with.
fn in_pieces(bytes: Bytes) -> BoxBody {
    if bytes.len() > limits::ANSWER_PIECE {
        BoxBody::new(Pieces(bytes))
    } else {
        BoxBody::new(bytes)
    }
}

/// A body that is handed on piece by piece: the framework copies what it is handed, and would hold a copy of the
/// whole for each client that is slow to take it.
struct Pieces(Bytes);

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Bytes, Self::Error>>> {
        let piece = self.0.len().min(limits::ANSWER_PIECE);
        task::Poll::Ready((piece > 0).then(|| Ok(self.0.split_to(piece))))
    }
}

/// A body that keeps its request's place until it is sent.
struct Sent {
    body: BoxBody,
    _permit: OwnedSemaphorePermit,
}

impl MessageBody for Sent {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpResponse, dev::Service as _, middleware::from_fn, test};
    use futures_util::FutureExt as _;
    use tokio::sync::Notify;

    use super::*;

    #[actix_web::test]
    async fn what_is_more_than_is_taken_on_is_refused_but_for_probes() {
        let finish = web::Data::new(Notify::new());
        let app = App::new()
            .app_data(web::Data::new(InFlight::new(2, 1)))
            .app_data(finish.clone())
            .wrap(from_fn(conduct))
            .default_service(web::to(async |finish: web::Data<Notify>| {
                finish.notified().await;
                HttpResponse::Ok().finish()
            }));
        let app = test::init_service(app).await;
        let ask = |path: &str| Box::pin(app.call(test::TestRequest::with_uri(path).to_request()));
        let status =
            async |path: &str| ask(path).await.map(|response| response.status().as_u16()).ok();
        let mut waiting = Vec::new();
        for path in ["/a", "/b", "/x/artifact"] {
            let mut call = ask(path);
            assert!((&mut call).now_or_never().is_none(), "{path}");
            waiting.push(call);
        }
        for path in ["/a", "/c", "/x/artifact", "/health/"] {
            assert_eq!(status(path).await, Some(503), "{path}");
        }
        for path in ["/health", "/ready"] {
            let mut call = ask(path);
            assert!((&mut call).now_or_never().is_none(), "{path}");
        }
        finish.notify_waiters();
        for call in waiting {
            assert_eq!(call.await.map(|response| response.status().as_u16()).ok(), Some(200));
        }
        let mut again = ask("/a");
        assert!((&mut again).now_or_never().is_none());
    }
}
