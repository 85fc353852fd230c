//! The log: an append-only Merkle tree (RFC 6962, section 2.1) over every change of the registry; its proofs (RFC
//! 9162, section 2.1); and the C2SP formats for clients: checkpoints, signed notes and tiles.

pub mod checkpoint;
pub mod entry;
pub mod evidence;
pub mod growth;
pub mod note;
pub mod proof;
pub mod published;
pub mod publisher;
pub mod tile;
pub mod tree;

pub use entry::{Action, Draft, Entry, Subject, state_sha256};
pub use tree::RightEdge;
