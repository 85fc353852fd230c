//! The route table: every method and path, and the scope that it wants. The scope is read off the handler's
//! own guard, so that table and door cannot disagree: a handler without a guard is no [`guarded`] route, one with
//! a guard is no [`open`] one, and neither compiles.
//!
//! Each path also answers `HEAD` where it answers `GET`, and `OPTIONS`.

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Responder, Route,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    web::{self, ServiceConfig},
};

use super::{
    docs,
    edge::{
        guard::{Guard, HttpState, RequiredScope},
        lifecycle::Lifecycle,
    },
    errors::ApiError,
    openapi::{self, Description, operations},
    v1::{artifact::artifact, models, service},
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
    /// The same for `HEAD`, where the method is `GET`.
    head: Option<Route>,
}

/// Arguments of a handler that begin with a guard.
pub trait Guarded {
    /// The guard's scope.
    const SCOPE: Scope;
}

impl<S: RequiredScope> Guarded for (Guard<S>, HttpRequest) {
    const SCOPE: Scope = S::SCOPE;
}

/// Arguments of a handler without a guard.
pub trait Unguarded {}

impl Unguarded for () {}
impl Unguarded for (HttpRequest,) {}
impl Unguarded for (web::Data<HttpState>,) {}
impl Unguarded for (web::Data<HttpState>, web::Data<Lifecycle>) {}

/// A route behind the guard that its handler names.
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse, http::Method};
/// use model_registry::http::{edge::guard::{Guard, Read}, openapi::operations, routes::guarded};
///
/// async fn handler(_: Guard<Read>, _: HttpRequest) -> HttpResponse { HttpResponse::Ok().finish() }
/// assert_eq!(guarded(Method::GET, "/x", handler, operations::root).scope.unwrap().as_str(), "model:read");
/// ```
///
/// A handler that names none does not compile:
///
/// ```compile_fail
/// use actix_web::{HttpRequest, HttpResponse, http::Method};
/// use model_registry::http::{edge::guard::{Guard, Read}, openapi::operations, routes::guarded};
///
/// async fn handler(_: HttpRequest) -> HttpResponse { HttpResponse::Ok().finish() }
/// guarded(Method::GET, "/x", handler, operations::root);
/// ```
#[must_use]
pub fn guarded<F, Args>(
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
    spec(method, path, Some(Args::SCOPE), handler, describe)
}

/// A route without a token. It cannot reach the registry: that takes a guard.
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse, http::Method};
/// use model_registry::http::{openapi::operations, routes::open};
///
/// async fn handler(_: HttpRequest) -> HttpResponse { HttpResponse::Ok().finish() }
/// assert!(open(Method::GET, "/x", handler, operations::root).scope.is_none());
/// ```
///
/// A handler with a guard is not one, and does not compile:
///
/// ```compile_fail
/// use actix_web::{HttpRequest, HttpResponse, http::Method};
/// use model_registry::http::{edge::guard::{Guard, Read}, routes::open};
///
/// async fn handler(_: Guard<Read>, _: HttpRequest) -> HttpResponse { HttpResponse::Ok().finish() }
/// open(Method::GET, "/x", handler, operations::root);
/// ```
#[must_use]
pub fn open<F, Args>(
    method: Method,
    path: &'static str,
    handler: F,
    describe: fn() -> Description,
) -> RouteSpec
where
    F: Handler<Args>,
    Args: FromRequest + Unguarded + 'static,
    F::Output: Responder + 'static,
{
    spec(method, path, None, handler, describe)
}

fn spec<F, Args>(
    method: Method,
    path: &'static str,
    scope: Option<Scope>,
    handler: F,
    describe: fn() -> Description,
) -> RouteSpec
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let head = (method == Method::GET).then(|| web::head().to(handler.clone()));
    let route = web::method(method.clone()).to(handler);
    RouteSpec { method, path, scope, describe, route, head }
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
        open(Method::GET, "/ready", service::ready, operations::ready),
        open(Method::GET, "/openapi.json", openapi::openapi, operations::openapi),
        open(Method::GET, "/docs", docs::page, operations::docs),
        open(Method::GET, "/docs/{asset}", docs::asset, operations::asset),
        open(Method::GET, "/redoc", docs::redoc, operations::redoc),
        guarded(Method::GET, TYPE, models::list, operations::list),
        guarded(Method::GET, CURRENT, models::current, operations::current),
        guarded(Method::GET, VERSION, models::metadata, operations::metadata),
        guarded(Method::POST, VALIDATE, models::validate, operations::validate),
        guarded(Method::GET, ARTIFACT, artifact, operations::artifact),
        guarded(Method::GET, HISTORY, models::history, operations::history),
    ]
}

/// Mounts the table.
pub fn mount(config: &mut ServiceConfig) {
    let mut rows = table().into_iter().peekable();
    while let Some(first) = rows.next() {
        let path = first.path;
        let mut resource = web::resource(path);
        let mut methods = Vec::new();
        let mut heads = Vec::new();
        let mut next = Some(first);
        while let Some(row) = next {
            methods.push(row.method.to_string());
            heads.extend(row.head);
            resource = resource.route(row.route);
            next = rows.next_if(|row| row.path == path);
        }
        // A row of its own comes first, and is the one that answers.
        for head in heads {
            if !methods.iter().any(|method| method == "HEAD") {
                methods.insert(1, "HEAD".to_owned());
            }
            resource = resource.route(head);
        }
        methods.push("OPTIONS".to_owned());
        let allow = methods.join(", ");
        let told = allow.clone();
        let options = move || std::future::ready(options(&told));
        config.service(
            resource
                .route(web::method(Method::OPTIONS).to(options))
                .default_service(web::to(move || method_not_allowed(allow.clone()))),
        );
    }
}

/// The methods that any route has.
pub const METHODS: &str = "GET, HEAD, POST, OPTIONS";

/// The answer to `OPTIONS`: which methods there are, and nothing that wants a token.
#[must_use]
pub fn options(allow: &str) -> HttpResponse {
    HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish()
}

/// Whether a path is an artifact's, the one answer that lasts.
#[must_use]
pub fn is_download(path: &str) -> bool {
    path.ends_with("/artifact")
}

async fn method_not_allowed(allow: String) -> HttpResponse {
    let error = RegistryError::new(ErrorKind::MethodNotAllowed, "Method Not Allowed");
    let mut response = HttpResponse::from_error(ApiError(error));
    if let Ok(allow) = HeaderValue::from_str(&allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// The answer to a path that no row has: another address, where a slash at its end is all that is wrong.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn not_found(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    without_slash(&request)
        .map(|address| {
            HttpResponse::PermanentRedirect().insert_header((header::LOCATION, address)).finish()
        })
        .ok_or_else(|| RegistryError::new(ErrorKind::NotFound, "Not Found").into())
}

/// A path relative to the one asked, so that it holds behind any gateway and leads to no other host.
fn without_slash(request: &HttpRequest) -> Option<String> {
    let path = request.uri().path().strip_suffix('/')?;
    let (_, last) = path.rsplit_once('/')?;
    if matches!(last, "" | "." | "..") || !request.resource_map().has_resource(path) {
        return None;
    }
    let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    Some(format!("../{last}{query}"))
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
                "GET /ready none",
                "GET /openapi.json none",
                "GET /docs none",
                "GET /docs/{asset} none",
                "GET /redoc none",
                "GET /api/v1/models/{model_type} model:read",
                "GET /api/v1/models/{model_type}/current model:read",
                "GET /api/v1/models/{model_type}/{version} model:read",
                "POST /api/v1/models/{model_type}/{version}/validate model:write",
                "GET /api/v1/models/{model_type}/{version}/artifact model:read",
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
