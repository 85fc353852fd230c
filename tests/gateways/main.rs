//! Behind real gateways: nginx and haproxy with the configurations that are shipped in `deploy/`.

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
#[allow(dead_code, reason = "the other targets' tests use the rest")]
#[path = "../registry/support.rs"]
mod support;

mod gateway;

mod restart;
mod rules;
mod streaming;
mod watching;
