//! Backups: making, listing, checking and removing them.
//!
//! A backup holds the catalog's rows as JSON, from one snapshot, and the files of every version in it. Before it is
//! called good, every file is hashed and compared with the catalog, and the rows are loaded into a temporary catalog
//! and audited, as a restore does it.

mod create;
mod prune;
mod rehearsal;
mod select;

pub use create::{BackupRequest, MadeBackup, Stop};
pub use prune::{PruneReason, Pruned, prune};
pub(super) use rehearsal::feed;
pub use rehearsal::{Rehearsed, rehearse};
pub use select::{Choice, choose, list, open};

pub use crate::artifacts::backup_place::{Listed, ListedState};

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::Registry;
use crate::{
    actors::blocking,
    artifacts::backup_folder::Backup,
    error::{ErrorKind, RegistryError},
    progress::Progress,
};

/// The most differences that an error lists.
const MAX_LISTED: usize = 10;

/// The folder of a registry's own backups.
#[must_use]
pub fn place_of(registry_dir: &Path) -> PathBuf {
    crate::artifacts::backup_place::BackupPlace::of_registry(registry_dir)
}

/// What a check of a backup found.
#[derive(Debug)]
pub struct CheckedBackup {
    /// Every difference; empty where the backup is good.
    pub differences: Vec<String>,
    /// The content of its catalog, where that is good.
    pub rehearsed: Option<Rehearsed>,
}

/// Re-hashes every file of a backup, and loads its rows into a temporary catalog.
///
/// # Errors
/// `REGISTRY_UNAVAILABLE` where the disk fails; differences are no errors.
pub async fn check(
    backup: &Arc<Backup>,
    progress: &Progress,
) -> Result<CheckedBackup, RegistryError> {
    let (read, watched) = (backup.clone(), progress.clone());
    let mut differences = blocking(move || {
        let total = read.manifest().size_bytes;
        Ok(read.check(&|done, path| {
            watched(done, total, path);
            true
        })?)
    })
    .await?;
    let manifest = backup.manifest();
    differences
        .extend(manifest.faults.iter().map(|fault| format!("known when it was made: {fault}")));
    if !differences.is_empty() {
        return Ok(CheckedBackup { differences, rehearsed: None });
    }
    let tables = backup.clone();
    let tables = blocking(move || Ok(tables.tables()?)).await?;
    let rehearsed = match rehearse(tables, manifest.root).await {
        Ok(rehearsed) => rehearsed,
        Err(error) if error.kind().is_integrity() => {
            let differences = vec![error.to_string()];
            return Ok(CheckedBackup { differences, rehearsed: None });
        }
        Err(error) => return Err(error),
    };
    for record in rehearsed.records.iter().filter(|record| record.collected.is_none()) {
        for (name, sha256) in crate::artifacts::restoration::files_of(record) {
            let path = format!("{}/{name}", record.artifact_path());
            match (manifest.files.get(&path), sha256) {
                (None, _) => differences.push(format!("{path} is missing")),
                (Some(file), Some(expected)) if file.sha256 != expected => {
                    differences.push(format!("{path}: its SHA-256 is not the catalog's"));
                }
                (Some(_), _) => {}
            }
        }
    }
    let rehearsed = differences.is_empty().then_some(rehearsed);
    Ok(CheckedBackup { differences, rehearsed })
}

/// The refusal of a backup that is not good.
pub fn not_good(backup: &Backup, differences: &[String]) -> RegistryError {
    let told: Vec<_> = differences.iter().take(MAX_LISTED).map(String::as_str).collect();
    let more = differences.len().saturating_sub(told.len());
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    RegistryError::new(
        ErrorKind::ChecksumMismatch,
        format!(
            "backup {} is not good: {}{more}; nothing was changed. Use another backup (`model-registry backup list`)",
            backup.manifest().backup_id,
            told.join("; ")
        ),
    )
}

impl Registry {
    /// Refuses a catalog of an earlier layout.
    pub(super) async fn require_current_layout(&self) -> Result<(), RegistryError> {
        use crate::{actors::db::FindLayout, catalog::Layout, domain::manifest::UPGRADED_VERSION};
        match self.db.ask(FindLayout).await? {
            Layout::Current => Ok(()),
            Layout::Behind => Err(RegistryError::new(
                ErrorKind::InvalidRequest,
                "the catalog's schema is of an earlier version of this program; the first change, or `serve`, extends \
                 it, and then it can be backed up and restored",
            )),
            Layout::Absent | Layout::Before => Err(RegistryError::new(
                ErrorKind::InvalidRequest,
                format!(
                    "the registry is of layout {UPGRADED_VERSION}; the first change, or `serve`, upgrades it, and then \
                     it can be backed up and restored"
                ),
            )),
        }
    }
}
