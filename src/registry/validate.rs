//! Validating: is this version intact, and would it load?

use super::Registry;
use crate::{
    actors::validator::{ValidateArtifact, Validation},
    domain::{ModelId, ModelType, Version, VersionRecord},
    error::{ErrorKind, RegistryError},
    fault::{self, Point},
    limits,
    progress::{CancelOnDrop, Progress},
};

/// A version that is intact and would load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// Which.
    pub model_id: ModelId,
    /// What was found.
    pub validation: Validation,
}

impl Registry {
    /// Hashes a version's files and reads its artifact as its loader would.
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

    /// Runs the checks and reports, whatever they find.
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

/// Passes what is intact.
pub(super) fn require_intact(validation: &Validation) -> Result<(), RegistryError> {
    if validation.checksum_verified {
        return Ok(());
    }
    Err(RegistryError::new(ErrorKind::ChecksumMismatch, validation.errors().join("; ")))
}

/// Passes what is intact and would load.
pub(super) fn require_loadable(validation: &Validation) -> Result<(), RegistryError> {
    require_intact(validation)?;
    if validation.load_successful() {
        return Ok(());
    }
    Err(RegistryError::new(ErrorKind::ValidationFailed, validation.errors().join("; ")))
}
