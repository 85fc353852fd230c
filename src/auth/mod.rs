//! Authentication: tokens in, principals with scopes out. Knows nothing of HTTP.

pub mod algorithm;
pub mod claim_path;
pub mod claims;
pub mod jwk;
pub mod jwt;
pub mod key_set;
pub mod provider;
pub mod remembered;
pub mod rules;
pub mod static_tokens;
pub mod strict_json;
pub mod token_file;
pub mod verifier;

use crate::domain::Scope;

pub use provider::KeySource;
pub use static_tokens::StaticTokens;
pub use verifier::{IdentitySettings, TokenVerifier};

/// The caller that a valid token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The role, for the log: `read`, `legacy_read`, `admin` or `jwt`.
    pub role: &'static str,
    /// The token's subject, or the name of a configured token. As it was received: sanitise it before it is logged.
    pub subject: Option<String>,
    /// The program that the token was issued to, where the token names one. Sanitise it before it is logged.
    pub client_id: Option<String>,
    scopes: Vec<Scope>,
}

impl Principal {
    /// A caller with these scopes.
    #[must_use]
    pub fn new(role: &'static str, subject: Option<String>, scopes: Vec<Scope>) -> Self {
        Self { role, subject, client_id: None, scopes }
    }

    /// Whether one of the caller's scopes grants the required one.
    #[must_use]
    pub fn holds(&self, required: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.grants(required))
    }
}
