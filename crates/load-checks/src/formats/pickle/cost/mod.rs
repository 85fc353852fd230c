//! What loading a pickle takes beyond reading it: hashing, comparing, copying, laying out and freeing.

pub(crate) mod copying;
pub(crate) mod hashing;
pub(crate) mod keys;
pub(crate) mod nesting;
pub(crate) mod spans;
