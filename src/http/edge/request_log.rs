//! The log line of each request.

use std::time::Instant;

use actix_web::{HttpMessage as _, HttpRequest, dev::ServiceResponse};

use super::{client::ClientView, rules::MatchedRoute};
use crate::{domain::text::echo, error::RegistryError, http::errors::Surface, metrics};

/// The fields that guards and handlers add to a request's log line.
#[derive(Debug, Default, Clone)]
pub struct RequestLog {
    /// The caller's role.
    pub auth_role: Option<&'static str>,
    /// The caller's subject, safe to log.
    pub auth_subject: Option<String>,
    /// The client that the caller's token was issued to, safe to log.
    pub client_id: Option<String>,
    /// The length of a token that was refused. Nothing else of it is ever logged.
    pub token_length: Option<usize>,
    /// Why the token was refused; holds no part of it.
    pub token_refused: Option<String>,
    /// The model type that was requested.
    pub model_type: Option<String>,
    /// The version that was requested or found.
    pub version: Option<String>,
    /// The id of the version that was found.
    pub model_id: Option<String>,
}

/// Adds fields to the request's log line.
pub fn add_fields(request: &HttpRequest, add: impl FnOnce(&mut RequestLog)) {
    let mut extensions = request.extensions_mut();
    if extensions.get::<RequestLog>().is_none() {
        extensions.insert(RequestLog::default());
    }
    if let Some(log) = extensions.get_mut::<RequestLog>() {
        add(log);
    }
}

/// The time since then in milliseconds, to three decimal places.
#[must_use]
pub fn milliseconds(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

/// Writes the request's log line, and counts the request.
pub fn write(response: &ServiceResponse, request_id: &str, method: &str, started: Instant) {
    let request = response.request();
    let client = ClientView::of(request);
    let extensions = request.extensions();
    let log = extensions.get::<RequestLog>().cloned().unwrap_or_default();
    let MatchedRoute { pattern, rules } = MatchedRoute::of(request);
    let route = pattern.unwrap_or("unmatched");
    let status = response.status().as_u16();
    metrics::request(pattern, method, status, started.elapsed());
    let duration_ms = milliseconds(started);
    let response_extensions = response.response().extensions();
    let error = response_extensions.get::<RegistryError>();
    let code = error.map(|error| error.kind().code());
    if error.is_some_and(|error| error.kind().is_integrity()) {
        metrics::integrity_error("request");
    }
    if let Some(error) = error.filter(|_| status >= 500) {
        let (detail, cause) = (error.detail(), error.cause());
        tracing::error!(request_id, route, code, detail, cause, "request failed");
    }
    if rules.surface == Surface::Service {
        tracing::debug!(request_id, %client, method, route, status, duration_ms, code, "request");
        return;
    }
    let RequestLog {
        auth_role,
        auth_subject,
        client_id,
        token_length,
        token_refused,
        model_type,
        version,
        model_id,
    } = log;
    // A request that its guard refused did not reach the code that reads its path.
    let in_path = |name: &str| request.match_info().get(name).map(echo);
    let (model_type, version) =
        (model_type.or_else(|| in_path("model_type")), version.or_else(|| in_path("version")));
    tracing::info!(
        request_id,
        %client,
        method,
        route,
        status,
        duration_ms,
        code,
        auth_role,
        auth_subject,
        client_id,
        token_length,
        token_refused,
        model_type,
        version,
        model_id,
        "request"
    );
}
