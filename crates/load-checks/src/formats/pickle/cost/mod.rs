//! What loading a pickle costs besides reading it: hashing, comparing, copying, expanding and freeing values.

pub(crate) mod copying;
pub(crate) mod hashing;
pub(crate) mod keys;
pub(crate) mod nesting;
pub(crate) mod spans;
