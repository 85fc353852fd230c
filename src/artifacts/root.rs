//! `RegistryRoot`: the open registry directory. Every file beneath it is opened through this type.
//!
//! Each path component is opened separately with `O_NOFOLLOW`. So a symbolic link anywhere beneath the root is an
//! error and cannot lead out of the directory.

use std::{
    ffi::CStr,
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat};

use super::StoreError;
use crate::{
    domain::{ModelType, Version},
    fault::{self, Point},
};

/// The folder of all version folders.
pub const ARTIFACTS: &str = "artifacts";
/// The folder in [`ARTIFACTS`] where registrations are prepared. No model type can have this name.
pub const STAGING: &str = ".staging";
/// The metadata of a version.
pub const METADATA: &str = "metadata.json";
/// The artifact's digest in the format that `sha256sum --check` reads.
pub const CHECKSUM: &str = "checksum.sha256";
/// The file of the embedded catalog.
pub const CATALOG: &str = "registry.db";
/// The file with the registry's summary.
pub const MANIFEST: &str = "manifest.json";

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
// The umask restricts these modes. New files and folders inherit the group of a directory with the set-group-ID bit,
// so a group can share a registry.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o777);
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
/// The file that is locked while the registry is changed.
pub const LOCK_FILE: &str = ".lock";
/// The file that is locked while the registry is restored.
pub const RESTORE_LOCK: &str = ".restore.lock";
/// The file that says which restore is under way.
pub const RESTORE_INTENT: &str = ".restore.json";
/// The file that is locked while version folders are copied or removed.
pub const RETAIN_FILE: &str = ".retain";

/// The registry directory.
#[derive(Debug)]
pub struct RegistryRoot {
    directory: OwnedFd,
    path: PathBuf,
}

/// An open folder beneath the root.
#[derive(Debug)]
pub struct Folder {
    directory: OwnedFd,
    /// For messages only.
    path: PathBuf,
}

impl RegistryRoot {
    /// Opens the directory. Creates it and its `artifacts` folder where they are absent.
    ///
    /// # Errors
    /// [`StoreError::Io`], naming the directory.
    pub fn open_or_create(path: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path)
            .map_err(|error| StoreError::io("make the registry directory", path, error))?;
        let root = Self::open(path)?;
        root.folder()?.make_folder(ARTIFACTS)?;
        Ok(root)
    }

    /// Opens an existing directory.
    ///
    /// # Errors
    /// [`StoreError::Io`], naming the directory.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // The path to the root may contain links, because the operator chose it.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = fs::open(path, flags, Mode::empty())
            .map_err(|error| StoreError::io("open the directory", path, error))?;
        Ok(Self { directory, path: path.to_owned() })
    }

    /// The directory's path, for the catalog's file and for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The `stat` of a file at a relative path. Links on the path are followed, but not one in the file's place: compare
    /// the inode, and never read the file by this path.
    ///
    /// # Errors
    /// The system's.
    pub fn stat(&self, path: &CStr) -> io::Result<Stat> {
        Ok(fs::statat(&self.directory, path, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Whether another directory is now at this one's path. A missing directory is not another one.
    #[must_use]
    pub fn was_replaced(&self) -> bool {
        let Ok(own) = fs::fstat(&self.directory) else { return false };
        fs::stat(&self.path)
            .is_ok_and(|there| (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino))
    }

    /// Whether this process may change the registry's files. `embedded` says that the catalog is one of them.
    #[must_use]
    pub fn takes_changes(&self, embedded: bool) -> bool {
        use rustix::fs::Access;
        let allowed =
            |name: &str, what| fs::accessat(&self.directory, name, what, AtFlags::EACCESS);
        let writable = |name: &str| {
            matches!(allowed(name, Access::WRITE_OK), Ok(()) | Err(rustix::io::Errno::NOENT))
        };
        allowed(".", Access::WRITE_OK | Access::EXEC_OK).is_ok()
            && [ARTIFACTS, LOCK_FILE].into_iter().all(writable)
            && (!embedded || writable(CATALOG))
    }

    /// Whether a restore is under way, or was cut off. Files and catalog may then disagree for a moment.
    #[must_use]
    pub fn is_being_restored(&self) -> bool {
        fs::statat(&self.directory, RESTORE_INTENT, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Tells other processes, as long as this value lives, that this one has the registry's catalog open. A file system
    /// without such locks is not an error: then nobody can replace the catalog's file.
    pub fn share(&self) {
        if let Err(error) = fs::flock(&self.directory, fs::FlockOperation::NonBlockingLockShared) {
            tracing::debug!(%error, "cannot tell other processes that the registry is open");
        }
    }

    /// Takes the registry for this process alone, if no other has its catalog open.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn try_take_alone(&self) -> Result<bool, StoreError> {
        super::lock::try_exclusive(&self.directory)
            .map_err(|error| StoreError::io("lock", &self.path, error))
    }

    /// The root as a folder.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the process has no file descriptor left.
    pub fn folder(&self) -> Result<Folder, StoreError> {
        let directory = rustix::io::fcntl_dupfd_cloexec(&self.directory, 0)
            .map_err(|error| StoreError::io("open", &self.path, error))?;
        Ok(Folder { directory, path: self.path.clone() })
    }

    /// The folder of all version folders.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it is missing or is a link.
    pub fn artifacts(&self) -> Result<Folder, StoreError> {
        open_folder(&self.directory, &self.path, ARTIFACTS)
    }

    /// A version's folder.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it is missing or its path contains a link.
    pub fn version_folder(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<Folder, StoreError> {
        self.artifacts()?.folder(model_type.as_str())?.folder(&version.to_string())
    }
}

fn open_folder(parent: impl AsFd, parent_path: &Path, name: &str) -> Result<Folder, StoreError> {
    let path = parent_path.join(name);
    let directory = fs::openat(parent, name, DIRECTORY, Mode::empty())
        .map_err(|error| StoreError::io("open", &path, error))?;
    Ok(Folder { directory, path })
}

impl Folder {
    fn failed(&self, action: &'static str, name: &str, error: impl Into<io::Error>) -> StoreError {
        StoreError::io(action, self.path.join(name), error)
    }

    /// Opens a folder in this one.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it is missing or is a link.
    pub fn folder(&self, name: &str) -> Result<Self, StoreError> {
        open_folder(&self.directory, &self.path, name)
    }

    /// Opens a folder in this one. Creates it where it is absent.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it cannot be created or opened.
    pub fn make_folder(&self, name: &str) -> Result<Self, StoreError> {
        match fs::mkdirat(&self.directory, name, DIRECTORY_MODE) {
            Ok(()) => self.sync()?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(self.failed("make the folder", name, error)),
        }
        self.folder(name)
    }

    /// Opens a folder in this one, or makes it, without flushing its entry: for many folders that are flushed
    /// together.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it cannot be created or opened.
    pub fn add_folder(&self, name: &str) -> Result<Self, StoreError> {
        match fs::mkdirat(&self.directory, name, DIRECTORY_MODE) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => self.folder(name),
            Err(error) => Err(self.failed("make the folder", name, error)),
        }
    }

    /// Makes a file of another folder appear in this one as a second name of the same file.
    ///
    /// # Errors
    /// The system's: above all where the two are on different file systems, or the file belongs to another user.
    pub fn link_from(&self, from: &Self, name: &str) -> io::Result<()> {
        let plain = AtFlags::empty();
        Ok(fs::linkat(&from.directory, name, &self.directory, name, plain)?)
    }

    /// Flushes the whole file system, which costs less than to flush thousands of files and folders one by one.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn sync_all(&self) -> Result<(), StoreError> {
        fs::syncfs(&self.directory).map_err(|error| StoreError::io("flush", &self.path, error))
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it is missing, is a link, or is not a regular file.
    pub fn open_file(&self, name: &str) -> Result<File, StoreError> {
        // NONBLOCK: a FIFO in place of the file must not block the open call.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = fs::openat(&self.directory, name, flags, Mode::empty())
            .map_err(|error| self.failed("open", name, error))?;
        let stat = fs::fstat(&file).map_err(|error| self.failed("open", name, error))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            Ok(File::from(file))
        } else {
            Err(self.failed("open", name, io::Error::other("not a regular file")))
        }
    }

    /// Creates a file that must not exist yet.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn create_file(&self, name: &str) -> Result<File, StoreError> {
        fs::openat(&self.directory, name, NEW_FILE, FILE_MODE)
            .map(File::from)
            .map_err(|error| self.failed("make", name, error))
    }

    /// Creates a file with this content and flushes it to the disk. Does not flush the folder's entry for it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write_file(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let mut file = self.create_file(name)?;
        io::Write::write_all(&mut file, content)
            .and_then(|()| file.sync_all())
            .map_err(|error| self.failed("write", name, error))
    }

    /// Opens a file for locking. Creates it where it is absent.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open_lock_file(&self, name: &str) -> Result<File, StoreError> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // CREATE only where it is absent: in a sticky directory the kernel refuses CREATE for another user's file.
        match fs::openat(&self.directory, name, flags, FILE_MODE) {
            Err(rustix::io::Errno::NOENT) => {
                fs::openat(&self.directory, name, flags | OFlags::CREATE, FILE_MODE)
            }
            opened => opened,
        }
        .map(File::from)
        .map_err(|error| self.failed("open", name, error))
    }

    /// The `stat` of a file in this folder. A link is not followed.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it is missing.
    pub fn stat(&self, name: &str) -> Result<Stat, StoreError> {
        fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.failed("look at", name, error))
    }

    /// Moves a file or folder to another folder. Never replaces an existing one. The caller holds the write lock.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where the new name is taken, else [`StoreError::Io`].
    pub fn move_new(&self, name: &str, to: &Self, new_name: &str) -> Result<(), StoreError> {
        use rustix::io::Errno;
        match self.rename_new(name, to, new_name) {
            // File systems without rename flags, such as NFS, and kernels without renameat2(2) return these errors.
            // Between the check and the plain rename, the write lock excludes other processes of this program. If
            // another program creates a folder there that is not empty, the rename itself fails.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                if to.stat(new_name).is_ok() {
                    return Err(StoreError::Exists(to.path.join(new_name).display().to_string()));
                }
                fs::renameat(&self.directory, name, &to.directory, new_name)
                    .map_err(|error| to.failed("move into place", new_name, error))
            }
            Ok(()) => Ok(()),
            Err(Errno::EXIST | Errno::NOTEMPTY) => {
                Err(StoreError::Exists(to.path.join(new_name).display().to_string()))
            }
            // The kernel also returns this where both folders are on one file system but under different mounts.
            Err(Errno::XDEV) => Err(StoreError::OtherMount(to.path.clone())),
            Err(error) => Err(to.failed("move into place", new_name, error)),
        }
    }

    fn rename_new(&self, name: &str, to: &Self, new_name: &str) -> rustix::io::Result<()> {
        if fault::asked_for(Point::FilesRenameFlags) {
            return Err(rustix::io::Errno::INVAL);
        }
        let flags = RenameFlags::NOREPLACE;
        fs::renameat_with(&self.directory, name, &to.directory, new_name, flags)
    }

    /// Renames a file in this folder. Replaces an existing file with the new name.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn replace(&self, name: &str, new_name: &str) -> Result<(), StoreError> {
        fs::renameat(&self.directory, name, &self.directory, new_name)
            .map_err(|error| self.failed("move into place", new_name, error))
    }

    /// Removes a file. A missing file is not an error.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove_file(&self, name: &str) -> Result<(), StoreError> {
        match fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed("remove", name, error)),
        }
    }

    /// Removes a folder that contains files and folders of files. Deeper folders are an error, because the registry
    /// creates none. A missing folder or file is not an error.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove_folder(&self, name: &str) -> Result<(), StoreError> {
        let folder = match self.folder(name) {
            Ok(folder) => folder,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in folder.entries()? {
            match folder.folder(&entry) {
                Ok(inner) => {
                    inner.entries()?.iter().try_for_each(|file| inner.remove_file(file))?;
                    folder.remove_if_empty(&entry)?;
                }
                Err(_) => folder.remove_file(&entry)?,
            }
        }
        match fs::unlinkat(&self.directory, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed("remove", name, error)),
        }
    }

    /// Removes an empty folder. A folder that has entries, is missing, or is a mount point is left alone.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove_if_empty(&self, name: &str) -> Result<(), StoreError> {
        use rustix::io::Errno;
        match fs::unlinkat(&self.directory, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT | Errno::BUSY) => Ok(()),
            Err(error) => Err(self.failed("remove", name, error)),
        }
    }

    /// The names in this folder, sorted. A name that is not UTF-8 is returned with replacement characters and can
    /// only be reported.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn entries(&self) -> Result<Vec<String>, StoreError> {
        let read = || -> rustix::io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in Dir::read_from(&self.directory)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if name != "." && name != ".." {
                    names.push(name);
                }
            }
            names.sort();
            Ok(names)
        };
        read().map_err(|error| StoreError::io("list", &self.path, error))
    }

    /// Flushes the folder's entries to the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn sync(&self) -> Result<(), StoreError> {
        fs::fsync(&self.directory).map_err(|error| StoreError::io("flush", &self.path, error))
    }

    /// Takes an exclusive lock on the folder, which ends with this handle. `false` where the folder is already
    /// locked.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn try_lock(&self) -> Result<bool, StoreError> {
        super::lock::try_exclusive(&self.directory)
            .map_err(|error| StoreError::io("lock", &self.path, error))
    }

    /// Waits for a shared lock on the folder, which ends with this handle.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn lock_shared(&self) -> Result<(), StoreError> {
        fs::flock(&self.directory, fs::FlockOperation::LockShared)
            .map_err(|error| StoreError::io("lock", &self.path, error))
    }

    /// The folder itself, to ask its file system.
    pub(super) fn descriptor(&self) -> impl AsFd + '_ {
        &self.directory
    }

    /// The folder's path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
