//! Fault points: places where a test can make the real binary die, panic or hang.
//!
//! `MODEL_REGISTRY_FAULT=<point>=<kill|panic|hang|slow|slow:FILE|wait:FILE|on|ahead:SECONDS>[,…]` sets faults; each fires once.
//! `slow:FILE` creates FILE when the point is reached. `wait:FILE` creates a file beside FILE, with the suffix
//! `.reached`, and continues when FILE exists. `ahead:SECONDS` sets the clock forward at `clock.read`, always. Fault points exist only in debug builds: release builds contain no
//! code for them and never read the variable.

/// Defines the fault points.
macro_rules! points {
    ($($(#[$said:meta])* $point:ident = $name:literal,)+) => {
        /// A place where a test can set a fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Point {
            $($(#[$said])* $point,)+
        }

        impl Point {
            /// Every fault point.
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
    /// The version's folder exists and is empty.
    RegisterStaged = "register.staged",
    /// The version's artifact is written.
    RegisterArtifact = "register.artifact",
    /// The version's sidecars are written.
    RegisterSidecars = "register.sidecars",
    /// The change's intent is written.
    RegisterIntent = "register.intent",
    /// The version's folder is at its final path.
    RegisterRenamed = "register.renamed",
    /// The intent to remove a version's files is written.
    CollectIntent = "collect.intent",
    /// The folder of a collected version is moved away.
    CollectMoved = "collect.moved",
    /// The intent to remove a version's files is gone, the files are still there.
    CollectConfirmed = "collect.confirmed",
    /// A change has taken its locks.
    ChangeLocked = "change.locked",
    /// The catalog is asked for a change.
    DbApply = "db.apply",
    /// The catalog has answered a change.
    DbApplied = "db.applied",
    /// A change of a catalog in PostgreSQL is committed without a notification.
    PostgresNotify = "postgres.notify",
    /// The change has seen that the catalog committed.
    CatalogCommitted = "catalog.committed",
    /// A new manifest is beside the old one.
    ManifestWritten = "manifest.written",
    /// The new manifest has replaced the old one.
    ManifestRenamed = "manifest.renamed",
    /// An upgrade has taken its locks.
    UpgradeLocked = "upgrade.locked",
    /// An upgrade has converted everything and has not committed.
    UpgradeConverted = "upgrade.converted",
    /// An extension of the schema has taken its locks.
    ExtensionLocked = "extension.locked",
    /// An extension of the schema has taken its steps and has not committed.
    ExtensionTaken = "extension.taken",
    /// The time of day is read.
    ClockRead = "clock.read",
    /// A backup's folder exists and is empty.
    BackupBegun = "backup.begun",
    /// A backup holds the catalog's rows.
    BackupDumped = "backup.dumped",
    /// A backup holds the first version's files.
    BackupCopying = "backup.copying",
    /// A backup holds everything, not yet verified.
    BackupCopied = "backup.copied",
    /// A backup is verified and has no manifest yet.
    BackupVerified = "backup.verified",
    /// A backup's manifest is written beside its final name.
    BackupManifestWritten = "backup.manifest_written",
    /// A backup is complete, and the registry's manifest does not name it yet.
    BackupComplete = "backup.complete",
    /// A backup's manifest is removed, and its files are not yet.
    BackupRemoving = "backup.removing",
    /// A restore has its safety copy.
    RestoreSaved = "restore.saved",
    /// A restore has prepared the folders that it will put into place.
    RestoreStaged = "restore.staged",
    /// A restore's intent is written.
    RestoreIntent = "restore.intent",
    /// A restore has moved the first folder.
    RestoreMoving = "restore.moving",
    /// A restore has moved all folders that it moves before the catalog changes.
    RestoreMoved = "restore.moved",
    /// A restore's transaction has emptied the tables.
    RestoreEmptied = "restore.emptied",
    /// A restore's transaction holds all rows and is not committed.
    RestoreLoaded = "restore.loaded",
    /// A restore has seen that the catalog committed.
    RestoreCommitted = "restore.committed",
    /// A restore has written the registry's manifest.
    RestoreRecorded = "restore.recorded",
    /// A restore has moved away what the restored catalog does not hold.
    RestoreSwept = "restore.swept",
    /// The view is asked for an answer.
    DbRecall = "db.recall",
    /// The catalog is asked for the production version.
    DbFindProduction = "db.find_production",
    /// A sidecar is requested.
    ManifestReadMetadata = "manifest.read_metadata",
    /// A token is to be resolved.
    AuthResolve = "auth.resolve",
    /// A validation is requested.
    ValidatorValidate = "validator.validate",
    /// A validation has hashed the artifact.
    ValidatorHashed = "validator.hashed",
    /// A validation is about to be requested.
    RegistryValidate = "registry.examine",
    /// A folder is moved by the method for file systems without the no-replace flag.
    FilesRenameFlags = "files.rename_flags",
}

/// Applies the fault that a test set here, if any.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_point: Point) {}

/// Applies the fault that a test set here, if any.
///
/// # Panics
/// If the fault is a panic.
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
            // Like a power cut: no destructor, flush or handler runs.
            let killed = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
            panic!("fault at {name}: could not kill the process: {killed:?}");
        }
    }
}

/// Whether a test selected the alternative path here.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn asked_for(_point: Point) -> bool {
    false
}

/// Whether a test selected the alternative path here.
#[cfg(debug_assertions)]
pub fn asked_for(point: Point) -> bool {
    armed(point).is_some()
}

/// By how much a test set the clock forward.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn shift(_point: Point) -> std::time::Duration {
    std::time::Duration::ZERO
}

/// By how much a test set the clock forward.
#[cfg(debug_assertions)]
pub fn shift(point: Point) -> std::time::Duration {
    let set =
        armed_faults().get(point.name()).and_then(|what| what.strip_prefix("ahead:")?.parse().ok());
    std::time::Duration::from_secs(set.unwrap_or(0))
}

/// Waits for ever if a test set a fault here.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub async fn pause(_point: Point) {}

/// Waits for ever if a test set a fault here.
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

/// The fault that a test set at a point; it is returned once.
#[cfg(debug_assertions)]
fn armed(point: Point) -> Option<String> {
    armed_faults().remove(point.name())
}

/// The faults that are set and have not fired.
#[cfg(debug_assertions)]
fn armed_faults() -> std::sync::MutexGuard<'static, std::collections::HashMap<String, String>> {
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
        assert!(unknown.is_empty(), "MODEL_REGISTRY_FAULT names unknown fault points: {unknown:?}");
        Mutex::new(armed)
    });

    ARMED.lock().unwrap_or_else(PoisonError::into_inner)
}
