//! Who is asking: tokens in, principals with scopes out. Knows nothing of HTTP.

pub mod static_tokens;

use crate::domain::Scope;

pub use static_tokens::StaticTokens;

/// A caller whose token was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// How it is called in the log: `read`, `legacy_read` or `admin`.
    pub role: &'static str,
    /// The subject, where the token names one.
    pub subject: Option<String>,
    scopes: Vec<Scope>,
}

impl Principal {
    /// A caller with these scopes.
    #[must_use]
    pub fn new(role: &'static str, subject: Option<String>, scopes: Vec<Scope>) -> Self {
        Self { role, subject, scopes }
    }

    /// Whether the caller may do what wants this scope.
    #[must_use]
    pub fn holds(&self, required: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.grants(required))
    }
}
