//! Who is asking: tokens in, principals with scopes out. Knows nothing of HTTP.

pub mod identity;
pub mod jwt;
pub mod key_set;
pub mod provider;
pub mod remembered;
pub mod static_tokens;
pub mod strict_json;

use crate::domain::Scope;

pub use identity::{Identity, IdentitySettings};
pub use provider::KeySource;
pub use static_tokens::StaticTokens;

/// A caller whose token was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// How it is called in the log: `read`, `legacy_read`, `admin` or `jwt`.
    pub role: &'static str,
    /// The subject, where the token names one, as it stands there: not fit for a log.
    pub subject: Option<String>,
    /// The program that the token was issued to, where it names one; not fit for a log either.
    pub client_id: Option<String>,
    scopes: Vec<Scope>,
}

impl Principal {
    /// A caller with these scopes.
    #[must_use]
    pub fn new(role: &'static str, subject: Option<String>, scopes: Vec<Scope>) -> Self {
        Self { role, subject, client_id: None, scopes }
    }

    /// Whether the caller may do what wants this scope.
    #[must_use]
    pub fn holds(&self, required: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.grants(required))
    }
}
