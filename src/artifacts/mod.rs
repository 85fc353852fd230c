//! Files on disk: version folders, sidecars, the manifest file, and registries of the Python service. All files are
//! opened beneath the registry directory, and no symbolic link is followed. File names are made from domain types, so
//! text from a client never becomes a path.

pub mod backup_folder;
pub mod backup_place;
pub mod digest;
pub mod integrity;
pub mod legacy;
pub mod lock;
pub mod manifest_file;
pub mod quarantine;
mod remembered;
pub mod reserve;
pub mod restoration;
pub mod root;
pub mod sidecar;
pub mod store;
pub mod vacancy;

use std::{io, path::PathBuf};

use crate::error::{ErrorKind, RegistryError};

pub use root::RegistryRoot;
pub use sidecar::{Seal, UnverifiedArtifact, VerifiedFiles, VerifiedSidecar};
pub use store::ArtifactStore;

/// An error on disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An operating system error, with the action and the file.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The failed action, for example "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A prepared folder cannot be moved to a folder on another mount.
    #[error(
        "{} is on another mount than the folder in which registrations are prepared, and nothing can be moved there; \
         put the whole registry on that file system, not one type of it",
        .0.display()
    )]
    OtherMount(PathBuf),
    /// The target of a move, for example a version's folder, already exists.
    #[error("{0} is there already")]
    Exists(String),
    /// A file differs from the catalog.
    #[error(transparent)]
    Integrity(#[from] IntegrityFault),
}

/// A file that differs from the catalog. The message names the version and the file within its folder, never an
/// absolute path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{model}: {what}")]
pub struct IntegrityFault {
    /// `<model_type>/<version>`.
    pub model: String,
    /// The fault.
    pub what: String,
}

impl StoreError {
    /// Whether the file or folder is missing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether it exists and is not a folder.
    #[must_use]
    pub fn is_no_folder(&self) -> bool {
        use rustix::io::Errno;
        let other = [Errno::NOTDIR, Errno::LOOP].map(Errno::raw_os_error);
        matches!(self, Self::Io { source, .. } if source.raw_os_error().is_some_and(|code| other.contains(&code)))
    }

    /// Whether the cause is a lack of file descriptors or memory, and not the file itself.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        use rustix::io::Errno;
        let short = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].map(Errno::raw_os_error);
        matches!(self, Self::Io { source, .. } if source.raw_os_error().is_some_and(|code| short.contains(&code)))
    }

    /// Whether the cause is a full disk or a used-up quota.
    #[must_use]
    pub fn is_out_of_room(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_out_of_room(source))
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

/// Whether the disk is full or a quota is used up.
fn is_out_of_room(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let full = [Errno::NOSPC, Errno::DQUOT].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| full.contains(&code))
}

impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OtherMount(_) => {
                Self::unavailable("The folder of this model type is a mount of its own", error)
            }
            StoreError::Io { .. } if error.is_out_of_room() => Self::out_of_room(error),
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
