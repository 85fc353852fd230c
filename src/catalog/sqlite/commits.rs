//! Notices commits of any process in the embedded catalog, by one read of a file.
//!
//! In WAL mode SQLite keeps an index of its log in `registry.db-shm`, which all connections map into memory. Its first
//! 48 bytes describe the last commit: a counter, the number of frames, the log's salt and checksums ("WAL-Index File
//! Format" in SQLite's documentation). SQLite writes them at the end of each commit, and its own readers decide by them
//! whether there is something new. A second copy follows, which is written first, so that a reader notices a commit in
//! progress.

use std::{
    fs::{File, Metadata},
    io,
    mem::ManuallyDrop,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, connection::SimpleConnection as _,
    sql_types::BigInt, sqlite::SqliteConnection,
};

use super::pragmas;
use crate::catalog::{CatalogError, marker::Marker};

/// The size of one description of the last commit.
const HEADER: usize = 48;
/// The version of the index's format, the only one that there has been since 2010.
const FORMAT: u32 = 3_007_000;

/// The index of an open catalog's log.
pub(super) struct Commits {
    database: PathBuf,
    opened: OnceLock<Opened>,
    /// While a connection is open, the index is neither removed nor made anew.
    keeper: Mutex<Option<Keeper>>,
    /// Whether the index was seen not to tell of a commit.
    silent: AtomicBool,
}

struct Keeper {
    connection: SqliteConnection,
    /// What SQLite and the index said at the last check.
    last: Option<(i64, Marker)>,
}

#[derive(QueryableByName)]
struct DataVersion {
    #[diesel(sql_type = BigInt)]
    data_version: i64,
}

struct Opened {
    /// Never closed: POSIX releases all locks of a process on a file when it closes any descriptor of it, and SQLite's
    /// locks are on this file.
    index: ManuallyDrop<File>,
    index_id: (u64, u64),
    database_id: (u64, u64),
}

fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Commits {
    pub(super) fn of(database: &Path) -> Self {
        let database = database.to_owned();
        let (opened, keeper) = (OnceLock::new(), Mutex::default());
        Self { database, opened, keeper, silent: AtomicBool::new(false) }
    }

    fn index_path(&self) -> PathBuf {
        let mut path = self.database.as_os_str().to_owned();
        path.push("-shm");
        path.into()
    }

    /// Opens the index. Until then [`Self::marker`] tells nothing.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where the database or its index cannot be opened.
    pub(super) fn open(&self) -> Result<(), CatalogError> {
        let failed = |error: &dyn std::fmt::Display| {
            CatalogError::Unavailable(format!("{}: {error}", self.database.display()))
        };
        let url = self.database.to_str().ok_or_else(|| failed(&"its path is not UTF-8"))?;
        let mut connection = SqliteConnection::establish(url).map_err(|error| failed(&error))?;
        // Only a connection that has read opens the index.
        let read = format!("{} SELECT count(*) FROM sqlite_master", pragmas());
        connection.batch_execute(&read).map_err(|error| failed(&error))?;
        let open = || -> io::Result<Opened> {
            let index = File::open(self.index_path())?;
            Ok(Opened {
                index_id: id(&index.metadata()?),
                database_id: id(&std::fs::metadata(&self.database)?),
                index: ManuallyDrop::new(index),
            })
        };
        let opened = open().map_err(|error| failed(&error))?;
        // Where it was opened before, the second descriptor stays open too.
        drop(self.opened.set(opened));
        let keeper = Keeper { connection, last: None };
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        Ok(())
    }

    /// Notes a commit of this process. The index shows it already.
    pub(super) fn notice(&self) {}

    /// The marker; `None` where it is not known, or a commit is in progress.
    pub(super) fn marker(&self) -> Option<Marker> {
        let opened = self.opened.get().filter(|_| !self.silent.load(Ordering::Relaxed))?;
        let mut read = [0; 2 * HEADER];
        let length = rustix::io::pread(&*opened.index, &mut read, 0).ok()?;
        if length < read.len() {
            return None;
        }
        let (last, in_progress) = read.split_at(HEADER);
        let format = u32::from_ne_bytes(last.first_chunk().copied()?);
        if last != in_progress || format != FORMAT {
            return None;
        }
        let mut words = [0; 6];
        for (word, bytes) in words.iter_mut().zip(last.chunks_exact(8)) {
            *word = u64::from_ne_bytes(bytes.first_chunk().copied()?);
        }
        Some(Marker::new(words))
    }

    /// Holds the index against what SQLite itself says of commits. Some file systems may not show in a read what another
    /// process wrote through its map of the file; then the index is not used any more.
    pub(super) fn check(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(keeper) = keeper.as_mut() else { return };
        let asked = diesel::sql_query("PRAGMA data_version").get_result(&mut keeper.connection);
        // In this order: a commit that SQLite tells of is in the index by now.
        let (Ok(DataVersion { data_version }), Some(marker)) = (asked, self.marker()) else {
            return;
        };
        if let Some((version, before)) = keeper.last.replace((data_version, marker))
            && version != data_version
            && before == marker
        {
            self.silent.store(true, Ordering::Relaxed);
            tracing::warn!(
                "the file system does not show commits in registry.db-shm: from now on every read asks the catalog"
            );
        }
    }

    /// Whether other files are now in the place of those that were opened. A missing file is not another one.
    pub(super) fn are_of_another_catalog(&self) -> bool {
        let Some(opened) = self.opened.get() else { return false };
        let other = |path: &Path, known| {
            std::fs::metadata(path).is_ok_and(|metadata| id(&metadata) != known)
        };
        other(&self.database, opened.database_id) || other(&self.index_path(), opened.index_id)
    }
}
