//! Finding backups: all of them, or the one that is meant.

use std::{path::Path, sync::Arc};

use crate::{
    actors::blocking,
    artifacts::{
        backup_folder::{Backup, NoBackup},
        backup_place::{BackupPlace, Listed, ListedState},
    },
    catalog::schema_version,
    domain::backup::{BackupId, BackupKind, BackupManifest, Moment},
    error::{ErrorKind, RegistryError},
};

/// The backup that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The one of this name.
    Named(BackupId),
    /// The last one.
    Latest,
    /// The one nearest to this moment.
    Nearest(Moment),
}

/// Every backup in a folder, oldest first; none where there is no such folder.
///
/// # Errors
/// `REGISTRY_UNAVAILABLE`.
pub async fn list(place: &Path) -> Result<Vec<Listed>, RegistryError> {
    let place = place.to_owned();
    blocking(move || match BackupPlace::open(&place) {
        Ok(place) => Ok(place.list()?),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    })
    .await
}

/// The name of the backup that is meant. Only complete, verified backups are chosen by time, and no safety copies,
/// which hold what somebody wanted to leave.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn choose(place: &Path, choice: Choice) -> Result<BackupId, RegistryError> {
    if let Choice::Named(id) = choice {
        return Ok(id);
    }
    let listed = list(place).await?;
    let good = listed.iter().filter_map(|listed| match &listed.state {
        ListedState::Complete(manifest) if manifest.verified => Some(manifest.as_ref()),
        _ => None,
    });
    let good = good.filter(|manifest| manifest.kind == BackupKind::Backup);
    let age = |manifest: &&BackupManifest| (manifest.created_at, manifest.backup_id.clone());
    let chosen = match choice {
        // Of two that are equally near, the later one.
        Choice::Nearest(moment) => good.min_by_key(|manifest| {
            (moment.distance(manifest.created_at), std::cmp::Reverse(age(manifest)))
        }),
        Choice::Latest | Choice::Named(_) => good.max_by_key(age),
    };
    chosen.map(|manifest| manifest.backup_id.clone()).ok_or_else(|| {
        RegistryError::new(
            ErrorKind::NotFound,
            format!(
                "there is no complete backup in {}; make one with `model-registry backup create`, or name another \
                 folder with --from",
                place.display()
            ),
        )
    })
}

/// Refuses a backup with a schema that this program does not know.
fn refuse_newer(manifest: &BackupManifest) -> Result<(), RegistryError> {
    if manifest.schema_version.as_str() <= schema_version::CURRENT {
        return Ok(());
    }
    Err(RegistryError::new(
        ErrorKind::ChecksumMismatch,
        format!(
            "the backup's catalog is of schema {}, made by model-registry {}; this program knows schemas up to {}: use \
             the version of model-registry that made it, or a newer one",
            manifest.schema_version,
            manifest.program_version,
            schema_version::CURRENT
        ),
    ))
}

/// Opens a backup, and keeps others from removing it.
///
/// # Errors
/// `NOT_FOUND`; `CHECKSUM_MISMATCH` where it is incomplete, or a newer program made it.
pub async fn open(place: &Path, id: BackupId) -> Result<Arc<Backup>, RegistryError> {
    let path = place.to_owned();
    blocking(move || {
        let missing = || {
            RegistryError::new(
                ErrorKind::NotFound,
                format!(
                    "there is no backup {id} in {}; `model-registry backup list` names them",
                    path.display()
                ),
            )
        };
        let place = match BackupPlace::open(&path) {
            Ok(place) => place,
            Err(error) if error.is_not_found() => return Err(missing()),
            Err(error) => return Err(error.into()),
        };
        match place.backup(&id) {
            Ok(backup) => {
                refuse_newer(backup.manifest())?;
                Ok(Arc::new(backup))
            }
            Err(NoBackup::Missing(_)) => Err(missing()),
            Err(NoBackup::Store(error)) => Err(error.into()),
            Err(error @ (NoBackup::Incomplete(_) | NoBackup::Unreadable(_))) => {
                Err(RegistryError::new(ErrorKind::ChecksumMismatch, error.to_string()))
            }
        }
    })
    .await
}
