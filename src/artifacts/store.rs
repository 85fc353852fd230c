//! Registering on disk: staged, hashed while written, flushed, moved into place, and taken back where the
//! catalog did not commit.
//!
//! Beside a folder that is being moved into place stands an *intent*, `<model_id>.intent`, until the
//! catalog has committed. After a crash it tells a folder of an unfinished registration, which may be
//! removed, from any other, which may not.

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
    /// What could not be tidied and was told of.
    told: Arc<Mutex<HashSet<String>>>,
}

/// Which version a folder is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The version's identifier.
    pub model_id: ModelId,
    /// Its type.
    pub model_type: ModelType,
    /// Its number.
    pub version: Version,
}

/// An intent that stands and cannot be read.
#[derive(Debug)]
pub struct UnreadableIntent {
    /// Its file's name.
    pub name: String,
    /// Why not.
    pub error: StoreError,
}

/// Folders that are being prepared together. Dropping it removes whatever was not published.
#[derive(Debug)]
pub struct Batch {
    store: ArtifactStore,
    /// Locked, so that no tidying process takes it for a leftover.
    folder: Folder,
    name: String,
}

/// One folder of a batch.
#[derive(Debug)]
pub struct Staged {
    folder: Folder,
}

/// Folders in their places whose catalog rows are not committed yet.
#[derive(Debug)]
#[must_use = "confirm what the catalog committed, take back what it did not"]
pub struct Published {
    store: ArtifactStore,
    intents: Vec<Intent>,
}

/// What a crash left behind.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Registrations of which it is not known whether the catalog committed.
    pub intents: Vec<Intent>,
    /// Folders of registrations that had not come so far, already removed.
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

    /// Tells once, and not with every round, of something that cannot be tidied.
    pub fn pass_over(&self, what: &str, error: &dyn std::fmt::Display) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(what.to_owned()) {
            tracing::warn!(
                what, %error,
                "something unfinished cannot be tidied and is passed over; it is tried again"
            );
        }
    }

    fn staging(&self) -> Result<Folder, StoreError> {
        self.root.artifacts()?.make_folder(STAGING)
    }

    /// Starts preparing versions.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open_batch(&self) -> Result<Batch, StoreError> {
        let staging = self.staging()?;
        // Shared with others who prepare, never with one who tidies: there is no moment at which the folder is
        // there, is not locked yet, and could be taken for a leftover.
        staging.lock_shared()?;
        let name = Uuid::new_v4().to_string();
        let folder = staging.make_folder(&name)?;
        if !folder.try_lock()? {
            let busy = std::io::Error::other("another process has locked it");
            return Err(StoreError::io("lock", folder.path(), busy));
        }
        Ok(Batch { store: self.clone(), folder, name })
    }

    /// Moves prepared folders into place: all, or none.
    ///
    /// The caller holds the write lock, and afterwards either confirms or takes back.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where a version's folder is there, else [`StoreError::Io`].
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
                // The error that stopped it is the one to tell; what cannot be taken back now is taken
                // back by the next start, which finds the intents.
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

    /// Removes what unfinished preparations left and lists the intents. The caller holds the write lock. What
    /// cannot be read or removed is logged and passed over: it must not keep a registry from starting.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the staging folder itself cannot be listed.
    pub fn leftovers(&self) -> Result<Leftovers, StoreError> {
        let staging = self.staging()?;
        let mut found = Leftovers::default();
        // Not where somebody is just starting to prepare: their folder may not be locked yet.
        let alone = staging.try_lock()?;
        for name in staging.entries()? {
            let passed_over = |error: StoreError| self.pass_over(&name, &error);
            if let Some(model_id) = name.strip_suffix(INTENT_SUFFIX) {
                match read_intent(&staging, &name, model_id) {
                    Ok(Some(intent)) => found.intents.push(intent),
                    // Cut short while it was written: nothing was moved yet.
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

    /// The intents that stand, for a report; of one that cannot be read, its name and why not. Writes nothing.
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

    /// Ends an intent whose version the catalog holds.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn confirm(&self, intent: &Intent) -> Result<(), StoreError> {
        self.staging()?.remove_file(&intent_name(intent.model_id))
    }

    /// Undoes a registration that the catalog does not hold: takes the version's folder out of its place if it is the
    /// one the intent speaks of, then removes the intent, then the folder. Out of its place at once: a folder of which
    /// only a part can be removed would not be known again.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn take_back(&self, intent: &Intent) -> Result<(), StoreError> {
        let artifacts = self.root.artifacts()?;
        match artifacts.folder(intent.model_type.as_str()) {
            Ok(of_type) => {
                self.take_out(&of_type, intent)?;
                // An empty folder of a type is in nobody's way.
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

/// What the folder of a registration that is undone is called in the staging folder.
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

/// Removes a folder that no living process has locked.
fn remove_unlocked(staging: &Folder, name: &str) -> Result<bool, StoreError> {
    let folder = match staging.folder(name) {
        Ok(folder) => folder,
        // Its own process was faster.
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

/// Whether a folder's sidecar names this version: a folder of another registration must not be removed.
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
    /// Copies the artifact in, and tells its digest and size.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`std::io::ErrorKind::Interrupted`] once `keep_going` says no.
    pub fn write_artifact(
        &self,
        name: &ArtifactFile,
        from: impl Read,
        keep_going: &dyn Fn(u64) -> bool,
    ) -> Result<(Sha256Digest, u64), StoreError> {
        let failed = |error| StoreError::io("write", self.folder.path().join(name.as_str()), error);
        let mut file: File = self.folder.create_file(name.as_str())?;
        let written = digest::copy_hashed(from, &mut file, keep_going).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fault::point(Point::RegisterArtifact);
        Ok(written)
    }

    /// Writes the sidecars, flushes the folder, and tells the metadata's digest and the sidecars' bytes.
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
    /// Starts a version's folder.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn stage(&self, model_id: ModelId) -> Result<Staged, StoreError> {
        let folder = self.folder.make_folder(&model_id.to_string())?;
        fault::point(Point::RegisterStaged);
        Ok(Staged { folder })
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
    /// The versions that they are for.
    #[must_use]
    pub fn intents(&self) -> &[Intent] {
        &self.intents
    }

    /// The catalog has committed.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the next start then ends the intents.
    pub fn confirm(self) -> Result<(), StoreError> {
        self.intents.iter().try_for_each(|intent| self.store.confirm(intent))
    }

    /// The catalog has not committed.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the next start then takes the rest back.
    pub fn take_back(self) -> Result<(), StoreError> {
        // Each by itself: one that cannot be undone keeps no other.
        let undone = self.intents.iter().map(|intent| self.store.take_back(intent));
        undone.fold(Ok(()), Result::and)
    }
}
