//! Layout 2.0.0 of a registry: a history chained by hash, and a manifest whose checksum is a digest over every row.
//! Read to hold such a registry against itself before it is upgraded; never written.

pub mod chain;
pub mod digest;
