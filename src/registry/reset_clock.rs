//! The way out after a change under a clock that was ahead: the times of the log follow the clock again.
//!
//! Times in the log never run backwards, so that one wrong clock would give its time to all later changes for years. This
//! operation is the one exception. It is an entry of the log itself, with both times, the author and the reason, so that
//! nobody can use it unseen. The order of the log does not change: it, and not the times, decides what a rollback
//! returns to and what the audit expects.

use super::{
    Registry,
    change::{Request, Wanted},
};
use crate::{
    catalog::{Author, CatalogChange},
    domain::Timestamp,
    error::{ErrorKind, RegistryError},
    limits,
};

/// What a reset did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReset {
    /// The time of the last change.
    pub from: Timestamp,
    /// The time of the clock, which the reset and the changes after it have.
    pub to: Timestamp,
}

impl Registry {
    /// Lets the times of the log follow this machine's clock, which is behind the last change.
    ///
    /// # Errors
    /// `INVALID_REQUEST` where the clock is not behind the last change, where the reset is not confirmed, or for the
    /// reason; `REGISTRY_LOCKED`, `REGISTRY_UNAVAILABLE`.
    pub async fn reset_clock(
        &self,
        author: &Author,
        reason: &str,
        confirmed: bool,
    ) -> Result<ClockReset, RegistryError> {
        let request = Request::new(author, Some(reason))?;
        let mut change = self.begin_change().await?;
        let from = change.follow_clock()?;
        let to = change.now();
        let refused = |detail| RegistryError::new(ErrorKind::InvalidRequest, detail);
        let refusal = if from.unix_seconds() - to.unix_seconds() <= limits::CLOCK_TOLERANCE_SECONDS
        {
            Some(refused(format!(
                "nothing to reset: this machine's clock says {to}, and the last change was not later"
            )))
        } else if !confirmed {
            Some(refused(format!(
                "not confirmed: the last change has the time {from}, and changes would have times from {to} on; if this \
                 machine's clock is right, repeat the command with --yes"
            )))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            change.give_up().await;
            return Err(refusal);
        }
        change
            .commit(Wanted {
                change: CatalogChange::ResetClock,
                files: None,
                removal: None,
                request,
            })
            .await?;
        tracing::warn!(%from, %to, "the times of the log follow this machine's clock again");
        Ok(ClockReset { from, to })
    }
}
