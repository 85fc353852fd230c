//! `Status`, and the table of the allowed transitions.

use std::fmt;

use super::serde_as_text;

/// The status of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Registered, or removed from production by a rollback.
    Staged,
    /// The version of its type in production; there is at most one.
    Production,
    /// Was in production until another was promoted.
    Archived,
    /// Barred from production for ever.
    Failed,
}

/// The text is not a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a status must be staged, production, archived or failed")]
pub struct InvalidStatus;

/// The action that changes a version's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Enter production by promotion.
    Promote,
    /// Leave production because another version is promoted.
    Archive,
    /// Return from the archive to production by a rollback.
    Restore,
    /// Leave production because another version is restored.
    Demote,
    /// Be barred from production for ever.
    Fail,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 5] =
        [Self::Promote, Self::Archive, Self::Restore, Self::Demote, Self::Fail];
}

/// The action is not allowed from the version's status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransition {
    /// The version is already in production.
    #[error("it is already in production")]
    AlreadyInProduction,
    /// The version has failed.
    #[error("it is marked failed, which cannot be undone; register a new version")]
    Failed,
    /// A version in production cannot be marked failed.
    #[error("it is in production; promote another version or roll back first")]
    FailingProduction,
    /// The files of a version in production are never removed.
    #[error("it is in production, so its files stay; promote another version or roll back first")]
    RemovingProduction,
    /// The status is not the one from which this step of a promotion or rollback starts.
    #[error("a version that is {0} cannot take this step")]
    WrongStart(Status),
}

impl Status {
    /// Every status, in the usual order.
    pub const ALL: [Self; 4] = [Self::Staged, Self::Production, Self::Archived, Self::Failed];

    /// Parses a status.
    ///
    /// # Errors
    /// [`InvalidStatus`] where the text is not one of the four words.
    pub fn parse(text: &str) -> Result<Self, InvalidStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(InvalidStatus)
    }

    /// The status as the API and the catalog write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Production => "production",
            Self::Archived => "archived",
            Self::Failed => "failed",
        }
    }

    /// Whether any action leads from this status to `to`.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        Action::ALL.into_iter().any(|action| self.after(action) == Ok(to))
    }

    /// The status after an action.
    ///
    /// # Errors
    /// [`InvalidTransition`] where the rules do not allow it.
    pub fn after(self, action: Action) -> Result<Self, InvalidTransition> {
        match (action, self) {
            (Action::Promote, Self::Staged | Self::Archived)
            | (Action::Restore, Self::Archived) => Ok(Self::Production),
            (Action::Archive, Self::Production) => Ok(Self::Archived),
            (Action::Demote, Self::Production) => Ok(Self::Staged),
            (Action::Fail, Self::Staged | Self::Archived) => Ok(Self::Failed),
            (Action::Promote, Self::Production) => Err(InvalidTransition::AlreadyInProduction),
            (Action::Promote | Action::Fail, Self::Failed) => Err(InvalidTransition::Failed),
            (Action::Fail, Self::Production) => Err(InvalidTransition::FailingProduction),
            (Action::Archive | Action::Restore | Action::Demote, from) => {
                Err(InvalidTransition::WrongStart(from))
            }
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

serde_as_text!(Status);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_transitions_are_allowed() {
        use Action::{Archive, Demote, Fail, Promote, Restore};
        use Status::{Archived, Failed, Production, Staged};
        let allowed = [
            (Staged, Promote, Production),
            (Archived, Promote, Production),
            (Production, Archive, Archived),
            (Archived, Restore, Production),
            (Production, Demote, Staged),
            (Staged, Fail, Failed),
            (Archived, Fail, Failed),
        ];
        for from in Status::ALL {
            for action in [Promote, Archive, Restore, Demote, Fail] {
                let expected = allowed
                    .iter()
                    .find(|(start, act, _)| (*start, *act) == (from, action))
                    .map(|(_, _, to)| *to);
                assert_eq!(from.after(action).ok(), expected, "{from} {action:?}");
            }
        }
    }

    #[test]
    fn nothing_leaves_failed() {
        for action in
            [Action::Promote, Action::Archive, Action::Restore, Action::Demote, Action::Fail]
        {
            assert!(Status::Failed.after(action).is_err());
        }
    }
}
