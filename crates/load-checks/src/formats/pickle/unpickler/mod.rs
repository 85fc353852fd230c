pub(crate) mod containers;
pub(crate) mod literals;
pub(crate) mod machine;
pub(crate) mod memo;
pub(crate) mod opcodes;
pub(crate) mod telling;
pub(crate) mod text;
pub(crate) mod values;
