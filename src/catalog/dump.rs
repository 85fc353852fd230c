//! The portable dump of the catalog, and its restoration in one transaction.
//!
//! Included once in each database's module, which says how a row becomes JSON and back, and how all tables are
//! emptied although their triggers forbid it.

use diesel::{QueryableByName, sql_types::Text};
use diesel_async::RunQueryDsl;
use tokio::sync::mpsc;

use super::{
    Conn, audit,
    queries::{state, tree_state},
    writer::Writer,
};
use crate::{
    catalog::{
        Author, CatalogError, CatalogState, Restoration, Stamp,
        connection::CatalogConnection as _,
        tables::{PIECE_ROWS, Piece, TABLES, Table},
    },
    fault::{self, Point},
};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Sends every row of every table, as one snapshot shows them, and returns the state of that snapshot.
///
/// # Errors
/// The database's error; [`CatalogError::Unavailable`] where the receiver gave up.
pub(super) async fn dump(
    conn: &mut Conn,
    pieces: &mpsc::Sender<Piece>,
) -> Result<CatalogState, CatalogError> {
    let state = state(conn).await?;
    for table in TABLES {
        let mut last: Option<String> = None;
        loop {
            let query = select(table, last.is_some());
            let page: Vec<Line> = match last.take() {
                None => diesel::sql_query(query).load(conn).await?,
                Some(last) => diesel::sql_query(query).bind::<Text, _>(last).load(conn).await?,
            };
            let full = page.len() == PIECE_ROWS;
            let rows: Vec<_> = page.into_iter().map(|row| row.line).collect();
            last = rows.last().cloned().filter(|_| full);
            if !rows.is_empty() {
                send(pieces, Piece::Rows { table, rows }).await?;
            }
            if last.is_none() {
                break;
            }
        }
    }
    send(pieces, Piece::End).await?;
    Ok(state)
}

async fn send(pieces: &mpsc::Sender<Piece>, piece: Piece) -> Result<(), CatalogError> {
    let gone = |_| CatalogError::Unavailable("nobody takes the dump any more".to_owned());
    pieces.send(piece).await.map_err(gone)
}

/// The query for a page of rows in the order of their key, after a row that is its parameter.
fn select(table: &Table, after: bool) -> String {
    let Table { name, key, columns } = table;
    let fields: Vec<_> = columns
        .iter()
        .map(|(column, kind)| format!("'{column}', {}", Conn::column_as_json(column, *kind)))
        .collect();
    let object = Conn::object_as_text(&fields.join(", "));
    let keys = key.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
    let condition = if after {
        let values: Vec<_> = key.iter().map(|column| Conn::key_of_row(name, column)).collect();
        format!("WHERE ({keys}) > ({})", values.join(", "))
    } else {
        String::new()
    };
    format!(
        "SELECT {object} AS line FROM \"{name}\" {condition} ORDER BY {keys} LIMIT {PIECE_ROWS}"
    )
}

/// Replaces the whole content of the catalog by a dump. Every row is checked against the log before the caller
/// commits.
///
/// # Errors
/// The database's error; [`CatalogError::Damaged`] where the dump is incomplete, or its rows, log and root disagree.
/// Any error rolls the whole transaction back.
pub(super) async fn restore(
    conn: &mut Conn,
    pieces: &mut mpsc::Receiver<Piece>,
    order: &Restoration,
) -> Result<CatalogState, CatalogError> {
    conn.make_room().await?;
    if order.live {
        fault::point(Point::RestoreEmptied);
    }
    load(conn, pieces).await?;
    let found = audit::audit(conn, true).await?.discrepancies;
    if let Some(first) = found.as_slice().first() {
        let (count, first) = (found.len(), &first.detail);
        return Err(CatalogError::Damaged(format!(
            "the backup's catalog is not what its log says, in {count} places: {first}"
        )));
    }
    let root = tree_state(conn).await?.roots.current;
    if root != order.backed_up_root {
        return Err(CatalogError::Damaged(format!(
            "the backup's manifest says that the log's root is {}, but it is {root}",
            order.backed_up_root
        )));
    }
    let restored = match &order.note {
        None => state(conn).await?,
        Some(note) => {
            let author = Author {
                actor: note.draft.actor.clone(),
                authenticated_as: note.draft.authenticated_as.clone(),
            };
            let stamp = Stamp { at: note.draft.time, author, reason: note.draft.reason.clone() };
            let mut writer = Writer::begin(conn, &stamp).await?;
            writer.append(note.draft.clone()).await?;
            writer.replaces(note.replaced_root);
            writer.finish().await?
        }
    };
    if order.restored_root != restored.summary.root {
        return Err(CatalogError::Damaged(format!(
            "the restored log's root is {}, and {} was expected",
            restored.summary.root, order.restored_root
        )));
    }
    if order.live {
        fault::point(Point::RestoreLoaded);
    }
    Ok(restored)
}

async fn load(conn: &mut Conn, pieces: &mut mpsc::Receiver<Piece>) -> Result<(), CatalogError> {
    loop {
        match pieces.recv().await {
            Some(Piece::Rows { table, rows }) => {
                let Some(first) = rows.as_slice().first() else { continue };
                let columns = table.columns_of(first).map_err(CatalogError::Damaged)?;
                let statement = Conn::insert_rows(table.name, &columns);
                let rows = format!("[{}]", rows.join(","));
                diesel::sql_query(statement).bind::<Text, _>(rows).execute(conn).await?;
            }
            Some(Piece::End) => return Ok(()),
            Some(Piece::Failed(why)) => return Err(CatalogError::Unavailable(why)),
            None => {
                return Err(CatalogError::Unavailable("the backup was cut off".to_owned()));
            }
        }
    }
}
