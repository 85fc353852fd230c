//! The log: an append-only Merkle tree (RFC 6962, section 2.1) over everything that was ever done to the registry.

pub mod entry;
pub mod tree;

pub use entry::{Action, Draft, Entry, Subject, state_sha256};
pub use tree::RightEdge;
