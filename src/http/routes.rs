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
    v1::{
        artifact::artifact,
        log, models, service, timeline,
        writes::{self, WriteRules},
    },
};
use crate::{
    error::{ErrorKind, RegistryError},
    limits,
};

/// The table of a service that accepts changes by these rules, or none. A path's rows stand together; a fixed segment
/// stands before a parameter in its place.
#[must_use]
pub fn table(writes: Option<WriteRules>) -> Vec<RouteSpec> {
    let mut rows = all_rows(writes.map_or(0, WriteRules::largest_body));
    rows.retain(|row| writes.is_some() || !row.changes);
    rows
}

fn all_rows(largest_upload: u64) -> Vec<RouteSpec> {
    const TYPES: &str = "/api/v1/models";
    const TYPE: &str = "/api/v1/models/{model_type}";
    const CURRENT: &str = "/api/v1/models/{model_type}/current";
    const OF_TYPE: &str = "/api/v1/models/{model_type}/history";
    const VERSION: &str = "/api/v1/models/{model_type}/{version}";
    const VALIDATE: &str = "/api/v1/models/{model_type}/{version}/validate";
    const ARTIFACT: &str = "/api/v1/models/{model_type}/{version}/artifact";
    const HISTORY: &str = "/api/v1/models/{model_type}/{version}/history";
    const COMPATIBILITY: &str = "/api/v1/models/{model_type}/{version}/compatibility";
    const PROMOTION: &str = "/api/v1/models/{model_type}/{version}/promotion";
    const PROMOTE: &str = "/api/v1/models/{model_type}/{version}/promote";
    const ROLLBACK: &str = "/api/v1/models/{model_type}/rollback";
    const FAIL: &str = "/api/v1/models/{model_type}/{version}/fail";
    const WHOLE_HISTORY: &str = "/api/v1/history";
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
        guarded(Method::GET, TYPES, timeline::types, operations::types),
        guarded(Method::GET, TYPE, models::list, operations::list),
        guarded(Method::POST, TYPE, writes::register, operations::register)
            .changing()
            .upload(largest_upload),
        guarded(Method::POST, ROLLBACK, writes::rollback, operations::rollback)
            .changing()
            .reads_body(limits::CHANGE_BODY)
            .load_check(),
        guarded(Method::GET, CURRENT, models::current, operations::current),
        guarded(Method::GET, OF_TYPE, timeline::of_type, operations::type_history),
        guarded(Method::GET, VERSION, models::metadata, operations::metadata),
        guarded(Method::POST, VALIDATE, models::validate, operations::validate).load_check(),
        guarded(Method::GET, PROMOTION, writes::promotion, operations::promotion)
            .changing()
            .load_check(),
        guarded(Method::POST, PROMOTE, writes::promote, operations::promote)
            .changing()
            .reads_body(limits::CHANGE_BODY)
            .load_check(),
        guarded(Method::POST, FAIL, writes::fail, operations::fail)
            .changing()
            .reads_body(limits::CHANGE_BODY),
        guarded(Method::GET, ARTIFACT, artifact, operations::artifact).download(),
        guarded(Method::GET, HISTORY, models::history, operations::history),
        guarded(Method::GET, COMPATIBILITY, models::compatibility, operations::compatibility),
        guarded(Method::GET, WHOLE_HISTORY, timeline::whole, operations::whole_history),
        guarded(Method::GET, CHECKPOINT, log::checkpoint, operations::log_checkpoint),
        guarded(Method::GET, TILE, log::tile, operations::log_tile).spans_segments(),
    ]
}

/// The largest request body that any of these routes accepts, in bytes.
#[must_use]
pub fn largest_body(rows: &[RouteSpec]) -> u64 {
    rows.iter().map(|row| row.rules.body.limit()).max().unwrap_or(0)
}

/// The methods of all rows, and those that every path answers.
#[must_use]
pub fn methods() -> Vec<Method> {
    let mut methods = vec![Method::GET, Method::HEAD, Method::OPTIONS];
    for row in all_rows(0) {
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

    const WRITES: WriteRules = WriteRules { largest_artifact: 1000 };

    #[test]
    fn a_service_that_accepts_no_changes_has_no_route_for_them() {
        let reading: Vec<_> = table(None).into_iter().map(|row| row.method).collect();
        assert_eq!(reading.iter().filter(|method| **method != Method::GET).count(), 1);
        assert_eq!(largest_body(&table(None)), limits::REQUEST_BODY as u64);
        assert!(largest_body(&table(Some(WRITES))) > 1000);
    }

    #[test]
    fn the_table_is_the_contracts() {
        let rows: Vec<_> = table(Some(WRITES))
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
                "GET /api/v1/models model:read",
                "GET /api/v1/models/{model_type} model:read",
                "POST /api/v1/models/{model_type} model:write",
                "POST /api/v1/models/{model_type}/rollback model:admin",
                "GET /api/v1/models/{model_type}/current model:read",
                "GET /api/v1/models/{model_type}/history model:read",
                "GET /api/v1/models/{model_type}/{version} model:read",
                "POST /api/v1/models/{model_type}/{version}/validate model:write",
                "GET /api/v1/models/{model_type}/{version}/promotion model:read",
                "POST /api/v1/models/{model_type}/{version}/promote model:admin",
                "POST /api/v1/models/{model_type}/{version}/fail model:admin",
                "GET /api/v1/models/{model_type}/{version}/artifact model:read",
                "GET /api/v1/models/{model_type}/{version}/history model:read",
                "GET /api/v1/models/{model_type}/{version}/compatibility model:read",
                "GET /api/v1/history model:read",
                "GET /api/v1/log/checkpoint model:read",
                "GET /api/v1/log/tile/{tile} model:read",
            ]
        );
    }

    #[test]
    fn probes_and_downloads_are_these() {
        let paths = |is: fn(&RouteRules) -> bool| -> Vec<_> {
            table(Some(WRITES)).iter().filter(|row| is(&row.rules)).map(|row| row.path).collect()
        };
        assert_eq!(paths(|rules| rules.probe), ["/health", "/ready"]);
        assert_eq!(
            paths(|rules| rules.duration == Duration::Download),
            ["/api/v1/models/{model_type}/{version}/artifact"]
        );
        assert_eq!(
            paths(|rules| rules.duration == Duration::LoadCheck),
            [
                "/api/v1/models/{model_type}/rollback",
                "/api/v1/models/{model_type}/{version}/validate",
                "/api/v1/models/{model_type}/{version}/promotion",
                "/api/v1/models/{model_type}/{version}/promote",
            ]
        );
        assert_eq!(
            paths(|rules| rules.body != Body::Ignored),
            [
                "/api/v1/models/{model_type}",
                "/api/v1/models/{model_type}/rollback",
                "/api/v1/models/{model_type}/{version}/promote",
                "/api/v1/models/{model_type}/{version}/fail",
            ]
        );
        for row in table(Some(WRITES)) {
            let of_models = row.path.starts_with("/api/");
            assert_eq!(row.rules.surface == Surface::Models, of_models, "{}", row.path);
        }
    }

    #[test]
    fn rows_of_one_path_stand_together() {
        let mut paths: Vec<_> = table(Some(WRITES)).iter().map(|row| row.path).collect();
        paths.dedup();
        let mut unique = paths.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(paths.len(), unique.len());
    }
}
