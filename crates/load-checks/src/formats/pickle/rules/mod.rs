pub(crate) mod arguments;
pub(crate) mod attributes;
pub(crate) mod calls;
pub(crate) mod filling;
pub(crate) mod grants;
pub(crate) mod never_trusted;
