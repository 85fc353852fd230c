//! Reads that are verified: a sidecar or artifact is handed out only after its hash was seen to be the
//! catalog's.
//!
//! A file seen to be right is remembered by device, inode, size, mtime and ctime. The next read costs one
//! look at those; any difference means hashing again. ctime is what catches a change that restores size
//! and mtime: no program can set it.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read as _, Seek as _},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::Stat;

use super::{
    IntegrityFault, RegistryRoot, StoreError, digest,
    root::{Folder, METADATA},
};
use crate::{
    domain::{Metadata, ModelId, Sha256Digest, VersionRecord, registration::MAX_SIDECAR_BYTES},
    limits,
};

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    #[expect(clippy::unnecessary_cast, reason = "the fields' types differ between architectures")]
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as i64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    /// Whether the last change is so long ago that a later one must show in ctime.
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

/// An open artifact with its recorded hash.
#[derive(Debug)]
pub struct HashedArtifact {
    /// The open file.
    pub file: File,
    identity: Identity,
}

/// The memory of verified files, shared by all who read.
#[derive(Default)]
pub struct VerifiedFiles {
    sidecars: Mutex<HashMap<ModelId, Sidecar>>,
    artifacts: Mutex<HashMap<ModelId, (Identity, Sha256Digest)>>,
}

fn fault(record: &VersionRecord, what: impl Into<String>) -> StoreError {
    IntegrityFault { model: record.name(), what: what.into() }.into()
}

/// Turns "not there" and "is a link" into an integrity fault without a path in it; other errors of the
/// disk stay what they are.
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
    /// The sidecar from memory, where the file is still the one that was verified. Costs one look at the
    /// file's inode.
    ///
    /// # Errors
    /// [`StoreError::Integrity`] where it is missing or a link.
    pub fn remembered(
        &self,
        root: &RegistryRoot,
        record: &VersionRecord,
    ) -> Result<Option<Arc<Metadata>>, StoreError> {
        let stat = folder_of(root, record)?
            .stat(METADATA)
            .map_err(|error| missing_is_a_fault(record, METADATA, error))?;
        let identity = Identity::of(&stat);
        let sidecars = self.sidecars.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(sidecars.get(&record.model_id).and_then(|known| {
            (known.identity == identity && known.digest == record.metadata_sha256)
                .then(|| known.metadata.clone())
        }))
    }

    /// The verified sidecar, from memory or from its file.
    ///
    /// # Errors
    /// As [`Self::read_sidecar`].
    pub fn sidecar(
        &self,
        root: &RegistryRoot,
        record: &VersionRecord,
    ) -> Result<Arc<Metadata>, StoreError> {
        match self.remembered(root, record)? {
            Some(metadata) => Ok(metadata),
            None => self.read_sidecar(root, record),
        }
    }

    /// Reads and verifies the sidecar, whatever is remembered.
    ///
    /// # Errors
    /// [`StoreError::Integrity`] where it is missing, is a link, has another hash than the catalog says,
    /// or contradicts the catalog.
    pub fn read_sidecar(
        &self,
        root: &RegistryRoot,
        record: &VersionRecord,
    ) -> Result<Arc<Metadata>, StoreError> {
        let folder = folder_of(root, record)?;
        let file = folder
            .open_file(METADATA)
            .map_err(|error| missing_is_a_fault(record, METADATA, error))?;
        let read_error = |error| StoreError::io("read", folder.path().join(METADATA), error);
        // The state before reading: a change during it makes the next read look again.
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
        if identity.is_settled(SystemTime::now()) {
            let entry = Sidecar { identity, digest: found, metadata: metadata.clone() };
            insert_bounded(&self.sidecars, record.model_id, entry);
        }
        Ok(metadata)
    }

    /// Opens the artifact, verified: from memory where the open file is still the one that was hashed,
    /// else after hashing it.
    ///
    /// # Errors
    /// [`StoreError::Integrity`] where it is missing, is a link, or has another hash than the catalog
    /// says.
    pub fn open_artifact(
        &self,
        root: &RegistryRoot,
        record: &VersionRecord,
        keep_going: &dyn Fn(u64) -> bool,
    ) -> Result<File, StoreError> {
        let (mut file, identity) = open_unverified(root, record)?;
        let known = self
            .artifacts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&record.model_id)
            .copied();
        if known == Some((identity, record.checksum_sha256)) {
            return Ok(file);
        }
        check_artifact(&mut file, record, keep_going)?;
        if identity.is_settled(SystemTime::now()) {
            insert_bounded(&self.artifacts, record.model_id, (identity, record.checksum_sha256));
        }
        Ok(file)
    }

    /// Opens the artifact and hashes it, whatever is remembered.
    ///
    /// # Errors
    /// As [`Self::open_artifact`].
    pub fn rehash_artifact(
        &self,
        root: &RegistryRoot,
        record: &VersionRecord,
        keep_going: &dyn Fn(u64) -> bool,
    ) -> Result<HashedArtifact, StoreError> {
        let (mut file, identity) = open_unverified(root, record)?;
        check_artifact(&mut file, record, keep_going).inspect_err(|_| self.forget(record))?;
        Ok(HashedArtifact { file, identity })
    }

    /// Holds that nothing was written into an artifact since it was opened to be hashed. To be asked after
    /// whatever was read of it since.
    ///
    /// # Errors
    /// [`StoreError::Integrity`] where something was.
    pub fn require_unchanged(
        &self,
        artifact: &HashedArtifact,
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

fn insert_bounded<T>(memory: &Mutex<HashMap<ModelId, T>>, key: ModelId, value: T) {
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    if memory.len() >= limits::VERIFIED_FILES && !memory.contains_key(&key) {
        // Rare enough that forgetting all and verifying again is the simplest thing that is right.
        memory.clear();
    }
    memory.insert(key, value);
}

fn open_unverified(
    root: &RegistryRoot,
    record: &VersionRecord,
) -> Result<(File, Identity), StoreError> {
    let name = record.artifact_file.as_str();
    let folder = folder_of(root, record)?;
    let file = folder.open_file(name).map_err(|error| missing_is_a_fault(record, name, error))?;
    let stat = rustix::fs::fstat(&file)
        .map_err(|error| StoreError::io("look at", folder.path().join(name), error))?;
    Ok((file, Identity::of(&stat)))
}

fn check_artifact(
    file: &mut File,
    record: &VersionRecord,
    keep_going: &dyn Fn(u64) -> bool,
) -> Result<(), StoreError> {
    let name = record.artifact_file.as_str();
    let read_error = |error| StoreError::io("read", record.artifact_path(), error);
    let (found, size) = digest::hash(&*file, keep_going).map_err(read_error)?;
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
    file.rewind().map_err(read_error)
}
