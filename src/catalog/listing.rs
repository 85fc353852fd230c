//! Lists of versions: a page, and the outline of a whole list.
//!
//! Included once in each database's module.

use diesel::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl as _;

use super::{
    Conn, StoredTime, loaded_time,
    rows::{CheckRow, CollectedRow, VersionRow, column},
    schema::{collected, load_checks, versions},
};
use crate::{
    catalog::{CatalogError, Order, Outline, OutlinedPage, VersionFilter, VersionPage},
    domain::{ModelId, Status, VersionRecord},
    limits,
};

/// Loads versions with what is known beside their rows. Where tables of the latter are missing (`$whole` is false),
/// nothing is known.
macro_rules! load_records {
    ($conn:expr, $whole:expr, |$versions:ident| $query:expr) => {{
        let rows: Vec<(VersionRow, Option<CheckRow>, Option<CollectedRow>)> = if $whole {
            let $versions =
                versions::table.left_join(load_checks::table).left_join(collected::table).select((
                    VersionRow::as_select(),
                    Option::<CheckRow>::as_select(),
                    Option::<CollectedRow>::as_select(),
                ));
            $query.load($conn).await?
        } else {
            let $versions = versions::table.select(VersionRow::as_select());
            let rows: Vec<VersionRow> = $query.load($conn).await?;
            rows.into_iter().map(|row| (row, None, None)).collect()
        };
        rows.into_iter()
            .map(|(row, check, collected)| row.into_whole_record(check, collected))
            .collect::<Result<Vec<VersionRecord>, CatalogError>>()
    }};
}

pub(super) use load_records;

/// The versions that match a filter, whatever its page, in no order.
macro_rules! matching {
    ($filter:expr) => {
        matching!($filter, versions::table)
    };
    ($filter:expr, $versions:expr) => {{
        let mut query = $versions.into_boxed();
        if let Some(model_type) = &$filter.model_type {
            query = query.filter(versions::model_type.eq(model_type.as_str().to_owned()));
        }
        if let Some(status) = $filter.status {
            query = query.filter(versions::status.eq(status.as_str()));
        }
        query
    }};
}

/// The same in the filter's order.
macro_rules! ordered {
    ($filter:expr) => {
        ordered!($filter, versions::table)
    };
    ($filter:expr, $versions:expr) => {{
        let query = matching!($filter, $versions);
        match $filter.order {
            Order::Newest => query.order((versions::created_at.desc(), versions::model_id.desc())),
            Order::Oldest => query.order((versions::created_at.asc(), versions::model_id.asc())),
        }
    }};
}

/// One page, and the number of all versions that match. Rows that the page skips are skipped in the index.
///
/// # Errors
/// The database's; [`CatalogError::Damaged`] for a row that this program cannot have written.
pub(super) async fn page(
    conn: &mut Conn,
    whole: bool,
    filter: &VersionFilter,
) -> Result<VersionPage, CatalogError> {
    let total: i64 = matching!(filter).count().get_result(conn).await?;
    let limit = filter.limit.map_or(i64::MAX, i64::from);
    let records = if filter.offset == 0 {
        load_records!(conn, whole, |all| ordered!(filter, all).limit(limit))?
    } else {
        let skipped = ordered!(filter).limit(limit).offset(i64::from(filter.offset));
        let ids: Vec<String> = skipped.select(versions::model_id).load(conn).await?;
        in_order(conn, whole, &ids).await?
    };
    Ok(VersionPage { records, total: total.unsigned_abs() })
}

/// The versions with these ids, in the order of the ids.
async fn in_order(
    conn: &mut Conn,
    whole: bool,
    ids: &[String],
) -> Result<Vec<VersionRecord>, CatalogError> {
    let mut found = std::collections::HashMap::with_capacity(ids.len());
    // SQLite limits the number of a statement's parameters.
    for part in ids.chunks(limits::IDS_IN_A_STATEMENT) {
        let records =
            load_records!(conn, whole, |all| all.filter(versions::model_id.eq_any(part)))?;
        found.extend(records.into_iter().map(|record| (record.model_id.to_string(), record)));
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// What may change of the versions on a page, and the number of all versions that match.
///
/// # Errors
/// As [`page`].
pub(super) async fn outline(
    conn: &mut Conn,
    filter: &VersionFilter,
) -> Result<OutlinedPage, CatalogError> {
    type Row = (String, String, Option<StoredTime>, Option<StoredTime>);
    let total: i64 = matching!(filter).count().get_result(conn).await?;
    let limit = filter.limit.map_or(usize::MAX, |limit| limit as usize);
    let mut versions = Vec::new();
    loop {
        let part = limits::OUTLINE_PART.min(limit - versions.len());
        let skipped = filter.offset as usize + versions.len();
        let rows: Vec<Row> = ordered!(filter)
            .limit(i64::try_from(part).unwrap_or(i64::MAX))
            .offset(i64::try_from(skipped).unwrap_or(i64::MAX))
            .select((
                versions::model_id,
                versions::status,
                versions::promoted_at,
                versions::archived_at,
            ))
            .load(conn)
            .await?;
        let last = rows.len() < limits::OUTLINE_PART;
        for (id, status, promoted_at, archived_at) in rows {
            let row = format!("row {id}");
            let time = |name, stored: Option<StoredTime>| {
                stored.map(|stored| column(&row, name, loaded_time(&stored))).transpose()
            };
            versions.push(Outline {
                model_id: column(&row, "model_id", ModelId::parse(&id))?,
                status: column(&row, "status", Status::parse(&status))?,
                promoted_at: time("promoted_at", promoted_at)?,
                archived_at: time("archived_at", archived_at)?,
            });
        }
        if last || versions.len() >= limit {
            return Ok(OutlinedPage { versions, total: total.unsigned_abs() });
        }
    }
}

/// The versions with these ids, in their order. One that does not exist is left out.
///
/// # Errors
/// As [`page`].
pub(super) async fn by_id(
    conn: &mut Conn,
    whole: bool,
    ids: &[ModelId],
) -> Result<Vec<VersionRecord>, CatalogError> {
    let ids: Vec<_> = ids.iter().map(ModelId::to_string).collect();
    in_order(conn, whole, &ids).await
}
