//! Promoting a version: checks of the files, the gates and the load result, then one transaction.

use super::{
    Registry,
    change::{Request, Wanted},
    named,
    register::require_format,
    require_files,
    validate::{require_intact, require_loadable},
};
use crate::{
    catalog::{Author, CatalogChange},
    domain::{
        ModelType, Timestamp, Version,
        gates::{self, GateOutcome},
        policy::TypeRules,
        status::Action,
    },
    error::{ErrorKind, RegistryError},
    progress::unwatched,
};

/// A request to promote a version.
#[derive(Debug, Clone)]
pub struct Promote {
    /// The model type.
    pub model_type: ModelType,
    /// The version to promote.
    pub version: Version,
    /// The author of the change.
    pub author: Author,
    /// The reason for the change.
    pub reason: Option<String>,
    /// Whether to promote even if gates fail.
    pub skip_gates: bool,
}

/// A completed promotion.
#[derive(Debug, Clone)]
pub struct Promoted {
    /// The model type.
    pub model_type: ModelType,
    /// The version that is now in production.
    pub version: Version,
    /// The previous production version, now archived.
    pub archived: Option<Version>,
    /// The time of the promotion.
    pub promoted_at: Timestamp,
    /// The outcome of each gate, also where the gates were skipped.
    pub gates: Vec<GateOutcome>,
    /// Whether the gates were skipped.
    pub gates_skipped: bool,
}

impl Registry {
    /// Puts a version into production and archives the previous production version.
    ///
    /// # Errors
    /// `INVALID_REQUEST` where gates are skipped without a reason; `MODEL_NOT_FOUND`; `INVALID_TRANSITION`;
    /// `PROMOTION_GATE_FAILED` with every gate's value and threshold, or where approvals are missing;
    /// `CHECKSUM_MISMATCH`; `VALIDATION_FAILED`; `VERSION_COLLECTED`.
    /// Each leaves the registry unchanged.
    pub async fn promote(&self, ask: Promote) -> Result<Promoted, RegistryError> {
        let (model_type, version) = (&ask.model_type, ask.version);
        let request = Request::new(&ask.author, ask.reason.as_deref())?;
        if ask.skip_gates && ask.reason.is_none() {
            return Err(RegistryError::new(
                ErrorKind::InvalidRequest,
                "reason is missing; a promotion that skips its gates (skip_gates) needs one, for the history",
            ));
        }
        let record = self.record_of(model_type, version).await?;
        require_files(&record)?;
        let rules = self.rules_of(model_type)?;
        record
            .status
            .after(Action::Promote)
            .map_err(|rule| named(rule.into(), model_type, version))?;
        // The checks hold until the commit: a version's files and recorded hashes never change, and the transaction
        // checks the status again.
        let validation = self.examine(record.clone(), unwatched()).await?;
        require_intact(&validation)?;
        let model = self.with_metadata(record).await?;
        let outcomes = gates::evaluate(&rules.gates, &model.metadata.metrics);
        if !ask.skip_gates {
            require_gates(&outcomes)?;
        }
        require_approvals(&rules, model_type, version)?;
        require_loadable(&validation)?;
        if let Some(report) = &validation.load {
            require_format(&report.format.to_string(), &rules, model_type, version)?;
        }

        let promote = CatalogChange::Promote {
            model_type: model_type.clone(),
            version,
            gates_skipped: ask.skip_gates,
        };
        let change = self.begin_change().await?;
        let now = change.now();
        let applied = change
            .commit(Wanted::row(promote, request))
            .await
            .map_err(|error| named(error, model_type, version))?;
        Ok(Promoted {
            model_type: ask.model_type,
            version,
            archived: applied.displaced.map(|displaced| displaced.version),
            promoted_at: applied.record.and_then(|record| record.promoted_at).unwrap_or(now),
            gates: outcomes,
            gates_skipped: ask.skip_gates,
        })
    }
}

/// Refuses a version of a type whose promotions need approvals. This version of the program records none, so a policy
/// that asks for them keeps its versions out of production.
pub(super) fn require_approvals(
    rules: &TypeRules,
    model_type: &ModelType,
    version: Version,
) -> Result<(), RegistryError> {
    if rules.approvals == 0 {
        return Ok(());
    }
    Err(RegistryError::new(
        ErrorKind::PromotionGateFailed,
        format!(
            "{model_type}/{version} has 0 of the {} approvals that the policy asks for, and this version of the \
             program cannot record approvals; set approvals = 0 for [types.{model_type}] in the policy file",
            rules.approvals
        ),
    ))
}

fn require_gates(outcomes: &[GateOutcome]) -> Result<(), RegistryError> {
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    if failed == 0 {
        return Ok(());
    }
    let all: Vec<_> = outcomes.iter().map(GateOutcome::describe).collect();
    Err(RegistryError::new(
        ErrorKind::PromotionGateFailed,
        format!("{failed} of {} promotion gates failed: {}", outcomes.len(), all.join("; ")),
    ))
}
