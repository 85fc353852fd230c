//! The outermost layer of every request: it sets the request id, writes the log line, and turns every failure, panics
//! included, into an error of the common shape.

use std::{panic::AssertUnwindSafe, time::Instant};

use actix_web::{
    Error, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};
use futures_util::FutureExt as _;
use uuid::Uuid;

use super::{client::Gateways, lifecycle::Lifecycle, request_log, rules::MatchedRoute};
use crate::{
    error::{ErrorKind, RegistryError},
    http::errors::{ApiError, Surface},
    metrics,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is accepted from a gateway.
const MAX_REQUEST_ID: usize = 64;

/// A panic in a handler, or an error of another layer, on its way to the client.
#[derive(Debug)]
struct Unexpected {
    request_id: String,
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
        finish(&mut response, &self.request_id);
        response
    }
}

/// Handles a request, and logs it.
///
/// # Errors
/// Those of inner layers, in the common shape.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let request_id = request_id(&request);
    let method = request.method().clone();
    let gateways = request.app_data::<web::Data<Gateways>>().cloned();
    let route = MatchedRoute::find(&request);
    let misdirected = gateways.and_then(|gateways| {
        let view = gateways.look(&request);
        gateways.check_host(&view).err().filter(|_| !route.rules.probe)
    });
    if let Some(error) = misdirected {
        let response = request.error_response(ApiError(error));
        let mut response = in_shape(response, route.rules.surface);
        finish(response.response_mut(), &request_id);
        request_log::write(&response, &request_id, method.as_str(), started);
        return Ok(response);
    }
    let lifecycle = request.app_data::<web::Data<Lifecycle>>().map(|data| data.get_ref().clone());
    let lifecycle = lifecycle.unwrap_or_default();
    let in_flight = lifecycle.begin_request();
    let result = tokio::select! {
        biased;
        result = AssertUnwindSafe(next.call(request)).catch_unwind() => result,
        // Dropping the future cancels the work for the request.
        () = lifecycle.out_of_time() => Ok(Err(ApiError(RegistryError::unavailable(
            "The service is stopping; try again",
            "the service was told to stop, and the request did not end in time",
        )).into())),
    };
    let error = match result {
        Ok(Ok(response)) => {
            let mut response = in_shape(response.map_into_boxed_body(), route.rules.surface);
            finish(response.response_mut(), &request_id);
            if lifecycle.is_stopping() {
                response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
            }
            let response = response.map_body(|_, body| in_flight.until_sent(body));
            request_log::write(&response, &request_id, method.as_str(), started);
            return Ok(response);
        }
        Ok(Err(error)) => match error.as_error::<ApiError>() {
            Some(refused) => refused.0.clone(),
            None => RegistryError::internal(error),
        },
        // The panic hook has logged where.
        Err(_) => RegistryError::internal("a handler panicked"),
    };
    let status = error.kind().http_status();
    metrics::request(route.pattern, method.as_str(), status, started.elapsed());
    let cause = error.to_string();
    tracing::error!(
        request_id,
        method = method.as_str(),
        status,
        code = error.kind().code(),
        cause,
        duration_ms = request_log::milliseconds(started),
        "request failed"
    );
    let surface = route.rules.surface;
    Err(Unexpected { request_id, error: ApiError(error), surface }.into())
}

/// The id that the request came with, where it is valid; otherwise a new one.
fn request_id(request: &ServiceRequest) -> String {
    let fit = |id: &&str| {
        (1..=MAX_REQUEST_ID).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let given = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok()).filter(fit);
    given.map_or_else(|| Uuid::new_v4().to_string(), ToOwned::to_owned)
}

/// Adds the headers of every answer: the request id, `nosniff`, and `Cache-Control`, which is `no-store` for errors and
/// for answers without one of their own.
fn finish(response: &mut HttpResponse<BoxBody>, request_id: &str) {
    let failed = response.status().is_client_error() || response.status().is_server_error();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
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
