//! Queries over the history: pages of the log, and what was in production.
//!
//! Included once in each database's module.

use std::collections::BTreeMap;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _,
    dsl::{count_star, sql},
    sql_types::{Bool, Text},
};
use diesel_async::RunQueryDsl;

use super::{
    Conn,
    queries::{IN_PRODUCTION, entries_of},
    rows::{EntryRow, column},
    schema::{log_entries, registry_state, versions},
    stored_time,
};
use crate::{
    catalog::{
        CatalogError,
        history::{HistoryFilter, HistoryPage, InProduction, Moment, TypeSummary},
    },
    domain::{ModelId, ModelType, Status, Version, log::Entry},
    limits,
};

/// The condition for an entry by which a version enters or leaves production.
const TOUCHES_PRODUCTION: &str =
    "(log_entries.to_status = 'production' OR log_entries.from_status = 'production')";

/// A page of the log. It reads a bounded part of the log: where few entries match, a page may be short, or even empty, and
/// still have a next one.
///
/// # Errors
/// The database's; [`CatalogError::Damaged`].
pub(super) async fn history(
    conn: &mut Conn,
    filter: &HistoryFilter,
) -> Result<HistoryPage, CatalogError> {
    let size: Option<i64> =
        registry_state::table.select(registry_state::log_size).first(conn).await.optional()?;
    let size = size.unwrap_or(0);
    let after = filter.after.map_or(Ok(-1), i64::try_from).unwrap_or(i64::MAX);
    let end = after.saturating_add(limits::HISTORY_SCAN).min(size - 1);
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let mut query = log_entries::table
        .filter(log_entries::sequence.gt(after))
        .filter(log_entries::sequence.le(end))
        .order(log_entries::sequence)
        // One more than the page holds tells whether there is another page.
        .limit(i64::from(filter.limit) + 1)
        .into_boxed();
    if let Some(model_type) = &filter.model_type {
        // As an expression, so that the database reads the part of the log in its order, and not by an index every entry
        // of the type.
        let of_type = sql::<Bool>("log_entries.model_type || '' = ");
        query = query.filter(of_type.bind::<Text, _>(model_type.as_str().to_owned()));
    }
    if let Some(action) = filter.action {
        query = query.filter(log_entries::action.eq(action.as_str()));
    }
    if let Some(by) = &filter.by {
        let principal = log_entries::authenticated_as.eq(by.clone());
        query = query.filter(log_entries::actor.eq(by.clone()).or(principal));
    }
    let rows: Vec<EntryRow> = query.load(conn).await?;
    let mut entries = entries_of(rows)?;
    let is_more = entries.len() > limit;
    entries.truncate(limit);
    let next = if is_more {
        entries.last().map(|last| last.sequence)
    } else {
        u64::try_from(end).ok().filter(|_| end < size - 1)
    };
    Ok(HistoryPage { entries, next })
}

/// The entries by which versions of a type entered or left production, the latest first, before a moment.
///
/// # Errors
/// The database's; [`CatalogError::Damaged`].
pub(super) async fn production_entries(
    conn: &mut Conn,
    model_type: &ModelType,
    before: Option<Moment>,
    count: u32,
) -> Result<Vec<Entry>, CatalogError> {
    let mut query = log_entries::table
        .filter(log_entries::model_type.eq(model_type.as_str().to_owned()))
        .filter(sql::<Bool>(TOUCHES_PRODUCTION))
        .order((log_entries::time.desc(), log_entries::sequence.desc()))
        .limit(i64::from(count))
        .into_boxed();
    if let Some(Moment { time, sequence }) = before {
        let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        query = query
            .filter(log_entries::time.le(stored_time(time)))
            .filter(log_entries::time.lt(stored_time(time)).or(log_entries::sequence.lt(sequence)));
    }
    let rows: Vec<EntryRow> = query.load(conn).await?;
    entries_of(rows)
}

/// What the catalog holds of each type that has versions. `history` is the whole history where there is no log yet.
///
/// # Errors
/// The database's; [`CatalogError::Damaged`].
pub(super) async fn summaries(
    conn: &mut Conn,
    history: Option<&[Entry]>,
) -> Result<BTreeMap<ModelType, TypeSummary>, CatalogError> {
    let counts: Vec<(String, String, i64)> = versions::table
        .group_by((versions::model_type, versions::status))
        .select((versions::model_type, versions::status, count_star()))
        .load(conn)
        .await?;
    let mut found: BTreeMap<ModelType, TypeSummary> = BTreeMap::new();
    for (model_type, status, count) in counts {
        let row = format!("versions of {model_type}");
        let model_type = column(&row, "model_type", ModelType::parse(&model_type))?;
        let status = column(&row, "status", Status::parse(&status))?;
        found.entry(model_type).or_default().versions.insert(status, count.unsigned_abs());
    }
    for (model_type, production) in productions(conn, history).await? {
        found.entry(model_type).or_default().production = Some(production);
    }
    Ok(found)
}

/// The version of each type that is in production. `history` is the whole history where there is no log yet.
///
/// # Errors
/// The database's; [`CatalogError::Damaged`].
pub(super) async fn productions(
    conn: &mut Conn,
    history: Option<&[Entry]>,
) -> Result<BTreeMap<ModelType, InProduction>, CatalogError> {
    let mut found = BTreeMap::new();
    let production: Vec<(String, String, String)> = versions::table
        .filter(sql::<Bool>(IN_PRODUCTION))
        .select((versions::model_type, versions::version, versions::model_id))
        .load(conn)
        .await?;
    for (type_text, version_text, id_text) in production {
        let row = format!("row {type_text}/{version_text}");
        let version = column(&row, "version", Version::parse(&version_text))?;
        let model_id = column(&row, "model_id", ModelId::parse(&id_text))?;
        let entered = match history {
            Some(history) => {
                history.iter().rfind(|entry| puts_in_production(entry, model_id)).cloned()
            }
            None => last_promotion(conn, &type_text, &version_text).await?,
        };
        let model_type = column(&row, "model_type", ModelType::parse(&type_text))?;
        found.insert(model_type, InProduction { model_id, version, entered });
    }
    Ok(found)
}

fn puts_in_production(entry: &Entry, model_id: ModelId) -> bool {
    entry.said.to_status == Some(Status::Production)
        && entry.said.subject.as_ref().is_some_and(|subject| subject.model_id == model_id)
}

/// The last entry that put a version into production.
async fn last_promotion(
    conn: &mut Conn,
    model_type: &str,
    version: &str,
) -> Result<Option<Entry>, CatalogError> {
    let row: Option<EntryRow> = log_entries::table
        .filter(log_entries::model_type.eq(model_type))
        .filter(log_entries::version.eq(version))
        .filter(log_entries::to_status.eq(Status::Production.as_str()))
        .order(log_entries::sequence.desc())
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(EntryRow::into_entry).transpose()?.map(|(entry, _)| entry))
}
