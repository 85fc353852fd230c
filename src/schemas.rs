//! The bodies of answers, over HTTP and with `--json`. Their fields are those that clients of the Python service know.
//! Absent optional values are `null`, not left out. The comments on types and fields are their descriptions in the
//! OpenAPI document.

mod described;
pub mod requests;
pub mod timeline;
pub mod written;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    domain::{
        Collected, LoadCheck, ModelId, ModelType, Sha256Digest, Status, Timestamp, Version,
        compatibility::{Compatibility, Level},
        history::Transition,
        metadata::Environment,
    },
    registry::{
        read::{ListedModel, Model, ModelPage},
        ready::ComponentState,
        validate::Validated,
    },
};

/// The answer of `/`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceResponse {
    /// "Model Registry API".
    pub service: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// What the service does.
    pub description: &'static str,
    /// The path of the documentation.
    pub docs: &'static str,
    /// The path of the liveness check.
    pub health: &'static str,
    /// The path of the models.
    pub api: &'static str,
}

/// The answer of `/health`.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthResponse {
    /// "healthy".
    pub status: &'static str,
    /// "model_registry".
    pub service: &'static str,
    /// The service's clock.
    pub timestamp: Timestamp,
}

/// The answer of `/ready`, ready or not.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadyResponse {
    /// "ready" or "not ready".
    pub status: &'static str,
    /// The components: the catalog, the manifest, the validator and, with an identity provider, its keys.
    pub components: Vec<ComponentResponse>,
    /// The components that are not ready; absent if all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// `REGISTRY_UNAVAILABLE`; absent if all components are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub code: Option<&'static str>,
}

/// The state of one component.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComponentResponse {
    /// The component's name.
    name: &'static str,
    /// Whether the component works.
    ready: bool,
    /// The component's state in words.
    detail: &'static str,
}

impl From<ComponentState> for ComponentResponse {
    fn from(ComponentState { name, ready, detail }: ComponentState) -> Self {
        Self { name, ready, detail }
    }
}

/// The version in production.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrentModelResponse<'a> {
    /// The model type.
    model_type: &'a ModelType,
    /// The number of the version in production.
    version: Version,
    /// SHA-256 of the artifact.
    checksum: Sha256Digest,
    /// The versions of the data sets that the model was trained on, by data set.
    dataset_version_ids: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a Model> for CurrentModelResponse<'a> {
    fn from(model: &'a Model) -> Self {
        Self {
            model_type: &model.record.model_type,
            version: model.record.version,
            checksum: model.record.checksum_sha256,
            dataset_version_ids: &model.metadata.dataset_version_ids,
        }
    }
}

/// The metadata of a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelMetadataResponse<'a> {
    /// The id of the version, unique among all.
    model_id: ModelId,
    /// The model type.
    model_type: &'a ModelType,
    /// The version number.
    version: Version,
    /// The status of the version.
    status: Status,
    /// The folder of the version, relative to the registry: ends in `artifacts/<model_type>/<version>`.
    artifact_path: String,
    /// SHA-256 of the artifact.
    checksum_sha256: Sha256Digest,
    /// The versions of the data sets that the model was trained on, by data set.
    dataset_version_ids: &'a BTreeMap<String, String>,
    /// The data snapshot that the model was trained on.
    snapshot_id: &'a str,
    /// The factors that the model uses.
    factor_list: &'a [String],
    #[schema(schema_with = described::parameters)]
    parameters: &'a Map<String, Value>,
    #[schema(schema_with = described::metrics)]
    metrics: &'a Map<String, Value>,
    #[schema(schema_with = described::config)]
    config: &'a Map<String, Value>,
    /// SHA-256 of `config` as compact JSON with sorted keys.
    config_hash: Sha256Digest,
    /// The formulas of the model's features.
    #[schema(required)]
    feature_formulas: Option<&'a [String]>,
    /// The environment that the model was trained in.
    env: EnvironmentResponse<'a>,
    /// The experiment that produced the model.
    #[schema(required)]
    experiment_id: Option<&'a str>,
    /// The run that produced the model.
    #[schema(required)]
    run_id: Option<&'a str>,
    /// The location of the data set.
    #[schema(required)]
    dataset_uri: Option<&'a str>,
    /// The version of Qlib that trained the model.
    #[schema(required)]
    qlib_version: Option<&'a str>,
    /// The time of registration.
    created_at: Timestamp,
    /// The time of the last promotion to production.
    #[schema(required)]
    promoted_at: Option<Timestamp>,
    /// The state of the version's metadata. Damaged metadata is not answered.
    #[schema(schema_with = described::intact)]
    integrity: Integrity,
    /// The last load check of the artifact; null if it was never checked.
    #[schema(required)]
    check: Option<CheckResponse<'a>>,
    /// The removal of the version's files; null if they are there.
    #[schema(required)]
    collected: Option<CollectedResponse>,
}

/// The last load check of an artifact.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckResponse<'a> {
    /// `loadable`, `unloadable` or `unsafe`.
    verdict: &'static str,
    /// The format of the artifact's content.
    format: &'a str,
    /// How much was checked: `parsed`, `typed` or `executed`.
    depth: &'a str,
    /// The time of the check.
    checked_at: Timestamp,
}

impl<'a> From<&'a LoadCheck> for CheckResponse<'a> {
    fn from(check: &'a LoadCheck) -> Self {
        Self {
            verdict: check.verdict.as_str(),
            format: &check.format,
            depth: &check.depth,
            checked_at: check.checked_at,
        }
    }
}

/// The removal of a version's files. What only `metadata.json` held is then null.
#[derive(Debug, Serialize, ToSchema)]
pub struct CollectedResponse {
    /// The time of the removal.
    collected_at: Timestamp,
    /// The size of the removed files, in bytes.
    bytes_freed: u64,
}

impl From<Collected> for CollectedResponse {
    fn from(gone: Collected) -> Self {
        Self { collected_at: gone.collected_at, bytes_freed: gone.bytes_freed }
    }
}

/// Whether a version's metadata is what was registered.
#[derive(Debug, Clone, Copy, Serialize)]
enum Integrity {
    #[serde(rename = "ok")]
    Ok,
    #[serde(rename = "CHECKSUM_MISMATCH")]
    ChecksumMismatch,
}

impl<'a> From<&'a Model> for ModelMetadataResponse<'a> {
    fn from(Model { record, metadata, .. }: &'a Model) -> Self {
        Self {
            model_id: metadata.model_id,
            model_type: &metadata.model_type,
            version: metadata.version,
            status: record.status,
            artifact_path: record.artifact_path(),
            checksum_sha256: metadata.checksum_sha256,
            dataset_version_ids: &metadata.dataset_version_ids,
            snapshot_id: &metadata.snapshot_id,
            factor_list: &metadata.factor_list,
            parameters: &metadata.parameters,
            metrics: &metadata.metrics,
            config: &metadata.config,
            config_hash: metadata.config_hash,
            feature_formulas: metadata.feature_formulas.as_deref(),
            env: EnvironmentResponse::from(&metadata.env),
            experiment_id: metadata.experiment_id.as_deref(),
            run_id: metadata.run_id.as_deref(),
            dataset_uri: metadata.dataset_uri.as_deref(),
            qlib_version: metadata.qlib_version.as_deref(),
            created_at: metadata.created_at,
            promoted_at: record.promoted_at,
            integrity: Integrity::Ok,
            check: record.check.as_deref().map(CheckResponse::from),
            collected: record.collected.map(CollectedResponse::from),
        }
    }
}

/// A version in a list. If its metadata file is damaged, `integrity` is `CHECKSUM_MISMATCH`; if its files were removed,
/// `collected` says when. In both cases the fields that only the metadata file holds are null.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedModelResponse<'a> {
    /// The id of the version, unique among all.
    model_id: ModelId,
    /// The model type.
    model_type: &'a ModelType,
    /// The version number.
    version: Version,
    /// The status of the version.
    status: Status,
    /// The folder of the version, relative to the registry: ends in `artifacts/<model_type>/<version>`.
    artifact_path: String,
    /// SHA-256 of the artifact.
    checksum_sha256: Sha256Digest,
    /// The versions of the data sets that the model was trained on, by data set.
    dataset_version_ids: &'a BTreeMap<String, String>,
    /// The data snapshot that the model was trained on.
    snapshot_id: &'a str,
    /// The factors that the model uses.
    #[schema(required)]
    factor_list: Option<&'a [String]>,
    #[schema(required, schema_with = described::parameters_or_null)]
    parameters: Option<&'a Map<String, Value>>,
    #[schema(required, schema_with = described::metrics_or_null)]
    metrics: Option<&'a Map<String, Value>>,
    #[schema(required, schema_with = described::config_or_null)]
    config: Option<&'a Map<String, Value>>,
    /// SHA-256 of `config` as compact JSON with sorted keys.
    config_hash: Sha256Digest,
    /// The formulas of the model's features.
    #[schema(required)]
    feature_formulas: Option<&'a [String]>,
    /// The environment that the model was trained in.
    #[schema(required)]
    env: Option<EnvironmentResponse<'a>>,
    /// The experiment that produced the model.
    #[schema(required)]
    experiment_id: Option<&'a str>,
    /// The run that produced the model.
    #[schema(required)]
    run_id: Option<&'a str>,
    /// The location of the data set.
    #[schema(required)]
    dataset_uri: Option<&'a str>,
    /// The version of Qlib that trained the model.
    #[schema(required)]
    qlib_version: Option<&'a str>,
    /// The time of registration.
    created_at: Timestamp,
    /// The time of the last promotion to production.
    #[schema(required)]
    promoted_at: Option<Timestamp>,
    #[schema(schema_with = described::integrity)]
    integrity: Integrity,
    /// The last load check of the artifact; null if it was never checked.
    #[schema(required)]
    check: Option<CheckResponse<'a>>,
    /// The removal of the version's files; null if they are there.
    #[schema(required)]
    collected: Option<CollectedResponse>,
}

impl<'a> From<&'a ListedModel> for ListedModelResponse<'a> {
    fn from(ListedModel { record, metadata, .. }: &'a ListedModel) -> Self {
        let metadata = metadata.as_deref();
        Self {
            model_id: record.model_id,
            model_type: &record.model_type,
            version: record.version,
            status: record.status,
            artifact_path: record.artifact_path(),
            checksum_sha256: record.checksum_sha256,
            dataset_version_ids: &record.dataset_version_ids,
            snapshot_id: &record.snapshot_id,
            factor_list: metadata.map(|it| it.factor_list.as_slice()),
            parameters: metadata.map(|it| &it.parameters),
            metrics: metadata.map(|it| &it.metrics),
            config: metadata.map(|it| &it.config),
            config_hash: record.config_hash,
            feature_formulas: metadata.and_then(|it| it.feature_formulas.as_deref()),
            env: metadata.map(|it| EnvironmentResponse::from(&it.env)),
            experiment_id: metadata.and_then(|it| it.experiment_id.as_deref()),
            run_id: metadata.and_then(|it| it.run_id.as_deref()),
            dataset_uri: metadata.and_then(|it| it.dataset_uri.as_deref()),
            qlib_version: metadata.and_then(|it| it.qlib_version.as_deref()),
            created_at: record.created_at,
            promoted_at: record.promoted_at,
            integrity: if metadata.is_some() || record.collected.is_some() {
                Integrity::Ok
            } else {
                Integrity::ChecksumMismatch
            },
            check: record.check.as_deref().map(CheckResponse::from),
            collected: record.collected.map(CollectedResponse::from),
        }
    }
}

/// The environment that a model was trained in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EnvironmentMetadataResponse)]
pub struct EnvironmentResponse<'a> {
    /// The person who registered the version.
    created_by: &'a str,
    /// Version of CVXPY.
    #[schema(required)]
    cvxpy_version: Option<&'a str>,
    /// The digest of the list of dependencies.
    dependencies_hash: &'a str,
    /// Version of NumPy.
    numpy_version: &'a str,
    /// Operating system and architecture.
    platform: &'a str,
    /// Version of polars.
    polars_version: &'a str,
    /// Version of Python.
    python_version: &'a str,
    /// Version of scikit-learn.
    #[schema(required)]
    sklearn_version: Option<&'a str>,
}

impl<'a> From<&'a Environment> for EnvironmentResponse<'a> {
    fn from(env: &'a Environment) -> Self {
        Self {
            created_by: &env.created_by,
            cvxpy_version: env.cvxpy_version.as_deref(),
            dependencies_hash: &env.dependencies_hash,
            numpy_version: &env.numpy_version,
            platform: &env.platform,
            polars_version: &env.polars_version,
            python_version: &env.python_version,
            sklearn_version: env.sklearn_version.as_deref(),
        }
    }
}

/// The versions of a type.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelListResponse<'a> {
    /// The versions on this page, in the requested order.
    models: Vec<ListedModelResponse<'a>>,
    /// How many versions match on all pages.
    total: u64,
}

/// What precedes the versions of a list that is written part by part, as [`ModelListResponse`].
pub const LIST_START: &str = "{\"models\":[";

/// What follows them, where this many versions match.
#[must_use]
pub fn list_end(total: u64) -> String {
    format!("],\"total\":{total}}}")
}

impl<'a> From<&'a ModelPage> for ModelListResponse<'a> {
    fn from(page: &'a ModelPage) -> Self {
        let models = page.models.iter().map(ListedModelResponse::from).collect();
        Self { models, total: page.total }
    }
}

/// The status changes of a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryResponse<'a> {
    /// The status changes, oldest first.
    transitions: Vec<TransitionResponse<'a>>,
}

/// One status change of a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransitionResponse<'a> {
    /// The status before; null for the registration.
    #[schema(required)]
    from_status: Option<Status>,
    /// The status after.
    to_status: Status,
    /// The time of the change.
    changed_at: Timestamp,
    /// The person who made the change.
    changed_by: &'a str,
    /// The authenticated caller who made the change, whatever name was given as `changed_by`; for an imported change,
    /// the caller who imported it. Null if it is not known.
    #[schema(required)]
    authenticated_as: Option<&'a str>,
    /// The reason, if one was given.
    #[schema(required)]
    reason: Option<&'a str>,
    /// Whether the promotion gates were skipped.
    gates_skipped: bool,
}

impl<'a> From<&'a [Transition]> for HistoryResponse<'a> {
    fn from(transitions: &'a [Transition]) -> Self {
        let transitions = transitions.iter().map(|link| TransitionResponse {
            from_status: link.from_status,
            to_status: link.to_status,
            changed_at: link.changed_at,
            changed_by: &link.changed_by,
            authenticated_as: link.authenticated_as.as_deref(),
            reason: link.reason.as_deref(),
            gates_skipped: link.gates_skipped,
        });
        Self { transitions: transitions.collect() }
    }
}

/// The result of a validation.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValidationResultResponse {
    /// Whether the files are intact and the artifact would load.
    valid: bool,
    /// The id of the version.
    model_id: ModelId,
    /// Whether the files have the recorded hashes.
    checksum_verified: bool,
    /// Whether the artifact could be read to its end as the loader of its format would.
    load_successful: bool,
    /// The errors that were found; empty if the version is valid.
    errors: Vec<String>,
    /// The format of the artifact's content. Null if the hashes were wrong, because then nothing was read.
    #[schema(required)]
    format: Option<String>,
    /// How much was checked: `parsed`, `typed` or `executed`. Null if nothing was read.
    #[schema(required)]
    depth: Option<String>,
    /// Remarks of the load check that do not change its result.
    notes: Vec<String>,
}

impl From<&Validated> for ValidationResultResponse {
    fn from(Validated { model_id, validation }: &Validated) -> Self {
        let load = validation.load.as_ref();
        Self {
            valid: validation.checksum_verified && validation.load_successful(),
            model_id: *model_id,
            checksum_verified: validation.checksum_verified,
            load_successful: validation.load_successful(),
            errors: validation.errors(),
            format: load.map(|load| load.format.to_string()),
            depth: load.map(|load| load.depth.to_string()),
            notes: load.map(|load| load.notes.clone()).unwrap_or_default(),
        }
    }
}

/// Whether the data sets at hand are those that a version was trained on.
#[derive(Debug, Serialize, ToSchema)]
pub struct CompatibilityResponse<'a> {
    /// The model type.
    model_type: &'a ModelType,
    /// The version number.
    version: Version,
    /// Whether the version may be used with these data sets.
    compatible: bool,
    /// The worst of all data sets: `exact`, `drift` or `missing`.
    level: &'static str,
    /// Whether drift makes the two incompatible; a missing data set always does.
    strict: bool,
    /// Each data set that the version was trained on.
    datasets: Vec<DatasetFitResponse<'a>>,
    /// One sentence for each data set that does not fit.
    warnings: Vec<String>,
}

/// Whether one data set fits.
#[derive(Debug, Serialize, ToSchema)]
pub struct DatasetFitResponse<'a> {
    /// The name of the data set.
    dataset: &'a str,
    /// The version that the model was trained on.
    trained_on: &'a str,
    /// The version at hand; null if none was named.
    #[schema(required)]
    at_hand: Option<&'a str>,
    /// `exact`, `drift` or `missing`.
    level: &'static str,
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Exact => "exact",
        Level::Drift => "drift",
        Level::Missing => "missing",
    }
}

impl<'a> CompatibilityResponse<'a> {
    /// The answer for a version.
    #[must_use]
    pub fn new(model_type: &'a ModelType, version: Version, found: &'a Compatibility) -> Self {
        let datasets = found.datasets.iter().map(|fit| DatasetFitResponse {
            dataset: &fit.dataset,
            trained_on: &fit.trained_on,
            at_hand: fit.at_hand.as_deref(),
            level: word(fit.level),
        });
        Self {
            model_type,
            version,
            compatible: found.compatible,
            level: word(found.level),
            strict: found.strict,
            datasets: datasets.collect(),
            warnings: found.warnings(),
        }
    }
}
