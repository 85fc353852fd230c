//! The log line of each request.

use std::time::Duration;

use actix_web::{HttpRequest, dev::ServiceResponse};

use super::{context::RequestContext, rules::MatchedRoute};
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
    if let Some(context) = RequestContext::of(request) {
        add(&mut context.log.borrow_mut());
    }
}

/// A time in milliseconds, to three decimal places.
#[must_use]
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Writes the request's log line, and counts the request.
pub fn write(
    context: &RequestContext,
    response: &ServiceResponse,
    request_id: &str,
    method: &str,
    took: Duration,
) {
    let RequestContext { route: MatchedRoute { pattern, rules, parameters }, client, log, .. } =
        context;
    let status = response.status().as_u16();
    metrics::request(*pattern, method, status, took);
    let route = pattern.unwrap_or("unmatched");
    let response_extensions = response.response().extensions();
    let error = if status < 400 { None } else { response_extensions.get::<RegistryError>() };
    let code = error.map(|error| error.kind().code());
    if error.is_some_and(|error| error.kind().is_integrity()) {
        metrics::integrity_error("request");
    }
    if let Some(error) = error.filter(|_| status >= 500) {
        let (detail, cause) = (error.detail(), error.cause());
        tracing::error!(request_id, route, code, detail, cause, "request failed");
    }
    let duration_ms = milliseconds(took);
    if rules.surface == Surface::Service {
        tracing::debug!(request_id, %client, method, route, status, duration_ms, code, "request");
        return;
    }
    let log = log.borrow();
    let RequestLog {
        auth_role,
        auth_subject,
        client_id,
        token_length,
        token_refused,
        model_type,
        version,
        model_id,
    } = &*log;
    // A request that its guard refused did not reach the code that reads its path.
    let path = response.request().match_info().as_str();
    let in_path = |field: &Option<String>, name: &str| match field {
        Some(_) => None,
        None => parameters.get(path, name).map(echo),
    };
    let types = in_path(model_type, "model_type");
    let versions = in_path(version, "version");
    let model_type = model_type.as_deref().or(types.as_deref());
    let version = version.as_deref().or(versions.as_deref());
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
