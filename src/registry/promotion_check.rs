//! What a promotion would do now, without doing it.

use super::{Registry, named, promote::require_approvals, register::require_format, require_files};
use crate::{
    actors::db::FindProduction,
    domain::{
        ModelType, Version, VersionRecord,
        gates::{self, GateOutcome},
        status::Action,
    },
    error::RegistryError,
    progress::unwatched,
};

/// The outcome of everything that a promotion checks.
#[derive(Debug, Clone)]
pub struct PromotionCheck {
    /// The version.
    pub record: VersionRecord,
    /// The version in production, which a promotion would archive.
    pub would_archive: Option<Version>,
    /// The outcome of each gate.
    pub gates: Vec<GateOutcome>,
    /// Whether the files have the recorded hashes.
    pub checksum_verified: bool,
    /// Whether the artifact would load.
    pub load_successful: bool,
    /// Every reason against the promotion.
    pub errors: Vec<String>,
}

impl Registry {
    /// Checks all that a promotion checks, and goes on after a failure.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `CHECKSUM_MISMATCH` where the metadata that the gates need is damaged.
    pub async fn check_promotion(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<PromotionCheck, RegistryError> {
        let record = self.record_of(model_type, version).await?;
        require_files(&record)?;
        let rules = self.rules_of(model_type)?;
        let mut errors = Vec::new();
        if let Err(rule) = record.status.after(Action::Promote) {
            errors.push(named(rule.into(), model_type, version).detail().to_owned());
        }
        let validation = self.examine(record.clone(), unwatched()).await?;
        errors.extend(validation.errors());
        let model = self.with_metadata(record.clone()).await?;
        let gates = gates::evaluate(&rules.gates, &model.metadata.metrics);
        errors.extend(gates.iter().filter(|gate| !gate.passed).map(GateOutcome::describe));
        if let Err(refusal) = require_approvals(&rules, model_type, version) {
            errors.push(refusal.detail().to_owned());
        }
        let format = validation.load.as_ref().map(|report| report.format.to_string());
        if let Some(Err(refusal)) =
            format.map(|format| require_format(&format, &rules, model_type, version))
        {
            errors.push(refusal.detail().to_owned());
        }
        let production = self.db.ask(FindProduction { model_type: model_type.clone() }).await?;
        let would_archive = production.map(|production| production.version);
        Ok(PromotionCheck {
            would_archive: would_archive.filter(|production| *production != version),
            record,
            gates,
            checksum_verified: validation.checksum_verified,
            load_successful: validation.load_successful(),
            errors,
        })
    }
}
