pub(crate) mod models;
