//! One backup on disk: how it is written, and how it is read and checked.
//!
//! `backup_manifest.json` is written last, so a backup that was cut off has none. Its folder is locked while it is
//! written (alone) or read (shared), so that nothing removes it meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufWriter, Read as _, Write},
};

use sha2::{Digest as _, Sha256};

use super::{
    StoreError, digest,
    root::{ARTIFACTS, Folder},
};
use crate::{
    domain::{
        Sha256Digest, VersionRecord,
        backup::{BackedUpFile, BackupId, BackupManifest, BackupPath, UnreadableBackup},
    },
    fault::{self, Point},
};

/// The file that makes a backup complete.
pub const BACKUP_MANIFEST: &str = "backup_manifest.json";
const NEW_MANIFEST: &str = ".backup_manifest.json.new";
/// The folder of the catalog's rows.
const CATALOG_ROWS: &str = "catalog";
/// The largest manifest that is read: a million files need less than a third of it.
const MAX_MANIFEST_BYTES: u64 = 1 << 30;

/// How many bytes a backup shares with the registry, and how many it copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes of files whose blocks the file system shares: they cost nothing.
    pub cloned_bytes: u64,
    /// Bytes of files that are a second name of the registry's own file: they cost nothing.
    pub linked_bytes: u64,
    /// Bytes of files that were copied.
    pub copied_bytes: u64,
}

/// Gives a folder the files of another one, in the cheapest way that works.
#[derive(Debug, Default)]
pub struct Duplicator {
    no_clones: bool,
    no_links: bool,
    cost: Cost,
}

impl Duplicator {
    /// What it cost so far.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Makes a file of one folder appear in another: as a clone that shares its blocks, else as a hard link, else as a
    /// copy.
    ///
    /// # Errors
    /// [`StoreError::Io`], with [`io::ErrorKind::Interrupted`] once `keep_going` returns `false`.
    pub fn duplicate(
        &mut self,
        from: &Folder,
        to: &Folder,
        name: &str,
        keep_going: &dyn Fn(u64) -> bool,
    ) -> Result<(), StoreError> {
        let source = from.open_file(name)?;
        let failed = |error| StoreError::io("copy", to.path().join(name), error);
        let size = source.metadata().map_err(failed)?.len();
        if !self.no_clones {
            let target = to.create_file(name)?;
            if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
                self.cost.cloned_bytes += size;
                return Ok(());
            }
            drop(target);
            to.remove_file(name)?;
            self.no_clones = true;
        }
        if !self.no_links {
            match to.link_from(from, name) {
                Ok(()) => {
                    self.cost.linked_bytes += size;
                    return Ok(());
                }
                // One file may have too many names, or belong to somebody else; the next one may not.
                Err(error) => self.no_links = error.kind() == io::ErrorKind::CrossesDevices,
            }
        }
        let target = to.create_file(name)?;
        digest::copy_hashed(source, &target, keep_going).map_err(failed)?;
        self.cost.copied_bytes += size;
        Ok(())
    }
}

/// A backup that is being written. Dropping it before it is complete removes it.
#[derive(Debug)]
pub struct NewBackup {
    /// The folder that holds all backups.
    place: Folder,
    folder: Folder,
    id: BackupId,
    files: BTreeMap<String, BackedUpFile>,
    rows: Option<Rows>,
    duplicator: Duplicator,
    complete: bool,
}

/// The file of one table's rows.
#[derive(Debug)]
struct Rows {
    table: String,
    file: BufWriter<File>,
    hasher: Sha256,
    size: u64,
}

fn path_of(record: &VersionRecord, name: &str) -> String {
    format!("{}/{name}", record.artifact_path())
}

impl NewBackup {
    /// Makes the folder of a backup, and locks it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn begin(place: Folder, id: BackupId) -> Result<Self, StoreError> {
        let folder = place.make_folder(&id.to_string())?;
        // Somebody who lists the backups may hold the lock for a moment.
        let mut attempts = 0;
        while !folder.try_lock()? {
            attempts += 1;
            if attempts > 100 {
                return Err(StoreError::Exists(folder.path().display().to_string()));
            }
            std::thread::sleep(crate::limits::WRITE_LOCK_POLL);
        }
        fault::point(Point::BackupBegun);
        Ok(Self {
            place,
            folder,
            id,
            files: BTreeMap::new(),
            rows: None,
            duplicator: Duplicator::default(),
            complete: false,
        })
    }

    /// The path of the backup.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The backup's name.
    #[must_use]
    pub fn id(&self) -> &BackupId {
        &self.id
    }

    /// What it cost so far.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.duplicator.cost()
    }

    /// Every file so far.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, BackedUpFile> {
        &self.files
    }

    /// Writes rows of a table. All rows of one table come one after the other.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write_rows(&mut self, table: &str, rows: &[String]) -> Result<(), StoreError> {
        if self.rows.as_ref().is_none_or(|open| open.table != table) {
            self.end_rows()?;
            let file = self.folder.add_folder(CATALOG_ROWS)?.create_file(&file_of(table))?;
            self.rows = Some(Rows {
                table: table.to_owned(),
                file: BufWriter::new(file),
                hasher: Sha256::new(),
                size: 0,
            });
        }
        let Some(open) = &mut self.rows else { return Ok(()) };
        for row in rows {
            let line = format!("{row}\n");
            let failed = |error| StoreError::io("write", self.folder.path().join(table), error);
            open.file.write_all(line.as_bytes()).map_err(failed)?;
            open.hasher.update(line.as_bytes());
            open.size += line.len() as u64;
        }
        Ok(())
    }

    /// Ends the last table.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn end_rows(&mut self) -> Result<(), StoreError> {
        let Some(mut rows) = self.rows.take() else { return Ok(()) };
        let path = format!("{CATALOG_ROWS}/{}", file_of(&rows.table));
        rows.file
            .flush()
            .map_err(|error| StoreError::io("write", self.folder.path().join(&path), error))?;
        let sha256 = Sha256Digest::from_hasher(rows.hasher);
        self.files.insert(path, BackedUpFile { sha256, size_bytes: rows.size });
        Ok(())
    }

    /// The names and files of the tables that have rows.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn tables(&self) -> Result<Vec<(String, File)>, StoreError> {
        open_tables(&self.folder, &self.files)
    }

    /// Takes the files of a version, hashes what arrived, and compares it with the catalog. What differs is returned;
    /// such a version is not in the backup.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the backup cannot be written, with [`io::ErrorKind::Interrupted`] once `keep_going`
    /// returns `false`.
    pub fn add_version(
        &mut self,
        from: &Folder,
        record: &VersionRecord,
        expected: &[(String, Option<Sha256Digest>)],
        keep_going: &dyn Fn(u64) -> bool,
    ) -> Result<Option<String>, StoreError> {
        let version = record.version.to_string();
        let of_type = self.folder.add_folder(ARTIFACTS)?.add_folder(record.model_type.as_str())?;
        let to = of_type.add_folder(&version)?;
        let mut found = Vec::new();
        for (name, sha256) in expected {
            match from.open_file(name) {
                Ok(_) => {}
                Err(error) => {
                    of_type.remove_folder(&version)?;
                    return Ok(Some(format!("{}: {error}", path_of(record, name))));
                }
            }
            self.duplicator.duplicate(from, &to, name, keep_going)?;
            let path = path_of(record, name);
            let file = hash_of(&to, name, &path, keep_going)?;
            if sha256.is_some_and(|expected| expected != file.sha256) {
                of_type.remove_folder(&version)?;
                return Ok(Some(format!("{path}: its SHA-256 is not the catalog's")));
            }
            found.push((path, file));
        }
        self.files.extend(found);
        Ok(None)
    }

    /// Flushes everything, and makes the backup complete.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn finish(mut self, manifest: &BackupManifest) -> Result<(), StoreError> {
        self.folder.sync_all()?;
        let text = serde_json::to_vec_pretty(manifest)
            .map_err(|error| StoreError::io("write", self.folder.path(), error))?;
        self.folder.write_file(NEW_MANIFEST, &text)?;
        fault::point(Point::BackupManifestWritten);
        self.folder.replace(NEW_MANIFEST, BACKUP_MANIFEST)?;
        self.complete = true;
        self.folder.sync()?;
        self.place.sync()?;
        fault::point(Point::BackupComplete);
        Ok(())
    }
}

impl Drop for NewBackup {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(self.folder.path()) {
            tracing::warn!(%error, backup = %self.id, "an incomplete backup is left; `backup prune` removes it");
        }
    }
}

fn open_tables(
    folder: &Folder,
    files: &BTreeMap<String, BackedUpFile>,
) -> Result<Vec<(String, File)>, StoreError> {
    let tables = files.keys().filter_map(|path| match BackupPath::parse(path)? {
        BackupPath::Table(table) => Some(table),
        BackupPath::Artifact { .. } => None,
    });
    tables
        .map(|table| {
            let file = folder.folder(CATALOG_ROWS)?.open_file(&file_of(&table))?;
            Ok((table, file))
        })
        .collect()
}

fn file_of(table: &str) -> String {
    format!("{table}.jsonl")
}

fn hash_of(
    folder: &Folder,
    name: &str,
    path: &str,
    keep_going: &dyn Fn(u64) -> bool,
) -> Result<BackedUpFile, StoreError> {
    let file = folder.open_file(name)?;
    let (sha256, size_bytes) =
        digest::hash(file, keep_going).map_err(|error| StoreError::io("read", path, error))?;
    Ok(BackedUpFile { sha256, size_bytes })
}

/// A complete backup.
#[derive(Debug)]
pub struct Backup {
    folder: Folder,
    manifest: BackupManifest,
}

/// Why a backup cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum NoBackup {
    /// There is none of this name.
    #[error("there is no backup {0}")]
    Missing(BackupId),
    /// It was cut off, or is still being made.
    #[error("backup {0} is incomplete: it has no backup_manifest.json, which is written last")]
    Incomplete(BackupId),
    /// Its manifest cannot be used.
    #[error(transparent)]
    Unreadable(#[from] UnreadableBackup),
    /// The disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Backup {
    /// Opens a backup, and keeps others from removing it.
    ///
    /// # Errors
    /// [`NoBackup`].
    pub fn open(place: &Folder, id: &BackupId) -> Result<Self, NoBackup> {
        let folder = match place.folder(&id.to_string()) {
            Ok(folder) => folder,
            Err(error) if error.is_not_found() => return Err(NoBackup::Missing(id.clone())),
            Err(error) => return Err(error.into()),
        };
        // A backup that is being made is locked by its maker, and has no manifest.
        let manifest =
            read_manifest(&folder, id)?.ok_or_else(|| NoBackup::Incomplete(id.clone()))?;
        folder.lock_shared()?;
        Ok(Self { folder, manifest })
    }

    /// What the backup says of itself.
    #[must_use]
    pub fn manifest(&self) -> &BackupManifest {
        &self.manifest
    }

    /// The path of the backup.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    fn folder_of(&self, path: &BackupPath) -> Result<(Folder, String), StoreError> {
        match path {
            BackupPath::Table(table) => Ok((self.folder.folder(CATALOG_ROWS)?, file_of(table))),
            BackupPath::Artifact { model_type, version, file } => {
                let of_type = self.folder.folder(ARTIFACTS)?.folder(model_type.as_str())?;
                Ok((of_type.folder(&version.to_string())?, file.clone()))
            }
        }
    }

    /// The folder of a version.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn version_folder(&self, record: &VersionRecord) -> Result<Folder, StoreError> {
        let of_type = self.folder.folder(ARTIFACTS)?.folder(record.model_type.as_str())?;
        of_type.folder(&record.version.to_string())
    }

    /// The names and files of the tables that have rows.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn tables(&self) -> Result<Vec<(String, File)>, StoreError> {
        open_tables(&self.folder, &self.manifest.files)
    }

    /// Re-hashes every file and compares all with the backup's manifest. Returns every difference.
    ///
    /// # Errors
    /// [`StoreError::Io`] with [`io::ErrorKind::Interrupted`] once `keep_going` returns `false`; a file that cannot be
    /// read is a difference.
    pub fn check(&self, keep_going: &dyn Fn(u64, &str) -> bool) -> Result<Vec<String>, StoreError> {
        let mut differences = Vec::new();
        let mut done = 0;
        for (path, expected) in &self.manifest.files {
            let found = BackupPath::parse(path)
                .ok_or_else(|| StoreError::io("read", path, io::Error::other("no such path")))
                .and_then(|parsed| self.folder_of(&parsed))
                .and_then(|(folder, name)| {
                    hash_of(&folder, &name, path, &|bytes| keep_going(done + bytes, path))
                });
            match found {
                Ok(found) if found == *expected => {}
                Ok(_) => differences
                    .push(format!("{path} was changed: its SHA-256 or size is another one")),
                Err(error) if error.is_not_found() => {
                    differences.push(format!("{path} is missing"));
                }
                Err(StoreError::Io { source, .. })
                    if source.kind() == io::ErrorKind::Interrupted =>
                {
                    return Err(StoreError::io("read", path, source));
                }
                Err(error) => differences.push(error.to_string()),
            }
            done += expected.size_bytes;
        }
        let mut there = BTreeSet::new();
        list_files(&self.folder, "", &mut there)?;
        there.remove(BACKUP_MANIFEST);
        let extra = there.iter().filter(|path| !self.manifest.files.contains_key(*path));
        differences.extend(extra.map(|path| format!("{path} does not belong to the backup")));
        Ok(differences)
    }
}

/// Adds the path of every file beneath a folder.
fn list_files(
    folder: &Folder,
    before: &str,
    found: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    for name in folder.entries()? {
        let path = format!("{before}{name}");
        match folder.folder(&name) {
            Ok(inner) => list_files(&inner, &format!("{path}/"), found)?,
            Err(_) => {
                found.insert(path);
            }
        }
    }
    Ok(())
}

/// Reads the manifest of a backup; `None` where there is none.
///
/// # Errors
/// [`NoBackup::Unreadable`]; [`NoBackup::Store`].
pub(super) fn read_manifest(
    folder: &Folder,
    id: &BackupId,
) -> Result<Option<BackupManifest>, NoBackup> {
    let file = match folder.open_file(BACKUP_MANIFEST) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = Vec::new();
    file.take(MAX_MANIFEST_BYTES)
        .read_to_end(&mut text)
        .map_err(|error| StoreError::io("read", folder.path().join(BACKUP_MANIFEST), error))?;
    Ok(Some(BackupManifest::parse(&text, id)?))
}
