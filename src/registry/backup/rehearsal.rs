//! Loads the rows of a backup into a temporary catalog and audits them: the proof that they can be restored.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
};

use tokio::sync::mpsc;

use crate::{
    artifacts::root::CATALOG,
    catalog::{
        Catalog as _, CatalogState, Restoration, SqliteCatalog, VersionFilter,
        tables::{self, PIECE_ROWS, Piece},
    },
    domain::{Sha256Digest, VersionRecord, log::RightEdge},
    error::RegistryError,
};

/// Pieces that are read ahead of the database.
const PIECES_AHEAD: usize = 2;

/// The content of a backup's catalog.
#[derive(Debug)]
pub struct Rehearsed {
    /// Every version.
    pub records: Vec<VersionRecord>,
    /// The right edge of the log.
    pub edge: RightEdge,
    /// The state that the last change recorded.
    pub state: CatalogState,
}

/// Loads rows into a temporary catalog and audits them.
///
/// # Errors
/// `CHECKSUM_MISMATCH` where rows, log and root disagree; `REGISTRY_UNAVAILABLE`.
pub async fn rehearse(
    tables: Vec<(String, File)>,
    root: Sha256Digest,
) -> Result<Rehearsed, RegistryError> {
    let folder = tempfile::tempdir().map_err(|error| {
        RegistryError::unavailable(
            "There is no temporary folder for the check of the backup's catalog; set TMPDIR to one that can be written",
            error,
        )
    })?;
    let catalog = SqliteCatalog::open(&folder.path().join(CATALOG))?;
    let order = Restoration { backed_up_root: root, note: None, restored_root: root, live: false };
    let state = catalog.restore(feed(tables), &order).await?;
    let records = catalog.list_versions(&VersionFilter::default()).await?.records;
    let edge = catalog.right_edge().await?;
    Ok(Rehearsed { records, edge, state })
}

/// Reads the rows of tables on a blocking thread, in the order in which a catalog takes them.
pub(in crate::registry) fn feed(files: Vec<(String, File)>) -> mpsc::Receiver<Piece> {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    // It ends when the receiver is gone, so nobody waits for it.
    drop(tokio::task::spawn_blocking(move || {
        let end = match send_all(files, &sender) {
            Ok(()) => Piece::End,
            Err(why) => Piece::Failed(why),
        };
        drop(sender.blocking_send(end));
    }));
    receiver
}

fn send_all(mut files: Vec<(String, File)>, to: &mpsc::Sender<Piece>) -> Result<(), String> {
    let unknown = files.iter().find(|(name, _)| tables::named(name).is_none());
    if let Some((name, _)) = unknown {
        return Err(format!("the backup has a table {name:?}, which this program does not know"));
    }
    for table in tables::TABLES {
        let Some(at) = files.iter().position(|(name, _)| name == table.name) else { continue };
        let (_, file) = files.swap_remove(at);
        let mut lines = BufReader::new(file).lines();
        loop {
            let rows = lines.by_ref().take(PIECE_ROWS).collect::<Result<Vec<_>, _>>();
            let rows = rows.map_err(|error| format!("table {}: {error}", table.name))?;
            if rows.is_empty() {
                break;
            }
            let sent = to.blocking_send(Piece::Rows { table, rows });
            sent.map_err(|_| "nobody takes the rows any more".to_owned())?;
        }
    }
    Ok(())
}
