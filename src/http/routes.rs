//! The route table: every method and path. Each path also answers `HEAD` where it answers `GET`, and `OPTIONS`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
};

use super::{
    docs,
    edge::routing::Paths,
    errors::ApiError,
    openapi::{self, operations},
    route::{RouteSpec, guarded, open, options},
    v1::{artifact::artifact, log, models, service},
};
use crate::error::{ErrorKind, RegistryError};

/// The table. A path's rows stand together; a fixed segment stands before a parameter in its place.
#[must_use]
pub fn table() -> Vec<RouteSpec> {
    const TYPE: &str = "/api/v1/models/{model_type}";
    const CURRENT: &str = "/api/v1/models/{model_type}/current";
    const VERSION: &str = "/api/v1/models/{model_type}/{version}";
    const VALIDATE: &str = "/api/v1/models/{model_type}/{version}/validate";
    const ARTIFACT: &str = "/api/v1/models/{model_type}/{version}/artifact";
    const HISTORY: &str = "/api/v1/models/{model_type}/{version}/history";
    const CHECKPOINT: &str = "/api/v1/log/checkpoint";
    const TILE: &str = "/api/v1/log/tile/{tile}";
    vec![
        open(Method::GET, "/", service::root, operations::root),
        open(Method::GET, "/health", service::health, operations::health).probe(),
        open(Method::GET, "/ready", service::ready, operations::ready).probe(),
        open(Method::GET, "/openapi.json", openapi::openapi, operations::openapi),
        open(Method::GET, "/docs", docs::page, operations::docs),
        open(Method::GET, "/docs/{asset}", docs::asset, operations::asset),
        open(Method::GET, "/redoc", docs::redoc, operations::redoc),
        guarded(Method::GET, TYPE, models::list, operations::list),
        guarded(Method::GET, CURRENT, models::current, operations::current),
        guarded(Method::GET, VERSION, models::metadata, operations::metadata),
        guarded(Method::POST, VALIDATE, models::validate, operations::validate).load_check(),
        guarded(Method::GET, ARTIFACT, artifact, operations::artifact).download(),
        guarded(Method::GET, HISTORY, models::history, operations::history),
        guarded(Method::GET, CHECKPOINT, log::checkpoint, operations::log_checkpoint),
        guarded(Method::GET, TILE, log::tile, operations::log_tile).spans_segments(),
    ]
}

/// The largest request body that any route accepts, in bytes.
#[must_use]
pub fn largest_body() -> u64 {
    table().iter().map(|row| row.rules.body.limit()).max().unwrap_or(0)
}

/// The methods of all rows, and those that every path answers.
#[must_use]
pub fn methods() -> Vec<Method> {
    let mut methods = vec![Method::GET, Method::HEAD, Method::OPTIONS];
    for row in table() {
        if !methods.contains(&row.method) {
            methods.push(row.method);
        }
    }
    methods
}

/// The answer to a path that is none of these: a redirect where only a slash at its end is wrong, and the answer to
/// `OPTIONS *`.
///
/// # Errors
/// `NOT_FOUND`.
pub fn not_found(paths: &Paths, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
    if request.method() == Method::OPTIONS && request.path() == "*" {
        let methods: Vec<_> = methods().iter().map(Method::to_string).collect();
        return Ok(options(&methods.join(", ")));
    }
    without_slash(paths, request)
        .map(|address| {
            HttpResponse::PermanentRedirect().insert_header((header::LOCATION, address)).finish()
        })
        .ok_or_else(|| RegistryError::new(ErrorKind::NotFound, "Not Found").into())
}

/// A path relative to the one asked, so that it holds behind any gateway and leads to no other host.
fn without_slash(paths: &Paths, request: &HttpRequest) -> Option<String> {
    let path = request.uri().path().strip_suffix('/')?;
    let (_, last) = path.rsplit_once('/')?;
    if matches!(last, "" | "." | "..") || !paths.has(path) {
        return None;
    }
    let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    Some(format!("../{last}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::Scope,
        http::{
            edge::rules::{Body, Duration, RouteRules},
            errors::Surface,
        },
    };

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
                "GET /api/v1/log/checkpoint model:read",
                "GET /api/v1/log/tile/{tile} model:read",
            ]
        );
    }

    #[test]
    fn probes_and_downloads_are_these() {
        let paths = |is: fn(&RouteRules) -> bool| -> Vec<_> {
            table().iter().filter(|row| is(&row.rules)).map(|row| row.path).collect()
        };
        assert_eq!(paths(|rules| rules.probe), ["/health", "/ready"]);
        assert_eq!(
            paths(|rules| rules.duration == Duration::Download),
            ["/api/v1/models/{model_type}/{version}/artifact"]
        );
        assert_eq!(
            paths(|rules| rules.duration == Duration::LoadCheck),
            ["/api/v1/models/{model_type}/{version}/validate"]
        );
        assert_eq!(paths(|rules| rules.body != Body::Ignored), [""; 0]);
        for row in table() {
            let of_models = row.path.starts_with("/api/");
            assert_eq!(row.rules.surface == Surface::Models, of_models, "{}", row.path);
        }
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
