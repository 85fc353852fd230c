//! `ManifestActor`: the manifest, and verified reads of sidecars and artifacts.

use std::{
    collections::HashMap,
    fs::File,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use actix::{Actor, Context, Handler, Message, ResponseFuture};

use super::{blocking, supervise::supervised};
use crate::{
    artifacts::{RegistryRoot, StoreError, VerifiedFiles, VerifiedSidecar, manifest_file},
    catalog::CatalogState,
    domain::{ModelId, Timestamp, VersionRecord, manifest::Manifest},
    error::{ErrorKind, RegistryError},
    fault::{self, Point},
};

/// Owns `manifest.json` and the record of verified files.
pub struct ManifestActor {
    root: Arc<RegistryRoot>,
    verified: Arc<VerifiedFiles>,
    /// Held while a version's artifact is hashed, so that simultaneous readers hash it only once.
    hashing: Arc<Mutex<HashMap<ModelId, Arc<tokio::sync::Mutex<()>>>>>,
}

impl ManifestActor {
    /// An actor for this directory.
    #[must_use]
    pub fn new(root: Arc<RegistryRoot>, verified: Arc<VerifiedFiles>) -> Self {
        Self { root, verified, hashing: Arc::default() }
    }
}

impl Actor for ManifestActor {
    type Context = Context<Self>;
}

supervised!(ManifestActor, "manifest");

/// A version's verified sidecar, or the reason why there is none.
pub type SidecarOutcome = Result<VerifiedSidecar, RegistryError>;

/// The verified sidecars of the given versions, in the same order. A fault of one version does not affect the others.
#[derive(Message)]
#[rtype(result = "Result<Vec<SidecarOutcome>, RegistryError>")]
pub struct ReadMetadata {
    /// The versions' rows.
    pub records: Vec<VersionRecord>,
}

impl Handler<ReadMetadata> for ManifestActor {
    type Result = ResponseFuture<Result<Vec<SidecarOutcome>, RegistryError>>;

    fn handle(&mut self, message: ReadMetadata, _: &mut Self::Context) -> Self::Result {
        fault::point(Point::ManifestReadMetadata);
        let (root, verified) = (self.root.clone(), self.verified.clone());
        if let [record] = message.records.as_slice() {
            // To read the state of one inode needs no thread.
            if let Some(sidecar) = verified.remembered(&root, record) {
                return Box::pin(async move { Ok(vec![Ok(sidecar)]) });
            }
        }
        Box::pin(blocking(move || {
            message
                .records
                .iter()
                .map(|record| match verified.sidecar(&root, record) {
                    Err(error) if error.is_shortage() => Err(error.into()),
                    Err(error) if root.is_being_restored() => Err(explained(&root, error)),
                    answer => Ok(answer.map_err(RegistryError::from)),
                })
                .collect()
        }))
    }
}

/// Opens and verifies a version's artifact.
#[derive(Message)]
#[rtype(result = "Result<File, RegistryError>")]
pub struct OpenArtifact {
    /// The version's row.
    pub record: VersionRecord,
    /// Set when nobody waits for the answer.
    pub cancelled: Arc<AtomicBool>,
}

impl Handler<OpenArtifact> for ManifestActor {
    type Result = ResponseFuture<Result<File, RegistryError>>;

    fn handle(&mut self, message: OpenArtifact, _: &mut Self::Context) -> Self::Result {
        let (root, verified) = (self.root.clone(), self.verified.clone());
        let mut turns = self.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        let turn = turns.entry(message.record.model_id).or_default().clone();
        drop(turns);
        Box::pin(async move {
            let _turn = turn.lock().await;
            blocking(move || {
                let going = |_| !message.cancelled.load(Ordering::Relaxed);
                verified
                    .open_artifact(&root, &message.record, &going)
                    .map_err(|error| explained(&root, error))
            })
            .await
        })
    }
}

/// The manifest; `None` where it does not exist.
#[derive(Message)]
#[rtype(result = "Result<Option<Manifest>, RegistryError>")]
pub struct ReadManifest;

impl Handler<ReadManifest> for ManifestActor {
    type Result = ResponseFuture<Result<Option<Manifest>, RegistryError>>;

    fn handle(&mut self, _: ReadManifest, _: &mut Self::Context) -> Self::Result {
        let root = self.root.clone();
        Box::pin(blocking(move || manifest_file::read(&root)))
    }
}

/// Updates the manifest after a change that the catalog committed. The sender holds the write lock.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct RecordChange {
    /// The catalog after the change.
    pub state: CatalogState,
    /// The time of the change.
    pub at: Timestamp,
}

impl Handler<RecordChange> for ManifestActor {
    type Result = ResponseFuture<Result<(), RegistryError>>;

    fn handle(&mut self, message: RecordChange, _: &mut Self::Context) -> Self::Result {
        let root = self.root.clone();
        Box::pin(blocking(move || {
            let summary = &message.state.summary;
            let manifest = match manifest_file::read(&root)? {
                // A writer that lost its lock in the database with its connection may arrive late.
                Some(manifest) if manifest.log_size > summary.log_size => {
                    tracing::warn!(
                        written = manifest.log_size,
                        late = summary.log_size,
                        "a newer manifest already exists"
                    );
                    return Ok(());
                }
                Some(mut manifest) => {
                    manifest.record(message.at, summary);
                    manifest
                }
                None => Manifest::new(message.at, summary),
            };
            manifest_file::write(&root, &manifest)
        }))
    }
}

/// Replaces the manifest after a restore, whatever it says. The sender holds the write lock.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct ReplaceManifest {
    /// The restored catalog.
    pub state: CatalogState,
    /// The time of its last change.
    pub at: Timestamp,
    /// When the restored registry was created.
    pub created_at: Timestamp,
}

impl Handler<ReplaceManifest> for ManifestActor {
    type Result = ResponseFuture<Result<(), RegistryError>>;

    fn handle(&mut self, message: ReplaceManifest, _: &mut Self::Context) -> Self::Result {
        let root = self.root.clone();
        Box::pin(blocking(move || {
            let mut manifest = Manifest::new(message.at, &message.state.summary);
            manifest.created_at = message.created_at;
            // The last backup of this directory is where it was. A manifest that cannot be read is replaced.
            if let Ok(Some(before)) = manifest_file::read(&root) {
                manifest.last_backup_at = before.last_backup_at;
                manifest.backup_location = before.backup_location;
            }
            manifest_file::write(&root, &manifest)
        }))
    }
}

/// Records a backup in the manifest. The sender holds the write lock.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct RecordBackup {
    /// The time of the backup.
    pub at: Timestamp,
    /// Where it is.
    pub location: String,
}

impl Handler<RecordBackup> for ManifestActor {
    type Result = ResponseFuture<Result<(), RegistryError>>;

    fn handle(&mut self, message: RecordBackup, _: &mut Self::Context) -> Self::Result {
        let root = self.root.clone();
        Box::pin(blocking(move || {
            let Some(mut manifest) = manifest_file::read(&root)? else { return Ok(()) };
            manifest.last_backup_at = Some(message.at);
            manifest.backup_location = Some(message.location);
            manifest_file::write(&root, &manifest)
        }))
    }
}

/// A file that cannot be read as the catalog says. While a restore moves folders, this is no fault: the same request
/// succeeds a moment later.
fn explained(root: &RegistryRoot, error: StoreError) -> RegistryError {
    if root.is_being_restored() && !error.is_shortage() {
        return RegistryError::new(
            ErrorKind::RegistryLocked,
            "The registry is being restored from a backup; try again in a moment",
        );
    }
    error.into()
}

/// The relation of manifest and catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestVerdict {
    /// They agree.
    Agrees,
    /// There was no manifest; it was created.
    Created,
    /// The manifest was one step behind, as after a crash between commit and manifest; it was updated.
    Repaired,
    /// They disagree; one sentence for each difference.
    Differs(Vec<String>),
}

/// Compares manifest and catalog, and repairs the one state that a crash can leave. The sender holds the write lock.
#[derive(Message)]
#[rtype(result = "Result<ManifestVerdict, RegistryError>")]
pub struct VerifyManifest {
    /// The present state of the catalog.
    pub state: CatalogState,
    /// The present time.
    pub at: Timestamp,
    /// Whether to write: create a missing manifest, and repair the state after a crash.
    pub repair: bool,
}

impl Handler<VerifyManifest> for ManifestActor {
    type Result = ResponseFuture<Result<ManifestVerdict, RegistryError>>;

    fn handle(&mut self, message: VerifyManifest, _: &mut Self::Context) -> Self::Result {
        let root = self.root.clone();
        Box::pin(blocking(move || {
            let state = &message.state;
            let found = manifest_file::read(&root)?;
            let (verdict, corrected) = compare(found, state, message.at);
            match corrected {
                Some(manifest) if message.repair => {
                    manifest_file::write(&root, &manifest)?;
                    Ok(verdict)
                }
                Some(_) if verdict == ManifestVerdict::Created => {
                    Ok(ManifestVerdict::Differs(vec!["there is no manifest".to_owned()]))
                }
                Some(_) => Ok(ManifestVerdict::Differs(vec![
                    "the manifest is one step behind the catalog".to_owned(),
                ])),
                None => Ok(verdict),
            }
        }))
    }
}

/// The verdict, and the manifest to write if writing is allowed.
fn compare(
    found: Option<Manifest>,
    state: &CatalogState,
    at: Timestamp,
) -> (ManifestVerdict, Option<Manifest>) {
    let summary = &state.summary;
    let Some(mut manifest) = found else {
        return (ManifestVerdict::Created, Some(Manifest::new(at, summary)));
    };
    let mut differences = manifest.differences(summary);
    if differences.is_empty() {
        return (ManifestVerdict::Agrees, None);
    }
    let one_behind = manifest.checksum == state.previous_root
        && (manifest.log_size < summary.log_size || manifest.is_of_the_layout_before());
    if one_behind {
        manifest.record(at, summary);
        return (ManifestVerdict::Repaired, Some(manifest));
    }
    match manifest.log_size.cmp(&summary.log_size) {
        std::cmp::Ordering::Greater => differences.insert(
            0,
            format!(
                "the catalog is older than the manifest and lacks its last {} log entries; restore a newer catalog",
                manifest.log_size - summary.log_size
            ),
        ),
        std::cmp::Ordering::Less => differences.insert(
            0,
            format!(
                "the manifest is older than the catalog and lacks its last {} log entries",
                summary.log_size - manifest.log_size
            ),
        ),
        std::cmp::Ordering::Equal => {}
    }
    (ManifestVerdict::Differs(differences), None)
}

/// The error for a disagreement.
#[must_use]
pub fn disagreement(differences: &[String]) -> RegistryError {
    RegistryError::new(
        ErrorKind::IntegrityOnRead,
        format!(
            "manifest.json and the catalog disagree: {}; restore both from one backup, or run \
             `model-registry verify` to see all of it",
            differences.join("; ")
        ),
    )
}
