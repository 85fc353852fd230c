//! The words of each operation: what it is for, its parameters, and with what it answers.

use utoipa::openapi::{
    ObjectBuilder, Ref, Required, Schema, Type,
    path::{ParameterBuilder, ParameterIn},
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::{
    Description,
    description::{bytes, text},
    headers,
};
use crate::{
    domain::{ModelType, Status, Version},
    error::ErrorKind,
    http::docs::Asset,
    limits,
    schemas::{
        CurrentModelResponse, HealthResponse, HistoryResponse, ModelListResponse,
        ModelMetadataResponse, ReadyResponse, ServiceResponse, ValidationResultResponse,
    },
};

const MODELS: &str = "Models";
const SERVICE: &str = "Service";

/// What a read of a model may answer besides.
const READ: [ErrorKind; 2] = [ErrorKind::ModelNotFound, ErrorKind::IntegrityOnRead];

fn path(name: &str, schema: Schema) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(schema))
}

fn query(name: &str, schema: impl Into<Schema>, about: &str) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .schema(Some(schema.into()))
        .description(Some(about))
}

fn header(name: &str, about: &str) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .schema(Some(text()))
        .description(Some(about))
}

/// `If-None-Match`, of every answer with an `ETag`.
pub(super) fn if_none_match() -> ParameterBuilder {
    header("If-None-Match", "The `ETag` of the answer that the client has.")
}

/// `If-Match`, of the same.
pub(super) fn if_match() -> ParameterBuilder {
    header("If-Match", "The `ETag` that the answer must have; another is refused.")
}

fn model_type() -> ParameterBuilder {
    path("model_type", ModelType::schema().into())
        .description(Some("What is no type is answered as an unknown one is: 404."))
        .example(Some("risk_model".into()))
}

fn version() -> ParameterBuilder {
    path("version", Version::schema().into())
        .description(Some("What is no version is answered as an unknown one is: 404."))
        .example(Some("v1.2.0".into()))
}

fn number(least: u32, most: u32) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most))
}

/// `GET /`.
#[must_use]
pub fn root() -> Description {
    Description::new(
        SERVICE,
        "root",
        "What this is",
        "The service's name and version, and where to go on.",
    )
    .json::<ServiceResponse>(200, "What this is.", "root")
}

/// `GET /health`.
#[must_use]
pub fn health() -> Description {
    let about = "Whether the process lives. Touches neither disk nor database: ask `/ready` whether it can answer questions.";
    Description::new(SERVICE, "health", "Whether the process lives", about)
        .json::<HealthResponse>(200, "It lives.", "health")
        .also_head()
}

/// `GET /ready`.
#[must_use]
pub fn ready() -> Description {
    let about = "Whether it can answer questions now, with a line for each component.";
    Description::new(SERVICE, "ready", "Whether it can answer questions", about)
        .json::<ReadyResponse>(200, "It can.", "ready")
        .json::<ReadyResponse>(503, "It cannot; `detail` says what it waits for.", "not ready")
        .with([headers::retry_after()])
}

/// `GET /openapi.json`.
#[must_use]
pub fn openapi() -> Description {
    let document = ObjectBuilder::new().schema_type(Type::Object).build().into();
    Description::new(SERVICE, "openapi", "This document", "This document, OpenAPI 3.1.")
        .raw(200, "This document.", Some(("application/json", document)))
        .conditional()
}

/// `GET /docs`.
#[must_use]
pub fn docs() -> Description {
    let about = "This document as a page that can be tried out. Everything it needs comes from the service itself.";
    Description::new(SERVICE, "docs", "Interactive documentation", about)
        .raw(200, "The page.", Some(("text/html; charset=utf-8", text())))
        .with([headers::content_security_policy()])
        .conditional()
}

/// `GET /docs/{asset}`.
#[must_use]
pub fn asset() -> Description {
    let names = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(Asset::ALL.map(Asset::name)))
        .build();
    let parameter = path("asset", names.into()).description(Some("A file that the page needs."));
    let about = "A file that the page needs.";
    Description::new(SERVICE, "docsAsset", "A file of that page", about)
        .parameter(parameter)
        .raw(200, "The file.", Asset::MEDIA_TYPES.map(|media| (media, text())))
        .conditional()
        .errors(&[ErrorKind::NotFound])
}

/// `GET /redoc`.
#[must_use]
pub fn redoc() -> Description {
    Description::new(SERVICE, "redoc", "Leads to `/docs`", "Leads to `/docs`.")
        .raw(308, "Leads to `/docs`.", None)
        .with([headers::location("Relative to this path.")])
}

/// `GET /api/v1/models/{model_type}`.
#[must_use]
pub fn list() -> Description {
    let status = Ref::from_schema_name(Status::name());
    let status = ParameterBuilder::new()
        .name("status_filter")
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .schema(Some(status))
        .description(Some("Versions of this status alone."));
    let order = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["newest", "oldest"]))
        .default(Some("newest".into()));
    let about = "Versions of a type, newest first where `order` does not say otherwise. Without `limit`, all of them; with it, `Link` names the other pages. A parameter that is not known is ignored; one that is given twice is refused.";
    Description::new(MODELS, "listModels", "List versions", about)
        .parameter(model_type())
        .parameter(status)
        .parameter(query(
            "order",
            order,
            "By when they were registered; `newest` first unless told.",
        ))
        .parameter(query("limit", number(1, limits::MAX_PAGE), "Most versions to answer with."))
        .parameter(query("offset", number(0, u32::MAX), "How many of the first to leave out."))
        .json::<ModelListResponse<'_>>(
            200,
            "A page of versions, and how many match in all.",
            "list",
        )
        .with([headers::link()])
        .conditional()
        .errors(&READ)
        .errors(&[ErrorKind::InvalidRequest])
}

/// `GET /api/v1/models/{model_type}/current`.
#[must_use]
pub fn current() -> Description {
    let about = "The version of a type that is in production. Poll it with `If-None-Match`.";
    Description::new(MODELS, "getCurrentModel", "The version in production", about)
        .parameter(model_type())
        .json::<CurrentModelResponse<'_>>(200, "The version in production.", "current")
        .leads_to_version("/version")
        .conditional()
        .errors(&READ)
}

/// `GET /api/v1/models/{model_type}/{version}`.
#[must_use]
pub fn metadata() -> Description {
    let about = "Everything about one version. The file that it is read from was seen to have the recorded hash.";
    Description::new(MODELS, "getModelMetadata", "One version", about)
        .parameter(model_type())
        .parameter(version())
        .json::<ModelMetadataResponse<'_>>(200, "Everything about the version.", "metadata")
        .conditional()
        .errors(&READ)
}

/// `POST /api/v1/models/{model_type}/{version}/validate`.
#[must_use]
pub fn validate() -> Description {
    let about = "Hashes the version's files and reads its artifact as its format's own loader would, to the end, without running anything in it. Changes nothing; takes no body.";
    Description::new(MODELS, "validateModel", "Is it intact, and would it load?", about)
        .parameter(model_type())
        .parameter(version())
        .json::<ValidationResultResponse>(200, "It is intact and would load.", "validate")
        .errors(&[ErrorKind::ChecksumMismatch, ErrorKind::ValidationFailed])
        .errors(&READ)
}

/// `GET` and `HEAD` of `/api/v1/models/{model_type}/{version}/artifact`.
#[must_use]
pub fn artifact() -> Description {
    let about = "The artifact's bytes. No byte leaves before the whole file was seen to have the recorded hash. One range is honoured; several, or a malformed one, are answered with the whole.";
    let octets = "application/octet-stream";
    let range = headers::content_range(
        "^bytes [0-9]+-[0-9]+/[0-9]+$",
        "Which bytes these are, and how many there are.",
    );
    Description::new(MODELS, "downloadArtifact", "The artifact's bytes", about)
        .parameter(model_type())
        .parameter(version())
        .parameter(header("Range", "`bytes=<from>-<to>`, `bytes=<from>-` or `bytes=-<last>`."))
        .parameter(header(
            "If-Range",
            "The `ETag` that the range is of; where it differs, the whole comes.",
        ))
        .raw(206, "The bytes of the range.", Some((octets, bytes())))
        .with(headers::of_artifact())
        .with([range, headers::etag(), headers::cache_control()])
        .raw(200, "The artifact.", Some((octets, bytes())))
        .with(headers::of_artifact())
        .conditional()
        .errors(&READ)
        .errors(&[ErrorKind::RangeNotSatisfiable])
        .also_head()
}

/// `GET /api/v1/models/{model_type}/{version}/history`.
#[must_use]
pub fn history() -> Description {
    let about = "Who moved this version from which status to which, when and why, oldest first. Nothing is ever removed from it.";
    Description::new(MODELS, "getModelHistory", "A version's history", about)
        .parameter(model_type())
        .parameter(version())
        .json::<HistoryResponse<'_>>(200, "Every step of its life.", "history")
        .conditional()
        .errors(&READ)
}
