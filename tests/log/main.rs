//! The log held against an implementation that is not ours: Go's own transparency log
//! (`golang.org/x/mod/sumdb`), from Debian's packages `golang-go` and `golang-golang-x-mod-dev`.
//! Where they are not installed these tests print NOT RUN; `.ci/run` installs them.

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

mod claims;
mod independent;
mod notes;
mod registry;
mod tiles;
mod trees;
