//! The OpenAPI document. Paths, methods and scopes come from the route table, schemas from the types that handlers
//! answer with, errors from the error table, and descriptions from `operations.rs`.

mod description;
mod headers;
pub mod operations;
mod timeline;

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use actix_web::{HttpRequest, HttpResponse, http::Method, web::Data};
use serde_json::Value;
use utoipa::openapi::{
    ComponentsBuilder, HttpMethod, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths,
    RefOr, Schema, ServerBuilder,
    security::{Http, HttpAuthScheme, SecurityScheme},
    tag::TagBuilder,
};

pub use description::Description;

use crate::{
    domain::Scope,
    error::RegistryError,
    http::{edge::client::ClientView, errors::ApiError, v1::conditional::TaggedJson},
};

/// The name of the one security scheme.
const BEARER: &str = "bearer";

/// Answers of a running service, by the name that an operation refers to. A test compares them with what the service
/// answers.
const EXAMPLES: &str = include_str!("examples.json");

const ABOUT: &str = "Tells which version of a model is in production, whether its files are intact, and whether it \
would load.

Every error is `{\"detail\": \"<sentence>\", \"code\": \"<CODE>\"}`; match on `code`. Every answer has an \
`X-Request-Id`: the one that the request sent, if it has up to 64 letters, digits, `-`, `_` and `.`, or a new \
one. Numbers keep the text that they were registered with: `48.0` stays `48.0`. New fields and codes may be added to \
answers; none is removed. Every path with `GET` also answers `HEAD`, and every path answers `OPTIONS`.";

const ABOUT_BEARER: &str = "A static token from the service's configuration, or a JWT access token from the \
identity provider that the service trusts. Each operation names the scope that the token needs: `model:read`, \
`model:write` or `model:admin`, which includes the other two.";

const TAGS: [(&str, &str); 4] = [
    ("Models", "Models and their versions."),
    ("Changes", "Changes of the registry, where the operator has turned them on."),
    ("Log", "The log that proves the history: a Merkle tree, in the formats of C2SP."),
    ("Service", "The service itself. No token needed."),
];

/// What the document needs to know of a route.
#[derive(Clone)]
pub struct DocumentedRoute {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// The scope that a token needs; `None` where no token is needed.
    pub scope: Option<Scope>,
    /// The words of its operation.
    pub describe: fn() -> Description,
}

/// The document of these routes. It is made once for clients without a gateway, and once for those of the gateway
/// that asked last: anybody may ask, without a token, and all get the same bytes.
pub struct ApiDocument {
    routes: Vec<DocumentedRoute>,
    plain: OnceLock<Result<TaggedJson, RegistryError>>,
    prefixed: Mutex<Option<(String, TaggedJson)>>,
}

impl ApiDocument {
    /// The document of these routes, which is written when it is first asked for.
    #[must_use]
    pub fn new(routes: Vec<DocumentedRoute>) -> Self {
        Self { routes, plain: OnceLock::new(), prefixed: Mutex::new(None) }
    }

    /// The document of a service that its clients reach under a prefix: `/registry`, or nothing.
    ///
    /// # Errors
    /// An internal error where the examples are not JSON.
    pub fn under(&self, prefix: &str) -> Result<OpenApi, RegistryError> {
        let url = if prefix.is_empty() { "/" } else { prefix };
        let mut document = build(&self.routes)?;
        document.servers = Some(vec![ServerBuilder::new().url(url).build()]);
        Ok(document)
    }

    /// The same, as it is sent.
    fn written(&self, prefix: &str) -> Result<TaggedJson, RegistryError> {
        let write = || TaggedJson::new(&self.under(prefix)?);
        if prefix.is_empty() {
            return self.plain.get_or_init(write).clone();
        }
        let mut last = self.prefixed.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((of, document)) if of == prefix => Ok(document.clone()),
            _ => {
                let document = write()?;
                *last = Some((prefix.to_owned(), document.clone()));
                Ok(document)
            }
        }
    }
}

/// `GET /openapi.json`.
///
/// # Errors
/// An internal error where the document cannot be made; tests make it.
pub async fn openapi(
    request: HttpRequest,
    document: Data<ApiDocument>,
) -> Result<HttpResponse, ApiError> {
    document.written(&ClientView::base_path(&request))?.answer(&request)
}

fn build(routes: &[DocumentedRoute]) -> Result<OpenApi, RegistryError> {
    let examples: BTreeMap<String, Value> =
        serde_json::from_str(EXAMPLES).map_err(RegistryError::internal)?;
    let mut paths = Paths::new();
    let mut schemas: Vec<(String, RefOr<Schema>)> = Vec::new();
    for row in routes {
        let description = (row.describe)();
        schemas.extend(description.schemas());
        let mut methods = vec![http_method(&row.method)?];
        if description.describes_head() {
            methods.push(HttpMethod::Head);
        }
        for method in methods {
            let operation = (row.describe)().operation(&method, row.scope, &examples);
            paths.add_path_operation(row.path, vec![method], operation);
        }
    }
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(ABOUT_BEARER))
        .bearer_format("static token or JWT");
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    let licence = LicenseBuilder::new().name("MIT OR Apache-2.0");
    let info = InfoBuilder::new()
        .title("Model Registry API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(licence.build()));
    let tags =
        TAGS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    Ok(OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components.build()))
        .tags(Some(tags))
        .build())
}

fn http_method(method: &Method) -> Result<HttpMethod, RegistryError> {
    match method.as_str() {
        "GET" => Ok(HttpMethod::Get),
        "HEAD" => Ok(HttpMethod::Head),
        "POST" => Ok(HttpMethod::Post),
        "PUT" => Ok(HttpMethod::Put),
        "DELETE" => Ok(HttpMethod::Delete),
        "PATCH" => Ok(HttpMethod::Patch),
        other => Err(RegistryError::internal(format!("the OpenAPI document knows no {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_where_clients_find_the_service_and_changes_nothing_else() {
        let row = |method, path, scope, describe| DocumentedRoute { method, path, scope, describe };
        let document = ApiDocument::new(vec![
            row(Method::GET, "/", None, operations::root),
            row(Method::POST, "/x", Some(Scope::Write), operations::validate),
        ]);
        let told = |prefix: &str| serde_json::to_value(document.under(prefix).unwrap()).unwrap();
        let (plain, mut prefixed) = (told(""), told("/registry"));
        assert_eq!(plain["servers"][0]["url"], "/");
        assert_eq!(prefixed["servers"][0]["url"], "/registry");
        prefixed["servers"][0]["url"] = "/".into();
        assert_eq!(plain, prefixed);
    }
}
