//! The embedded catalog: SQLite in the registry directory.
//!
//! WAL, so that readers never wait for a writer, and `synchronous = FULL`, so that what was acknowledged
//! survives a power cut.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use diesel::{ConnectionError, result::Error as DieselError, sqlite::SqliteConnection};
use diesel_async::{
    AsyncConnection as _, SimpleAsyncConnection as _,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool},
    },
    sync_connection_wrapper::SyncConnectionWrapper,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use futures_util::FutureExt as _;

use super::{CatalogError, WriterLock};
use crate::{
    domain::{Timestamp, timestamp::InvalidTimestamp},
    limits,
};

mod schema;

/// How a transaction that changes something begins: as a writer, so that it never has to turn into one.
macro_rules! writing {
    ($conn:expr, $work:expr) => {
        $conn.immediate_transaction($work).await
    };
}

/// How a transaction that only looks begins.
macro_rules! reading {
    ($conn:expr, $work:expr) => {
        diesel_async::AsyncConnection::transaction($conn, $work).await
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

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// What every SQLite file starts with.
const MAGIC: &[u8] = b"SQLite format 3\0";

type Conn = SyncConnectionWrapper<SqliteConnection>;
use SqliteCatalog as Store;

/// Times are text of a fixed width, in which text order is time order.
type StoredTime = String;
/// JSON is text.
type StoredJson = String;

fn stored_time(time: Timestamp) -> StoredTime {
    time.to_string()
}

fn loaded_time(stored: &StoredTime) -> Result<Timestamp, InvalidTimestamp> {
    Timestamp::parse(stored)
}

fn stored_json(value: &impl serde::Serialize) -> serde_json::Result<StoredJson> {
    serde_json::to_string(value)
}

fn loaded_json<T: serde::de::DeserializeOwned>(stored: StoredJson) -> serde_json::Result<T> {
    serde_json::from_str(&stored)
}

/// `BEGIN IMMEDIATE` has done it already.
async fn serialise_writers(_: &mut Conn) -> Result<(), CatalogError> {
    Ok(())
}

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

    /// One file, one directory: the directory's own lock serialises its writers.
    async fn writer_lock(&self, _: Duration) -> Result<WriterLock, CatalogError> {
        Ok(WriterLock::none())
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
        "PRAGMA busy_timeout = {}; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;",
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
    enter_wal(&mut conn)?;
    // Processes that start together must not both apply a migration.
    conn.exclusive_transaction(|conn| {
        conn.run_pending_migrations(MIGRATIONS).map(drop).map_err(Migration)
    })
    .map_err(|Migration(error)| error)
}

/// Turns the file to WAL, which it then stays in. Of processes that make it at the same moment, SQLite tells all
/// but one at once that it is locked, without the wait that `busy_timeout` asks for: two that hold it shared and
/// both want it alone would wait for each other for ever.
fn enter_wal(conn: &mut SqliteConnection) -> diesel::QueryResult<()> {
    use diesel::connection::SimpleConnection as _;
    let until = Instant::now() + limits::SQLITE_BUSY_WAIT;
    loop {
        match conn.batch_execute("PRAGMA journal_mode = WAL") {
            Err(DieselError::DatabaseError(_, told))
                if told.message() == BUSY && Instant::now() < until =>
            {
                std::thread::sleep(limits::SQLITE_BUSY_POLL);
            }
            done => return done,
        }
    }
}

/// SQLite's words for its code 5, `SQLITE_BUSY`, which diesel does not pass on.
const BUSY: &str = "database is locked";

/// Carries a migration's error out of a transaction.
struct Migration(Box<dyn std::error::Error + Send + Sync>);

impl From<DieselError> for Migration {
    fn from(error: DieselError) -> Self {
        Self(error.into())
    }
}
