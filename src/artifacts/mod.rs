//! What the disk knows: version folders, sidecars, the manifest's file, and registries of the Python
//! service. Everything is opened beneath the registry directory with no symbolic link followed, by names
//! made from domain types; no text of a client becomes a path.

pub mod digest;
pub mod integrity;
pub mod legacy;
pub mod lock;
pub mod manifest_file;
pub mod quarantine;
pub mod root;
pub mod sidecar;
pub mod store;
pub mod vacancy;

use std::{io, path::PathBuf};

use crate::error::{ErrorKind, RegistryError};

pub use root::RegistryRoot;
pub use sidecar::{HashedArtifact, VerifiedFiles};
pub use store::ArtifactStore;

/// What went wrong on disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused; says what was tried on which file.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, for example "write".
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// What was prepared cannot be moved to a folder on another mount.
    #[error(
        "{} is on another mount than the folder in which registrations are prepared, and nothing can be moved there; \
         put the whole registry on that file system, not one type of it",
        .0.display()
    )]
    OtherMount(PathBuf),
    /// A folder of that version is there already.
    #[error("{0} is there already")]
    Exists(String),
    /// A file is not what its recorded hash says.
    #[error(transparent)]
    Integrity(#[from] IntegrityFault),
}

/// A file that is not what the catalog says. The sentence names the version and the file within its
/// folder, never an absolute path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{model}: {what}")]
pub struct IntegrityFault {
    /// `<model_type>/<version>`.
    pub model: String,
    /// What is wrong.
    pub what: String,
}

impl StoreError {
    /// Whether the file or folder is just not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether it is there and no folder.
    #[must_use]
    pub fn is_no_folder(&self) -> bool {
        use rustix::io::Errno;
        let other = [Errno::NOTDIR, Errno::LOOP].map(Errno::raw_os_error);
        matches!(self, Self::Io { source, .. } if source.raw_os_error().is_some_and(|code| other.contains(&code)))
    }

    /// Whether the process or the machine has no room left, so that the file itself is not the reason.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        use rustix::io::Errno;
        let short = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].map(Errno::raw_os_error);
        matches!(self, Self::Io { source, .. } if source.raw_os_error().is_some_and(|code| short.contains(&code)))
    }

    /// Wraps a system error.
    pub fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }
}

impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OtherMount(_) => {
                Self::unavailable("The folder of this model type is a mount of its own", error)
            }
            StoreError::Io { .. } => {
                Self::unavailable("The registry's files cannot be used", error)
            }
            StoreError::Exists(_) => Self::new(ErrorKind::VersionExists, error.to_string()),
            StoreError::Integrity(fault) => fault.into(),
        }
    }
}

impl From<IntegrityFault> for RegistryError {
    fn from(fault: IntegrityFault) -> Self {
        Self::new(ErrorKind::IntegrityOnRead, fault.to_string())
    }
}
