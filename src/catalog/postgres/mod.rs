//! The catalog in PostgreSQL, shared by every replica of the service.
//!
//! The pool's connections keep nothing from one transaction to the next. `commits.rs` notices the commits of all replicas.

mod certificate;
mod commits;
mod connect;
mod schema;
mod session;
mod tls;
mod url;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use diesel::connection::CacheSize;
use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool::Pool,
    },
};
use futures_util::FutureExt as _;
use time::OffsetDateTime;

use super::{
    CatalogError, HeldLock, KnownLayout, WriterLock,
    connection::{CatalogConnection, Scope},
    schema_version,
    tables::{Kind, TABLES},
};
use crate::{
    domain::{Timestamp, timestamp::InvalidTimestamp},
    fault::{self, Point},
    limits,
};
use commits::Commits;
use connect::none_left;
use transaction::Borrowed;

pub use url::{DatabaseUrl, InvalidDatabaseUrl};

#[path = "../audit.rs"]
#[expect(clippy::duplicate_mod, reason = "the same over both databases")]
mod audit;
#[path = "../dump.rs"]
#[expect(clippy::duplicate_mod, reason = "the same over both databases")]
mod dump;
#[path = "../listing.rs"]
#[expect(clippy::duplicate_mod, reason = "the same over both databases")]
mod listing;
#[path = "../queries.rs"]
#[expect(clippy::duplicate_mod, reason = "the same over both databases")]
mod queries;
#[path = "../rows.rs"]
#[expect(clippy::duplicate_mod, reason = "the same over both databases")]
mod rows;
#[path = "../schema_steps.rs"]
#[expect(clippy::duplicate_mod, reason = "the same over both databases")]
mod schema_steps;
#[path = "../timeline.rs"]
#[expect(clippy::duplicate_mod, reason = "the same over both databases")]
mod timeline;
#[path = "../transaction.rs"]
#[expect(clippy::duplicate_mod, reason = "the same over both databases")]
mod transaction;
#[path = "../upgrade.rs"]
#[expect(clippy::duplicate_mod, reason = "the same over both databases")]
mod upgrade;
#[path = "../writer.rs"]
#[expect(clippy::duplicate_mod, reason = "the same over both databases")]
mod writer;

/// The steps that create the tables.
const STEPS: [(&str, &str); 4] = [
    (
        schema_version::CHAIN,
        include_str!("../../../migrations/postgres/00000000000001_create_catalog/up.sql"),
    ),
    (
        schema_version::LOG,
        include_str!("../../../migrations/postgres/00000000000002_keep_a_log/up.sql"),
    ),
    (
        schema_version::UNCHAINED,
        include_str!("../../../migrations/postgres/00000000000003_drop_the_chain/up.sql"),
    ),
    (
        schema_version::CURRENT,
        include_str!(
            "../../../migrations/postgres/00000000000004_keep_verdicts_and_collections/up.sql"
        ),
    ),
];

// Advisory locks of the database (PostgreSQL's "Advisory Locks"). The numbers are arbitrary, but only this program
// uses them.
/// A writer holds this from before its change until after its manifest.
const WRITING: i64 = 0x6d72_0002;
/// A writing transaction holds this.
const IN_TRANSACTION: i64 = 0x6d72_0003;

type Conn = AsyncPgConnection;
use PostgresCatalog as Store;
/// The name of the database in messages.
const DATABASE: &str = "PostgreSQL";
type StoredTime = OffsetDateTime;
type TimeColumn = diesel::sql_types::Timestamptz;
type StoredJson = serde_json::Value;

fn stored_time(time: Timestamp) -> StoredTime {
    time.instant()
}

fn loaded_time(stored: &StoredTime) -> Result<Timestamp, InvalidTimestamp> {
    Timestamp::new(*stored)
}

fn stored_json(value: &impl serde::Serialize) -> serde_json::Result<StoredJson> {
    serde_json::to_value(value)
}

fn loaded_json<T: serde::de::DeserializeOwned>(stored: StoredJson) -> serde_json::Result<T> {
    serde_json::from_value(stored)
}

/// The settings of a transaction. They end with it, so that a session which a pooler gives to another client keeps no
/// setting of this one. Prepared statements of other clients are dropped first, because their names could collide.
fn settings(statement: Duration, idle: &str) -> String {
    format!(
        "DEALLOCATE ALL; SET LOCAL statement_timeout = {}; \
         SET LOCAL idle_in_transaction_session_timeout = {idle}",
        statement.as_millis()
    )
}

impl CatalogConnection for Conn {
    fn begin(scope: Scope, statement: Duration) -> Option<String> {
        let settings =
            settings(statement, &limits::DATABASE_STATEMENT_WAIT.as_millis().to_string());
        Some(match scope {
            // A single statement also needs a transaction: a pooler could otherwise give its parts to two sessions.
            Scope::Statement => format!("BEGIN READ ONLY; {settings}"),
            Scope::Snapshot => {
                format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {settings}")
            }
            // Writing transactions run one at a time, whatever other locks exist: an abandoned transaction must end
            // before the next one begins.
            Scope::Change => format!(
                "BEGIN; {settings}; SET LOCAL synchronous_commit = on; \
                 SELECT pg_advisory_xact_lock({IN_TRANSACTION})"
            ),
        })
    }

    fn commit(scope: Scope) -> &'static str {
        match scope {
            Scope::Statement | Scope::Snapshot => "COMMIT",
            Scope::Change if fault::asked_for(Point::PostgresNotify) => "COMMIT",
            Scope::Change => commits::COMMIT_AND_NOTIFY,
        }
    }

    fn find_writability() -> Option<&'static str> {
        // This transaction itself is read-only, so the default of the next one decides.
        Some(
            "SELECT CASE WHEN current_setting('default_transaction_read_only') = 'off'
                          AND NOT pg_is_in_recovery() AND has_table_privilege('versions', 'INSERT')
                    THEN 'yes' END AS found",
        )
    }

    fn find_table(name: &str) -> String {
        // Not `to_regclass`, which may cache that the table did not exist; a query on the system catalog does not.
        format!(
            "SELECT (SELECT c.relname::text FROM pg_catalog.pg_class c
                     WHERE c.relname = '{name}' AND pg_catalog.pg_table_is_visible(c.oid)) AS found"
        )
    }

    fn column_as_json(column: &str, kind: Kind) -> String {
        match kind {
            Kind::Plain | Kind::Boolean | Kind::Json => format!("\"{column}\""),
            Kind::Time => format!(
                "to_char(\"{column}\" AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
            ),
        }
    }

    fn object_as_text(members: &str) -> String {
        format!("json_build_object({members})::text")
    }

    fn key_of_row(table: &str, column: &str) -> String {
        format!("(SELECT r.\"{column}\" FROM json_populate_record(NULL::\"{table}\", $1::json) r)")
    }

    fn insert_rows(table: &str, columns: &[(&str, Kind)]) -> String {
        let names: Vec<_> = columns.iter().map(|(column, _)| format!("\"{column}\"")).collect();
        let names = names.join(", ");
        format!(
            "INSERT INTO \"{table}\" ({names}) \
             SELECT {names} FROM json_populate_recordset(NULL::\"{table}\", $1::json)"
        )
    }

    async fn make_room(&mut self) -> Result<(), CatalogError> {
        // Not DROP or TRUNCATE: those would make readers wait, and a reader that waited could see an empty table.
        let all = |statement: fn(&str) -> String| -> String {
            TABLES.iter().rev().map(|table| statement(table.name)).collect::<Vec<_>>().join("; ")
        };
        let time = limits::LONG_WORK_TIMEOUT.as_millis();
        let statements = [
            format!("SET LOCAL statement_timeout = {time}"),
            all(|table| format!("ALTER TABLE \"{table}\" DISABLE TRIGGER USER")),
            all(|table| format!("DELETE FROM \"{table}\"")),
            all(|table| format!("ALTER TABLE \"{table}\" ENABLE TRIGGER USER")),
        ];
        Ok(self.batch_execute(&statements.join("; ")).await?)
    }
}

/// The catalog in one PostgreSQL database.
pub struct PostgresCatalog {
    pool: Pool<Conn>,
    /// The connection of the writers' lock, where the pool has only one, which the change itself needs.
    lock_pool: Option<Pool<Conn>>,
    layout: KnownLayout,
    commits: Commits,
}

impl PostgresCatalog {
    /// A catalog in this database. The first query opens a connection. [`Catalog::layout`] finds out what is in the
    /// database.
    ///
    /// [`Catalog::layout`]: super::Catalog::layout
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where the pool cannot be created.
    pub fn open(url: DatabaseUrl) -> Result<Self, CatalogError> {
        let commits = Commits::of(url.clone());
        let size = url.pool_size().unwrap_or(limits::CATALOG_CONNECTIONS);
        let refusals = Arc::new(connect::Refusals::default());
        let pool = pool_of(size, &url, &refusals)?;
        let lock_pool = if size == 1 { Some(pool_of(1, &url, &refusals)?) } else { None };
        Ok(Self { pool, lock_pool, layout: KnownLayout::current(), commits })
    }

    async fn follow_commits(&self) -> CatalogError {
        self.commits.follow().await
    }

    /// The lock is held by an open transaction: it ends with its connection, and so with its process.
    async fn writer_lock(&self, wait: Duration) -> Result<WriterLock, CatalogError> {
        let deadline = tokio::time::Instant::now() + wait;
        // Between the change's transaction and the manifest it is idle for as long as the disk needs.
        let begin = format!("BEGIN; {}", settings(limits::DATABASE_STATEMENT_WAIT, "0"));
        loop {
            let pool = self.lock_pool.as_ref().unwrap_or(&self.pool);
            let mut transaction = self.begin(pool, &begin).await?;
            if let Some(clock) = in_time(transaction.take_lock(WRITING)).await? {
                in_time(transaction.wait_for_lock(IN_TRANSACTION)).await?;
                let clock = loaded_time(&clock)
                    .map_err(|error| CatalogError::Unavailable(format!("{DATABASE}: {error}")))?;
                return Ok(WriterLock::held(transaction, clock));
            }
            in_time(transaction.end("ROLLBACK")).await?;
            if tokio::time::Instant::now() >= deadline {
                return Err(CatalogError::Locked);
            }
            tokio::time::sleep(limits::WRITE_LOCK_POLL).await;
        }
    }
}

/// A pool of at most this many connections. The first query opens the first one.
fn pool_of(
    size: usize,
    url: &DatabaseUrl,
    refusals: &Arc<connect::Refusals>,
) -> Result<Pool<Conn>, CatalogError> {
    let (url, refusals) = (url.clone(), refusals.clone());
    let mut config = ManagerConfig::default();
    // The pool notices a connection that the server closed without a test query.
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |_| {
        let (url, refusals) = (url.clone(), refusals.clone());
        async move {
            let mut conn = refusals.connect(&url).await?;
            // A prepared statement must not outlive its transaction.
            conn.set_prepared_statement_cache_size(CacheSize::Disabled);
            Ok(conn)
        }
        .boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config("", config);
    Pool::builder(manager)
        .max_size(size)
        .build()
        .map_err(|error| CatalogError::Unavailable(format!("PostgreSQL: {error}")))
}

/// Waits for an answer, up to the time limit.
async fn in_time<T>(
    work: impl Future<Output = Result<T, CatalogError>>,
) -> Result<T, CatalogError> {
    tokio::time::timeout(limits::CATALOG_ANSWER_WAIT, work)
        .await
        .unwrap_or_else(|_| Err(CatalogError::InDoubt("it took too long".to_owned())))
}

impl Borrowed {
    /// Takes a lock until the end of the transaction, unless another session has it. Returns the time of the server.
    async fn take_lock(&mut self, lock: i64) -> Result<Option<StoredTime>, CatalogError> {
        #[derive(diesel::QueryableByName)]
        struct Taken {
            #[diesel(sql_type = diesel::sql_types::Bool)]
            taken: bool,
            #[diesel(sql_type = TimeColumn)]
            clock: StoredTime,
        }
        let query = format!(
            "SELECT pg_try_advisory_xact_lock({lock}) AS taken, clock_timestamp() AS clock"
        );
        let taken: Taken = diesel::sql_query(query).get_result(self.conn()?).await?;
        Ok(taken.taken.then_some(taken.clock))
    }

    /// Waits until the lock is free, without keeping it: a rollback to the savepoint releases it.
    async fn wait_for_lock(&mut self, lock: i64) -> Result<(), CatalogError> {
        let statements = format!(
            "SAVEPOINT before; SELECT pg_advisory_xact_lock({lock}); ROLLBACK TO SAVEPOINT before"
        );
        Ok(self.conn()?.batch_execute(&statements).await?)
    }
}

#[async_trait(?Send)]
impl HeldLock for Borrowed {
    async fn release(self: Box<Self>) -> Result<(), CatalogError> {
        in_time(self.end("ROLLBACK")).await
    }
}
