pub(crate) mod copying;
pub(crate) mod hashing;
pub(crate) mod spans;
