//! The handlers of `/api/v1` and of the service itself, and how they read a request and write an answer.

pub mod artifact;
pub mod conditional;
pub mod log;
pub mod models;
pub mod paging;
pub mod parameters;
pub mod path;
pub mod query;
pub mod service;
pub mod streamed;
pub mod timeline;
pub mod upload;
pub mod viewed;
pub mod writes;
