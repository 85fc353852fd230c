//! The route table: every method and path, and the scope that it wants. The scope is read off the handler's
//! own guard, so that table and door cannot disagree.

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Responder, Route,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    web::{self, ServiceConfig},
};

use super::{
    artifact::artifact,
    docs,
    errors::ApiError,
    guard::{Guard, RequiredScope},
    models,
    openapi::{self, Description, operations},
    service,
};
use crate::{
    domain::Scope,
    error::{ErrorKind, RegistryError},
};

/// One row of the table.
pub struct RouteSpec {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// The scope; `None` where no token is wanted.
    pub scope: Option<Scope>,
    /// What the OpenAPI document says of it.
    pub describe: fn() -> Description,
    route: Route,
}

/// Arguments of a handler that begin with a guard.
trait Guarded {
    const SCOPE: Scope;
}

impl<S: RequiredScope> Guarded for (Guard<S>, HttpRequest) {
    const SCOPE: Scope = S::SCOPE;
}

/// A route behind the guard that its handler names.
fn guarded<F, Args>(
    method: Method,
    path: &'static str,
    handler: F,
    describe: fn() -> Description,
) -> RouteSpec
where
    F: Handler<Args>,
    Args: FromRequest + Guarded + 'static,
    F::Output: Responder + 'static,
{
    let route = web::method(method.clone()).to(handler);
    RouteSpec { method, path, scope: Some(Args::SCOPE), describe, route }
}

/// A route without a token. It cannot reach the registry: that takes a guard.
fn open<F, Args>(
    method: Method,
    path: &'static str,
    handler: F,
    describe: fn() -> Description,
) -> RouteSpec
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let route = web::method(method.clone()).to(handler);
    RouteSpec { method, path, scope: None, describe, route }
}

/// The table. A path's rows stand together; a fixed segment stands before a parameter in its place.
#[must_use]
pub fn table() -> Vec<RouteSpec> {
    const TYPE: &str = "/api/v1/models/{model_type}";
    const CURRENT: &str = "/api/v1/models/{model_type}/current";
    const VERSION: &str = "/api/v1/models/{model_type}/{version}";
    const VALIDATE: &str = "/api/v1/models/{model_type}/{version}/validate";
    const ARTIFACT: &str = "/api/v1/models/{model_type}/{version}/artifact";
    const HISTORY: &str = "/api/v1/models/{model_type}/{version}/history";
    vec![
        open(Method::GET, "/", service::root, operations::root),
        open(Method::GET, "/health", service::health, operations::health),
        open(Method::HEAD, "/health", service::health, operations::health),
        open(Method::GET, "/ready", service::ready, operations::ready),
        open(Method::GET, "/openapi.json", openapi::openapi, operations::openapi),
        open(Method::GET, "/docs", docs::page, operations::docs),
        open(Method::GET, "/docs/", docs::with_slash, operations::docs_with_slash),
        open(Method::GET, "/docs/{asset}", docs::asset, operations::asset),
        open(Method::GET, "/redoc", docs::redoc, operations::redoc),
        guarded(Method::GET, TYPE, models::list, operations::list),
        guarded(Method::GET, CURRENT, models::current, operations::current),
        guarded(Method::GET, VERSION, models::metadata, operations::metadata),
        guarded(Method::POST, VALIDATE, models::validate, operations::validate),
        guarded(Method::GET, ARTIFACT, artifact, operations::artifact),
        guarded(Method::HEAD, ARTIFACT, artifact, operations::artifact),
        guarded(Method::GET, HISTORY, models::history, operations::history),
    ]
}

/// Mounts the table.
pub fn mount(config: &mut ServiceConfig) {
    let mut rows = table().into_iter().peekable();
    while let Some(first) = rows.next() {
        let path = first.path;
        let mut methods = vec![first.method.to_string()];
        let mut resource = web::resource(path).route(first.route);
        while let Some(row) = rows.next_if(|row| row.path == path) {
            methods.push(row.method.to_string());
            resource = resource.route(row.route);
        }
        let allow = methods.join(", ");
        config
            .service(resource.default_service(web::to(move || method_not_allowed(allow.clone()))));
    }
}

async fn method_not_allowed(allow: String) -> HttpResponse {
    let error = RegistryError::new(ErrorKind::MethodNotAllowed, "Method Not Allowed");
    let mut response = HttpResponse::from_error(ApiError(error));
    if let Ok(allow) = HeaderValue::from_str(&allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// The answer to a path that no row has.
///
/// # Errors
/// Always `NOT_FOUND`.
pub async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(RegistryError::new(ErrorKind::NotFound, "Not Found").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_contracts() {
        let rows: Vec<_> = table()
            .into_iter()
            .map(|row| {
                format!("{} {} {}", row.method, row.path, row.scope.map_or("none", Scope::as_str))
            })
            .collect();
        assert_eq!(
            rows,
            [
                "GET / none",
                "GET /health none",
                "HEAD /health none",
                "GET /ready none",
                "GET /openapi.json none",
                "GET /docs none",
                "GET /docs/ none",
                "GET /docs/{asset} none",
                "GET /redoc none",
                "GET /api/v1/models/{model_type} model:read",
                "GET /api/v1/models/{model_type}/current model:read",
                "GET /api/v1/models/{model_type}/{version} model:read",
                "POST /api/v1/models/{model_type}/{version}/validate model:write",
                "GET /api/v1/models/{model_type}/{version}/artifact model:read",
                "HEAD /api/v1/models/{model_type}/{version}/artifact model:read",
                "GET /api/v1/models/{model_type}/{version}/history model:read",
            ]
        );
    }

    #[test]
    fn rows_of_one_path_stand_together() {
        let mut paths: Vec<_> = table().iter().map(|row| row.path).collect();
        paths.dedup();
        let mut unique = paths.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(paths.len(), unique.len());
    }
}
