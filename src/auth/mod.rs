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
    /// The identity provider that issued the token; `None` for a configured token.
    pub issuer: Option<String>,
    scopes: Vec<Scope>,
}

impl Principal {
    /// A caller with these scopes.
    #[must_use]
    pub fn new(role: &'static str, subject: Option<String>, scopes: Vec<Scope>) -> Self {
        Self { role, subject, client_id: None, issuer: None, scopes }
    }

    /// The name of the caller: the token's subject or name; for a token without one, the program that it was issued to, or
    /// its role.
    #[must_use]
    pub fn name(&self) -> &str {
        self.subject.as_deref().or(self.client_id.as_deref()).unwrap_or(self.role)
    }

    /// Who the caller is to the registry's history: the name, with the issuer that vouches for it.
    #[must_use]
    pub fn identity(&self) -> String {
        match &self.issuer {
            Some(issuer) => format!("{} ({issuer})", self.name()),
            None => format!("{} (token)", self.name()),
        }
    }

    /// Whether one of the caller's scopes grants the required one.
    #[must_use]
    pub fn holds(&self, required: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.grants(required))
    }
}
