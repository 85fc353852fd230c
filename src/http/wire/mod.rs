//! Connections and their bytes, beneath the framework.

pub mod bare_answer;
pub mod chunks;
pub mod connection;
pub mod head;
pub mod mailbox;
pub mod request_id;
pub mod socket_filter;
