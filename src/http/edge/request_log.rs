//! The one log line of each request.

use std::time::Instant;

use actix_web::{HttpMessage as _, HttpRequest, dev::ServiceResponse};

use super::{client::ClientView, rules::MatchedRoute};
use crate::{domain::text::echo, error::RegistryError, http::errors::Surface, metrics};

/// What handlers add to the request's log line.
#[derive(Debug, Default, Clone)]
pub struct RequestLog {
    /// The caller's role.
    pub auth_role: Option<&'static str>,
    /// The caller's subject, fit to be logged.
    pub auth_subject: Option<String>,
    /// The program that the caller's token was issued to, fit to be logged.
    pub client_id: Option<String>,
    /// Of a token that was refused; nothing else of it is ever logged.
    pub token_length: Option<usize>,
    /// Why it was refused, in words of ours.
    pub token_refused: Option<String>,
    /// The type asked for.
    pub model_type: Option<String>,
    /// The version asked for, or found.
    pub version: Option<String>,
    /// The version found.
    pub model_id: Option<String>,
}

/// Adds to what the request's log line will say.
pub fn add_fields(request: &HttpRequest, add: impl FnOnce(&mut RequestLog)) {
    let mut extensions = request.extensions_mut();
    if extensions.get::<RequestLog>().is_none() {
        extensions.insert(RequestLog::default());
    }
    if let Some(log) = extensions.get_mut::<RequestLog>() {
        add(log);
    }
}

/// The time since then, in milliseconds to three places.
#[must_use]
pub fn milliseconds(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

/// Writes the request's log line, and counts it.
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
    // A request that was refused at the door never came to where its path is read.
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
