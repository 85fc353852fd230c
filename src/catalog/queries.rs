//! The catalog's queries, the same over both databases.
//!
//! Included once in each database's module, which provides its connection (`Conn`), its catalog (`Store`), its
//! schema, and what differs between the databases.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _,
    NullableExpressionMethods as _, OptionalExtension as _, QueryDsl as _, SelectableHelper as _,
    dsl::{exists, not, sql},
    sql_types::Bool,
};
use diesel_async::RunQueryDsl;
use tokio::sync::mpsc;

use super::{
    Conn, Store, dump,
    listing::{self, load_records},
    rows::{CheckRow, CollectedRow, EntryRow, VersionRow, column},
    schema::{collected, load_checks, log_entries, log_subtrees, registry_state, versions},
    schema_steps, timeline, upgrade,
    writer::Writer,
};
use crate::{
    catalog::{
        Applied, Audit, Catalog, CatalogChange, CatalogError, CatalogState, HistoryFilter,
        HistoryPage, InProduction, Layout, Marker, Moment, OutlinedPage, Restoration, Roots, Stamp,
        TypeSummary, VersionFilter, VersionPage, WriterLock,
        connection::{CatalogConnection as _, Scope},
        tables::Piece,
    },
    domain::{
        LoadCheck, ModelId, ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord,
        history::Transition,
        log::{Entry, RightEdge, tree},
        manifest::CatalogSummary,
    },
    limits,
    metrics::PoolState,
};

/// The condition for the production version of a type. It is a literal in the statement: with a bound parameter,
/// SQLite would not use the partial index and would read every version of the type.
pub(super) const IN_PRODUCTION: &str = "versions.status = 'production'";

#[async_trait(?Send)]
impl Catalog for Store {
    fn pool_state(&self) -> PoolState {
        let status = self.pool.status();
        PoolState {
            max: status.max_size,
            open: status.size,
            idle: status.available,
            waiting: status.waiting,
        }
    }

    fn marker(&self) -> Option<Marker> {
        self.commits.marker()
    }

    async fn follow(&self) -> CatalogError {
        self.follow_commits().await
    }

    async fn layout(&self) -> Result<Layout, CatalogError> {
        let layout = self.run(Scope::Snapshot, schema_steps::layout).await?;
        self.layout.set(layout);
        Ok(layout)
    }

    async fn create(&self) -> Result<(), CatalogError> {
        self.run_within(limits::MIGRATION_WAIT, Scope::Change, schema_steps::create).await?;
        self.commits.notice();
        self.layout.set(Layout::Current);
        Ok(())
    }

    async fn upgrade(
        &self,
        manifest: Option<Sha256Digest>,
        stamp: &Stamp,
    ) -> Result<CatalogState, CatalogError> {
        let work = async |conn: &mut Conn| upgrade::upgrade(conn, manifest, stamp).await;
        let state = self.run_within(limits::LONG_WORK_TIMEOUT, Scope::Change, work).await?;
        self.commits.notice();
        self.layout.set(Layout::Current);
        Ok(state)
    }

    async fn extend(&self) -> Result<bool, CatalogError> {
        let extend = self.run_within(limits::MIGRATION_WAIT, Scope::Change, schema_steps::extend);
        let extended = extend.await.map_err(|error| match error {
            CatalogError::Unavailable(why) => CatalogError::Unavailable(format!(
                "its schema is of an earlier version of this program and could not be extended: {why}; if this user \
                 may not do so, let the owner of the tables start `serve` once"
            )),
            other => other,
        })?;
        self.commits.notice();
        self.layout.set(Layout::Current);
        Ok(extended)
    }

    async fn takes_changes(&self) -> Result<bool, CatalogError> {
        let Some(query) = Conn::find_writability() else { return Ok(true) };
        self.run(Scope::Statement, async |conn| schema_steps::finds(conn, query).await).await
    }

    async fn ping(&self) -> Result<(), CatalogError> {
        self.run(Scope::Statement, async |conn| {
            // Not `SELECT 1`: SQLite answers it without reading the file.
            registry_state::table.count().get_result::<i64>(conn).await?;
            Ok(())
        })
        .await
    }

    async fn find_production(
        &self,
        model_type: &ModelType,
    ) -> Result<Option<VersionRecord>, CatalogError> {
        self.run(Scope::Statement, async |conn| {
            let whole = self.is_whole(conn).await?;
            production_of(conn, whole, model_type).await
        })
        .await
    }

    async fn find_version(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<Option<VersionRecord>, CatalogError> {
        self.run(Scope::Statement, async |conn| {
            let whole = self.is_whole(conn).await?;
            version_of(conn, whole, model_type, version).await
        })
        .await
    }

    async fn list_versions(&self, filter: &VersionFilter) -> Result<VersionPage, CatalogError> {
        // One snapshot, so that the page and the total agree.
        self.run(Scope::Snapshot, async |conn| {
            let whole = self.is_whole(conn).await?;
            listing::page(conn, whole, filter).await
        })
        .await
    }

    async fn outline(&self, filter: &VersionFilter) -> Result<OutlinedPage, CatalogError> {
        self.run(Scope::Snapshot, async |conn| listing::outline(conn, filter).await).await
    }

    async fn versions_by_id(&self, ids: &[ModelId]) -> Result<Vec<VersionRecord>, CatalogError> {
        self.run(Scope::Statement, async |conn| {
            let whole = self.is_whole(conn).await?;
            listing::by_id(conn, whole, ids).await
        })
        .await
    }

    async fn list_transitions(
        &self,
        of: Option<(&ModelType, Version)>,
    ) -> Result<Vec<Transition>, CatalogError> {
        if self.layout.is_the_one_before() {
            return self
                .run(Scope::Statement, async |conn| upgrade::transitions(conn, of).await)
                .await;
        }
        let mut query = log_entries::table.order(log_entries::sequence).into_boxed();
        if let Some((model_type, version)) = of {
            query = query
                .filter(log_entries::model_type.eq(model_type.as_str().to_owned()))
                .filter(log_entries::version.eq(version.to_string()));
        }
        self.run(Scope::Statement, async |conn| {
            let rows: Vec<EntryRow> = query.load(conn).await?;
            let entries = entries_of(rows)?;
            Ok(entries.into_iter().filter_map(Entry::into_transition).collect())
        })
        .await
    }

    async fn roots(&self) -> Result<Option<Roots>, CatalogError> {
        self.run(Scope::Statement, async |conn| roots(conn).await).await
    }

    async fn state(&self) -> Result<CatalogState, CatalogError> {
        self.run(Scope::Snapshot, async |conn| state(conn).await).await
    }

    async fn dump(&self, pieces: mpsc::Sender<Piece>) -> Result<CatalogState, CatalogError> {
        self.run_within(limits::LONG_WORK_TIMEOUT, Scope::Snapshot, async |conn| {
            dump::dump(conn, &pieces).await
        })
        .await
    }

    async fn restore(
        &self,
        mut pieces: mpsc::Receiver<Piece>,
        order: &Restoration,
    ) -> Result<CatalogState, CatalogError> {
        let work = async |conn: &mut Conn| dump::restore(conn, &mut pieces, order).await;
        let state = self.run_within(limits::LONG_WORK_TIMEOUT, Scope::Change, work).await?;
        self.layout.set(Layout::Current);
        Ok(state)
    }

    async fn audit(&self) -> Result<Audit, CatalogError> {
        let time = limits::LONG_WORK_TIMEOUT;
        if self.layout.is_the_one_before() {
            return self.run_within(time, Scope::Snapshot, upgrade::audit).await;
        }
        let work = async |conn: &mut Conn| {
            let whole = self.is_whole(conn).await?;
            super::audit::audit(conn, whole).await
        };
        self.run_within(time, Scope::Snapshot, work).await
    }

    async fn find_rollback_target(
        &self,
        model_type: &ModelType,
    ) -> Result<Option<VersionRecord>, CatalogError> {
        self.run(Scope::Snapshot, async |conn| {
            let whole = self.is_whole(conn).await?;
            rollback_target(conn, whole, model_type).await
        })
        .await
    }

    async fn apply(&self, change: &CatalogChange, stamp: &Stamp) -> Result<Applied, CatalogError> {
        let time = match change {
            CatalogChange::Import(_) => limits::LONG_WORK_TIMEOUT,
            _ => limits::CATALOG_ANSWER_WAIT,
        };
        let work = async |conn: &mut Conn| Writer::begin(conn, stamp).await?.apply(change).await;
        let applied = self.run_within(time, Scope::Change, work).await;
        // Before the answer, so that the next read in this process sees the change.
        self.commits.notice();
        applied
    }

    async fn keep_check(&self, model_id: ModelId, check: &LoadCheck) -> Result<bool, CatalogError> {
        let row = CheckRow::of(model_id, check)?;
        let work = async |conn: &mut Conn| {
            if !self.is_whole(conn).await? {
                return Ok(false);
            }
            diesel::insert_into(load_checks::table)
                .values(&row)
                .on_conflict(load_checks::model_id)
                .do_update()
                .set(&row)
                .execute(conn)
                .await?;
            Ok(true)
        };
        let kept = self.run(Scope::Change, work).await;
        self.commits.notice();
        kept
    }

    async fn types(&self) -> Result<Vec<ModelType>, CatalogError> {
        self.run(Scope::Statement, async |conn| {
            let rows: Vec<String> = versions::table
                .select(versions::model_type)
                .distinct()
                .order(versions::model_type)
                .load(conn)
                .await?;
            let parse = |text: String| column(&text, "model_type", ModelType::parse(&text));
            rows.into_iter().map(parse).collect()
        })
        .await
    }

    async fn failures(&self) -> Result<HashMap<ModelId, Timestamp>, CatalogError> {
        self.run(Scope::Statement, async |conn| {
            let rows: Vec<EntryRow> = log_entries::table
                .inner_join(
                    versions::table.on(log_entries::model_type
                        .eq(versions::model_type.nullable())
                        .and(log_entries::version.eq(versions::version.nullable()))),
                )
                .filter(versions::status.eq(Status::Failed.as_str()))
                .filter(log_entries::to_status.eq(Status::Failed.as_str()))
                .order(log_entries::sequence)
                .select(EntryRow::as_select())
                .load(conn)
                .await?;
            let mut found = HashMap::new();
            for entry in entries_of(rows)? {
                found.extend(entry.said.subject.map(|subject| (subject.model_id, entry.said.time)));
            }
            Ok(found)
        })
        .await
    }

    async fn lock_writers(&self, wait: Duration) -> Result<WriterLock, CatalogError> {
        self.writer_lock(wait).await
    }

    async fn right_edge(&self) -> Result<RightEdge, CatalogError> {
        self.run(Scope::Statement, async |conn| Ok(tree_state(conn).await?.edge)).await
    }

    async fn log_entries(&self, from: u64, count: u32) -> Result<Vec<Entry>, CatalogError> {
        let Ok(from) = i64::try_from(from) else { return Ok(Vec::new()) };
        self.run(Scope::Statement, async |conn| {
            let rows: Vec<EntryRow> = log_entries::table
                .filter(log_entries::sequence.ge(from))
                .order(log_entries::sequence)
                .limit(i64::from(count))
                .load(conn)
                .await?;
            entries_of(rows)
        })
        .await
    }

    async fn log_entries_of(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<Vec<Entry>, CatalogError> {
        self.run(Scope::Statement, async |conn| {
            let rows: Vec<EntryRow> = log_entries::table
                .filter(log_entries::model_type.eq(model_type.as_str()))
                .filter(log_entries::version.eq(version.to_string()))
                .order(log_entries::sequence)
                .load(conn)
                .await?;
            entries_of(rows)
        })
        .await
    }

    async fn history(&self, filter: &HistoryFilter) -> Result<HistoryPage, CatalogError> {
        if self.layout.is_the_one_before() {
            return self
                .run(Scope::Statement, async |conn| {
                    Ok(upgrade::page_of(upgrade::entries(conn).await?, filter))
                })
                .await;
        }
        self.run(Scope::Snapshot, async |conn| timeline::history(conn, filter).await).await
    }

    async fn production_entries(
        &self,
        model_type: &ModelType,
        before: Option<Moment>,
        count: u32,
    ) -> Result<Vec<Entry>, CatalogError> {
        if self.layout.is_the_one_before() {
            let all = self.run(Scope::Statement, upgrade::entries).await?;
            return Ok(upgrade::production_of(all, model_type, before, count));
        }
        self.run(Scope::Statement, async |conn| {
            timeline::production_entries(conn, model_type, before, count).await
        })
        .await
    }

    async fn productions(&self) -> Result<BTreeMap<ModelType, InProduction>, CatalogError> {
        self.run(Scope::Snapshot, async |conn| timeline::productions(conn, None).await).await
    }

    async fn summaries(&self) -> Result<BTreeMap<ModelType, TypeSummary>, CatalogError> {
        if self.layout.is_the_one_before() {
            return self
                .run(Scope::Snapshot, async |conn| {
                    let entries = upgrade::entries(conn).await?;
                    timeline::summaries(conn, Some(&entries)).await
                })
                .await;
        }
        self.run(Scope::Snapshot, async |conn| timeline::summaries(conn, None).await).await
    }

    async fn log_hashes(
        &self,
        level: u8,
        from: u64,
        count: u32,
    ) -> Result<Vec<Sha256Digest>, CatalogError> {
        let Ok(from) = i64::try_from(from) else { return Ok(Vec::new()) };
        let Some(end) = from.checked_add(i64::from(count)) else { return Ok(Vec::new()) };
        self.run(Scope::Statement, async |conn| {
            let rows: Vec<(i64, String)> = if level == 0 {
                log_entries::table
                    .filter(log_entries::sequence.ge(from))
                    .filter(log_entries::sequence.lt(end))
                    .order(log_entries::sequence)
                    .select((log_entries::sequence, log_entries::leaf_sha256))
                    .load(conn)
                    .await?
            } else {
                log_subtrees::table
                    .filter(log_subtrees::level.eq(i32::from(level)))
                    .filter(log_subtrees::number.ge(from))
                    .filter(log_subtrees::number.lt(end))
                    .order(log_subtrees::number)
                    .select((log_subtrees::number, log_subtrees::sha256))
                    .load(conn)
                    .await?
            };
            (from..)
                .zip(rows)
                .map(|(expected, (position, text))| {
                    // A missing row must not shift the rows after it.
                    if position != expected {
                        return Err(CatalogError::Damaged(format!(
                            "the log's tree lacks hash {expected} of level {level}"
                        )));
                    }
                    Sha256Digest::parse(&text).map_err(|error| {
                        CatalogError::Damaged(format!("a hash of the log's tree: {error}"))
                    })
                })
                .collect()
        })
        .await
    }
}

impl Store {
    /// Whether the catalog has every table. A catalog that an earlier program left may lack the last ones until it is
    /// opened for change, by this process or by another.
    async fn is_whole(&self, conn: &mut Conn) -> Result<bool, CatalogError> {
        if self.layout.is_current() {
            return Ok(true);
        }
        let layout = schema_steps::layout(conn).await?;
        self.layout.set(layout);
        Ok(layout == Layout::Current)
    }
}

/// The entries of rows.
///
/// # Errors
/// [`CatalogError::Damaged`].
pub(super) fn entries_of(rows: Vec<EntryRow>) -> Result<Vec<Entry>, CatalogError> {
    rows.into_iter().map(|row| row.into_entry().map(|(entry, _)| entry)).collect()
}

/// The production version of a type.
pub(super) async fn production_of(
    conn: &mut Conn,
    whole: bool,
    model_type: &ModelType,
) -> Result<Option<VersionRecord>, CatalogError> {
    let mut found = load_records!(conn, whole, |all| all
        .filter(versions::model_type.eq(model_type.as_str()))
        .filter(sql::<Bool>(IN_PRODUCTION))
        .limit(1))?;
    Ok(found.pop())
}

/// One version.
pub(super) async fn version_of(
    conn: &mut Conn,
    whole: bool,
    model_type: &ModelType,
    version: Version,
) -> Result<Option<VersionRecord>, CatalogError> {
    let mut found = load_records!(conn, whole, |all| all
        .filter(versions::model_type.eq(model_type.as_str()))
        .filter(versions::version.eq(version.to_string()))
        .limit(1))?;
    Ok(found.pop())
}

/// The version archived last whose files are there. The order of the log decides, not the time: the clock may have
/// been set back.
pub(super) async fn rollback_target(
    conn: &mut Conn,
    whole: bool,
    model_type: &ModelType,
) -> Result<Option<VersionRecord>, CatalogError> {
    let mut archived = log_entries::table
        .inner_join(versions::table.on(log_entries::model_id.eq(versions::model_id.nullable())))
        .filter(log_entries::model_type.eq(model_type.as_str()))
        .filter(sql::<Bool>("log_entries.to_status = 'archived'"))
        .filter(versions::status.eq(Status::Archived.as_str()))
        .order(log_entries::sequence.desc())
        .select(versions::model_id)
        .into_boxed();
    if whole {
        let gone = collected::table.filter(collected::model_id.eq(versions::model_id));
        archived = archived.filter(not(exists(gone)));
    }
    let last: Option<String> = archived.first(conn).await.optional()?;
    let Some(last) = last else { return Ok(None) };
    let mut found =
        load_records!(conn, whole, |all| all.filter(versions::model_id.eq(&last)).limit(1))?;
    Ok(found.pop())
}

/// The roots in `registry_state`; in layout 2.0.0, its checksums.
async fn roots(conn: &mut Conn) -> Result<Option<Roots>, CatalogError> {
    let row: Option<(String, String)> = registry_state::table
        .select((registry_state::checksum, registry_state::previous_checksum))
        .first(conn)
        .await
        .optional()?;
    row.map(|(current, previous)| {
        Ok(Roots {
            current: recorded("checksum", Sha256Digest::parse(&current))?,
            previous: recorded("previous_checksum", Sha256Digest::parse(&previous))?,
        })
    })
    .transpose()
}

fn recorded<T, E: std::fmt::Display>(
    column: &str,
    parsed: Result<T, E>,
) -> Result<T, CatalogError> {
    parsed
        .map_err(|error| CatalogError::Damaged(format!("registry_state, column {column}: {error}")))
}

/// The content of `registry_state`.
#[derive(Debug)]
pub(super) struct TreeState {
    /// The right edge of the log's tree.
    pub(super) edge: RightEdge,
    /// The roots of the log.
    pub(super) roots: Roots,
    /// The number of versions.
    pub(super) artifact_count: u64,
    /// The size of all their files, in bytes.
    pub(super) total_size_bytes: u64,
}

impl TreeState {
    /// The state of a catalog without any change.
    pub(super) fn empty() -> Self {
        let root = tree::empty_root();
        Self {
            edge: RightEdge::EMPTY,
            roots: Roots { current: root, previous: root },
            artifact_count: 0,
            total_size_bytes: 0,
        }
    }
}

/// Reads `registry_state`. A catalog without any change has no row there; its previous state is then also its present
/// one.
///
/// # Errors
/// [`CatalogError::Damaged`] where the columns do not agree with each other.
pub(super) async fn tree_state(conn: &mut Conn) -> Result<TreeState, CatalogError> {
    let row: Option<(String, String, i64, String, i64, i64)> = registry_state::table
        .select((
            registry_state::checksum,
            registry_state::previous_checksum,
            registry_state::log_size,
            registry_state::right_edge,
            registry_state::artifact_count,
            registry_state::total_size_bytes,
        ))
        .first(conn)
        .await
        .optional()?;
    let Some((current, previous, size, edge, count, bytes)) = row else {
        return Ok(TreeState::empty());
    };
    let edge = recorded("right_edge", RightEdge::parse(size.unsigned_abs(), &edge))?;
    let roots = Roots {
        current: recorded("checksum", Sha256Digest::parse(&current))?,
        previous: recorded("previous_checksum", Sha256Digest::parse(&previous))?,
    };
    if edge.root() != roots.current {
        return Err(CatalogError::Damaged(
            "registry_state: checksum is not the root that right_edge gives".to_owned(),
        ));
    }
    Ok(TreeState {
        edge,
        roots,
        artifact_count: count.unsigned_abs(),
        total_size_bytes: bytes.unsigned_abs(),
    })
}

/// The time of the last log entry.
pub(super) async fn last_change(conn: &mut Conn) -> Result<Option<Timestamp>, CatalogError> {
    let last: Option<EntryRow> =
        log_entries::table.order(log_entries::sequence.desc()).first(conn).await.optional()?;
    Ok(last.map(EntryRow::into_entry).transpose()?.map(|(entry, _)| entry.said.time))
}

/// The state that the last change of the catalog recorded.
pub(super) async fn state(conn: &mut Conn) -> Result<CatalogState, CatalogError> {
    let tree = tree_state(conn).await?;
    let last_change = last_change(conn).await?;
    state_of(conn, &tree, last_change).await
}

/// Combines `registry_state` with the production versions.
pub(super) async fn state_of(
    conn: &mut Conn,
    tree: &TreeState,
    last_change: Option<Timestamp>,
) -> Result<CatalogState, CatalogError> {
    let rows: Vec<(String, String)> = versions::table
        .filter(sql::<Bool>(IN_PRODUCTION))
        .select((versions::model_type, versions::version))
        .load(conn)
        .await?;
    let production_models = rows
        .iter()
        .map(|(model_type, version)| {
            let damaged = |error: &dyn std::fmt::Display| {
                CatalogError::Damaged(format!("row {model_type}/{version}: {error}"))
            };
            Ok((
                ModelType::parse(model_type).map_err(|error| damaged(&error))?,
                Version::parse(version).map_err(|error| damaged(&error))?,
            ))
        })
        .collect::<Result<_, CatalogError>>()?;
    Ok(CatalogState {
        summary: CatalogSummary {
            root: tree.roots.current,
            log_size: tree.edge.size(),
            artifact_count: tree.artifact_count,
            total_size_bytes: tree.total_size_bytes,
            production_models,
        },
        previous_root: tree.roots.previous,
        last_change,
    })
}
