//! The bodies of requests that change the registry.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::described;
use crate::domain::{
    ArtifactFile, ModelType, Version, metadata::Environment, registration::Registration,
};

/// The environment that a model was trained in. What is left out is recorded as "unknown".
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentRequest {
    /// Version of Python.
    pub python_version: Option<String>,
    /// The digest of the list of dependencies.
    pub dependencies_hash: Option<String>,
    /// Operating system and architecture.
    pub platform: Option<String>,
    /// The person who trained the model. Without it, the one who registers.
    pub created_by: Option<String>,
    /// Version of NumPy.
    pub numpy_version: Option<String>,
    /// Version of polars.
    pub polars_version: Option<String>,
    /// Version of scikit-learn.
    pub sklearn_version: Option<String>,
    /// Version of CVXPY.
    pub cvxpy_version: Option<String>,
}

impl EnvironmentRequest {
    /// The environment, registered by this person from a machine with this platform.
    #[must_use]
    pub fn complete(self, created_by: &str, platform: &str) -> Environment {
        let unknown = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
        Environment {
            created_by: self.created_by.unwrap_or_else(|| created_by.to_owned()),
            cvxpy_version: self.cvxpy_version,
            dependencies_hash: unknown(self.dependencies_hash),
            numpy_version: unknown(self.numpy_version),
            platform: self.platform.unwrap_or_else(|| platform.to_owned()),
            polars_version: unknown(self.polars_version),
            python_version: unknown(self.python_version),
            sklearn_version: self.sklearn_version,
        }
    }
}

/// The part `metadata` of a registration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The version number. A number is used once.
    pub version: Version,
    /// The data snapshot that the model was trained on.
    pub snapshot_id: String,
    /// The versions of the data sets that the model was trained on, by data set. At least one.
    pub dataset_version_ids: BTreeMap<String, String>,
    /// The parameters, with those that the type requires.
    #[serde(default)]
    #[schema(schema_with = described::parameters)]
    pub parameters: Map<String, Value>,
    /// The metrics of its evaluation.
    #[serde(default)]
    #[schema(schema_with = described::metrics)]
    pub metrics: Map<String, Value>,
    /// The training configuration.
    #[serde(default)]
    #[schema(schema_with = described::config)]
    pub config: Map<String, Value>,
    /// The factors that the model uses.
    #[serde(default)]
    pub factor_list: Vec<String>,
    /// The formulas of the model's features.
    pub feature_formulas: Option<Vec<String>>,
    /// The environment that the model was trained in.
    #[serde(default)]
    pub env: EnvironmentRequest,
    /// The experiment that produced the model.
    pub experiment_id: Option<String>,
    /// The run that produced the model.
    pub run_id: Option<String>,
    /// The location of the data set.
    pub dataset_uri: Option<String>,
    /// The version of Qlib that trained the model.
    pub qlib_version: Option<String>,
    /// The expected SHA-256 of the artifact. 422 `CHECKSUM_MISMATCH` if the bytes that arrive have another.
    pub checksum_sha256: Option<String>,
    /// The person for whom it is registered, for the history, beside the caller as authenticated.
    pub user: Option<String>,
    /// The reason, for the history.
    pub reason: Option<String>,
}

impl RegisterRequest {
    /// The registration of this file for a type, by this person.
    #[must_use]
    pub fn into_registration(
        self,
        model_type: ModelType,
        artifact_file: ArtifactFile,
        created_by: &str,
    ) -> Registration {
        Registration {
            model_type,
            version: self.version,
            artifact_file,
            snapshot_id: self.snapshot_id,
            dataset_version_ids: self.dataset_version_ids,
            parameters: self.parameters,
            metrics: self.metrics,
            config: self.config,
            factor_list: self.factor_list,
            feature_formulas: self.feature_formulas,
            env: self.env.complete(created_by, "unknown"),
            experiment_id: self.experiment_id,
            run_id: self.run_id,
            dataset_uri: self.dataset_uri,
            qlib_version: self.qlib_version,
        }
    }
}

/// A promotion.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// Promote even if gates fail. Requires a reason.
    #[serde(default)]
    pub skip_gates: bool,
    /// The reason, for the history.
    pub reason: Option<String>,
    /// The person for whom it is promoted, for the history, beside the caller as authenticated.
    pub user: Option<String>,
}

/// A rollback.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The reason, for the history.
    pub reason: Option<String>,
    /// The person for whom it is rolled back, for the history, beside the caller as authenticated.
    pub user: Option<String>,
}

/// A version that must never be promoted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FailRequest {
    /// The reason, for the history.
    pub reason: String,
    /// The person who says so, for the history, beside the caller as authenticated.
    pub user: Option<String>,
}
