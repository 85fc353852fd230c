//! Removing old and incomplete backups.

use std::path::Path;

use crate::{
    actors::blocking,
    artifacts::backup_place::{BackupPlace, Listed, ListedState, Removal},
    clock,
    domain::backup::{BackupId, BackupKind},
    error::RegistryError,
};

const SECONDS_A_DAY: i64 = 86_400;

/// Why a backup is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneReason {
    /// It is older than the time for which backups are kept.
    Old,
    /// It was cut off.
    Incomplete,
}

/// A backup that is removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// Its name.
    pub id: BackupId,
    /// Why.
    pub reason: PruneReason,
    /// The size of its files, where it is complete. Files that it shares with the registry free nothing.
    pub size_bytes: Option<u64>,
    /// Whether it is gone.
    pub removed: bool,
    /// Why it could not be removed.
    pub error: Option<String>,
}

/// Removes backups that are older than `keep_days`, and incomplete ones. The newest good backup is always kept. Without
/// `execute` it only says what it would remove. One failure does not stop the rest.
///
/// # Errors
/// `REGISTRY_UNAVAILABLE` where the folder cannot be listed.
pub async fn prune(
    place: &Path,
    keep_days: u32,
    execute: bool,
) -> Result<Vec<Pruned>, RegistryError> {
    let oldest = clock::now()?.unix_seconds() - i64::from(keep_days) * SECONDS_A_DAY;
    let listed = super::list(place).await?;
    let newest = listed.iter().rev().find_map(|listed| match &listed.state {
        ListedState::Complete(manifest)
            if manifest.verified && manifest.kind == BackupKind::Backup =>
        {
            Some(listed.id.clone())
        }
        _ => None,
    });
    let mut due: Vec<_> = listed.into_iter().filter_map(|listed| pruned(listed, oldest)).collect();
    due.retain(|pruned| Some(&pruned.id) != newest.as_ref());
    if !execute || due.is_empty() {
        return Ok(due);
    }
    let path = place.to_owned();
    blocking(move || {
        let place = BackupPlace::open(&path)?;
        for backup in &mut due {
            match place.remove(&backup.id) {
                Ok(Removal::Done) => backup.removed = true,
                Ok(Removal::InUse) => backup.error = Some("a process is using it".to_owned()),
                Err(error) => backup.error = Some(error.to_string()),
            }
        }
        Ok(due)
    })
    .await
}

fn pruned(listed: Listed, oldest: i64) -> Option<Pruned> {
    let (reason, size_bytes) = match listed.state {
        ListedState::Complete(manifest) if manifest.created_at.unix_seconds() < oldest => {
            (PruneReason::Old, Some(manifest.size_bytes))
        }
        ListedState::Incomplete => (PruneReason::Incomplete, None),
        // What this program cannot read, a newer one may need.
        ListedState::Complete(_) | ListedState::BeingMade | ListedState::Unreadable(_) => {
            return None;
        }
    };
    Some(Pruned { id: listed.id, reason, size_bytes, removed: false, error: None })
}
