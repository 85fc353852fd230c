//! What the system says of a file, from which a change is seen without reading the file.

use std::{io, os::unix::fs::MetadataExt as _, path::Path};

/// Two stamps of one path differ where the file was changed or replaced between them. Symbolic links are followed,
/// because secrets are mounted through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    /// The file's stamp now.
    ///
    /// # Errors
    /// The system's, also where this is no regular file.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = path.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}
