//! Promoting: gates, then intact and loadable, then one transaction.

use super::{Registry, change, named, validate::require_loadable};
use crate::{
    actors::db::PromoteVersion,
    clock,
    domain::{
        ModelType, Timestamp, Version,
        gates::{self, GateOutcome},
        status::Action,
    },
    error::{ErrorKind, RegistryError},
    progress::unwatched,
};

/// What is to be promoted, and by whom.
#[derive(Debug, Clone)]
pub struct Promote {
    /// Of this type.
    pub model_type: ModelType,
    /// This version.
    pub version: Version,
    /// Who asks.
    pub user: String,
    /// Why.
    pub reason: Option<String>,
    /// Promote whatever the gates say.
    pub skip_gates: bool,
}

/// A promotion that took place.
#[derive(Debug, Clone)]
pub struct Promoted {
    /// Of this type.
    pub model_type: ModelType,
    /// The version now in production.
    pub version: Version,
    /// The version that it archived.
    pub archived: Option<Version>,
    /// When.
    pub promoted_at: Timestamp,
    /// How the version fared at each gate; also where they were skipped.
    pub gates: Vec<GateOutcome>,
    /// Whether they were skipped.
    pub gates_skipped: bool,
}

impl Registry {
    /// Puts a version into production and archives the one there.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `INVALID_TRANSITION`; `PROMOTION_GATE_FAILED` with every gate's value and
    /// threshold; `CHECKSUM_MISMATCH`; `VALIDATION_FAILED`. Each leaves everything as it was.
    pub async fn promote(&self, ask: Promote) -> Result<Promoted, RegistryError> {
        let (model_type, version) = (&ask.model_type, ask.version);
        let mut change = change(&ask.user, ask.reason.as_deref())?;
        let record = self.record_of(model_type, version).await?;
        record
            .status
            .after(Action::Promote)
            .map_err(|rule| named(rule.into(), model_type, version))?;
        // What was hashed is what is promoted: a version's files and row never change, and the status is
        // looked at again inside the transaction.
        let validation = self.examine(record.clone(), unwatched()).await?;
        super::validate::require_intact(&validation)?;
        let model = self.find(model_type, version).await?;
        let rules = self.rules(model_type).map(|rules| rules.gates.as_slice());
        let outcomes = gates::evaluate(rules.unwrap_or_default(), &model.metadata.metrics);
        if !ask.skip_gates {
            require_gates(&outcomes)?;
        }
        require_loadable(&validation)?;

        let lock = self.lock_for_change().await?;
        change.at = clock::now()?;
        crate::fault::point("promote.locked");
        let promote = PromoteVersion {
            lock: lock.clone(),
            model_type: model_type.clone(),
            version,
            change: change.clone(),
            gates_skipped: ask.skip_gates,
        };
        let (done, state) =
            self.db.ask(promote).await.map_err(|error| named(error, model_type, version))?;
        self.record(state, change.at).await;
        // Not before: the manifest has one writer at a time.
        drop(lock);
        tracing::info!(
            %model_type, %version, model_id = %done.entered.model_id, user = ask.user,
            gates_skipped = ask.skip_gates, "promoted"
        );
        Ok(Promoted {
            model_type: ask.model_type,
            version,
            archived: done.left.map(|left| left.version),
            promoted_at: done.entered.promoted_at.unwrap_or(change.at),
            gates: outcomes,
            gates_skipped: ask.skip_gates,
        })
    }
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
