//! The outermost layer of every request: it sets the request id, writes the log line, and turns every failure, panics
//! included, into an error of the common shape.

use std::{panic::AssertUnwindSafe, time::Instant};

use actix_web::{
    Error, HttpResponse, ResponseError,
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use futures_util::FutureExt as _;

use super::{
    client::Gateways, context::RequestContext, lifecycle::Lifecycle, request_log,
    rules::MatchedRoute,
};
use crate::{
    error::{ErrorKind, RegistryError},
    http::{
        errors::{ApiError, Surface},
        wire::request_id::new_request_id,
    },
    metrics,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is accepted from a gateway.
const MAX_REQUEST_ID: usize = 64;

/// A panic in a handler, or an error of another layer, on its way to the client.
#[derive(Debug)]
struct Unexpected {
    request_id: HeaderValue,
    error: ApiError,
    surface: Surface,
}

impl std::fmt::Display for Unexpected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for Unexpected {
    fn status_code(&self) -> StatusCode {
        self.error.status_code()
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let body = self.surface.error_body(&self.error.0);
        let mut response = self.error.error_response().set_body(BoxBody::new(body));
        // The state of the connection is unknown.
        response.head_mut().set_connection_type(ConnectionType::Close);
        finish(&mut response, self.request_id.clone());
        response
    }
}

/// Handles a request of this route, and logs it.
///
/// # Errors
/// Those of inner layers, in the common shape.
pub async fn observe<F>(
    gateways: &Gateways,
    lifecycle: &Lifecycle,
    route: MatchedRoute,
    request: ServiceRequest,
    next: impl FnOnce(ServiceRequest) -> F,
) -> Result<ServiceResponse<BoxBody>, Error>
where
    F: Future<Output = Result<ServiceResponse<BoxBody>, Error>>,
{
    let started = Instant::now();
    let request_id = request_id(&request);
    let method = request.method().clone();
    let client = gateways.look(request.request());
    let context = RequestContext::begin(request.request(), route, client);
    let misdirected = gateways.check_host(&context.client).err().filter(|_| !route.rules.probe);
    if let Some(error) = misdirected {
        let response = request.error_response(ApiError(error));
        return Ok(told(&context, response, request_id, &method, started));
    }
    let in_flight = lifecycle.begin_request();
    let result = tokio::select! {
        biased;
        result = AssertUnwindSafe(next(request)).catch_unwind() => result,
        // Dropping the future cancels the work for the request.
        () = lifecycle.out_of_time() => Ok(Err(ApiError(RegistryError::unavailable(
            "The service is stopping; try again",
            "the service was told to stop, and the request did not end in time",
        )).into())),
    };
    let error = match result {
        Ok(Ok(mut response)) => {
            if lifecycle.is_stopping() {
                response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
            }
            let response = response.map_body(|_, body| in_flight.until_sent(body));
            return Ok(told(&context, response, request_id, &method, started));
        }
        Ok(Err(error)) => match error.as_error::<ApiError>() {
            Some(refused) => refused.0.clone(),
            None => RegistryError::internal(error),
        },
        // The panic hook has logged where.
        Err(_) => RegistryError::internal("a handler panicked"),
    };
    let (status, took) = (error.kind().http_status(), started.elapsed());
    metrics::request(route.pattern, method.as_str(), status, took);
    tracing::error!(
        request_id = request_id.to_str().unwrap_or_default(),
        method = method.as_str(),
        status,
        code = error.kind().code(),
        cause = error.to_string(),
        duration_ms = request_log::milliseconds(took),
        "request failed"
    );
    let surface = route.rules.surface;
    Err(Unexpected { request_id, error: ApiError(error), surface }.into())
}

/// The answer with the form and the headers of every answer; it is logged.
fn told(
    context: &RequestContext,
    response: ServiceResponse,
    request_id: HeaderValue,
    method: &Method,
    started: Instant,
) -> ServiceResponse {
    let mut response = in_shape(response, context.route.rules.surface);
    finish(response.response_mut(), request_id);
    let request_id = response.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let request_id = request_id.unwrap_or_default();
    request_log::write(context, &response, request_id, method.as_str(), started.elapsed());
    response
}

/// The id that the request came with, where it is valid; otherwise a new one.
fn request_id(request: &ServiceRequest) -> HeaderValue {
    let fit = |id: &&HeaderValue| {
        (1..=MAX_REQUEST_ID).contains(&id.len())
            && id
                .as_bytes()
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
    };
    let given = request.headers().get(REQUEST_ID).filter(fit);
    given.cloned().unwrap_or_else(|| {
        // Hexadecimal digits and dashes are always a header's value.
        HeaderValue::from_str(&new_request_id()).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// Adds the headers of every answer: the request id, `nosniff`, and `Cache-Control`, which is `no-store` for errors and
/// for answers without one of their own.
fn finish(response: &mut HttpResponse<BoxBody>, request_id: HeaderValue) {
    let failed = response.status().is_client_error() || response.status().is_server_error();
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if failed || !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Puts an error into the shape of the route's surface: one of ours, or one of CORS or the framework, which have no shape
/// of their own.
fn in_shape(response: ServiceResponse, surface: Surface) -> ServiceResponse {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let known = response.response().extensions().get::<RegistryError>().cloned();
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/json");
    let error = match known {
        Some(error) => error,
        // `/ready` has a body of its own.
        None if is_json => return response,
        None => error_of(status),
    };
    let body = surface.error_body(&error);
    let mut response = response.map_body(|_, _| BoxBody::new(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.response_mut().extensions_mut().insert(error);
    response
}

/// The error of a response that tells its status alone.
fn error_of(status: StatusCode) -> RegistryError {
    let (kind, detail) = match status {
        StatusCode::NOT_FOUND => (ErrorKind::NotFound, "Not Found"),
        StatusCode::METHOD_NOT_ALLOWED => (ErrorKind::MethodNotAllowed, "Method Not Allowed"),
        StatusCode::PAYLOAD_TOO_LARGE => (ErrorKind::TooLarge, "The request is too large"),
        _ if status.is_server_error() => (ErrorKind::Internal, "Internal server error"),
        _ => (ErrorKind::InvalidRequest, "The request is malformed, or its origin is not allowed"),
    };
    RegistryError::new(kind, detail)
}
