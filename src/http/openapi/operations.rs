//! The description of each operation: its purpose, its parameters and its answers.

use utoipa::openapi::{
    ArrayBuilder, KnownFormat, ObjectBuilder, Ref, Required, Schema, SchemaFormat, Type,
    path::{ParameterBuilder, ParameterIn},
};
use utoipa::{PartialSchema as _, ToSchema as _};

pub use super::timeline::{type_history, types, whole_history};
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
        CompatibilityResponse, CurrentModelResponse, HealthResponse, HistoryResponse,
        ModelListResponse, ModelMetadataResponse, ReadyResponse, ServiceResponse,
        ValidationResultResponse,
        requests::{FailRequest, PromoteRequest, RegisterRequest, RollbackRequest},
        written::{
            FailedResponse, PromotionCheckResponse, PromotionResponse, RegisteredResponse,
            RollbackResponse,
        },
    },
};

pub(super) const MODELS: &str = "Models";
const CHANGES: &str = "Changes";
const LOG: &str = "Log";
const SERVICE: &str = "Service";

/// The path of a tile below `tile/`.
const TILE: &str = "^(entries|[1-5]?[0-9]|6[0-3])/(x[0-9]{3}/)*[0-9]{3}(\\.p/[1-9][0-9]{0,2})?$";

/// The errors of every operation that reads a model.
const READ: [ErrorKind; 2] = [ErrorKind::ModelNotFound, ErrorKind::IntegrityOnRead];

pub(super) fn path(name: &str, schema: Schema) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(schema))
}

pub(super) fn query(name: &str, schema: impl Into<Schema>, about: &str) -> ParameterBuilder {
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

/// `If-None-Match`, for every answer with an `ETag`.
pub(super) fn if_none_match() -> ParameterBuilder {
    header("If-None-Match", "The `ETag` of the answer that the client has.")
}

/// `If-Match`, for every answer with an `ETag`.
pub(super) fn if_match() -> ParameterBuilder {
    header("If-Match", "The `ETag` that the answer must have; 412 if it has another.")
}

pub(super) fn model_type() -> ParameterBuilder {
    path("model_type", ModelType::schema().into())
        .description(Some("The model type. 404 if it is malformed or unknown."))
        .example(Some("risk_model".into()))
}

fn version() -> ParameterBuilder {
    path("version", Version::schema().into())
        .description(Some("The version. 404 if it is malformed or unknown."))
        .example(Some("v1.2.0".into()))
}

pub(super) fn number(least: u32, most: u32) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most))
}

/// `GET /`.
#[must_use]
pub fn root() -> Description {
    Description::new(
        SERVICE,
        "root",
        "Name and version",
        "The service's name and version, and the paths to start from.",
    )
    .json::<ServiceResponse>(200, "Name, version and paths.", "root")
}

/// `GET /health`.
#[must_use]
pub fn health() -> Description {
    let about =
        "Answers 200 while the process runs. It checks neither disk nor database; `/ready` does.";
    Description::new(SERVICE, "health", "Liveness", about)
        .json::<HealthResponse>(200, "The process runs.", "health")
        .also_head()
}

/// `GET /ready`.
#[must_use]
pub fn ready() -> Description {
    let about = "Whether the service can answer requests now, with the state of each component.";
    Description::new(SERVICE, "ready", "Readiness", about)
        .json::<ReadyResponse>(200, "All components are ready.", "ready")
        .json::<ReadyResponse>(503, "A component is not ready; `detail` names it.", "not ready")
        .with([headers::retry_after()])
}

/// `GET /openapi.json`.
#[must_use]
pub fn openapi() -> Description {
    let document = ObjectBuilder::new().schema_type(Type::Object).build().into();
    Description::new(
        SERVICE,
        "openapi",
        "OpenAPI document",
        "The OpenAPI 3.1 document of this service.",
    )
    .raw(200, "The OpenAPI document.", Some(("application/json", document)))
    .conditional()
}

/// `GET /docs`.
#[must_use]
pub fn docs() -> Description {
    let about = "A page that shows the OpenAPI document and sends requests to the service. It loads nothing from elsewhere.";
    Description::new(SERVICE, "docs", "Interactive documentation", about)
        .raw(200, "The documentation page.", Some(("text/html; charset=utf-8", text())))
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
    let parameter = path("asset", names.into()).description(Some("The name of the file."));
    let about = "A script, style sheet or licence that the documentation page loads.";
    Description::new(SERVICE, "docsAsset", "A file of the documentation page", about)
        .parameter(parameter)
        .raw(200, "The contents of the file.", Asset::MEDIA_TYPES.map(|media| (media, text())))
        .conditional()
        .errors(&[ErrorKind::NotFound])
}

/// `GET /redoc`.
#[must_use]
pub fn redoc() -> Description {
    Description::new(SERVICE, "redoc", "Redirect to `/docs`", "The Python service had a page here.")
        .raw(308, "The documentation page is at `/docs`.", None)
        .with([headers::location("The path of `/docs`, relative to this one.")])
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
        .description(Some(
            "Only versions with this status. `status` is another name of this parameter.",
        ));
    let order = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["newest", "oldest"]))
        .default(Some("newest".into()));
    let about = "The versions of a type. Without `limit`, all of them; with it, one page, and `Link` names the others. 422 if a parameter is unknown or given twice.";
    Description::new(MODELS, "listModels", "List versions", about)
        .parameter(model_type())
        .parameter(status)
        .parameter(query("order", order, "The order, by time of registration."))
        .parameter(query("limit", number(1, limits::MAX_PAGE), "The most versions on a page."))
        .parameter(query("offset", number(0, u32::MAX), "How many versions precede the page."))
        .json::<ModelListResponse<'_>>(
            200,
            "The versions, and how many match on all pages.",
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
    let about = "The version of a type that is in production. Poll with `If-None-Match`: 304 until it changes. With `at`, the version that was in production at that moment, according to the log; the answer then also has `as_of` (that moment), `model_id`, `promoted_at` and `promoted_by` (when it had entered production, and by whom) and `integrity` (`CHECKSUM_MISMATCH` if its metadata file is damaged now).";
    let at = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .build();
    let at = query(
        "at",
        at,
        "A moment in the past, in the format of RFC 3339. 404 if no version was in production then; 422 if it is in the future.",
    );
    Description::new(MODELS, "getCurrentModel", "The version in production", about)
        .parameter(model_type())
        .parameter(at)
        .json::<CurrentModelResponse<'_>>(200, "The version in production.", "current")
        .leads_to_version("/version")
        .conditional()
        .errors(&READ)
        .errors(&[ErrorKind::InvalidRequest])
}

/// `GET /api/v1/models/{model_type}/{version}`.
#[must_use]
pub fn metadata() -> Description {
    let about = "The metadata of one version. The service answers only after it has verified the hash of the file that holds the metadata. If the version's files were removed, its metadata is gone with them (410); a list of the type and its history still have it.";
    Description::new(MODELS, "getModelMetadata", "Metadata of a version", about)
        .parameter(model_type())
        .parameter(version())
        .json::<ModelMetadataResponse<'_>>(200, "The metadata of the version.", "metadata")
        .conditional()
        .errors(&[ErrorKind::VersionCollected])
        .errors(&READ)
}

/// `POST /api/v1/models/{model_type}/{version}/validate`.
#[must_use]
pub fn validate() -> Description {
    let about = "Verifies the hashes of the version's files, and reads the whole artifact as the loader of its format would, without running code from it. Changes nothing, and needs no body.";
    Description::new(MODELS, "validateModel", "Validate a version", about)
        .parameter(model_type())
        .parameter(version())
        .json::<ValidationResultResponse>(
            200,
            "The files are intact, and the artifact would load.",
            "validate",
        )
        .errors(&[ErrorKind::ChecksumMismatch, ErrorKind::ValidationFailed])
        .errors(&[ErrorKind::VersionCollected])
        .errors(&READ)
}

/// `GET` and `HEAD` of `/api/v1/models/{model_type}/{version}/artifact`.
#[must_use]
pub fn artifact() -> Description {
    let about = "The artifact's bytes. The service sends the first byte only after it has verified the hash of the whole file. One range is honoured; with several, or a malformed one, the answer is the whole artifact.";
    let octets = "application/octet-stream";
    let range = headers::content_range(
        "^bytes [0-9]+-[0-9]+/[0-9]+$",
        "The range that is sent, and the size of the artifact.",
    );
    Description::new(MODELS, "downloadArtifact", "Download an artifact", about)
        .parameter(model_type())
        .parameter(version())
        .parameter(header("Range", "`bytes=<from>-<to>`, `bytes=<from>-` or `bytes=-<last>`."))
        .parameter(header(
            "If-Range",
            "The `ETag` of the artifact that the range belongs to. If the artifact has another, the answer is the whole artifact.",
        ))
        .raw(206, "The bytes of the range.", Some((octets, bytes())))
        .with(headers::of_artifact())
        .with([range, headers::etag(), headers::cache_control()])
        .raw(200, "The artifact.", Some((octets, bytes())))
        .with(headers::of_artifact())
        .conditional()
        .errors(&READ)
        .errors(&[ErrorKind::RangeNotSatisfiable, ErrorKind::VersionCollected])
        .also_head()
}

/// `GET /api/v1/models/{model_type}/{version}/history`.
#[must_use]
pub fn history() -> Description {
    let about = "The status changes of this version, oldest first: who made each, when and why. Entries are never removed.";
    Description::new(MODELS, "getModelHistory", "A version's history", about)
        .parameter(model_type())
        .parameter(version())
        .json::<HistoryResponse<'_>>(200, "All status changes of the version.", "history")
        .conditional()
        .errors(&READ)
}

/// `GET /api/v1/models/{model_type}/{version}/compatibility`.
#[must_use]
pub fn compatibility() -> Description {
    let about = "Whether the data sets at hand are the versions that the model was trained on. A data set of the model that is not named is missing, which always makes the two incompatible; another version is drift, which does so where the service is strict (`STRICT_VERSION_MODE`). Data sets that the model does not use do not matter. 422 if a parameter is unknown, is not `name:version`, or names a data set twice.";
    let datasets =
        ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::String)).build();
    let dataset = query(
        "dataset",
        Schema::Array(datasets),
        "A data set at hand as `name:version`; repeat it for each one.",
    )
    .example(Some(serde_json::json!(["crsp:v1.2.4"])));
    Description::new(MODELS, "checkCompatibility", "Compatibility with data sets", about)
        .parameter(model_type())
        .parameter(version())
        .parameter(dataset)
        .json::<CompatibilityResponse<'_>>(200, "The comparison of each data set.", "compatibility")
        .conditional()
        .errors(&READ)
        .errors(&[ErrorKind::InvalidRequest])
}

/// `GET /api/v1/log/checkpoint`.
#[must_use]
pub fn log_checkpoint() -> Description {
    let about = "The log as it is now: its origin, its size and the base64 form of its root, a line each (C2SP tlog-checkpoint). If the log has a key, it is a signed note (C2SP signed-note).";
    Description::new(LOG, "getLogCheckpoint", "The log's checkpoint", about)
        .raw(200, "The checkpoint.", Some(("text/plain; charset=utf-8", text())))
        .conditional()
}

/// `GET /api/v1/log/tile/{tile}`.
#[must_use]
pub fn log_tile() -> Description {
    let about = "256 hashes of the log's Merkle tree, or the entries themselves (C2SP tlog-tiles). A tile never changes. Verify a checkpoint first, and ask only for tiles of a log of its size.";
    let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(TILE)).build();
    let tile = path("tile", schema.into())
        .description(Some("`<level>/<index>` or `entries/<index>`, the index in groups of three digits as in `x001/234`, with `.p/<width>` behind it for a partial tile. It spans path segments. 404 if it is malformed or not in the log yet."))
        .example(Some("0/000.p/1".into()));
    Description::new(LOG, "getLogTile", "A tile of the log", about)
        .parameter(tile)
        .raw(200, "The hashes, 32 bytes each; or the entries, each behind its length as 16 bits, high byte first.", Some(("application/octet-stream", bytes())))
        .with([headers::immutable()])
        .errors(&[ErrorKind::NotFound, ErrorKind::IntegrityOnRead])
}

/// The errors of every change.
const CHANGE: [ErrorKind; 3] =
    [ErrorKind::ModelNotFound, ErrorKind::InvalidRequest, ErrorKind::RegistryLocked];

/// `POST /api/v1/models/{model_type}`.
#[must_use]
pub fn register() -> Description {
    let about = "Registers a version, which is staged. The artifact is written to disk as it arrives. Nothing remains of an upload that is refused or broken off. The extension of the artifact's `filename` says what its format is; nothing else of the name is used. The load check's verdict is in the answer. An artifact that could do harm when it is loaded is refused, unless the policy of its type accepts it; one that would not load is registered, and its verdict bars it from production.";
    Description::new(CHANGES, "registerModel", "Register a version", about)
        .parameter(model_type())
        .takes_file::<RegisterRequest>(
            ("metadata", "artifact"),
            "The metadata as JSON, then the model file.",
        )
        .json::<RegisteredResponse>(201, "The version is registered.", "register")
        .with([headers::location("The path of the version, relative to this one.")])
        .errors(&[
            ErrorKind::ModelNotFound,
            ErrorKind::InvalidRequest,
            ErrorKind::MissingRequiredFields,
            ErrorKind::InvalidDatasetVersion,
            ErrorKind::InvalidSnapshot,
            ErrorKind::VersionExists,
            ErrorKind::ChecksumMismatch,
            ErrorKind::ValidationFailed,
            ErrorKind::RegistryLocked,
        ])
}

/// `GET /api/v1/models/{model_type}/{version}/promotion`.
#[must_use]
pub fn promotion() -> Description {
    let about = "What a promotion would do now: every gate, the files' hashes and the load check. Changes nothing.";
    Description::new(CHANGES, "checkPromotion", "A promotion's dry run", about)
        .parameter(model_type())
        .parameter(version())
        .json::<PromotionCheckResponse>(200, "The outcome of every check.", "promotion")
        .errors(&READ)
        .errors(&[ErrorKind::VersionCollected, ErrorKind::InvalidRequest])
}

/// `POST /api/v1/models/{model_type}/{version}/promote`.
#[must_use]
pub fn promote() -> Description {
    let about = "Puts a version into production and archives the one that is there. At no moment are there two. The body may be left out.";
    Description::new(CHANGES, "promoteModel", "Promote a version", about)
        .parameter(model_type())
        .parameter(version())
        .takes::<PromoteRequest>(Required::False, "How and why.")
        .json::<PromotionResponse>(200, "The version is in production.", "promote")
        .errors(&CHANGE)
        .errors(&[
            ErrorKind::InvalidTransition,
            ErrorKind::VersionCollected,
            ErrorKind::PromotionGateFailed,
            ErrorKind::ChecksumMismatch,
            ErrorKind::ValidationFailed,
        ])
}

/// `POST /api/v1/models/{model_type}/rollback`.
#[must_use]
pub fn rollback() -> Description {
    let about = "Returns the version that was archived last to production, and stages the one that is there. The body may be left out.";
    Description::new(CHANGES, "rollBackModel", "Roll back", about)
        .parameter(model_type())
        .takes::<RollbackRequest>(Required::False, "Why.")
        .json::<RollbackResponse>(200, "The former version is in production again.", "rollback")
        .errors(&CHANGE)
        .errors(&[ErrorKind::ChecksumMismatch, ErrorKind::InvalidTransition])
}

/// `POST /api/v1/models/{model_type}/{version}/fail`.
#[must_use]
pub fn fail() -> Description {
    let about = "Marks a version failed. It can never be promoted.";
    Description::new(CHANGES, "failModel", "Mark a version failed", about)
        .parameter(model_type())
        .parameter(version())
        .takes::<FailRequest>(Required::True, "Why.")
        .json::<FailedResponse>(200, "The version is failed.", "fail")
        .errors(&CHANGE)
        .errors(&[ErrorKind::InvalidTransition])
}
