//! REST: parse, send a message, render. No SQL, no file, no clock and no environment here.

pub mod artifact;
pub mod chunks;
pub mod client;
pub mod closing;
pub mod conditional;
pub mod conduct;
pub mod connection;
pub mod docs;
pub mod errors;
pub mod exchange;
pub mod guard;
pub mod head;
pub mod lifecycle;
pub mod middleware;
pub mod models;
pub mod openapi;
pub mod paging;
pub mod path;
pub mod query;
pub mod routes;
pub mod scrape;
pub mod server;
pub mod service;
