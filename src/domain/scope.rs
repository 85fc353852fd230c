//! `Scope`: what a caller may do.

use std::fmt;

/// A permission. Admin implies read and write; read and write do not imply each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Reads metadata, lists, history and artifacts.
    Read,
    /// Registers and validates.
    Write,
    /// Promotes, rolls back and marks failed.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The scope with exactly this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    /// The name of the scope in tokens and error messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "model:read",
            Self::Write => "model:write",
            Self::Admin => "model:admin",
        }
    }

    /// Whether this scope is enough for a route that requires `required`.
    #[must_use]
    pub fn grants(self, required: Self) -> bool {
        match required {
            Self::Read => matches!(self, Self::Read | Self::Admin),
            Self::Write => matches!(self, Self::Write | Self::Admin),
            Self::Admin => matches!(self, Self::Admin),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Scope::{Admin, Read, Write};

    #[test]
    fn admin_implies_the_others_and_nothing_implies_admin() {
        for required in [Read, Write, Admin] {
            assert!(Admin.grants(required));
        }
        assert!(!Write.grants(Admin) && !Read.grants(Admin));
        assert!(Read.grants(Read) && Write.grants(Write));
    }

    #[test]
    fn write_alone_does_not_read() {
        assert!(!Write.grants(Read));
        assert!(!Read.grants(Write));
    }
}
