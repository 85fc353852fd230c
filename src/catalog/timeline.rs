//! Queries over the history: pages of the log, and what was in production.
//!
//! Included once in each database's module.

use std::collections::BTreeMap;

use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _,
    dsl::{count_star, sql},
    sql_types::Bool,
};
use diesel_async::RunQueryDsl;

use super::{
    Conn,
    queries::{IN_PRODUCTION, entries_of},
    rows::{EntryRow, column},
    schema::{log_entries, versions},
    stored_time,
};
use crate::{
    catalog::{
        CatalogError,
        history::{HistoryFilter, HistoryPage, InProduction, Moment, TypeSummary},
    },
    domain::{
        ModelId, ModelType, Status, Version,
        log::{Action, Entry},
    },
    limits,
};

/// The condition for an entry by which a version enters or leaves production. It is the condition of the partial index
/// `log_of_production`, word for word: SQLite uses a partial index only then.
const TOUCHES_PRODUCTION: &str =
    "(log_entries.to_status = 'production' OR log_entries.from_status = 'production')";

/// The condition by which entries are read. There is an index for each. The other conditions of a filter are applied
/// to the entries that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadBy {
    Action,
    Person,
    Type,
    Position,
}

impl ReadBy {
    /// The condition that most likely has the fewest entries. Registrations and imported entries are the bulk of a
    /// log.
    fn of(filter: &HistoryFilter) -> Self {
        let rare = |action| !matches!(action, Action::Register | Action::Import);
        match filter {
            HistoryFilter { action: Some(action), .. } if rare(*action) => Self::Action,
            HistoryFilter { by: Some(_), .. } => Self::Person,
            HistoryFilter { model_type: Some(_), .. } => Self::Type,
            HistoryFilter { action: Some(_), .. } => Self::Action,
            _ => Self::Position,
        }
    }

    /// Whether every entry that is read is asked for.
    fn is_whole(filter: &HistoryFilter) -> bool {
        let conditions =
            [filter.action.is_some(), filter.by.is_some(), filter.model_type.is_some()];
        conditions.into_iter().filter(|given| *given).count() < 2
    }
}

/// A page of the log. It reads a bounded number of entries: where few of them match, a page may be short, or even
/// empty, and still have a next one.
///
/// # Errors
/// The database's; [`CatalogError::Damaged`].
pub(super) async fn history(
    conn: &mut Conn,
    filter: &HistoryFilter,
) -> Result<HistoryPage, CatalogError> {
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let mut found = HistoryPage::default();
    let (mut after, mut read) = (filter.after, 0);
    while read < limits::HISTORY_SCAN {
        // One more than the page holds tells whether there is another page.
        let missing = (limit - found.entries.len()).saturating_add(1);
        let chunk = if ReadBy::is_whole(filter) { missing } else { limits::HISTORY_CHUNK };
        let entries = some_entries(conn, filter, after, chunk).await?;
        let is_last = entries.len() < chunk;
        read += entries.len();
        for entry in entries {
            let sequence = entry.sequence;
            if filter.matches(&entry) {
                if found.entries.len() == limit {
                    found.next = found.entries.last().map(|last| last.sequence).or(filter.after);
                    return Ok(found);
                }
                found.entries.push(entry);
            }
            after = Some(sequence);
        }
        if is_last {
            return Ok(found);
        }
    }
    found.next = after;
    Ok(found)
}

/// The next entries that fulfil the condition by which they are read.
async fn some_entries(
    conn: &mut Conn,
    filter: &HistoryFilter,
    after: Option<u64>,
    count: usize,
) -> Result<Vec<Entry>, CatalogError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let after = match after.map(i64::try_from) {
        Some(Err(_)) => return Ok(Vec::new()),
        Some(Ok(after)) => after,
        None => -1,
    };
    let next = || {
        log_entries::table
            .filter(log_entries::sequence.gt(after))
            .order(log_entries::sequence)
            .limit(count)
            .into_boxed()
    };
    let mut rows: Vec<EntryRow> = match (ReadBy::of(filter), filter) {
        (ReadBy::Action, HistoryFilter { action: Some(action), .. }) => {
            next().filter(log_entries::action.eq(action.as_str())).load(conn).await?
        }
        (ReadBy::Type, HistoryFilter { model_type: Some(model_type), .. }) => {
            next().filter(log_entries::model_type.eq(model_type.as_str())).load(conn).await?
        }
        (ReadBy::Person, HistoryFilter { by: Some(by), .. }) => {
            // One statement with OR would read and sort every entry of the person.
            let mut stated: Vec<EntryRow> =
                next().filter(log_entries::actor.eq(by)).load(conn).await?;
            let known: Vec<EntryRow> =
                next().filter(log_entries::authenticated_as.eq(by)).load(conn).await?;
            stated.extend(known);
            stated
        }
        _ => next().load(conn).await?,
    };
    rows.sort_by_key(EntryRow::sequence);
    rows.dedup_by_key(|row| row.sequence());
    rows.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    entries_of(rows)
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
