//! The embedded catalog: SQLite in the registry directory.
//!
//! WAL, so that readers never wait for a writer, and `synchronous = FULL`, so that what was acknowledged
//! survives a power cut.

use std::path::Path;

use async_trait::async_trait;
use diesel::{
    ConnectionError, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _,
    result::{DatabaseErrorKind, Error as DieselError},
    sqlite::SqliteConnection,
};
use diesel_async::{
    AsyncConnection as _, RunQueryDsl, SimpleAsyncConnection as _,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool},
    },
    sync_connection_wrapper::SyncConnectionWrapper,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use futures_util::FutureExt as _;
use uuid::Uuid;

use super::{
    Catalog, CatalogError, CatalogState, Change, ImportBatch, ProductionChange, RecordedDigests,
    VersionFilter, VersionPage,
    rows::{TransitionRow, VersionRow},
    schema::{registry_state, transitions, used_versions, versions},
};
use crate::{
    domain::{
        ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord,
        history::{ChainHead, Transition, TransitionDraft},
        manifest::{CatalogSummary, Removed},
        status::Action,
    },
    limits,
};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// What every SQLite file starts with.
const MAGIC: &[u8] = b"SQLite format 3\0";

type Conn = SyncConnectionWrapper<SqliteConnection>;

/// The catalog in one SQLite file.
pub struct SqliteCatalog {
    pool: Pool<Conn>,
}

impl SqliteCatalog {
    /// Opens the catalog, making or migrating the file as needed. Blocks: call it before the server's
    /// runtime does anything else, or on a thread of its own.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where the file is not SQLite, or cannot be read or written.
    pub fn open(file: &Path) -> Result<Self, CatalogError> {
        refuse_other_databases(file)?;
        let url = file.to_str().ok_or_else(|| {
            CatalogError::Unavailable("the registry directory's path is not UTF-8".to_owned())
        })?;
        migrate(url).map_err(|error| {
            CatalogError::Unavailable(format!(
                "{}: {error}; check that the directory exists and can be written",
                file.display()
            ))
        })?;
        let mut config = ManagerConfig::default();
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(|url| {
            async move {
                let mut conn = Conn::establish(url).await?;
                conn.batch_execute(&pragmas())
                    .await
                    .map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(conn)
            }
            .boxed()
        });
        let manager = AsyncDieselConnectionManager::new_with_config(url, config);
        let pool = Pool::builder(manager)
            .max_size(limits::CATALOG_CONNECTIONS)
            .build()
            .map_err(|error| CatalogError::Unavailable(error.to_string()))?;
        Ok(Self { pool })
    }

    async fn connection(&self) -> Result<Object<Conn>, CatalogError> {
        let wait = tokio::time::timeout(limits::CATALOG_CONNECTION_WAIT, self.pool.get());
        match wait.await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(error)) => Err(CatalogError::Unavailable(error.to_string())),
            Err(_) => {
                Err(CatalogError::Unavailable("no connection became free in time".to_owned()))
            }
        }
    }
}

fn pragmas() -> String {
    format!(
        "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
        limits::SQLITE_BUSY_WAIT.as_millis()
    )
}

fn refuse_other_databases(file: &Path) -> Result<(), CatalogError> {
    if std::fs::symlink_metadata(file).is_ok_and(|found| !found.is_file()) {
        return Err(CatalogError::Unavailable(format!(
            "{} is not a plain file; the catalog is one, in the registry directory itself",
            file.display()
        )));
    }
    let head = match std::fs::File::open(file) {
        Ok(opened) => {
            let mut head = Vec::new();
            std::io::Read::read_to_end(
                &mut std::io::Read::take(opened, MAGIC.len() as u64),
                &mut head,
            )
            .map(|_| head)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    };
    match head {
        Ok(head) if head.is_empty() || head == MAGIC => Ok(()),
        Ok(_) => Err(CatalogError::Unavailable(format!(
            "{} is not a SQLite database; if this is a directory of the Python service, bring it into a \
             new one with `model-registry import {} --registry-dir NEW_DIRECTORY`",
            file.display(),
            file.parent().unwrap_or(file).display()
        ))),
        Err(error) => Err(CatalogError::Unavailable(format!("{}: {error}", file.display()))),
    }
}

fn migrate(url: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use diesel::{Connection as _, connection::SimpleConnection as _};
    let mut conn = SqliteConnection::establish(url)?;
    conn.batch_execute(&pragmas())?;
    // Processes that start together must not both apply a migration.
    conn.exclusive_transaction(|conn| {
        conn.run_pending_migrations(MIGRATIONS).map(drop).map_err(Migration)
    })
    .map_err(|Migration(error)| error)
}

/// Carries a migration's error out of a transaction.
struct Migration(Box<dyn std::error::Error + Send + Sync>);

impl From<DieselError> for Migration {
    fn from(error: DieselError) -> Self {
        Self(error.into())
    }
}

impl From<DieselError> for CatalogError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info)
                if info.message().contains("versions.model_type, versions.version") =>
            {
                Self::VersionExists
            }
            DieselError::DatabaseError(_, info)
                if info.message().contains("version number was used before") =>
            {
                Self::VersionExists
            }
            other => Self::Unavailable(other.to_string()),
        }
    }
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn ping(&self) -> Result<(), CatalogError> {
        let mut conn = self.connection().await?;
        // Not `SELECT 1`: that answers without touching the file.
        registry_state::table.count().get_result::<i64>(&mut conn).await?;
        Ok(())
    }

    async fn find_production(
        &self,
        model_type: &ModelType,
    ) -> Result<Option<VersionRecord>, CatalogError> {
        let mut conn = self.connection().await?;
        production_of(&mut conn, model_type).await
    }

    async fn find_version(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<Option<VersionRecord>, CatalogError> {
        let mut conn = self.connection().await?;
        version_of(&mut conn, model_type, version).await
    }

    async fn list_versions(&self, filter: &VersionFilter) -> Result<VersionPage, CatalogError> {
        let mut conn = self.connection().await?;
        // One transaction, so that page and total are of one moment.
        conn.transaction(async |conn| {
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
        })
        .await
    }

    async fn list_transitions(
        &self,
        of: Option<(&ModelType, Version)>,
    ) -> Result<Vec<Transition>, CatalogError> {
        let mut conn = self.connection().await?;
        let mut query = transitions::table.order(transitions::sequence).into_boxed();
        if let Some((model_type, version)) = of {
            query = query
                .filter(transitions::model_type.eq(model_type.as_str().to_owned()))
                .filter(transitions::version.eq(version.to_string()));
        }
        let rows: Vec<TransitionRow> = query.load(&mut conn).await?;
        rows.into_iter().map(TransitionRow::into_link).collect()
    }

    async fn recorded_digests(&self) -> Result<Option<RecordedDigests>, CatalogError> {
        let mut conn = self.connection().await?;
        recorded_digests(&mut conn).await
    }

    async fn state(&self) -> Result<CatalogState, CatalogError> {
        let mut conn = self.connection().await?;
        conn.transaction(async |conn| read_state(conn).await).await
    }

    async fn find_rollback_target(
        &self,
        model_type: &ModelType,
    ) -> Result<Option<VersionRecord>, CatalogError> {
        let mut conn = self.connection().await?;
        rollback_target(&mut conn, model_type).await
    }

    async fn insert_version(
        &self,
        record: &VersionRecord,
        change: &Change,
    ) -> Result<CatalogState, CatalogError> {
        let mut conn = self.connection().await?;
        conn.immediate_transaction(async |conn| {
            let mut writer = Writer::begin(conn).await?;
            writer.insert(record).await?;
            writer.log(record, None, change, false).await?;
            writer.finish().await
        })
        .await
    }

    async fn promote_version(
        &self,
        model_type: &ModelType,
        version: Version,
        change: &Change,
        gates_skipped: bool,
    ) -> Result<(ProductionChange, CatalogState), CatalogError> {
        let mut conn = self.connection().await?;
        conn.immediate_transaction(async |conn| {
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
        })
        .await
    }

    async fn roll_back_production(
        &self,
        model_type: &ModelType,
        target: Version,
        change: &Change,
    ) -> Result<(ProductionChange, CatalogState), CatalogError> {
        let mut conn = self.connection().await?;
        conn.immediate_transaction(async |conn| {
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
        })
        .await
    }

    async fn mark_failed(
        &self,
        model_type: &ModelType,
        version: Version,
        change: &Change,
    ) -> Result<(VersionRecord, CatalogState), CatalogError> {
        let mut conn = self.connection().await?;
        conn.immediate_transaction(async |conn| {
            let mut writer = Writer::begin(conn).await?;
            let found = version_of(writer.conn, model_type, version).await?;
            let found = found.ok_or(CatalogError::NotFound)?;
            let failed = writer.step(found, Action::Fail, change, false).await?;
            Ok((failed, writer.finish().await?))
        })
        .await
    }

    async fn import(&self, batch: &ImportBatch) -> Result<CatalogState, CatalogError> {
        let mut conn = self.connection().await?;
        conn.immediate_transaction(async |conn| {
            let mut writer = Writer::begin(conn).await?;
            // What leaves production goes first, what enters it last.
            let (enter, leave): (Vec<_>, Vec<_>) =
                batch.moved_versions.iter().partition(|record| record.status == Status::Production);
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
        })
        .await
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
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let changed = diesel::update(versions::table.find(record.model_id.to_string()))
            .set((
                versions::status.eq(record.status.as_str()),
                versions::promoted_at.eq(text(record.promoted_at)),
                versions::archived_at.eq(text(record.archived_at)),
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
        diesel::replace_into(registry_state::table).values(state).execute(self.conn).await?;
        let recorded = RecordedDigests { current: summary.checksum, previous: self.before };
        Ok(CatalogState { recorded, summary })
    }
}
