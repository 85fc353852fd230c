//! Fault points: faults that a test of the real binary can switch on in the sandbox.
//!
//! `LOAD_CHECKS_FAULT=<point>=<fault>[,...]` names them; each fires once. They exist in debug builds alone: a release
//! build never reads the variable.

/// The fault that a test asked for at a point.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn named(_name: &'static str) -> Option<String> {
    None
}

/// The fault that a test asked for at a point, once.
#[cfg(debug_assertions)]
pub fn named(name: &'static str) -> Option<String> {
    use std::{collections::HashMap, sync::LazyLock, sync::Mutex, sync::PoisonError};

    static ARMED: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(|| {
        let spec = std::env::var("LOAD_CHECKS_FAULT").unwrap_or_default();
        let armed = spec.split(',').filter_map(|fault| fault.split_once('='));
        Mutex::new(armed.map(|(point, what)| (point.to_owned(), what.to_owned())).collect())
    });

    ARMED.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
}
