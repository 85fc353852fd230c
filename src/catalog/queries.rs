//! The catalog's queries and transactions, the same over both databases.
//!
//! Mounted once under each database's module, which brings its connection (`Conn`), its catalog (`Store`), its
//! schema, and what the two do differently: how a writing or reading transaction begins (`writing!`,
//! `reading!`), and how writers are serialised.

use std::time::Duration;

use async_trait::async_trait;
use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Conn, Store,
    rows::{TransitionRow, VersionRow},
    schema::{registry_state, transitions, used_versions, versions},
    serialise_writers, stored_time,
};
use crate::{
    catalog::{
        Catalog, CatalogError, CatalogState, Change, ImportBatch, ProductionChange,
        RecordedDigests, VersionFilter, VersionPage, WriterLock, in_time,
    },
    domain::{
        ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord,
        history::{ChainHead, Transition, TransitionDraft},
        manifest::{CatalogSummary, Removed},
        status::Action,
    },
    limits,
    metrics::PoolState,
};

/// Runs something on a connection of the pool, in the time that an answer may take. A connection whose answer
/// did not come is thrown away: what it is still doing nobody knows.
macro_rules! on_connection {
    ($catalog:ident, |$conn:ident| $work:expr) => {
        on_connection!($catalog, limits::CATALOG_ANSWER_WAIT, |$conn| $work)
    };
    ($catalog:ident, $time:expr, |$conn:ident| $work:expr) => {{
        let mut object = $catalog.connection().await?;
        let answer = in_time($time, async {
            let $conn: &mut Conn = &mut object;
            $work
        })
        .await;
        if matches!(answer, Err(CatalogError::InDoubt(_))) {
            drop(diesel_async::pooled_connection::deadpool::Object::take(object));
        }
        answer
    }};
}

#[async_trait]
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

    async fn ping(&self) -> Result<(), CatalogError> {
        on_connection!(self, |conn| {
            // Not `SELECT 1`: SQLite answers that without touching the file.
            registry_state::table.count().get_result::<i64>(conn).await?;
            Ok(())
        })
    }

    async fn find_production(
        &self,
        model_type: &ModelType,
    ) -> Result<Option<VersionRecord>, CatalogError> {
        on_connection!(self, |conn| production_of(conn, model_type).await)
    }

    async fn find_version(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<Option<VersionRecord>, CatalogError> {
        on_connection!(self, |conn| version_of(conn, model_type, version).await)
    }

    async fn list_versions(&self, filter: &VersionFilter) -> Result<VersionPage, CatalogError> {
        // One transaction, so that page and total are of one moment.
        on_connection!(self, |conn| reading!(conn, async |conn: &mut Conn| {
            let matching = || {
                let mut query = versions::table.into_boxed();
                if let Some(model_type) = &filter.model_type {
                    query = query.filter(versions::model_type.eq(model_type.as_str().to_owned()));
                }
                if let Some(status) = filter.status {
                    query = query.filter(versions::status.eq(status.as_str()));
                }
                query
            };
            let total: i64 = matching().count().get_result(conn).await?;
            let rows: Vec<VersionRow> = matching()
                .order((versions::created_at.desc(), versions::model_id))
                .limit(filter.limit.map_or(i64::MAX, i64::from))
                .offset(i64::from(filter.offset))
                .load(conn)
                .await?;
            Ok(VersionPage {
                records: rows.into_iter().map(VersionRow::into_record).collect::<Result<_, _>>()?,
                total: total.unsigned_abs(),
            })
        }))
    }

    async fn list_transitions(
        &self,
        of: Option<(&ModelType, Version)>,
    ) -> Result<Vec<Transition>, CatalogError> {
        let mut query = transitions::table.order(transitions::sequence).into_boxed();
        if let Some((model_type, version)) = of {
            query = query
                .filter(transitions::model_type.eq(model_type.as_str().to_owned()))
                .filter(transitions::version.eq(version.to_string()));
        }
        on_connection!(self, |conn| {
            let rows: Vec<TransitionRow> = query.load(conn).await?;
            rows.into_iter().map(TransitionRow::into_link).collect()
        })
    }

    async fn recorded_digests(&self) -> Result<Option<RecordedDigests>, CatalogError> {
        on_connection!(self, |conn| recorded_digests(conn).await)
    }

    async fn state(&self) -> Result<CatalogState, CatalogError> {
        on_connection!(self, |conn| reading!(conn, async |conn: &mut Conn| read_state(conn).await))
    }

    async fn find_rollback_target(
        &self,
        model_type: &ModelType,
    ) -> Result<Option<VersionRecord>, CatalogError> {
        on_connection!(self, |conn| rollback_target(conn, model_type).await)
    }

    async fn insert_version(
        &self,
        record: &VersionRecord,
        change: &Change,
    ) -> Result<CatalogState, CatalogError> {
        on_connection!(self, |conn| writing!(conn, async |conn: &mut Conn| {
            let mut writer = Writer::begin(conn).await?;
            writer.insert(record).await?;
            writer.log(record, None, change, false).await?;
            writer.finish().await
        }))
    }

    async fn promote_version(
        &self,
        model_type: &ModelType,
        version: Version,
        change: &Change,
        gates_skipped: bool,
    ) -> Result<(ProductionChange, CatalogState), CatalogError> {
        on_connection!(self, |conn| writing!(conn, async |conn: &mut Conn| {
            let mut writer = Writer::begin(conn).await?;
            let target = version_of(writer.conn, model_type, version).await?;
            let target = target.ok_or(CatalogError::NotFound)?;
            target.status.after(Action::Promote)?;
            let current = production_of(writer.conn, model_type).await?;
            let left = match current {
                Some(current) => Some(writer.step(current, Action::Archive, change, false).await?),
                None => None,
            };
            let entered = writer.step(target, Action::Promote, change, gates_skipped).await?;
            Ok((ProductionChange { entered, left }, writer.finish().await?))
        }))
    }

    async fn roll_back_production(
        &self,
        model_type: &ModelType,
        target: Version,
        change: &Change,
    ) -> Result<(ProductionChange, CatalogState), CatalogError> {
        on_connection!(self, |conn| writing!(conn, async |conn: &mut Conn| {
            let mut writer = Writer::begin(conn).await?;
            let current = production_of(writer.conn, model_type).await?;
            let last = rollback_target(writer.conn, model_type).await?;
            let (Some(current), Some(last)) = (current, last) else {
                return Err(CatalogError::NotFound);
            };
            if last.version != target {
                return Err(CatalogError::Unavailable(
                    "another change came between; try again".to_owned(),
                ));
            }
            // The one in production gives way first: the database allows no moment with two.
            let left = writer.step(current, Action::Demote, change, false).await?;
            let entered = writer.step(last, Action::Restore, change, false).await?;
            Ok((ProductionChange { entered, left: Some(left) }, writer.finish().await?))
        }))
    }

    async fn mark_failed(
        &self,
        model_type: &ModelType,
        version: Version,
        change: &Change,
    ) -> Result<(VersionRecord, CatalogState), CatalogError> {
        on_connection!(self, |conn| writing!(conn, async |conn: &mut Conn| {
            let mut writer = Writer::begin(conn).await?;
            let found = version_of(writer.conn, model_type, version).await?;
            let found = found.ok_or(CatalogError::NotFound)?;
            let failed = writer.step(found, Action::Fail, change, false).await?;
            Ok((failed, writer.finish().await?))
        }))
    }

    async fn lock_writers(&self, wait: Duration) -> Result<WriterLock, CatalogError> {
        self.writer_lock(wait).await
    }

    async fn import(&self, batch: &ImportBatch) -> Result<CatalogState, CatalogError> {
        on_connection!(self, limits::LONG_WORK_TIMEOUT, |conn| writing!(
            conn,
            async |conn: &mut Conn| {
                let mut writer = Writer::begin(conn).await?;
                // What leaves production goes first, what enters it last.
                let (enter, leave): (Vec<_>, Vec<_>) = batch
                    .moved_versions
                    .iter()
                    .partition(|record| record.status == Status::Production);
                for record in leave {
                    writer.store_status(record).await?;
                }
                for record in &batch.new_versions {
                    writer.insert(record).await?;
                }
                for record in enter {
                    writer.store_status(record).await?;
                }
                for draft in &batch.transitions {
                    writer.append(draft.clone()).await?;
                }
                writer.finish().await
            }
        ))
    }
}

async fn production_of(
    conn: &mut Conn,
    model_type: &ModelType,
) -> Result<Option<VersionRecord>, CatalogError> {
    let row: Option<VersionRow> = versions::table
        .filter(versions::model_type.eq(model_type.as_str()))
        .filter(versions::status.eq(Status::Production.as_str()))
        .first(conn)
        .await
        .optional()?;
    row.map(VersionRow::into_record).transpose()
}

async fn version_of(
    conn: &mut Conn,
    model_type: &ModelType,
    version: Version,
) -> Result<Option<VersionRecord>, CatalogError> {
    let row: Option<VersionRow> = versions::table
        .filter(versions::model_type.eq(model_type.as_str()))
        .filter(versions::version.eq(version.to_string()))
        .first(conn)
        .await
        .optional()?;
    row.map(VersionRow::into_record).transpose()
}

/// The version archived last, by the order of the history and not by the clock, which may have been set back.
async fn rollback_target(
    conn: &mut Conn,
    model_type: &ModelType,
) -> Result<Option<VersionRecord>, CatalogError> {
    let archived: Vec<VersionRow> = versions::table
        .filter(versions::model_type.eq(model_type.as_str()))
        .filter(versions::status.eq(Status::Archived.as_str()))
        .load(conn)
        .await?;
    let mut archived: Vec<_> =
        archived.into_iter().map(VersionRow::into_record).collect::<Result<_, _>>()?;
    let order: Vec<String> = transitions::table
        .filter(transitions::model_type.eq(model_type.as_str()))
        .filter(transitions::to_status.eq(Status::Archived.as_str()))
        .order(transitions::sequence.desc())
        .select(transitions::model_id)
        .load(conn)
        .await?;
    let last = order
        .iter()
        .find_map(|id| archived.iter().position(|record| record.model_id.to_string() == *id));
    Ok(last.map(|at| archived.swap_remove(at)))
}

/// Where the history ends, and when its last step was taken.
async fn chain_end(conn: &mut Conn) -> Result<(ChainHead, Option<Timestamp>), CatalogError> {
    let last: Option<TransitionRow> =
        transitions::table.order(transitions::sequence.desc()).first(conn).await.optional()?;
    Ok(match last.map(TransitionRow::into_link).transpose()? {
        Some(link) => (
            ChainHead { length: link.sequence, head_sha256: link.row_sha256 },
            Some(link.changed_at),
        ),
        None => (ChainHead::EMPTY, None),
    })
}

async fn summarise(conn: &mut Conn) -> Result<CatalogSummary, CatalogError> {
    let rows: Vec<VersionRow> = versions::table.load(conn).await?;
    let records: Vec<_> =
        rows.into_iter().map(VersionRow::into_record).collect::<Result<_, _>>()?;
    let tombstones: Vec<(String, String)> = used_versions::table
        .select((used_versions::model_type, used_versions::version))
        .load(conn)
        .await?;
    let mut removed = Removed::new();
    for (model_type, version) in tombstones {
        let damaged = |what: &dyn std::fmt::Display| {
            CatalogError::Damaged(format!("tombstone {model_type}/{version}: {what}"))
        };
        let version = Version::parse(&version).map_err(|error| damaged(&error))?;
        let model_type = ModelType::parse(&model_type).map_err(|error| damaged(&error))?;
        removed.entry(model_type).or_default().insert(version);
    }
    Ok(CatalogSummary::of(&records, removed, chain_end(conn).await?.0))
}

/// The row of `registry_state`.
async fn recorded_digests(conn: &mut Conn) -> Result<Option<RecordedDigests>, CatalogError> {
    let row: Option<(String, String)> = registry_state::table
        .select((registry_state::checksum, registry_state::previous_checksum))
        .first(conn)
        .await
        .optional()?;
    let parse = |text: &str| {
        Sha256Digest::parse(text)
            .map_err(|error| CatalogError::Damaged(format!("registry_state: {error}")))
    };
    row.map(|(current, previous)| {
        Ok(RecordedDigests { current: parse(&current)?, previous: parse(&previous)? })
    })
    .transpose()
}

async fn read_state(conn: &mut Conn) -> Result<CatalogState, CatalogError> {
    let summary = summarise(conn).await?;
    // A catalog that nothing was ever written to has recorded nothing: it is its own last state.
    let unchanged = RecordedDigests { current: summary.checksum, previous: summary.checksum };
    Ok(CatalogState { recorded: recorded_digests(conn).await?.unwrap_or(unchanged), summary })
}

/// One writing transaction: extends the history and, at its end, records the catalog's new digest.
struct Writer<'a> {
    conn: &'a mut Conn,
    head: ChainHead,
    before: Sha256Digest,
    /// No step is written down as taken before this.
    not_before: Option<Timestamp>,
}

impl<'a> Writer<'a> {
    async fn begin(conn: &'a mut Conn) -> Result<Self, CatalogError> {
        serialise_writers(conn).await?;
        let before = match recorded_digests(conn).await? {
            Some(recorded) => recorded.current,
            None => summarise(conn).await?.checksum,
        };
        let (head, not_before) = chain_end(conn).await?;
        Ok(Self { conn, head, before, not_before })
    }

    /// When the change takes place: its own time, unless the history has a later one already.
    fn at(&self, change: &Change) -> Timestamp {
        self.not_before.map_or(change.at, |last| last.max(change.at))
    }

    async fn insert(&mut self, record: &VersionRecord) -> Result<(), CatalogError> {
        diesel::insert_into(versions::table)
            .values(VersionRow::of(record)?)
            .execute(self.conn)
            .await?;
        Ok(())
    }

    /// Moves a version by one rule of the status table and logs it.
    async fn step(
        &mut self,
        mut record: VersionRecord,
        action: Action,
        change: &Change,
        gates_skipped: bool,
    ) -> Result<VersionRecord, CatalogError> {
        let from = record.status;
        record.status = from.after(action)?;
        match action {
            Action::Promote | Action::Restore => {
                record.promoted_at = Some(self.at(change));
                record.archived_at = None;
            }
            Action::Archive => record.archived_at = Some(self.at(change)),
            Action::Demote => record.promoted_at = None,
            Action::Fail => {}
        }
        self.store_status(&record).await?;
        self.log(&record, Some(from), change, gates_skipped).await?;
        Ok(record)
    }

    async fn store_status(&mut self, record: &VersionRecord) -> Result<(), CatalogError> {
        let changed = diesel::update(versions::table.find(record.model_id.to_string()))
            .set((
                versions::status.eq(record.status.as_str()),
                versions::promoted_at.eq(record.promoted_at.map(stored_time)),
                versions::archived_at.eq(record.archived_at.map(stored_time)),
            ))
            .execute(self.conn)
            .await?;
        if changed == 1 { Ok(()) } else { Err(CatalogError::NotFound) }
    }

    async fn log(
        &mut self,
        record: &VersionRecord,
        from_status: Option<Status>,
        change: &Change,
        gates_skipped: bool,
    ) -> Result<(), CatalogError> {
        self.append(TransitionDraft {
            transition_id: Uuid::new_v4(),
            model_id: record.model_id,
            model_type: record.model_type.clone(),
            version: record.version,
            from_status,
            to_status: record.status,
            changed_at: self.at(change),
            changed_by: change.by.clone(),
            reason: change.reason.clone(),
            gates_skipped,
        })
        .await
    }

    async fn append(&mut self, draft: TransitionDraft) -> Result<(), CatalogError> {
        let link = self.head.append(draft);
        diesel::insert_into(transitions::table)
            .values(TransitionRow::of(&link)?)
            .execute(self.conn)
            .await?;
        Ok(())
    }

    async fn finish(self) -> Result<CatalogState, CatalogError> {
        let summary = summarise(self.conn).await?;
        let state = (
            registry_state::id.eq(1),
            registry_state::checksum.eq(summary.checksum.to_string()),
            registry_state::previous_checksum.eq(self.before.to_string()),
        );
        diesel::insert_into(registry_state::table)
            .values(state)
            .on_conflict(registry_state::id)
            .do_update()
            .set((
                registry_state::checksum.eq(summary.checksum.to_string()),
                registry_state::previous_checksum.eq(self.before.to_string()),
            ))
            .execute(self.conn)
            .await?;
        let recorded = RecordedDigests { current: summary.checksum, previous: self.before };
        Ok(CatalogState { recorded, summary })
    }
}
