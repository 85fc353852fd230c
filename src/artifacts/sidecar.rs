//! Verified reads: a sidecar or artifact is returned only after its hash was found equal to the catalog's.
//!
//! A verified file is cached with its device, inode, size, mtime and ctime. The next read only compares these values
//! and hashes the file again if any of them differs. ctime detects a change that restores size and mtime, because no
//! program can set ctime.

use std::{
    collections::BTreeSet,
    ffi::{CStr, CString},
    fs::File,
    io::Read as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::Stat;

use super::{
    IntegrityFault, RegistryRoot, StoreError, digest,
    remembered::Remembered,
    root::{Folder, METADATA},
};
use crate::{
    domain::{
        Metadata, ModelId, ModelType, Sha256Digest, Version, VersionRecord,
        registration::MAX_SIDECAR_BYTES,
    },
    limits,
};

/// The values that identify one state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    #[expect(clippy::unnecessary_cast, reason = "the fields' types differ between architectures")]
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as i64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    /// Whether the last change is old enough that any later change gets a different ctime.
    fn is_settled(&self, now: SystemTime) -> bool {
        let changed = Duration::new(
            self.changed.0.unsigned_abs(),
            u32::try_from(self.changed.1).unwrap_or(0),
        );
        now.duration_since(UNIX_EPOCH + changed).is_ok_and(|age| age > limits::SIDECAR_SETTLED)
    }
}

#[derive(Clone)]
struct Sidecar {
    identity: Identity,
    digest: Sha256Digest,
    metadata: Arc<Metadata>,
}

/// The content of a verified sidecar.
#[derive(Debug, Clone)]
pub struct VerifiedSidecar {
    /// The content.
    pub metadata: Arc<Metadata>,
    /// Tells whether the file is still the verified one; `None` where it changed so recently that the file system's
    /// clock may not show another change.
    pub seal: Option<Seal>,
}

/// The state in which a sidecar was verified.
#[derive(Debug, Clone)]
pub struct Seal {
    /// Relative to the registry directory.
    path: Box<CStr>,
    identity: Identity,
}

impl Seal {
    fn of(record: &VersionRecord, identity: Identity) -> Option<Self> {
        let path = format!("{}/{METADATA}", record.artifact_path());
        Some(Self { path: CString::new(path).ok()?.into_boxed_c_str(), identity })
    }

    /// Whether the file at this path is still in the verified state. Costs one `stat`. The file's inode is compared, so
    /// a link on the path can lead only to the verified file itself.
    #[must_use]
    pub fn is_whole(&self, root: &RegistryRoot) -> bool {
        root.stat(&self.path).is_ok_and(|stat| Identity::of(&stat) == self.identity)
    }

    /// The memory that it takes, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.path.count_bytes() + 1
    }
}

/// An open artifact whose content need not have its recorded hash.
#[derive(Debug)]
pub struct UnverifiedArtifact {
    /// The open file, at its start.
    pub file: File,
    identity: Identity,
}

/// The cache of verified files, shared by all readers.
pub struct VerifiedFiles {
    sidecars: Mutex<Remembered<ModelId, Sidecar>>,
    artifacts: Mutex<Remembered<ModelId, (Identity, Sha256Digest)>>,
    suspects: Mutex<BTreeSet<(ModelType, Version)>>,
}

impl Default for VerifiedFiles {
    fn default() -> Self {
        Self {
            sidecars: Mutex::new(Remembered::new(limits::VERIFIED_SIDECAR_BYTES)),
            artifacts: Mutex::new(Remembered::new(limits::VERIFIED_ARTIFACT_BYTES)),
            suspects: Mutex::default(),
        }
    }
}

fn fault(record: &VersionRecord, what: impl Into<String>) -> StoreError {
    IntegrityFault { model: record.name(), what: what.into() }.into()
}

/// Turns the error for a file that is missing, a link or not a regular file into an integrity fault without a path.
/// Other disk errors stay as they are.
fn missing_is_a_fault(record: &VersionRecord, file: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::Io { ref source, .. } => match source.raw_os_error() {
            Some(code)
                if [
                    rustix::io::Errno::NOENT,
                    rustix::io::Errno::LOOP,
                    rustix::io::Errno::NOTDIR,
                ]
                .iter()
                .any(|errno| errno.raw_os_error() == code) =>
            {
                fault(record, format!("{file} is missing or not a plain file"))
            }
            None => fault(record, format!("{file} is not a plain file")),
            Some(_) => error,
        },
        other => other,
    }
}

fn folder_of(root: &RegistryRoot, record: &VersionRecord) -> Result<Folder, StoreError> {
    root.version_folder(&record.model_type, record.version)
        .map_err(|error| missing_is_a_fault(record, "its folder", error))
}

impl VerifiedFiles {
    /// The cached sidecar, if the file is still in its verified state. Costs one `stat` of the file.
    #[must_use]
    pub fn remembered(
        &self,
        root: &RegistryRoot,
        record: &VersionRecord,
    ) -> Option<VerifiedSidecar> {
        let known =
            self.sidecars.lock().unwrap_or_else(PoisonError::into_inner).get(&record.model_id)?;
        if known.digest != record.metadata_sha256 {
            return None;
        }
        let Sidecar { identity, metadata, .. } = known;
        let seal = Seal::of(record, identity)?;
        seal.is_whole(root).then_some(VerifiedSidecar { metadata, seal: Some(seal) })
    }

    /// The verified sidecar, from the cache or from its file.
    ///
    /// # Errors
    /// As [`Self::read_sidecar`].
    pub fn sidecar(
        &self,
        root: &RegistryRoot,
        record: &VersionRecord,
    ) -> Result<VerifiedSidecar, StoreError> {
        let read = || match self.remembered(root, record) {
            Some(verified) => Ok(verified),
            None => self.read_sidecar(root, record),
        };
        read().inspect_err(|error| self.suspect(record, error))
    }

    /// Remembers a version that a read found damaged.
    pub fn suspect(&self, record: &VersionRecord, error: &StoreError) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(error, StoreError::Integrity(_)) && suspects.len() < limits::SUSPECT_VERSIONS {
            suspects.insert((record.model_type.clone(), record.version));
        }
    }

    /// The versions that reads found damaged since the last call.
    #[must_use]
    pub fn take_suspects(&self) -> BTreeSet<(ModelType, Version)> {
        std::mem::take(&mut *self.suspects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads and verifies the sidecar without using the cache.
    ///
    /// # Errors
    /// [`StoreError::Integrity`] where it is missing, is a link, or has a hash or content that differs from the
    /// catalog.
    pub fn read_sidecar(
        &self,
        root: &RegistryRoot,
        record: &VersionRecord,
    ) -> Result<VerifiedSidecar, StoreError> {
        let folder = folder_of(root, record)?;
        let file = folder
            .open_file(METADATA)
            .map_err(|error| missing_is_a_fault(record, METADATA, error))?;
        let read_error = |error| StoreError::io("read", folder.path().join(METADATA), error);
        // The state is taken before the read, so that a change during the read makes the next read verify again.
        let identity = Identity::of(&rustix::fs::fstat(&file).map_err(|e| read_error(e.into()))?);
        let mut bytes = Vec::new();
        file.take(MAX_SIDECAR_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(read_error)?;
        let found = Sha256Digest::of(&bytes);
        if bytes.len() > MAX_SIDECAR_BYTES || found != record.metadata_sha256 {
            self.forget(record);
            return Err(fault(record, "metadata.json differs from its recorded SHA-256"));
        }
        let metadata = Metadata::parse(&bytes).map_err(|error| fault(record, error.to_string()))?;
        metadata.agrees_with(record).map_err(|error| fault(record, error.to_string()))?;
        let metadata = Arc::new(metadata);
        let mut seal = None;
        if identity.is_settled(SystemTime::now()) {
            let entry = Sidecar { identity, digest: found, metadata: metadata.clone() };
            let size = size_of::<Sidecar>() + limits::SIDECAR_IN_MEMORY * bytes.len();
            let mut sidecars = self.sidecars.lock().unwrap_or_else(PoisonError::into_inner);
            sidecars.insert(record.model_id, entry, size);
            drop(sidecars);
            seal = Seal::of(record, identity);
        }
        Ok(VerifiedSidecar { metadata, seal })
    }

    /// Opens the artifact and verifies it. Hashes the file unless it is still in the state that was verified before.
    ///
    /// # Errors
    /// [`StoreError::Integrity`] where it is missing, is a link, or has a size or hash that differs from the catalog.
    pub fn open_artifact(
        &self,
        root: &RegistryRoot,
        record: &VersionRecord,
        keep_going: &dyn Fn(u64) -> bool,
    ) -> Result<File, StoreError> {
        self.open_verified(root, record, keep_going)
            .inspect_err(|error| self.suspect(record, error))
    }

    fn open_verified(
        &self,
        root: &RegistryRoot,
        record: &VersionRecord,
        keep_going: &dyn Fn(u64) -> bool,
    ) -> Result<File, StoreError> {
        let UnverifiedArtifact { file, identity } = open_unverified(root, record)?;
        let known =
            self.artifacts.lock().unwrap_or_else(PoisonError::into_inner).get(&record.model_id);
        if known == Some((identity, record.checksum_sha256)) {
            return Ok(file);
        }
        check_artifact(&file, record, keep_going)?;
        if identity.is_settled(SystemTime::now()) {
            let entry = (identity, record.checksum_sha256);
            let mut artifacts = self.artifacts.lock().unwrap_or_else(PoisonError::into_inner);
            artifacts.insert(record.model_id, entry, size_of_val(&entry));
        }
        Ok(file)
    }

    /// Opens the artifact and hashes it without using the cache.
    ///
    /// # Errors
    /// As [`Self::open_artifact`].
    pub fn rehash_artifact(
        &self,
        root: &RegistryRoot,
        record: &VersionRecord,
        keep_going: &dyn Fn(u64) -> bool,
    ) -> Result<(), StoreError> {
        let artifact = self.open_unverified(root, record)?;
        self.hash_artifact(&artifact, record, keep_going)
    }

    /// Opens the artifact; [`Self::hash_artifact`] then verifies it.
    ///
    /// # Errors
    /// [`StoreError::Integrity`] where it is missing or a link.
    pub fn open_unverified(
        &self,
        root: &RegistryRoot,
        record: &VersionRecord,
    ) -> Result<UnverifiedArtifact, StoreError> {
        open_unverified(root, record)
    }

    /// Verifies an open artifact without using the cache. The file's position is not used.
    ///
    /// # Errors
    /// [`StoreError::Integrity`] where it has a size or hash that differs from the catalog.
    pub fn hash_artifact(
        &self,
        artifact: &UnverifiedArtifact,
        record: &VersionRecord,
        keep_going: &dyn Fn(u64) -> bool,
    ) -> Result<(), StoreError> {
        check_artifact(&artifact.file, record, keep_going).inspect_err(|_| self.forget(record))
    }

    /// Checks that an artifact has not changed since it was opened. Call this after the last read of it.
    ///
    /// # Errors
    /// [`StoreError::Integrity`] where it has changed.
    pub fn require_unchanged(
        &self,
        artifact: &UnverifiedArtifact,
        record: &VersionRecord,
    ) -> Result<(), StoreError> {
        let stat = rustix::fs::fstat(&artifact.file)
            .map_err(std::io::Error::from)
            .map_err(|error| StoreError::io("stat", record.artifact_path(), error))?;
        if Identity::of(&stat) == artifact.identity {
            return Ok(());
        }
        self.forget(record);
        Err(fault(record, "the artifact was changed while it was being checked"))
    }

    fn forget(&self, record: &VersionRecord) {
        self.sidecars.lock().unwrap_or_else(PoisonError::into_inner).remove(&record.model_id);
        self.artifacts.lock().unwrap_or_else(PoisonError::into_inner).remove(&record.model_id);
    }
}

fn open_unverified(
    root: &RegistryRoot,
    record: &VersionRecord,
) -> Result<UnverifiedArtifact, StoreError> {
    let name = record.artifact_file.as_str();
    let folder = folder_of(root, record)?;
    let file = folder.open_file(name).map_err(|error| missing_is_a_fault(record, name, error))?;
    let stat = rustix::fs::fstat(&file)
        .map_err(|error| StoreError::io("look at", folder.path().join(name), error))?;
    Ok(UnverifiedArtifact { file, identity: Identity::of(&stat) })
}

fn check_artifact(
    file: &File,
    record: &VersionRecord,
    keep_going: &dyn Fn(u64) -> bool,
) -> Result<(), StoreError> {
    let name = record.artifact_file.as_str();
    let read_error = |error| StoreError::io("read", record.artifact_path(), error);
    let (found, size) = digest::hash_file(file, keep_going).map_err(read_error)?;
    if size != record.artifact_size_bytes {
        let expected = record.artifact_size_bytes;
        return Err(fault(
            record,
            format!("{name} is {size} bytes long, recorded were {expected}"),
        ));
    }
    if found != record.checksum_sha256 {
        return Err(fault(record, format!("{name} differs from its recorded SHA-256")));
    }
    Ok(())
}
