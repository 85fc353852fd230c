//! The registry through its front doors, its catalog in PostgreSQL: the same suite as over SQLite, and what
//! only a shared database makes possible.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    missing_docs,
    reason = "a test that cannot go on should say so and stop"
)]

/// Where the catalog is.
pub const ON_POSTGRES: bool = true;

#[path = "../registry/postgres.rs"]
mod postgres;
#[path = "../registry/support.rs"]
#[expect(dead_code, reason = "the suite over SQLite uses more of it")]
mod support;

#[path = "../registry/actors.rs"]
mod actors;
#[path = "../registry/answers.rs"]
mod answers;
#[path = "../registry/authorization.rs"]
mod authorization;
#[path = "../registry/backups.rs"]
mod backups;
#[path = "../registry/catalog.rs"]
mod catalog;
#[path = "../registry/clock.rs"]
mod clock;
#[path = "../registry/collecting.rs"]
mod collecting;
#[path = "../registry/commands.rs"]
mod commands;
#[path = "../registry/crashes.rs"]
mod crashes;
#[path = "../registry/extension.rs"]
mod extension;
#[path = "../registry/full_disk.rs"]
mod full_disk;
#[path = "../registry/harness.rs"]
mod harness;
#[path = "../registry/import.rs"]
mod import;
#[path = "../registry/integrity.rs"]
mod integrity;
#[path = "../registry/leftovers.rs"]
mod leftovers;
#[path = "../registry/lifecycle.rs"]
mod lifecycle;
#[path = "../registry/log.rs"]
mod log;
#[path = "../registry/logging.rs"]
mod logging;
#[path = "../registry/long_lists.rs"]
mod long_lists;
#[path = "../registry/model.rs"]
mod model;
mod moving;
mod no_connections;
mod outages;
#[path = "../registry/paging.rs"]
mod paging;
mod pooler;
#[path = "../registry/readers.rs"]
mod readers;
mod reading;
#[path = "../registry/reads.rs"]
mod reads;
mod replicas;
#[path = "../registry/restores.rs"]
mod restores;
#[path = "../registry/staleness.rs"]
mod staleness;
#[path = "../registry/tampering.rs"]
mod tampering;
#[path = "../registry/timeline.rs"]
mod timeline;
#[path = "../registry/timeouts.rs"]
mod timeouts;
#[path = "../registry/told.rs"]
mod told;
mod transport;
mod unnoticed;
#[path = "../registry/upgrade.rs"]
mod upgrade;
#[path = "../registry/verdicts.rs"]
mod verdicts;
#[path = "../registry/writing.rs"]
mod writing;
