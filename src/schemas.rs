//! The bodies of answers, over HTTP and with `--json`, field by field as clients of the Python service know
//! them. Absent optional values are `null`, not left out. The comments on the fields are what the OpenAPI
//! document says of them.

mod described;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    domain::{
        ModelId, ModelType, Sha256Digest, Status, Timestamp, Version, history::Transition,
        metadata::Environment,
    },
    registry::{
        read::{Model, ModelPage},
        ready::ComponentState,
        validate::Validated,
    },
};

/// `GET /`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceResponse {
    /// "Model Registry API".
    pub service: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Where the documentation is.
    pub docs: &'static str,
    /// Where the health check is.
    pub health: &'static str,
    /// Where the models are.
    pub api: &'static str,
}

/// `GET /health`.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthResponse {
    /// "healthy".
    pub status: &'static str,
    /// "model_registry".
    pub service: &'static str,
    /// The present.
    pub timestamp: Timestamp,
}

/// `GET /ready`, ready or not.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadyResponse {
    /// "ready" or "not ready".
    pub status: &'static str,
    /// Each component: the catalog, the manifest, the validator and, where there is an identity provider, its
    /// keys.
    pub components: Vec<ComponentResponse>,
    /// What is not ready; absent where all is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// `REGISTRY_UNAVAILABLE`; absent where all is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub code: Option<&'static str>,
}

/// How one component is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComponentResponse {
    /// Its name.
    name: &'static str,
    /// Whether it does its work.
    ready: bool,
    /// A line that an operator can act on.
    detail: &'static str,
}

impl From<ComponentState> for ComponentResponse {
    fn from(ComponentState { name, ready, detail }: ComponentState) -> Self {
        Self { name, ready, detail }
    }
}

/// `GET /{model_type}/current`.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrentModelResponse<'a> {
    /// The type asked for.
    model_type: &'a ModelType,
    /// The production version's number.
    version: Version,
    /// SHA-256 of the artifact.
    checksum: Sha256Digest,
    /// Versions of the data sets it was trained on, by data set.
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

/// `GET /{model_type}/{version}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelMetadataResponse<'a> {
    /// Given at registration, and never again to another version.
    model_id: ModelId,
    /// The type it is a version of.
    model_type: &'a ModelType,
    /// Its number.
    version: Version,
    /// Where it stands in its life.
    status: Status,
    /// Its folder, relative to the registry: ends in `artifacts/<model_type>/<version>`.
    artifact_path: String,
    /// SHA-256 of the artifact.
    checksum_sha256: Sha256Digest,
    /// Versions of the data sets it was trained on, by data set.
    dataset_version_ids: &'a BTreeMap<String, String>,
    /// The data snapshot it was trained on.
    snapshot_id: &'a str,
    /// Factors it uses.
    factor_list: &'a [String],
    #[schema(schema_with = described::parameters)]
    parameters: &'a Map<String, Value>,
    #[schema(schema_with = described::metrics)]
    metrics: &'a Map<String, Value>,
    #[schema(schema_with = described::config)]
    config: &'a Map<String, Value>,
    /// SHA-256 of `config` as compact JSON with sorted keys.
    config_hash: Sha256Digest,
    /// Formulas of its features.
    #[schema(required)]
    feature_formulas: Option<&'a [String]>,
    /// Where and by whom it was trained.
    env: EnvironmentResponse<'a>,
    /// The experiment it came from.
    #[schema(required)]
    experiment_id: Option<&'a str>,
    /// The run it came from.
    #[schema(required)]
    run_id: Option<&'a str>,
    /// Where its data set is.
    #[schema(required)]
    dataset_uri: Option<&'a str>,
    /// The version of Qlib that trained it.
    #[schema(required)]
    qlib_version: Option<&'a str>,
    /// When it was registered.
    created_at: Timestamp,
    /// When it last came into production.
    #[schema(required)]
    promoted_at: Option<Timestamp>,
}

impl<'a> From<&'a Model> for ModelMetadataResponse<'a> {
    fn from(Model { record, metadata }: &'a Model) -> Self {
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
        }
    }
}

/// Where and by whom a version was trained.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EnvironmentMetadataResponse)]
pub struct EnvironmentResponse<'a> {
    /// Who registered it.
    created_by: &'a str,
    /// Version of CVXPY.
    #[schema(required)]
    cvxpy_version: Option<&'a str>,
    /// Digest of the trainer's dependency list.
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

/// `GET /{model_type}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelListResponse<'a> {
    /// The page, newest first.
    models: Vec<ModelMetadataResponse<'a>>,
    /// How many match in all, on this page or not.
    total: u64,
}

impl<'a> From<&'a ModelPage> for ModelListResponse<'a> {
    fn from(page: &'a ModelPage) -> Self {
        let models = page.models.iter().map(ModelMetadataResponse::from).collect();
        Self { models, total: page.total }
    }
}

/// `GET /{model_type}/{version}/history`.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryResponse<'a> {
    /// Oldest first.
    transitions: Vec<TransitionResponse<'a>>,
}

/// One step of a version's life.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransitionResponse<'a> {
    /// The status before; null for the registration.
    #[schema(required)]
    from_status: Option<Status>,
    /// The status after.
    to_status: Status,
    /// When.
    changed_at: Timestamp,
    /// Who.
    changed_by: &'a str,
    /// Why, where it was said.
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
            reason: link.reason.as_deref(),
            gates_skipped: link.gates_skipped,
        });
        Self { transitions: transitions.collect() }
    }
}

/// `POST /{model_type}/{version}/validate`, of a version that is valid.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValidationResultResponse {
    /// Whether it is intact and would load.
    valid: bool,
    /// The version examined.
    model_id: ModelId,
    /// Whether the files' hashes are the recorded ones.
    checksum_verified: bool,
    /// Whether the artifact was read to its end as its format's own loader would.
    load_successful: bool,
    /// What was found; empty where it is valid.
    errors: Vec<String>,
}

impl From<&Validated> for ValidationResultResponse {
    fn from(Validated { model_id, validation }: &Validated) -> Self {
        Self {
            valid: validation.checksum_verified && validation.load_successful(),
            model_id: *model_id,
            checksum_verified: validation.checksum_verified,
            load_successful: validation.load_successful(),
            errors: validation.errors(),
        }
    }
}
