//! Validating: whether a version is intact and its artifact would load.

use super::{Registry, require_files};
use crate::{
    actors::{
        db::KeepCheck,
        validator::{self, ValidateArtifact, Validation},
    },
    clock,
    domain::{LoadCheck, ModelId, ModelType, Version, VersionRecord},
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
        require_files(&record)?;
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
        let model_id = record.model_id;
        let ask = ValidateArtifact { record, cancelled: cancel.flag(), progress };
        let validation = self.validator.ask_within(limits::LONG_WORK_TIMEOUT, ask).await?;
        if let Some(report) = &validation.load {
            self.keep_check(model_id, validator::kept(report, clock::now()?)).await;
        }
        Ok(validation)
    }

    /// Keeps the result of a load check in the catalog. A result that cannot be kept is still an answer.
    async fn keep_check(&self, model_id: ModelId, check: LoadCheck) {
        let kept = async {
            if !self.takes_changes().await? {
                return Ok(false);
            }
            self.db.ask(KeepCheck { model_id, check }).await
        };
        match kept.await {
            Ok(true) => {}
            Ok(false) => {
                tracing::debug!(%model_id, "the verdict is not kept: this process only reads")
            }
            Err(error) => {
                let error: RegistryError = error;
                tracing::warn!(%model_id, %error, "the verdict of a load check could not be kept");
            }
        }
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
