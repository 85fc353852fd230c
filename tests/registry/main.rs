//! The registry through its front doors: the real binary, real HTTP on a real port, a real catalog.

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
mod postgres;
#[expect(dead_code, reason = "the suite over PostgreSQL uses more of it")]
mod support;

mod actors;
mod authorization;
mod catalog;
mod commands;
mod configuration;
mod crashes;
mod disk;
mod embedded;
mod gateways;
mod harness;
mod import;
mod integrity;
mod lifecycle;
mod logging;
mod metrics;
mod model;
mod reads;
mod tls;
