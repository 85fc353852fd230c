//! What a pickle may do with the classes and functions that it names: which it may name, with what it may call them,
//! what state and which items it may give to what it makes.
//!
//! The rules are the same for all libraries. What they ask of one library is in [`super::libraries`].

pub(crate) mod arguments;
pub(crate) mod attributes;
pub(crate) mod calls;
pub(crate) mod filling;
pub(crate) mod grants;
pub(crate) mod never_trusted;
pub(crate) mod states;
