//! The handlers that need no token: the service's name, its liveness and its readiness.

use actix_web::{HttpResponse, web};

use crate::{
    clock,
    error::ErrorKind,
    http::{
        edge::{guard::HttpState, lifecycle::Lifecycle},
        errors::ApiError,
    },
    limits,
    registry::ready::ComponentState,
    schemas::{ComponentResponse, HealthResponse, ReadyResponse, ServiceResponse},
    telemetry::SERVICE,
};

/// `GET /`.
pub async fn root() -> HttpResponse {
    HttpResponse::Ok().json(ServiceResponse {
        service: "Model Registry API",
        version: env!("CARGO_PKG_VERSION"),
        description: "REST API for model metadata and validation",
        docs: "/docs",
        health: "/health",
        api: "/api/v1/models",
    })
}

/// `GET /health`: liveness. Touches neither disk nor database.
///
/// # Errors
/// An internal error where the clock is outside the years 0000 to 9999.
pub async fn health() -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(HealthResponse {
        status: "healthy",
        service: SERVICE,
        timestamp: clock::now()?,
    }))
}

/// `GET /ready`: readiness.
pub async fn ready(state: web::Data<HttpState>, lifecycle: web::Data<Lifecycle>) -> HttpResponse {
    let components = if lifecycle.is_stopping() {
        // The prober should send no more requests here, whatever the state of the rest.
        vec![ComponentState { name: "service", ready: false, detail: "is stopping" }]
    } else {
        state.readiness().await
    };
    let waiting: Vec<_> = components
        .iter()
        .filter(|component| !component.ready)
        .map(|component| format!("{} {}", component.name, component.detail))
        .collect();
    let components = components.into_iter().map(ComponentResponse::from).collect();
    if waiting.is_empty() {
        return HttpResponse::Ok().json(ReadyResponse {
            status: "ready",
            components,
            detail: None,
            code: None,
        });
    }
    HttpResponse::ServiceUnavailable()
        .insert_header((actix_web::http::header::RETRY_AFTER, limits::RETRY_AFTER_SECONDS))
        .json(ReadyResponse {
            status: "not ready",
            components,
            detail: Some(waiting.join("; ")),
            code: Some(ErrorKind::RegistryUnavailable.code()),
        })
}
