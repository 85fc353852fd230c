//! Registering on disk. Files are staged, hashed while they are written, flushed and moved into place. If the catalog
//! does not commit, they are taken back.
//!
//! Before a folder is moved into place, an *intent* file, `<model_id>.intent`, is written in the staging folder. It
//! stays until the catalog has committed. After a crash, the intent marks the folder of an unfinished registration.
//! Only a marked folder may be removed.

use std::{
    collections::HashSet,
    fs::File,
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    RegistryRoot, StoreError, digest,
    root::{CHECKSUM, Folder, METADATA, STAGING},
};
use crate::{
    domain::{ArtifactFile, Metadata, ModelId, ModelType, Sha256Digest, Version},
    fault::{self, Point},
};

const INTENT_SUFFIX: &str = ".intent";

/// The version folders of a registry directory.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    root: Arc<RegistryRoot>,
    /// The items that could not be tidied and were already logged.
    told: Arc<Mutex<HashSet<String>>>,
}

/// The version that a folder is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The version's identifier.
    pub model_id: ModelId,
    /// The version's model type.
    pub model_type: ModelType,
    /// The version's number.
    pub version: Version,
    /// What the folder is to become.
    #[serde(default)]
    pub purpose: Purpose,
}

/// What an intent is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The folder is moved into place.
    #[default]
    Register,
    /// The folder is removed.
    Collect,
}

/// An intent that cannot be read.
#[derive(Debug)]
pub struct UnreadableIntent {
    /// The name of the intent's file.
    pub name: String,
    /// The error of the read.
    pub error: StoreError,
}

/// Folders that are prepared together. Dropping the batch removes the folders that were not published.
#[derive(Debug)]
pub struct Batch {
    store: ArtifactStore,
    /// The batch's own folder. It is locked, so that no tidying process removes it as a leftover.
    folder: Folder,
    name: String,
}

/// One folder of a batch.
#[derive(Debug)]
pub struct Staged {
    folder: Folder,
}

/// Folders that were moved into place and whose catalog rows are not committed yet.
#[derive(Debug)]
#[must_use = "confirm what the catalog committed, take back what it did not"]
pub struct Published {
    store: ArtifactStore,
    intents: Vec<Intent>,
}

/// The leftovers of a crash.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Registrations that the catalog may or may not have committed.
    pub intents: Vec<Intent>,
    /// The number of folders that were removed because their registrations were not published.
    pub removed_folders: usize,
}

impl ArtifactStore {
    /// The version folders beneath a root.
    #[must_use]
    pub fn new(root: Arc<RegistryRoot>) -> Self {
        Self { root, told: Arc::default() }
    }

    /// The registry directory.
    #[must_use]
    pub fn root(&self) -> &Arc<RegistryRoot> {
        &self.root
    }

    /// Logs an item that cannot be tidied. Logs each item only once and not in every round.
    pub fn pass_over(&self, what: &str, error: &dyn std::fmt::Display) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(what.to_owned()) {
            tracing::warn!(
                what, %error,
                "something unfinished cannot be tidied and is passed over; it is tried again"
            );
        }
    }

    pub(super) fn staging(&self) -> Result<Folder, StoreError> {
        self.root.artifacts()?.make_folder(STAGING)
    }

    /// Opens a batch in which versions are prepared.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open_batch(&self) -> Result<Batch, StoreError> {
        let staging = self.staging()?;
        // Preparing processes share this lock; a tidying process needs it exclusively. So no tidying process sees the
        // new folder before it is locked and removes it as a leftover.
        staging.lock_shared()?;
        let name = Uuid::new_v4().to_string();
        let folder = staging.make_folder(&name)?;
        if !folder.try_lock()? {
            let busy = std::io::Error::other("another process has locked it");
            return Err(StoreError::io("lock", folder.path(), busy));
        }
        Ok(Batch { store: self.clone(), folder, name })
    }

    /// Moves all prepared folders into place, or none.
    ///
    /// The caller holds the write lock and then either confirms or takes back the result.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where a version's folder exists; [`StoreError::OtherMount`] where its type is on
    /// another mount; else [`StoreError::Io`].
    pub fn publish(&self, batch: Batch, intents: Vec<Intent>) -> Result<Published, StoreError> {
        let staging = self.staging()?;
        let mut published = Published { store: self.clone(), intents: Vec::new() };
        let step = || {
            for intent in intents {
                published.intents.push(intent.clone());
                write_intent(&staging, &intent)?;
                fault::point(Point::RegisterIntent);
                self.move_into_place(&batch, &intent)?;
                fault::point(Point::RegisterRenamed);
            }
            Ok(())
        };
        match step() {
            Ok(()) => Ok(published),
            Err(error) => {
                // The first error is returned. Folders that cannot be taken back now are taken back by the next
                // start, which finds their intents.
                if let Err(second) = published.take_back() {
                    tracing::warn!(error = %second, "an unfinished registration is left to the next start");
                }
                Err(error)
            }
        }
    }

    fn move_into_place(&self, batch: &Batch, intent: &Intent) -> Result<(), StoreError> {
        let of_type = self.root.artifacts()?.make_folder(intent.model_type.as_str())?;
        let (from, to) = (intent.model_id.to_string(), intent.version.to_string());
        batch.folder.move_new(&from, &of_type, &to)?;
        of_type.sync()?;
        batch.folder.sync()
    }

    /// Removes the folders of unfinished preparations and lists the intents. The caller holds the write lock. Items
    /// that cannot be read or removed are logged and skipped, so that they do not prevent a start.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the staging folder itself cannot be listed.
    pub fn leftovers(&self) -> Result<Leftovers, StoreError> {
        let staging = self.staging()?;
        let mut found = Leftovers::default();
        // Without this lock another process may be preparing a folder that is not locked yet, so none is removed.
        let alone = staging.try_lock()?;
        for name in staging.entries()? {
            let passed_over = |error: StoreError| self.pass_over(&name, &error);
            if let Some(model_id) = name.strip_suffix(INTENT_SUFFIX) {
                match read_intent(&staging, &name, model_id) {
                    Ok(Some(intent)) => found.intents.push(intent),
                    // The process died while it wrote the intent, so it had not moved a folder.
                    Ok(None) => staging.remove_file(&name).unwrap_or_else(passed_over),
                    Err(error) => passed_over(error),
                }
            } else if alone {
                match remove_unlocked(&staging, &name) {
                    Ok(removed) => found.removed_folders += usize::from(removed),
                    Err(error) => passed_over(error),
                }
            }
        }
        Ok(found)
    }

    /// Lists the existing intents for a report. An unreadable intent is listed with its name and error. Writes
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the staging folder cannot be listed.
    pub fn intents(&self) -> Result<Vec<Result<Intent, UnreadableIntent>>, StoreError> {
        let staging = match self.root.artifacts()?.folder(STAGING) {
            Ok(staging) => staging,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut intents = Vec::new();
        for name in staging.entries()? {
            if let Some(model_id) = name.strip_suffix(INTENT_SUFFIX) {
                let read = read_intent(&staging, &name, model_id).transpose();
                intents.extend(read.map(|read| {
                    read.map_err(|error| UnreadableIntent { name: name.clone(), error })
                }));
            }
        }
        Ok(intents)
    }

    /// Removes the intent of a version that the catalog holds.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn confirm(&self, intent: &Intent) -> Result<(), StoreError> {
        self.staging()?.remove_file(&intent_name(intent.model_id))
    }

    /// Undoes a registration that the catalog does not hold. Moves the version's folder into the staging folder if it
    /// belongs to the intent, then removes the intent, then the folder. The folder is moved first because a partly
    /// removed folder could no longer be recognised.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn take_back(&self, intent: &Intent) -> Result<(), StoreError> {
        let artifacts = self.root.artifacts()?;
        match artifacts.folder(intent.model_type.as_str()) {
            Ok(of_type) => {
                self.take_out(&of_type, intent)?;
                // An empty folder of a type does no harm.
                if let Err(error) = artifacts.remove_if_empty(intent.model_type.as_str()) {
                    tracing::debug!(%error, "an empty folder stays");
                }
            }
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            }
            Err(error) => return Err(error),
        }
        self.confirm(intent)?;
        self.staging()?.remove_folder(&taken_out(intent.model_id)).or_else(|error| {
            self.pass_over(&taken_out(intent.model_id), &error);
            Ok(())
        })
    }

    /// Announces that a version's folder is to be removed. The caller holds the write lock, lets the catalog commit, and
    /// then removes the folder or confirms that it stays.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn announce_removal(&self, intent: &Intent) -> Result<(), StoreError> {
        write_intent(&self.staging()?, intent)?;
        fault::point(Point::CollectIntent);
        Ok(())
    }

    /// Removes the folder of a collected version, and then its intent. The number of the version is never used again,
    /// so whatever is at its place belongs to it. The folder is first moved away in one step, so that no reader finds
    /// a part of it.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the intent then stays, and the removal is tried again later.
    pub fn remove_collected(&self, intent: &Intent) -> Result<(), StoreError> {
        let artifacts = self.root.artifacts()?;
        let name = intent.version.to_string();
        match artifacts.folder(intent.model_type.as_str()) {
            Ok(of_type) => {
                let staging = self.staging()?;
                match of_type.move_new(&name, &staging, &taken_out(intent.model_id)) {
                    Ok(()) => staging.sync()?,
                    // It was moved before the process that removed it was killed.
                    Err(error) if error.is_not_found() => {}
                    // A folder cannot be moved to another file system.
                    Err(StoreError::OtherMount(_)) => of_type.remove_folder(&name)?,
                    Err(error) => return Err(error),
                }
                of_type.sync()?;
                fault::point(Point::CollectMoved);
                // An empty folder of a type does no harm.
                if let Err(error) = artifacts.remove_if_empty(intent.model_type.as_str()) {
                    tracing::debug!(%error, "an empty folder stays");
                }
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        self.confirm(intent)?;
        fault::point(Point::CollectConfirmed);
        self.staging()?.remove_folder(&taken_out(intent.model_id)).or_else(|error| {
            self.pass_over(&taken_out(intent.model_id), &error);
            Ok(())
        })
    }

    fn take_out(&self, of_type: &Folder, intent: &Intent) -> Result<(), StoreError> {
        let name = intent.version.to_string();
        let folder = match of_type.folder(&name) {
            Ok(folder) => folder,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        if folder_belongs_to(&folder, intent.model_id)? {
            let staging = self.staging()?;
            of_type.move_new(&name, &staging, &taken_out(intent.model_id))?;
            of_type.sync()?;
            staging.sync()?;
        }
        Ok(())
    }
}

/// The name in the staging folder for the folder of an undone registration.
fn taken_out(model_id: ModelId) -> String {
    format!("{model_id}.undone")
}

fn intent_name(model_id: ModelId) -> String {
    format!("{model_id}{INTENT_SUFFIX}")
}

fn write_intent(staging: &Folder, intent: &Intent) -> Result<(), StoreError> {
    let name = intent_name(intent.model_id);
    let text = serde_json::to_vec(intent)
        .map_err(|error| StoreError::io("write", staging.path().join(&name), error))?;
    staging.write_file(&name, &text)?;
    staging.sync()
}

/// Removes a folder that no running process has locked. Returns whether it was removed.
fn remove_unlocked(staging: &Folder, name: &str) -> Result<bool, StoreError> {
    let folder = match staging.folder(name) {
        Ok(folder) => folder,
        // The folder's own process has already removed it.
        Err(error) if error.is_not_found() => return Ok(false),
        Err(error) => return Err(error),
    };
    let removable = folder.try_lock()?;
    if removable {
        staging.remove_folder(name)?;
    }
    Ok(removable)
}

fn read_intent(staging: &Folder, name: &str, model_id: &str) -> Result<Option<Intent>, StoreError> {
    let mut text = String::new();
    staging
        .open_file(name)?
        .read_to_string(&mut text)
        .map_err(|error| StoreError::io("read", staging.path().join(name), error))?;
    let intent: Option<Intent> = serde_json::from_str(&text).ok();
    Ok(intent.filter(|intent| intent.model_id.to_string() == model_id))
}

/// Whether a folder's sidecar has this `model_id`. A folder of another registration must not be removed.
fn folder_belongs_to(folder: &Folder, model_id: ModelId) -> Result<bool, StoreError> {
    let mut sidecar = Vec::new();
    match folder.open_file(METADATA) {
        Ok(file) => {
            file.take(crate::domain::registration::MAX_SIDECAR_BYTES as u64)
                .read_to_end(&mut sidecar)
                .map_err(|error| StoreError::io("read", folder.path().join(METADATA), error))?;
            Ok(Metadata::parse(&sidecar).is_ok_and(|metadata| metadata.model_id == model_id))
        }
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

impl Staged {
    /// Copies the artifact into the folder and returns its digest and size in bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`], with [`std::io::ErrorKind::Interrupted`] once `keep_going` returns `false`.
    pub fn write_artifact(
        &self,
        name: &ArtifactFile,
        from: impl Read + Send,
        keep_going: &dyn Fn(u64) -> bool,
    ) -> Result<(Sha256Digest, u64), StoreError> {
        let failed = |error| StoreError::io("write", self.folder.path().join(name.as_str()), error);
        let mut file: File = self.folder.create_file(name.as_str())?;
        let written = digest::copy_hashed(from, &mut file, keep_going).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fault::point(Point::RegisterArtifact);
        Ok(written)
    }

    /// Opens the artifact to read it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open_artifact(&self, name: &ArtifactFile) -> Result<File, StoreError> {
        self.folder.open_file(name.as_str())
    }

    /// Writes the sidecars and flushes the folder. Returns the metadata's digest and the size of both sidecars in
    /// bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write_sidecars(
        &self,
        metadata: &[u8],
        checksum_file: &[u8],
    ) -> Result<(Sha256Digest, u64), StoreError> {
        self.folder.write_file(METADATA, metadata)?;
        self.folder.write_file(CHECKSUM, checksum_file)?;
        self.folder.sync()?;
        fault::point(Point::RegisterSidecars);
        Ok((Sha256Digest::of(metadata), (metadata.len() + checksum_file.len()) as u64))
    }
}

impl Batch {
    /// Creates the folder of a version.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn stage(&self, model_id: ModelId) -> Result<Staged, StoreError> {
        let folder = self.folder.make_folder(&model_id.to_string())?;
        fault::point(Point::RegisterStaged);
        Ok(Staged { folder })
    }
}

impl Batch {
    /// The batch's folder.
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let removed = self.store.staging().and_then(|staging| staging.remove_folder(&self.name));
        if let Err(error) = removed {
            tracing::warn!(%error, "a prepared folder is left to the next start");
        }
    }
}

/// The content of `checksum.sha256`.
#[must_use]
pub fn checksum_line(digest: Sha256Digest, file: &ArtifactFile) -> String {
    format!("{digest}  {file}\n")
}

impl Published {
    /// The versions that the folders are for.
    #[must_use]
    pub fn intents(&self) -> &[Intent] {
        &self.intents
    }

    /// Removes the intents after the catalog has committed.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the next start then removes the remaining intents.
    pub fn confirm(self) -> Result<(), StoreError> {
        self.intents.iter().try_for_each(|intent| self.store.confirm(intent))
    }

    /// Undoes the registrations that the catalog has not committed.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the next start then undoes the rest.
    pub fn take_back(self) -> Result<(), StoreError> {
        // Every intent is tried, also after one has failed.
        let undone = self.intents.iter().map(|intent| self.store.take_back(intent));
        undone.fold(Ok(()), Result::and)
    }
}
