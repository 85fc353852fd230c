//! A model registry.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
pub mod catalog;
pub mod domain;
pub mod limits;
