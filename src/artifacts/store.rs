//! Registering on disk: staged, hashed while written, flushed, moved into place, and taken back where the
//! catalog did not commit.
//!
//! Beside a folder that is being moved into place stands an *intent*, `<model_id>.intent`, until the
//! catalog has committed. After a crash it tells a folder of an unfinished registration, which may be
//! removed, from any other, which may not.

use std::{fs::File, io::Read, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    RegistryRoot, StoreError, digest,
    root::{CHECKSUM, Folder, METADATA, STAGING},
};
use crate::{
    domain::{ArtifactFile, Metadata, ModelId, ModelType, Sha256Digest, Version},
    fault,
};

const INTENT_SUFFIX: &str = ".intent";

/// The version folders of a registry directory.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    root: Arc<RegistryRoot>,
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

/// A folder that is being prepared. Dropping it removes it, unless it was published.
#[derive(Debug)]
pub struct Staged {
    store: ArtifactStore,
    /// Locked, so that no tidying process takes it for a leftover.
    folder: Folder,
    model_id: ModelId,
    published: bool,
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
        Self { root }
    }

    /// The registry directory.
    #[must_use]
    pub fn root(&self) -> &Arc<RegistryRoot> {
        &self.root
    }

    fn staging(&self) -> Result<Folder, StoreError> {
        self.root.artifacts()?.make_folder(STAGING)
    }

    /// Starts a version's folder.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn stage(&self, model_id: ModelId) -> Result<Staged, StoreError> {
        let staging = self.staging()?;
        let folder = staging.make_folder(&model_id.to_string())?;
        let staged = Staged { store: self.clone(), folder, model_id, published: false };
        staged.folder.try_lock()?;
        fault::point("register.staged");
        Ok(staged)
    }

    /// Moves prepared folders into place: all, or none.
    ///
    /// The caller holds the write lock, and afterwards either confirms or takes back.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where a version's folder is there, else [`StoreError::Io`].
    pub fn publish(
        &self,
        staged: Vec<(Staged, ModelType, Version)>,
    ) -> Result<Published, StoreError> {
        let staging = self.staging()?;
        let mut published = Published { store: self.clone(), intents: Vec::new() };
        let step = || {
            for (mut folder, model_type, version) in staged {
                let intent = Intent { model_id: folder.model_id, model_type, version };
                published.intents.push(intent.clone());
                write_intent(&staging, &intent)?;
                fault::point("register.intent");
                self.move_into_place(&staging, &intent)?;
                folder.published = true;
                fault::point("register.renamed");
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

    fn move_into_place(&self, staging: &Folder, intent: &Intent) -> Result<(), StoreError> {
        let of_type = self.root.artifacts()?.make_folder(intent.model_type.as_str())?;
        staging.move_new(&intent.model_id.to_string(), &of_type, &intent.version.to_string())?;
        of_type.sync()?;
        staging.sync()
    }

    /// Removes what unfinished preparations left and lists the intents. The caller holds the write lock.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn leftovers(&self) -> Result<Leftovers, StoreError> {
        let staging = self.staging()?;
        let mut found = Leftovers::default();
        let entries = staging.entries()?;
        for name in &entries {
            if let Some(intent) = name.strip_suffix(INTENT_SUFFIX) {
                match read_intent(&staging, name, intent)? {
                    Some(intent) => found.intents.push(intent),
                    // Cut short while it was written: nothing was moved yet.
                    None => staging.remove_file(name)?,
                }
            }
        }
        for name in entries.iter().filter(|name| !name.ends_with(INTENT_SUFFIX)) {
            // One that is locked belongs to a process that is alive.
            if staging.folder(name)?.try_lock()? {
                staging.remove_folder(name)?;
                found.removed_folders += 1;
            }
        }
        Ok(found)
    }

    /// Ends an intent whose version the catalog holds.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn confirm(&self, intent: &Intent) -> Result<(), StoreError> {
        self.staging()?.remove_file(&intent_name(intent.model_id))
    }

    /// Undoes a registration that the catalog does not hold: removes the version's folder if it is the one
    /// the intent speaks of, then the intent.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn take_back(&self, intent: &Intent) -> Result<(), StoreError> {
        let artifacts = self.root.artifacts()?;
        match artifacts.folder(intent.model_type.as_str()) {
            Ok(of_type) => {
                let name = intent.version.to_string();
                if let Ok(folder) = of_type.folder(&name)
                    && folder_belongs_to(&folder, intent.model_id)?
                {
                    of_type.remove_folder(&name)?;
                    of_type.sync()?;
                }
                artifacts.remove_if_empty(intent.model_type.as_str())?;
            }
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            }
            Err(error) => return Err(error),
        }
        self.confirm(intent)
    }
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
        Err(_) => Ok(false),
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
        fault::point("register.artifact");
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
        fault::point("register.sidecars");
        Ok((Sha256Digest::of(metadata), (metadata.len() + checksum_file.len()) as u64))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        let removed = self
            .store
            .staging()
            .and_then(|staging| staging.remove_folder(&self.model_id.to_string()));
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
        self.intents.iter().try_for_each(|intent| self.store.take_back(intent))
    }
}
