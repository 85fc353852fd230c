//! `Metadata`: the permanent record of a version, stored in its sidecar `metadata.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ModelId, ModelType, Sha256Digest, Timestamp, Version, VersionRecord};

/// Everything about a version except its status. The fields have the sidecar's order, which is alphabetical.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// SHA-256 of the model file.
    pub checksum_sha256: Sha256Digest,
    /// The training configuration.
    pub config: Map<String, Value>,
    /// SHA-256 of `config` as [`super::canonical_json`] writes it.
    pub config_hash: Sha256Digest,
    /// The time of registration.
    pub created_at: Timestamp,
    /// The location of its data set.
    pub dataset_uri: Option<String>,
    /// The versions of the data sets that it was trained on, by data set.
    pub dataset_version_ids: BTreeMap<String, String>,
    /// The training environment, and who registered it.
    pub env: Environment,
    /// The experiment that it came from.
    pub experiment_id: Option<String>,
    /// The factors that it uses.
    pub factor_list: Vec<String>,
    /// The formulas of its features.
    pub feature_formulas: Option<Vec<String>>,
    /// The metrics of its evaluation.
    pub metrics: Map<String, Value>,
    /// The model id, assigned at registration.
    pub model_id: ModelId,
    /// The model type.
    pub model_type: ModelType,
    /// Its hyper-parameters.
    pub parameters: Map<String, Value>,
    /// The version of Qlib that trained it.
    pub qlib_version: Option<String>,
    /// The run that it came from.
    pub run_id: Option<String>,
    /// The data snapshot that it was trained on.
    pub snapshot_id: String,
    /// The version number.
    pub version: Version,
}

/// The training environment of a version, and who registered it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Who registered it.
    pub created_by: String,
    /// Version of CVXPY.
    pub cvxpy_version: Option<String>,
    /// Digest of the trainer's dependency list.
    pub dependencies_hash: String,
    /// Version of NumPy.
    pub numpy_version: String,
    /// Operating system and architecture.
    pub platform: String,
    /// Version of polars.
    pub polars_version: String,
    /// Version of Python.
    pub python_version: String,
    /// Version of scikit-learn.
    pub sklearn_version: Option<String>,
}

/// A sidecar is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    /// The document is not a sidecar; the message names the field.
    #[error("metadata.json: {0}")]
    Document(String),
    /// The field disagrees with the catalog.
    #[error("metadata.json: {0} differs from the catalog")]
    Differs(&'static str),
}

impl Metadata {
    /// Parses a sidecar.
    ///
    /// # Errors
    /// [`InvalidMetadata::Document`], naming the field.
    pub fn parse(sidecar: &[u8]) -> Result<Self, InvalidMetadata> {
        let metadata: Self = serde_json::from_slice(sidecar)
            .map_err(|error| InvalidMetadata::Document(error.to_string()))?;
        match metadata.metrics.iter().find(|(_, value)| !value.is_number()) {
            None => Ok(metadata),
            Some((name, _)) => {
                Err(InvalidMetadata::Document(format!("metrics.{name} is not a number")))
            }
        }
    }

    /// Writes the sidecar: sorted keys, two spaces of indentation.
    ///
    /// # Errors
    /// None for a value that [`Metadata::parse`] or a registration made.
    pub fn to_sidecar(&self) -> Result<Vec<u8>, serde_json::Error> {
        // Writing through a `Value` sorts the keys at every level.
        serde_json::to_vec_pretty(&serde_json::to_value(self)?)
    }

    /// Checks that the sidecar and the catalog describe the same version.
    ///
    /// # Errors
    /// [`InvalidMetadata::Differs`], which names the first field that differs.
    pub fn agrees_with(&self, record: &VersionRecord) -> Result<(), InvalidMetadata> {
        let checks = [
            ("model_id", self.model_id == record.model_id),
            ("model_type", self.model_type == record.model_type),
            ("version", self.version == record.version),
            ("checksum_sha256", self.checksum_sha256 == record.checksum_sha256),
            ("config_hash", self.config_hash == record.config_hash),
            ("snapshot_id", self.snapshot_id == record.snapshot_id),
            ("dataset_version_ids", self.dataset_version_ids == record.dataset_version_ids),
            ("created_at", self.created_at == record.created_at),
        ];
        match checks.into_iter().find(|(_, agrees)| !agrees) {
            None => Ok(()),
            Some((field, _)) => Err(InvalidMetadata::Differs(field)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) const SIDECAR: &str = include_str!(
        "../../tests/fixtures/legacy-registry/artifacts/risk_model/v1.1.0/metadata.json"
    );

    #[test]
    fn a_sidecar_of_the_python_service_is_written_back_byte_for_byte() {
        let metadata = Metadata::parse(SIDECAR.as_bytes()).expect("sidecar");
        let written = metadata.to_sidecar().expect("sidecar");
        assert_eq!(String::from_utf8(written).as_deref(), Ok(SIDECAR));
    }

    #[test]
    fn a_missing_field_is_named() {
        let error = Metadata::parse(b"{}").expect_err("empty").to_string();
        assert!(error.contains("checksum_sha256"), "{error}");
        let text = SIDECAR.replace("\"ic\": 0.04", "\"ic\": \"0.04\"");
        let error = Metadata::parse(text.as_bytes()).expect_err("text metric").to_string();
        assert!(error.contains("metrics.ic"), "{error}");
    }

    proptest! {
        #[test]
        fn numbers_keep_their_kind(
            number in prop_oneof![
                any::<i64>().prop_map(|n| n.to_string()),
                any::<u64>().prop_map(|n| n.to_string()),
                (-1e15_f64..1e15).prop_map(|n| format!("{n:?}")),
                Just("48.0".to_owned()), Just("123456789012345678901234567890".to_owned()),
            ],
        ) {
            let text = SIDECAR.replace("48.0", &number);
            let metadata = Metadata::parse(text.as_bytes()).expect("sidecar");
            let written = String::from_utf8(metadata.to_sidecar().expect("sidecar")).expect("UTF-8");
            prop_assert_eq!(written, text);
        }
    }
}
