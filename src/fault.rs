//! Fault points: places where a test of the real binary makes it die, panic or hang.
//!
//! `MODEL_REGISTRY_FAULT=<point>=<kill|panic|hang|slow|slow:FILE|wait:FILE|on>[,…]` names them; each fires once.
//! `slow:FILE` makes that file when it is reached. `wait:FILE` makes a file beside it, `.reached`, and goes on when
//! FILE is there. They exist in debug builds alone: a release build compiles them to nothing and never reads the
//! variable.

/// Defines the points, each once.
macro_rules! points {
    ($($(#[$said:meta])* $point:ident = $name:literal,)+) => {
        /// A place where a test can ask for a fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Point {
            $($(#[$said])* $point,)+
        }

        impl Point {
            /// Every point.
            pub const ALL: &[Self] = &[$(Self::$point,)+];

            /// The name in `MODEL_REGISTRY_FAULT`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    /// A version's folder is there, with nothing in it.
    RegisterStaged = "register.staged",
    /// Its artifact is written.
    RegisterArtifact = "register.artifact",
    /// Its sidecars are written.
    RegisterSidecars = "register.sidecars",
    /// The intent is written.
    RegisterIntent = "register.intent",
    /// The folder is in its place.
    RegisterRenamed = "register.renamed",
    /// A change has its locks.
    ChangeLocked = "change.locked",
    /// The catalog is asked for a change.
    DbApply = "db.apply",
    /// The catalog has answered to a change.
    DbApplied = "db.applied",
    /// The change learned that the catalog committed.
    CatalogCommitted = "catalog.committed",
    /// A new manifest lies beside the old one.
    ManifestWritten = "manifest.written",
    /// It has taken its place.
    ManifestRenamed = "manifest.renamed",
    /// An upgrade has its locks.
    UpgradeLocked = "upgrade.locked",
    /// An upgrade has converted everything, and not committed.
    UpgradeConverted = "upgrade.converted",
    /// The catalog is asked for the version in production.
    DbFindProduction = "db.find_production",
    /// A sidecar is asked for.
    ManifestReadMetadata = "manifest.read_metadata",
    /// A token is asked about.
    AuthResolve = "auth.resolve",
    /// A validation is asked for.
    ValidatorValidate = "validator.validate",
    /// A validation has hashed the artifact.
    ValidatorHashed = "validator.hashed",
    /// A validation is about to be asked for.
    RegistryValidate = "registry.examine",
    /// A folder is moved by the way for file systems that lack the flag to replace nothing.
    FilesRenameFlags = "files.rename_flags",
}

/// Does nothing, unless a test asked for a fault here.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_point: Point) {}

/// Does nothing, unless a test asked for a fault here.
///
/// # Panics
/// Where the fault asked for is a panic.
#[cfg(debug_assertions)]
pub fn point(point: Point) {
    let name = point.name();
    match armed(point).as_deref() {
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

/// Whether a test asked for the other way here.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn asked_for(_point: Point) -> bool {
    false
}

/// Whether a test asked for the other way here.
#[cfg(debug_assertions)]
pub fn asked_for(point: Point) -> bool {
    armed(point).is_some()
}

/// Does nothing, unless a test asked for an answer that never comes.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub async fn pause(_point: Point) {}

/// Does nothing, unless a test asked for an answer that never comes.
#[cfg(debug_assertions)]
pub async fn pause(point: Point) {
    let Some(what) = armed(point) else { return };
    if let Some(file) = what.strip_prefix("slow:") {
        let reached = std::fs::write(file, "");
        assert!(reached.is_ok(), "fault at {}: {reached:?}", point.name());
    }
    if what.starts_with("slow") {
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    }
}

/// The fault asked for at a point, once.
#[cfg(debug_assertions)]
fn armed(point: Point) -> Option<String> {
    use std::{collections::HashMap, sync::LazyLock, sync::Mutex, sync::PoisonError};

    static ARMED: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(|| {
        let spec = std::env::var("MODEL_REGISTRY_FAULT").unwrap_or_default();
        let armed: HashMap<_, _> = spec
            .split(',')
            .filter_map(|fault| fault.split_once('='))
            .map(|(point, what)| (point.to_owned(), what.to_owned()))
            .collect();
        let known = |name: &&String| Point::ALL.iter().any(|point| point.name() == name.as_str());
        let unknown: Vec<_> = armed.keys().filter(|name| !known(name)).collect();
        assert!(
            unknown.is_empty(),
            "MODEL_REGISTRY_FAULT names no point of this program: {unknown:?}"
        );
        Mutex::new(armed)
    });

    ARMED.lock().unwrap_or_else(PoisonError::into_inner).remove(point.name())
}
