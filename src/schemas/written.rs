//! The bodies of answers to changes, over HTTP and with `--json`.

use serde::Serialize;
use serde_json::Number;
use utoipa::ToSchema;

use crate::{
    domain::{
        LoadCheck, ModelId, ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord,
        gates::GateOutcome,
    },
    registry::{promote::Promoted, promotion_check::PromotionCheck, rollback::RolledBack},
};

/// A version that was registered.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegisteredResponse {
    /// The id of the version, unique among all.
    model_id: ModelId,
    /// The model type.
    model_type: ModelType,
    /// The version number.
    version: Version,
    /// `staged`.
    status: Status,
    /// The folder of the version, relative to the registry.
    artifact_path: String,
    /// SHA-256 of the artifact.
    checksum_sha256: Sha256Digest,
    /// SHA-256 of `config` as compact JSON with sorted keys.
    config_hash: Sha256Digest,
    /// The time of registration.
    created_at: Timestamp,
    /// The load check of the artifact.
    #[schema(required)]
    check: Option<RegisteredCheckResponse>,
}

/// The load check of an artifact that was registered.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegisteredCheckResponse {
    /// `loadable`, `unloadable` or `unsafe`.
    verdict: &'static str,
    /// The format of the artifact's content.
    format: String,
    /// How much was checked: `parsed`, `typed` or `executed`.
    depth: String,
    /// The time of the check.
    checked_at: Timestamp,
    /// What was found; empty if the artifact is loadable.
    errors: Vec<String>,
}

impl From<&LoadCheck> for RegisteredCheckResponse {
    fn from(check: &LoadCheck) -> Self {
        Self {
            verdict: check.verdict.as_str(),
            format: check.format.clone(),
            depth: check.depth.clone(),
            checked_at: check.checked_at,
            errors: check.errors.clone(),
        }
    }
}

impl From<&VersionRecord> for RegisteredResponse {
    fn from(record: &VersionRecord) -> Self {
        Self {
            model_id: record.model_id,
            model_type: record.model_type.clone(),
            version: record.version,
            status: record.status,
            artifact_path: record.artifact_path(),
            checksum_sha256: record.checksum_sha256,
            config_hash: record.config_hash,
            created_at: record.created_at,
            check: record.check.as_deref().map(RegisteredCheckResponse::from),
        }
    }
}

/// The result of a version at one promotion gate.
#[derive(Debug, Serialize, ToSchema)]
pub struct GateResponse {
    /// The metric's name.
    metric: String,
    /// The metric's value; null if it is missing, which counts as 0.
    #[schema(required, value_type = Option<f64>)]
    value: Option<Number>,
    /// The least value that passes.
    threshold: f64,
    /// Whether it passed.
    passed: bool,
}

impl From<&GateOutcome> for GateResponse {
    fn from(outcome: &GateOutcome) -> Self {
        Self {
            metric: outcome.metric.clone(),
            value: outcome.value.clone(),
            threshold: outcome.threshold,
            passed: outcome.passed,
        }
    }
}

fn gates(outcomes: &[GateOutcome]) -> Vec<GateResponse> {
    outcomes.iter().map(GateResponse::from).collect()
}

/// A version that was put into production.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromotionResponse {
    /// The model type.
    model_type: ModelType,
    /// The version that is now in production.
    version: Version,
    /// The version that was in production before, now archived.
    #[schema(required)]
    archived_version: Option<Version>,
    /// The time of the promotion.
    promoted_at: Timestamp,
    /// The result at each gate, also where the gates were skipped.
    gates: Vec<GateResponse>,
    /// Whether the gates were skipped.
    gates_skipped: bool,
}

impl From<&Promoted> for PromotionResponse {
    fn from(promoted: &Promoted) -> Self {
        Self {
            model_type: promoted.model_type.clone(),
            version: promoted.version,
            archived_version: promoted.archived,
            promoted_at: promoted.promoted_at,
            gates: gates(&promoted.gates),
            gates_skipped: promoted.gates_skipped,
        }
    }
}

/// What a promotion would do now.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromotionCheckResponse {
    /// The model type.
    model_type: ModelType,
    /// The version.
    version: Version,
    /// Its status.
    status: Status,
    /// Whether a promotion would succeed without skipping the gates.
    would_succeed: bool,
    /// The version in production that would be archived.
    #[schema(required)]
    would_archive: Option<Version>,
    /// The result at each gate.
    gates: Vec<GateResponse>,
    /// Whether the files have the recorded hashes.
    checksum_verified: bool,
    /// Whether the artifact would load.
    load_successful: bool,
    /// Every reason against the promotion; empty if it would succeed.
    errors: Vec<String>,
}

impl From<&PromotionCheck> for PromotionCheckResponse {
    fn from(check: &PromotionCheck) -> Self {
        Self {
            model_type: check.record.model_type.clone(),
            version: check.record.version,
            status: check.record.status,
            would_succeed: check.errors.is_empty(),
            would_archive: check.would_archive,
            gates: gates(&check.gates),
            checksum_verified: check.checksum_verified,
            load_successful: check.load_successful,
            errors: check.errors.clone(),
        }
    }
}

/// A rollback.
#[derive(Debug, Serialize, ToSchema)]
pub struct RollbackResponse {
    /// The model type.
    model_type: ModelType,
    /// The version that was in production before, now staged.
    from_version: Version,
    /// The version that is in production again.
    to_version: Version,
    /// The time of the rollback.
    rolled_back_at: Timestamp,
    /// The rollback in words.
    message: String,
}

impl From<&RolledBack> for RollbackResponse {
    fn from(done: &RolledBack) -> Self {
        Self {
            model_type: done.model_type.clone(),
            from_version: done.from_version,
            to_version: done.to_version,
            rolled_back_at: done.rolled_back_at,
            message: done.message.clone(),
        }
    }
}

/// A version that was marked failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedResponse {
    /// The id of the version.
    model_id: ModelId,
    /// The model type.
    model_type: ModelType,
    /// The version number.
    version: Version,
    /// `failed`.
    status: Status,
}

impl From<&VersionRecord> for FailedResponse {
    fn from(record: &VersionRecord) -> Self {
        Self {
            model_id: record.model_id,
            model_type: record.model_type.clone(),
            version: record.version,
            status: record.status,
        }
    }
}
