//! REST: parse, send a message, render. No SQL, no file, no clock and no environment here.

pub mod artifact;
pub mod client;
pub mod conditional;
pub mod errors;
pub mod guard;
pub mod lifecycle;
pub mod middleware;
pub mod models;
pub mod path;
pub mod query;
pub mod routes;
pub mod scrape;
pub mod server;
pub mod service;
