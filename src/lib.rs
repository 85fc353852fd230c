//! A model registry for services that trade on what models say: which version is in production, is it
//! intact, would it load. It answers at once, only to those who may ask, and never runs a model's code.
//!
//! | Room | What it is for | Imports, of ours |
//! |---|---|---|
//! | [`domain`] | the rules, as values and pure functions | nothing |
//! | [`catalog`], [`artifacts`], [`auth`] | what the database knows, what the disk knows, who asks | `domain` |
//! | [`actors`] | typed messages over those | those four, and `load_checks` |
//! | [`registry`] | the operations, the same for REST and command line | `actors`, `artifacts`, `catalog`, `domain` |
//! | [`schemas`] | the bodies of answers | `registry`, `domain` |
//! | [`http`], [`cli`] | REST, command line | `registry`, `schemas`, `domain` |
//! | [`startup`] | puts the parts together | all |
//!
//! [`error`] (the one table of codes and statuses), [`limits`] (every capacity and timeout), [`clock`],
//! [`config`] (which reads [`auth`]'s settings), [`progress`], [`telemetry`], [`metrics`], [`tls`], [`file_stamp`] and [`fault`] serve all but `domain`. `tests/architecture.rs` holds to this.

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
pub mod progress;
pub mod registry;
pub mod schemas;
pub mod startup;
pub mod telemetry;
pub mod tls;
