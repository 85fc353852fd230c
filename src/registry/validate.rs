//! Validating: whether a version is intact and its artifact would load.

use super::Registry;
use crate::{
    actors::validator::{ValidateArtifact, Validation},
    domain::{ModelId, ModelType, Version, VersionRecord},
    error::{ErrorKind, RegistryError},
    fault::{self, Point},
    limits,
    progress::{CancelOnDrop, Progress},
};

/// A version that is intact and whose artifact would load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// The version's identifier.
    pub model_id: ModelId,
    /// The result of the checks.
    pub validation: Validation,
}

impl Registry {
    /// Hashes the files of a version and reads its artifact as its loader would.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `CHECKSUM_MISMATCH` or `VALIDATION_FAILED` with every error found.
    pub async fn validate(
        &self,
        model_type: &ModelType,
        version: Version,
        progress: Progress,
    ) -> Result<Validated, RegistryError> {
        let record = self.record_of(model_type, version).await?;
        let model_id = record.model_id;
        let validation = self.examine(record, progress).await?;
        require_loadable(&validation)?;
        Ok(Validated { model_id, validation })
    }

    /// Runs the checks and returns their result. Failed checks are not an error.
    pub(super) async fn examine(
        &self,
        record: VersionRecord,
        progress: Progress,
    ) -> Result<Validation, RegistryError> {
        let cancel = CancelOnDrop::default();
        fault::pause(Point::RegistryValidate).await;
        let ask = ValidateArtifact { record, cancelled: cancel.flag(), progress };
        self.validator.ask_within(limits::LONG_WORK_TIMEOUT, ask).await
    }
}

/// Refuses a version that is not intact.
pub(super) fn require_intact(validation: &Validation) -> Result<(), RegistryError> {
    if validation.checksum_verified {
        return Ok(());
    }
    Err(RegistryError::new(ErrorKind::ChecksumMismatch, validation.errors().join("; ")))
}

/// Refuses a version that is not intact or would not load.
pub(super) fn require_loadable(validation: &Validation) -> Result<(), RegistryError> {
    require_intact(validation)?;
    if validation.load_successful() {
        return Ok(());
    }
    Err(RegistryError::new(ErrorKind::ValidationFailed, validation.errors().join("; ")))
}
