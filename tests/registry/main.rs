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
mod answers;
mod api_page;
mod authorization;
mod backups;
mod catalog;
mod clock;
mod collecting;
mod commands;
mod compatibility;
mod configuration;
mod crashes;
mod disk;
mod docs;
mod embedded;
mod extension;
mod full_disk;
mod gateways;
mod harness;
mod http_requests;
mod import;
mod integrity;
mod leftovers;
mod lifecycle;
mod limits;
mod log;
mod logging;
mod long_lists;
mod metrics;
mod model;
mod openapi;
mod paging;
mod policy_file;
mod raw;
mod readers;
mod reads;
mod restores;
mod runbook;
mod sandbox;
mod staleness;
mod tampering;
mod timeline;
mod timeouts;
mod tls;
mod token_files;
mod told;
mod upgrade;
mod validation;
mod verdicts;
mod writing;
