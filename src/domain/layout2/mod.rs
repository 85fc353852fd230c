//! Layout 2.0.0 of a registry: a history chained by hash, and a manifest whose checksum is a digest over every row.
//! It is read only to check such a registry before its upgrade; it is never written.

pub mod chain;
pub mod digest;
