//! The catalog in PostgreSQL, shared by every replica of the service.
//!
//! Nothing is cached: every read asks the database, so each replica sees a commit at once.

mod certificate;
mod connect;
mod schema;
mod tls;
mod url;

use std::time::Duration;

use diesel::QueryResult;
use diesel_async::{
    AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl as _,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool},
    },
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use futures_util::FutureExt as _;
use time::OffsetDateTime;

use super::{CatalogError, WriterLock};
use crate::{
    domain::{Timestamp, timestamp::InvalidTimestamp},
    limits,
};

pub use url::{DatabaseUrl, InvalidDatabaseUrl};

/// How a transaction that changes something begins; its first statement serialises it with others.
macro_rules! writing {
    ($conn:expr, $work:expr) => {
        diesel_async::AsyncConnection::transaction($conn, $work).await
    };
}

/// How a transaction that only looks begins: all of it sees one moment.
macro_rules! reading {
    ($conn:expr, $work:expr) => {
        $conn.build_transaction().repeatable_read().read_only().run($work).await
    };
}

#[path = "../queries.rs"]
#[expect(
    clippy::duplicate_mod,
    reason = "the same over both databases; see the module's own words"
)]
mod queries;
#[path = "../rows.rs"]
#[expect(
    clippy::duplicate_mod,
    reason = "the same over both databases; see the module's own words"
)]
mod rows;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

// Advisory locks of the database (PostgreSQL's "Advisory Locks"); the numbers are arbitrary, and this
// program's own.
/// Held while migrations are applied.
const MIGRATING: i64 = 0x6d72_0001;
/// Held by a writer from before its change until after its manifest.
const WRITING: i64 = 0x6d72_0002;
/// Held by a writing transaction.
const IN_TRANSACTION: i64 = 0x6d72_0003;

type Conn = AsyncPgConnection;
use PostgresCatalog as Store;
type StoredTime = OffsetDateTime;
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

/// One writing transaction at a time, whatever else is locked: a transaction that nobody waits for any more
/// ends before the next begins.
async fn serialise_writers(conn: &mut Conn) -> Result<(), CatalogError> {
    call(conn, "pg_advisory_xact_lock", IN_TRANSACTION).await?;
    Ok(())
}

/// Calls a function of advisory locks that answers nothing.
async fn call(conn: &mut Conn, function: &str, lock: i64) -> QueryResult<usize> {
    diesel::sql_query(format!("SELECT {function}({lock})")).execute(conn).await
}

/// The catalog in one PostgreSQL database.
pub struct PostgresCatalog {
    pool: Pool<Conn>,
    url: DatabaseUrl,
}

impl PostgresCatalog {
    /// Connects, and applies migrations as needed. Blocks.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where the database does not answer, or its schema cannot be migrated.
    pub fn open(url: DatabaseUrl) -> Result<Self, CatalogError> {
        let unavailable = |error: &dyn std::fmt::Display| {
            CatalogError::Unavailable(format!("PostgreSQL: {error}"))
        };
        let migrated = url.clone();
        // The harness blocks in place, which only a runtime of several threads can bear.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let within = tokio::time::timeout(limits::MIGRATION_WAIT, migrate(&migrated));
                within.await.map_err(|_| "it did not answer in time")?
            })
        })
        .join()
        .map_err(|_| unavailable(&"the migration failed unexpectedly"))?
        .map_err(|error: Box<dyn std::error::Error + Send + Sync>| unavailable(&error))?;

        let mut config = ManagerConfig::default();
        // A connection that the server closed is known to be so without asking.
        config.recycling_method = RecyclingMethod::Fast;
        let connected = url.clone();
        config.custom_setup = Box::new(move |_| {
            let url = connected.clone();
            async move { url.connect().await }.boxed()
        });
        let manager = AsyncDieselConnectionManager::new_with_config("", config);
        let pool = Pool::builder(manager)
            .max_size(limits::CATALOG_CONNECTIONS)
            .build()
            .map_err(|error| unavailable(&error))?;
        Ok(Self { pool, url })
    }

    async fn connection(&self) -> Result<Object<Conn>, CatalogError> {
        match tokio::time::timeout(limits::CATALOG_CONNECTION_WAIT, self.pool.get()).await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(error)) => Err(CatalogError::Unavailable(error.to_string())),
            Err(_) => {
                Err(CatalogError::Unavailable("no connection became free in time".to_owned()))
            }
        }
    }

    /// A lock of the session, on a connection of its own: it ends with the connection, and so with the
    /// process that holds it.
    async fn writer_lock(&self, wait: Duration) -> Result<WriterLock, CatalogError> {
        #[derive(diesel::QueryableByName)]
        struct Taken {
            #[diesel(sql_type = diesel::sql_types::Bool)]
            taken: bool,
        }
        let connect = async {
            self.url.connect().await.map_err(|error| CatalogError::Unavailable(error.to_string()))
        };
        let mut conn = super::in_time(limits::CATALOG_CONNECTION_WAIT, connect).await?;
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let ask = async {
                let query = format!("SELECT pg_try_advisory_lock({WRITING}) AS taken");
                Ok(diesel::sql_query(query).get_result::<Taken>(&mut conn).await?)
            };
            if super::in_time(limits::CATALOG_ANSWER_WAIT, ask).await?.taken {
                break;
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(CatalogError::Locked);
            }
            tokio::time::sleep(limits::WRITE_LOCK_POLL).await;
        }
        // Waits for the end of a transaction whose writer is gone.
        let barrier = async {
            call(&mut conn, "pg_advisory_lock", IN_TRANSACTION).await?;
            call(&mut conn, "pg_advisory_unlock", IN_TRANSACTION).await?;
            Ok(())
        };
        super::in_time(limits::CATALOG_ANSWER_WAIT, barrier).await?;
        Ok(WriterLock::held(conn))
    }
}

async fn migrate(url: &DatabaseUrl) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut conn = url.connect().await?;
    // Replicas that start together must not both apply a migration. The lock ends with the connection.
    call(&mut conn, "pg_advisory_lock", MIGRATING).await?;
    let mut harness = AsyncMigrationHarness::new(conn);
    harness.run_pending_migrations(MIGRATIONS)?;
    Ok(())
}
