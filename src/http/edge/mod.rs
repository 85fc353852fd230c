//! What happens to each request around its handler.

pub mod admission;
pub mod client;
pub mod context;
pub mod guard;
pub mod lifecycle;
pub mod middleware;
pub mod request_log;
pub mod routing;
pub mod rules;
pub mod scrape;
pub mod service;
