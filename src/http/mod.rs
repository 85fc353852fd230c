//! The HTTP service. Each room may use those above it in this table, and none below:
//!
//! | Room | What it holds |
//! |---|---|
//! | [`errors`] | the body of every error |
//! | [`wire`] | connections, beneath the framework |
//! | [`edge`] | what happens to each request around its handler: client, admission, guard, log line, end |
//! | [`v1`] | the handlers of `/api/v1` and of the service itself |
//! | [`docs`] | the documentation page |
//! | [`openapi`] | the OpenAPI document |
//! | [`route`] | one row of the route table |
//! | [`routes`] | the route table |
//! | [`server`] | puts them together |
//!
//! A handler parses, calls an operation of the registry and renders. It holds no SQL, file, clock or environment.

pub mod docs;
pub mod edge;
pub mod errors;
pub mod openapi;
pub mod route;
pub mod routes;
pub mod server;
pub mod v1;
pub mod wire;
