//! What a client registers, and the rules it must meet before anything is written.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    ArtifactFile, Metadata, ModelId, ModelType, Sha256Digest, Timestamp, Version, canonical_json,
    json_text, metadata::Environment, policy::TypeRules, text::check_short_text,
};

/// The most data sets that a version may name.
const MAX_DATASETS: usize = 1000;

/// The largest sidecar, in bytes: 4 MiB.
pub const MAX_SIDECAR_BYTES: usize = 4 << 20;

/// The description of a version that a client registers.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// The model type.
    pub model_type: ModelType,
    /// The version number.
    pub version: Version,
    /// The name under which the model file is stored.
    pub artifact_file: ArtifactFile,
    /// The data snapshot that it was trained on.
    pub snapshot_id: String,
    /// The versions of the data sets that it was trained on, by data set.
    pub dataset_version_ids: BTreeMap<String, String>,
    /// Its hyper-parameters.
    pub parameters: Map<String, Value>,
    /// The metrics of its evaluation.
    pub metrics: Map<String, Value>,
    /// The training configuration.
    pub config: Map<String, Value>,
    /// The factors that it uses.
    pub factor_list: Vec<String>,
    /// The formulas of its features.
    pub feature_formulas: Option<Vec<String>>,
    /// The training environment, and who trained it.
    pub env: Environment,
    /// The experiment that it came from.
    pub experiment_id: Option<String>,
    /// The run that it came from.
    pub run_id: Option<String>,
    /// The location of its data set.
    pub dataset_uri: Option<String>,
    /// The version of Qlib that trained it.
    pub qlib_version: Option<String>,
}

/// Why a registration is refused. Every message names the field and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRegistration {
    /// Parameters that the type requires are missing.
    #[error("parameters has no {}; {model_type} requires {}", missing.join(", "), required.join(", "))]
    MissingRequiredFields {
        /// The model type.
        model_type: ModelType,
        /// The missing parameters.
        missing: Vec<String>,
        /// All parameters that the type requires.
        required: Vec<String>,
    },
    /// There are no data set versions, or one lacks its name or number.
    #[error("dataset_version_ids {0}")]
    DatasetVersion(String),
    /// There is no usable snapshot.
    #[error("snapshot_id {0}")]
    Snapshot(String),
    /// Another field breaks a rule.
    #[error("{0}")]
    Field(String),
}

impl Registration {
    /// Checks every field against the rules of the model type.
    ///
    /// # Errors
    /// [`InvalidRegistration`] for the first broken rule.
    pub fn check(&self, rules: &TypeRules) -> Result<(), InvalidRegistration> {
        self.check_datasets().map_err(InvalidRegistration::DatasetVersion)?;
        check_short_text(&self.snapshot_id).map_err(InvalidRegistration::Snapshot)?;
        let missing: Vec<String> = rules
            .required_parameters
            .iter()
            .filter(|name| self.parameters.get(*name).is_none_or(Value::is_null))
            .cloned()
            .collect();
        if !missing.is_empty() {
            return Err(InvalidRegistration::MissingRequiredFields {
                model_type: self.model_type.clone(),
                missing,
                required: rules.required_parameters.clone(),
            });
        }
        self.check_texts()?;
        self.check_metrics()?;
        for (field, object) in
            [("parameters", &self.parameters), ("config", &self.config), ("metrics", &self.metrics)]
        {
            check_tree(field, object)?;
        }
        Ok(())
    }

    fn check_datasets(&self) -> Result<(), String> {
        if self.dataset_version_ids.is_empty() {
            return Err(
                "is empty; name the version of each data set, for example {\"crsp\":\"v1.2.3\"}"
                    .into(),
            );
        }
        if self.dataset_version_ids.len() > MAX_DATASETS {
            return Err(format!("names more than {MAX_DATASETS} data sets"));
        }
        self.dataset_version_ids.iter().try_for_each(|(name, version)| {
            check_short_text(name).map_err(|what| format!("holds a name that {what}"))?;
            check_short_text(version).map_err(|what| format!("\"{name}\" {what}"))
        })
    }

    fn check_texts(&self) -> Result<(), InvalidRegistration> {
        let env = &self.env;
        let optional = [
            ("experiment_id", &self.experiment_id),
            ("run_id", &self.run_id),
            ("dataset_uri", &self.dataset_uri),
            ("qlib_version", &self.qlib_version),
            ("env.cvxpy_version", &env.cvxpy_version),
            ("env.sklearn_version", &env.sklearn_version),
        ];
        let required = [
            ("env.created_by", &env.created_by),
            ("env.dependencies_hash", &env.dependencies_hash),
            ("env.numpy_version", &env.numpy_version),
            ("env.platform", &env.platform),
            ("env.polars_version", &env.polars_version),
            ("env.python_version", &env.python_version),
        ];
        let lists = self.factor_list.iter().map(|factor| ("factor_list", factor)).chain(
            self.feature_formulas.iter().flatten().map(|formula| ("feature_formulas", formula)),
        );
        optional
            .into_iter()
            .filter_map(|(field, text)| text.as_ref().map(|text| (field, text)))
            .chain(required)
            .chain(lists)
            .try_for_each(|(field, text)| {
                check_short_text(text)
                    .map_err(|what| InvalidRegistration::Field(format!("{field} {what}")))
            })
    }

    fn check_metrics(&self) -> Result<(), InvalidRegistration> {
        match self.metrics.iter().find(|(_, value)| !value.is_number()) {
            None => Ok(()),
            Some((name, value)) => Err(InvalidRegistration::Field(format!(
                "metrics.{name} is {value}; a metric is a number"
            ))),
        }
    }

    /// The SHA-256 of the canonical config.
    ///
    /// # Errors
    /// [`InvalidRegistration::Field`] for a number that no double can hold.
    pub fn config_hash(&self) -> Result<Sha256Digest, InvalidRegistration> {
        canonical_json::digest(&Value::Object(self.config.clone()))
            .map_err(|error| InvalidRegistration::Field(format!("config: {error}")))
    }

    /// The record to write to disk, once the artifact's digest is known.
    ///
    /// # Errors
    /// [`InvalidRegistration::Field`] for a number that no double can hold.
    pub fn into_metadata(
        self,
        model_id: ModelId,
        checksum_sha256: Sha256Digest,
        created_at: Timestamp,
    ) -> Result<Metadata, InvalidRegistration> {
        Ok(Metadata {
            config_hash: self.config_hash()?,
            checksum_sha256,
            config: self.config,
            created_at,
            dataset_uri: self.dataset_uri,
            dataset_version_ids: self.dataset_version_ids,
            env: self.env,
            experiment_id: self.experiment_id,
            factor_list: self.factor_list,
            feature_formulas: self.feature_formulas,
            metrics: self.metrics,
            model_id,
            model_type: self.model_type,
            parameters: self.parameters,
            qlib_version: self.qlib_version,
            run_id: self.run_id,
            snapshot_id: self.snapshot_id,
            version: self.version,
        })
    }
}

/// Refuses values that could not be read back: nested too deep, with a member name that the JSON library reserves,
/// numbers that would become infinity, and NUL, which PostgreSQL text cannot hold.
fn check_tree(field: &str, object: &Map<String, Value>) -> Result<(), InvalidRegistration> {
    let value = Value::Object(object.clone());
    json_text::check_value(&value, json_text::MAX_NESTING)
        .map_err(|what| InvalidRegistration::Field(format!("{field} {what}")))?;
    let text = canonical_json::to_string(&value)
        .map_err(|error| InvalidRegistration::Field(format!("{field}: {error}")))?;
    if text.contains("\\u0000") {
        return Err(InvalidRegistration::Field(format!(
            "{field} holds a NUL character; remove it"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Policy, metadata::tests::SIDECAR};

    fn registration() -> Registration {
        let metadata = Metadata::parse(SIDECAR.as_bytes()).expect("sidecar");
        Registration {
            model_type: metadata.model_type,
            version: metadata.version,
            artifact_file: ArtifactFile::for_extension(Some("pkl")).expect("name"),
            snapshot_id: metadata.snapshot_id,
            dataset_version_ids: metadata.dataset_version_ids,
            parameters: metadata.parameters,
            metrics: metadata.metrics,
            config: metadata.config,
            factor_list: metadata.factor_list,
            feature_formulas: metadata.feature_formulas,
            env: metadata.env,
            experiment_id: metadata.experiment_id,
            run_id: metadata.run_id,
            dataset_uri: metadata.dataset_uri,
            qlib_version: metadata.qlib_version,
        }
    }

    fn refusal(change: impl FnOnce(&mut Registration)) -> InvalidRegistration {
        let mut registration = registration();
        change(&mut registration);
        let policy = Policy::default();
        let rules = policy.rules(&registration.model_type).expect("known");
        registration.check(rules).expect_err("refused")
    }

    #[test]
    fn registering_what_the_python_service_registered_gives_its_sidecar() {
        let registration = registration();
        let policy = Policy::default();
        let rules = policy.rules(&registration.model_type).expect("known");
        assert_eq!(registration.check(rules), Ok(()));
        let original = Metadata::parse(SIDECAR.as_bytes()).expect("sidecar");
        let metadata = registration
            .into_metadata(original.model_id, original.checksum_sha256, original.created_at)
            .expect("metadata");
        assert_eq!(metadata, original);
    }

    #[test]
    fn each_refusal_is_of_its_own_kind_and_names_the_field() {
        use InvalidRegistration::{DatasetVersion, Field, MissingRequiredFields, Snapshot};
        assert!(matches!(refusal(|r| r.dataset_version_ids.clear()), DatasetVersion(_)));
        assert!(matches!(
            refusal(|r| { r.dataset_version_ids.insert("crsp".into(), String::new()); }),
            DatasetVersion(what) if what.contains("crsp")
        ));
        assert!(matches!(refusal(|r| r.snapshot_id = " ".into()), Snapshot(_)));
        assert!(matches!(
            refusal(|r| { r.parameters.remove("halflife_days"); }),
            MissingRequiredFields { missing, .. } if missing == ["halflife_days"]
        ));
        for (change, named) in [
            ((|r| r.env.created_by = "a\0".into()) as fn(&mut Registration), "env.created_by"),
            (|r| r.run_id = Some(String::new()), "run_id"),
            (|r| r.factor_list.push(String::new()), "factor_list"),
            (
                |r| {
                    r.metrics.insert("ic".into(), Value::Bool(true));
                },
                "metrics.ic",
            ),
            (
                |r| {
                    r.config.insert("x".into(), serde_json::from_str("1e999").expect("number"));
                },
                "config",
            ),
            (
                |r| {
                    r.config.insert("x".into(), Value::String("\0".into()));
                },
                "config",
            ),
        ] {
            assert!(matches!(refusal(change), Field(what) if what.contains(named)), "{named}");
        }
    }
}
