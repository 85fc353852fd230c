//! What access tokens must be, and what comes of checking one.

use std::sync::Arc;

use jsonwebtoken::Algorithm;

use super::{Principal, claim_path::ClaimPath};
use crate::policy::PolicyInForce;

/// What every token must be.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must contain.
    pub audience: String,
    /// The algorithms that are believed.
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the scopes; `None` for `scope`, else `scp`.
    pub scope_claim: Option<ClaimPath>,
    /// By how many seconds the provider's clock may differ from ours.
    pub leeway: u64,
    /// Whether a token with the claim `at_hash`, which marks ID tokens, can be an access token.
    pub accept_at_hash: bool,
    /// The scopes that the provider's roles grant.
    pub policy: PolicyInForce,
}

/// A valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The principal that it stands for.
    pub principal: Arc<Principal>,
    /// The second at which it expires, leeway included.
    pub until: u64,
}

/// Why a token is refused, for the log.
pub type Refusal = &'static str;
