//! The registry through its front doors: the real binary, real HTTP on a real port, a real catalog.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    missing_docs,
    reason = "a test that cannot go on should say so and stop"
)]

mod support;

mod actors;
mod authorization;
mod catalog;
mod commands;
mod configuration;
mod crashes;
mod disk;
mod import;
mod integrity;
mod logging;
mod reads;
