//! The bodies of answers, over HTTP and with `--json`, field by field as clients of the Python service know
//! them. Absent optional values are `null`, not left out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

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
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
pub struct HealthResponse {
    /// "healthy".
    pub status: &'static str,
    /// "model_registry".
    pub service: &'static str,
    /// The present.
    pub timestamp: Timestamp,
}

/// `GET /ready`, ready or not.
#[derive(Debug, Serialize)]
pub struct ReadyResponse {
    /// "ready" or "not ready".
    pub status: &'static str,
    /// Each component.
    pub components: Vec<ComponentState>,
    /// What is not ready; absent where all is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// `REGISTRY_UNAVAILABLE`; absent where all is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

/// `GET /{model_type}/current`.
#[derive(Debug, Serialize)]
pub struct CurrentModelResponse<'a> {
    model_type: &'a ModelType,
    version: Version,
    checksum: Sha256Digest,
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
#[derive(Debug, Serialize)]
pub struct ModelMetadataResponse<'a> {
    model_id: ModelId,
    model_type: &'a ModelType,
    version: Version,
    status: Status,
    artifact_path: String,
    checksum_sha256: Sha256Digest,
    dataset_version_ids: &'a BTreeMap<String, String>,
    snapshot_id: &'a str,
    factor_list: &'a [String],
    parameters: &'a Map<String, Value>,
    metrics: &'a Map<String, Value>,
    config: &'a Map<String, Value>,
    config_hash: Sha256Digest,
    feature_formulas: Option<&'a [String]>,
    env: &'a Environment,
    experiment_id: Option<&'a str>,
    run_id: Option<&'a str>,
    dataset_uri: Option<&'a str>,
    qlib_version: Option<&'a str>,
    created_at: Timestamp,
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
            env: &metadata.env,
            experiment_id: metadata.experiment_id.as_deref(),
            run_id: metadata.run_id.as_deref(),
            dataset_uri: metadata.dataset_uri.as_deref(),
            qlib_version: metadata.qlib_version.as_deref(),
            created_at: metadata.created_at,
            promoted_at: record.promoted_at,
        }
    }
}

/// `GET /{model_type}`.
#[derive(Debug, Serialize)]
pub struct ModelListResponse<'a> {
    models: Vec<ModelMetadataResponse<'a>>,
    total: u64,
}

impl<'a> From<&'a ModelPage> for ModelListResponse<'a> {
    fn from(page: &'a ModelPage) -> Self {
        let models = page.models.iter().map(ModelMetadataResponse::from).collect();
        Self { models, total: page.total }
    }
}

/// `GET /{model_type}/{version}/history`.
#[derive(Debug, Serialize)]
pub struct HistoryResponse<'a> {
    transitions: Vec<TransitionResponse<'a>>,
}

/// One step of a version's life.
#[derive(Debug, Serialize)]
pub struct TransitionResponse<'a> {
    from_status: Option<Status>,
    to_status: Status,
    changed_at: Timestamp,
    changed_by: &'a str,
    reason: Option<&'a str>,
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
#[derive(Debug, Serialize)]
pub struct ValidationResultResponse {
    valid: bool,
    model_id: ModelId,
    checksum_verified: bool,
    load_successful: bool,
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
