//! Checking whether the data sets at hand are those that a version was trained on.

use std::collections::BTreeMap;

use super::Registry;
use crate::{
    domain::{ModelType, Version, compatibility::Compatibility},
    error::RegistryError,
};

impl Registry {
    /// Compares the data sets that a version was trained on with those at hand, by name and version. The catalog knows
    /// the former, so no file is read.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`. Data sets that do not fit are an answer, not an error.
    pub async fn check_compatibility(
        &self,
        model_type: &ModelType,
        version: Version,
        at_hand: &BTreeMap<String, String>,
    ) -> Result<Compatibility, RegistryError> {
        let record = self.record_of(model_type, version).await?;
        Ok(Compatibility::of(&record.dataset_version_ids, at_hand, self.strict_versions))
    }
}
