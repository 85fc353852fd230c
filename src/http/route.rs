//! One row of the route table. Its scope is that of the guard in the handler's signature, so the two cannot differ: a
//! handler without a guard does not compile as a [`guarded`] route, and one with a guard does not compile as an
//! [`open`] one.

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Responder,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    web,
};

use super::{
    edge::{
        guard::{Guard, HttpState, RequiredScope},
        lifecycle::Lifecycle,
        routing::{PathRows, Paths, Routing},
        rules::{Body, Duration, RouteRules},
        service::{Endpoint, endpoint},
    },
    errors::{ApiError, Surface},
    openapi::{ApiDocument, Description, DocumentedRoute},
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
    /// The path's last parameter takes all that follows, slashes included, and may be empty.
    spans_segments: bool,
    /// The scope that a token needs; `None` where no token is needed.
    pub scope: Option<Scope>,
    /// What the layers around the handler have to know.
    pub rules: RouteRules,
    /// Whether it belongs to the API that changes the registry, which the operator turns on.
    pub changes: bool,
    /// Its description in the OpenAPI document.
    pub describe: fn() -> Description,
    endpoint: Endpoint,
}

impl RouteSpec {
    /// The route is a probe: see [`RouteRules::probe`].
    #[must_use]
    pub fn probe(mut self) -> Self {
        self.rules.probe = true;
        self
    }

    /// The client decides how long the answer takes: see [`Duration::Download`].
    #[must_use]
    pub fn download(mut self) -> Self {
        self.rules.duration = Duration::Download;
        self
    }

    /// A load check decides how long the answer takes: see [`Duration::LoadCheck`].
    #[must_use]
    pub fn load_check(mut self) -> Self {
        self.rules.duration = Duration::LoadCheck;
        self
    }

    /// The route belongs to the API that changes the registry.
    #[must_use]
    pub fn changing(mut self) -> Self {
        self.changes = true;
        self
    }

    /// The handler receives a file of up to this many bytes: see [`Duration::Upload`].
    #[must_use]
    pub fn upload(mut self, limit: u64) -> Self {
        self.rules.duration = Duration::Upload;
        self.reads_body(limit)
    }

    /// The handler reads a body of up to this many bytes.
    #[must_use]
    pub fn reads_body(mut self, limit: u64) -> Self {
        self.rules.body = Body::Read(limit);
        self
    }

    /// The path's last parameter takes all that follows, slashes included.
    #[must_use]
    pub fn spans_segments(mut self) -> Self {
        self.spans_segments = true;
        self
    }

    /// The row, for the OpenAPI document.
    #[must_use]
    pub fn documented(&self) -> DocumentedRoute {
        let Self { method, path, scope, describe, .. } = self;
        DocumentedRoute { method: method.clone(), path, scope: *scope, describe: *describe }
    }
}

/// The arguments of a handler with a guard.
pub trait Guarded {
    /// The guard's scope.
    const SCOPE: Scope;
}

impl<S: RequiredScope> Guarded for (Guard<S>, HttpRequest) {
    const SCOPE: Scope = S::SCOPE;
}

impl<S: RequiredScope> Guarded for (Guard<S>, HttpRequest, web::Payload) {
    const SCOPE: Scope = S::SCOPE;
}

/// The arguments of a handler without a guard.
pub trait Unguarded {}

impl Unguarded for () {}
impl Unguarded for (HttpRequest,) {}
impl Unguarded for (HttpRequest, web::Data<ApiDocument>) {}
impl Unguarded for (web::Data<HttpState>,) {}
impl Unguarded for (web::Data<HttpState>, web::Data<Lifecycle>) {}

/// A route whose handler has a guard.
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse, http::Method};
/// use model_registry::http::{edge::guard::{Guard, Read}, openapi::operations, route::guarded};
///
/// async fn handler(_: Guard<Read>, _: HttpRequest) -> HttpResponse { HttpResponse::Ok().finish() }
/// assert_eq!(guarded(Method::GET, "/x", handler, operations::root).scope.unwrap().as_str(), "model:read");
/// ```
///
/// A handler without one does not compile:
///
/// ```compile_fail
/// use actix_web::{HttpRequest, HttpResponse, http::Method};
/// use model_registry::http::{edge::guard::{Guard, Read}, openapi::operations, route::guarded};
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
    let rules = RouteRules::new(Surface::Models);
    spec(method, path, Some(Args::SCOPE), rules, handler, describe)
}

/// A route that needs no token. Its handler cannot reach the registry, which takes a guard.
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse, http::Method};
/// use model_registry::http::{openapi::operations, route::open};
///
/// async fn handler(_: HttpRequest) -> HttpResponse { HttpResponse::Ok().finish() }
/// assert!(open(Method::GET, "/x", handler, operations::root).scope.is_none());
/// ```
///
/// A handler with a guard does not compile:
///
/// ```compile_fail
/// use actix_web::{HttpRequest, HttpResponse, http::Method};
/// use model_registry::http::{edge::guard::{Guard, Read}, openapi::operations, route::open};
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
    spec(method, path, None, RouteRules::new(Surface::Service), handler, describe)
}

fn spec<F, Args>(
    method: Method,
    path: &'static str,
    scope: Option<Scope>,
    rules: RouteRules,
    handler: F,
    describe: fn() -> Description,
) -> RouteSpec
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let endpoint = endpoint(handler);
    let (spans_segments, changes) = (false, false);
    RouteSpec { method, path, spans_segments, scope, rules, changes, describe, endpoint }
}

/// The paths of rows.
#[must_use]
pub fn paths(rows: &[RouteSpec]) -> Paths {
    Paths::new(rows.iter().map(|row| (row.path, row.spans_segments)))
}

/// The routes of rows, of which those of one path stand together, and what answers a path that no row has.
#[must_use]
pub fn routing(rows: Vec<RouteSpec>, unmatched: Endpoint) -> Routing<Endpoint> {
    let mut paths = Vec::new();
    let mut rows = rows.into_iter().peekable();
    while let Some(first) = rows.next() {
        let (path, spans_segments) = (first.path, first.spans_segments);
        let mut of_path = vec![(first.method, first.rules, first.endpoint)];
        while let Some(row) = rows.next_if(|row| row.path == path) {
            of_path.push((row.method, row.rules, row.endpoint));
        }
        let mut methods: Vec<_> = of_path.iter().map(|(method, ..)| method.to_string()).collect();
        let has = |method: Method| of_path.iter().any(|(known, ..)| *known == method);
        if has(Method::GET) && !has(Method::HEAD) {
            methods.insert(1, "HEAD".to_owned());
        }
        methods.push("OPTIONS".to_owned());
        let allow = methods.join(", ");
        let told = allow.clone();
        paths.push(PathRows {
            path,
            spans_segments,
            rows: of_path,
            options: endpoint(move || std::future::ready(options(&told))),
            otherwise: endpoint(move || method_not_allowed(allow.clone())),
        });
    }
    Routing::new(paths, unmatched)
}

/// The answer to `OPTIONS`: which methods there are, and nothing that wants a token.
#[must_use]
pub fn options(allow: &str) -> HttpResponse {
    HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish()
}

async fn method_not_allowed(allow: String) -> HttpResponse {
    let error = RegistryError::new(ErrorKind::MethodNotAllowed, "Method Not Allowed");
    let mut response = HttpResponse::from_error(ApiError(error));
    if let Ok(allow) = HeaderValue::from_str(&allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}
