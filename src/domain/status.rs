//! `Status`, and the one table of which transition is allowed.

use std::fmt;

use super::serde_as_text;

/// Where a version stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Registered, or taken back from production by a rollback.
    Staged,
    /// The one version of its type that services use.
    Production,
    /// Was in production until another was promoted.
    Archived,
    /// Must never be promoted.
    Failed,
}

/// The text is not a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a status must be staged, production, archived or failed")]
pub struct InvalidStatus;

/// What an operator asks to be done with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Put into production.
    Promote,
    /// Give way in production to the version promoted.
    Archive,
    /// Return to production from the archive.
    Restore,
    /// Give way in production to the version restored.
    Demote,
    /// Bar from production for ever.
    Fail,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 5] =
        [Self::Promote, Self::Archive, Self::Restore, Self::Demote, Self::Fail];
}

/// The action is not allowed from the status the version is in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransition {
    /// Promoting what is in production.
    #[error("it is already in production")]
    AlreadyInProduction,
    /// Promoting or failing what has failed.
    #[error("it is marked failed, which nothing takes back; register a new version")]
    Failed,
    /// Failing what services use.
    #[error("it is in production; promote another version or roll back first")]
    FailingProduction,
    /// A step of promotion or rollback that does not start where it must.
    #[error("a version that is {0} cannot take this step")]
    WrongStart(Status),
}

impl Status {
    /// Every status, in the order of a version's life.
    pub const ALL: [Self; 4] = [Self::Staged, Self::Production, Self::Archived, Self::Failed];

    /// Reads a status.
    ///
    /// # Errors
    /// [`InvalidStatus`] where it is none of the four words.
    pub fn parse(text: &str) -> Result<Self, InvalidStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(InvalidStatus)
    }

    /// The status as the API and the catalog spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Production => "production",
            Self::Archived => "archived",
            Self::Failed => "failed",
        }
    }

    /// Whether some action leads from here to there.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        Action::ALL.into_iter().any(|action| self.after(action) == Ok(to))
    }

    /// Where an action leads from here.
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
