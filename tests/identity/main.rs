//! Access tokens, through the real binary and from a real, certified OpenID provider; and forged ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    missing_docs,
    reason = "a test that cannot go on should say so and stop"
)]

/// Where the catalog is.
pub const ON_POSTGRES: bool = false;

#[expect(dead_code, reason = "the suite over PostgreSQL uses it")]
#[path = "../registry/postgres.rs"]
mod postgres;
#[allow(dead_code, reason = "the other target's tests use the rest")]
#[path = "../registry/support.rs"]
mod support;

mod forge;
mod provider;

mod fetching;
mod guards;
mod hostile;
mod keys;
mod logging;
mod matrix;
mod outages;
mod rotation;
mod scopes;
mod standards;
mod tls;
