//! Fault points: places where a test of the real binary makes it die, panic or hang.
//!
//! `MODEL_REGISTRY_FAULT=<point>=<kill|panic|hang|slow|slow:FILE|wait:FILE>[,…]` names them; each fires once.
//! `slow:FILE` says by that file that it was reached; `wait` says so by a file beside that one, `.reached`, and
//! goes on when the file is there. They exist in debug builds alone: a release build compiles them to nothing and
//! never reads the variable.

/// Does nothing, unless a test asked for a fault here.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_name: &'static str) {}

/// Does nothing, unless a test asked for a fault here.
///
/// # Panics
/// Where the fault asked for is a panic.
#[cfg(debug_assertions)]
pub fn point(name: &'static str) {
    match armed(name).as_deref() {
        None => {}
        Some("panic") => panic!("fault injected at {name}"),
        Some("hang") => std::thread::sleep(std::time::Duration::from_secs(3600)),
        Some(wait) if wait.starts_with("wait:") => {
            let file = std::path::Path::new(wait.trim_start_matches("wait:"));
            let reached = std::fs::write(file.with_extension("reached"), "");
            assert!(reached.is_ok(), "fault at {name}: {reached:?}");
            while !file.exists() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        Some(_) => {
            // As a power cut would have it: no destructor, no flush, no handler runs.
            let killed = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
            panic!("fault at {name}: could not kill the process: {killed:?}");
        }
    }
}

/// What a test asked to go wrong in another process, which is told so.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn named(_name: &'static str) -> Option<String> {
    None
}

/// What a test asked to go wrong in another process, which is told so.
#[cfg(debug_assertions)]
pub fn named(name: &'static str) -> Option<String> {
    armed(name)
}

/// Does nothing, unless a test asked for an answer that never comes.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub async fn pause(_name: &'static str) {}

/// Does nothing, unless a test asked for an answer that never comes.
#[cfg(debug_assertions)]
pub async fn pause(name: &'static str) {
    let Some(what) = armed(name) else { return };
    if let Some(file) = what.strip_prefix("slow:") {
        let reached = std::fs::write(file, "");
        assert!(reached.is_ok(), "fault at {name}: {reached:?}");
    }
    if what.starts_with("slow") {
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    }
}

/// The fault asked for at a point, once.
#[cfg(debug_assertions)]
fn armed(name: &str) -> Option<String> {
    use std::{collections::HashMap, sync::LazyLock, sync::Mutex, sync::PoisonError};

    static ARMED: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(|| {
        let spec = std::env::var("MODEL_REGISTRY_FAULT").unwrap_or_default();
        let armed = spec.split(',').filter_map(|fault| fault.split_once('='));
        Mutex::new(armed.map(|(point, what)| (point.to_owned(), what.to_owned())).collect())
    });

    ARMED.lock().unwrap_or_else(PoisonError::into_inner).remove(name)
}
