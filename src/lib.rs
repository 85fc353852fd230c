//! A model registry for trading services: it says which version is in production, whether it is intact, and whether
//! it would load. It answers at once and only to authorised clients, and never runs a model's code.
//!
//! | Module | Purpose | Imports from this crate |
//! |---|---|---|
//! | [`domain`] | the rules, as values and pure functions | nothing |
//! | [`catalog`], [`artifacts`], [`auth`] | the database, the files, the identity of callers | `domain` |
//! | [`actors`] | typed messages over these | those four, and `load_checks` |
//! | [`registry`] | the operations, the same for REST and command line | `actors`, `artifacts`, `catalog`, `domain` |
//! | [`schemas`] | the bodies of answers | `registry`, `domain` |
//! | [`http`], [`cli`] | REST, command line | `registry`, `schemas`, `domain` |
//! | [`startup`] | puts the parts together | all |
//!
//! [`error`] (the table of codes and statuses), [`limits`] (every capacity and timeout), [`clock`], [`config`] (which
//! reads [`auth`]'s settings), [`policy`] (the policy in force), [`progress`], [`telemetry`], [`metrics`], [`tls`], [`file_stamp`] and [`fault`] are
//! for all modules except `domain`. `tests/architecture.rs` checks these rules.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::allow_attributes,
        reason = "a test that cannot go on should say so and stop"
    )
)]

pub mod actors;
pub mod artifacts;
pub mod auth;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod error;
pub mod fault;
pub mod file_stamp;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod policy;
pub mod progress;
pub mod registry;
pub mod schemas;
pub mod startup;
pub mod telemetry;
pub mod tls;
