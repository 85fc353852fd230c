//! The embedded catalog: SQLite in the registry directory.
//!
//! It uses WAL, so that readers never wait for a writer, and `synchronous = FULL`, so that acknowledged changes
//! survive a power cut.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use diesel::{ConnectionError, result::Error as DieselError, sqlite::SqliteConnection};
use diesel_async::{
    AsyncConnection as _, SimpleAsyncConnection as _,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool::Pool,
    },
    sync_connection_wrapper::{SpawnBlocking, SyncConnectionWrapper},
};
use futures_util::{FutureExt as _, future::BoxFuture};

use super::{
    CatalogError, KnownLayout, WriterLock,
    connection::{CatalogConnection, Scope},
    schema_version,
    tables::{Kind, TABLES},
};
use crate::{
    domain::{Timestamp, timestamp::InvalidTimestamp},
    limits,
};
use commits::Commits;

mod commits;
mod schema;

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
        include_str!("../../../migrations/sqlite/00000000000001_create_catalog/up.sql"),
    ),
    (
        schema_version::LOG,
        include_str!("../../../migrations/sqlite/00000000000002_keep_a_log/up.sql"),
    ),
    (
        schema_version::UNCHAINED,
        include_str!("../../../migrations/sqlite/00000000000003_drop_the_chain/up.sql"),
    ),
    (
        schema_version::CURRENT,
        include_str!(
            "../../../migrations/sqlite/00000000000004_keep_verdicts_and_collections/up.sql"
        ),
    ),
];

/// The first bytes of every SQLite file.
const MAGIC: &[u8] = b"SQLite format 3\0";

type Conn = SyncConnectionWrapper<SqliteConnection, Detached>;
use SqliteCatalog as Store;
/// The name of the database in messages.
const DATABASE: &str = "SQLite";

/// Times are text of fixed width, so that text order is time order.
type StoredTime = String;
type TimeColumn = diesel::sql_types::Text;
/// JSON is stored as text.
type StoredJson = String;

/// A file has as many connections as are opened.
fn none_left(_: &ConnectionError) -> bool {
    false
}

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

impl CatalogConnection for Conn {
    fn begin(scope: Scope, _: Duration) -> Option<String> {
        match scope {
            Scope::Statement => None,
            Scope::Snapshot => Some("BEGIN".to_owned()),
            // It starts as a writer, so that it never has to upgrade its lock.
            Scope::Change => Some("BEGIN IMMEDIATE".to_owned()),
        }
    }

    fn commit(_: Scope) -> &'static str {
        "COMMIT"
    }

    fn find_writability() -> Option<&'static str> {
        None
    }

    fn find_table(name: &str) -> String {
        format!(
            "SELECT max(name) AS found FROM sqlite_master WHERE type = 'table' AND name = '{name}'"
        )
    }

    fn column_as_json(column: &str, kind: Kind) -> String {
        match kind {
            Kind::Plain | Kind::Time => format!("\"{column}\""),
            Kind::Boolean => format!("json(iif(\"{column}\", 'true', 'false'))"),
            Kind::Json => format!("json(\"{column}\")"),
        }
    }

    fn object_as_text(members: &str) -> String {
        format!("json_object({members})")
    }

    fn key_of_row(_: &str, column: &str) -> String {
        format!("?1 ->> '$.{column}'")
    }

    fn insert_rows(table: &str, columns: &[(&str, Kind)]) -> String {
        let names: Vec<_> = columns.iter().map(|(column, _)| format!("\"{column}\"")).collect();
        let values: Vec<_> =
            columns.iter().map(|(column, _)| format!("value ->> '$.{column}'")).collect();
        let (names, values) = (names.join(", "), values.join(", "));
        format!("INSERT INTO \"{table}\" ({names}) SELECT {values} FROM json_each(?1)")
    }

    async fn make_room(&mut self) -> Result<(), CatalogError> {
        // A trigger cannot be disabled, but to drop a table fires none.
        let names = TABLES.iter().rev().map(|table| table.name).chain([schema_steps::RECORDS]);
        for name in names {
            self.batch_execute(&format!("DROP TABLE IF EXISTS \"{name}\"")).await?;
        }
        schema_steps::create(self).await
    }
}

/// Runs statements on blocking threads. An abandoned statement ends there. The library's own method would wait for it
/// on the thread that dropped it, which a single-threaded runtime cannot do.
pub struct Detached;

impl SpawnBlocking for Detached {
    fn spawn_blocking<'a, R>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'a, Result<R, Box<dyn std::error::Error + Send + Sync + 'static>>>
    where
        R: Send + 'static,
    {
        let running = tokio::task::spawn_blocking(task);
        async move { Ok(running.await?) }.boxed()
    }

    fn get_runtime() -> Self {
        Self
    }
}

/// The catalog in one SQLite file.
pub struct SqliteCatalog {
    pool: Pool<Conn>,
    layout: KnownLayout,
    commits: Commits,
    /// Whether the catalog was opened for changes. A reader of a directory that it cannot write keeps no connection
    /// open, and so cannot keep the index of the log in its place.
    writable: bool,
}

impl SqliteCatalog {
    /// Opens the file, or creates it where it is missing. [`Catalog::layout`] finds out what is in it.
    ///
    /// [`Catalog::layout`]: super::Catalog::layout
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where the file is not SQLite, or cannot be read or written.
    pub fn open(file: &Path) -> Result<Self, CatalogError> {
        refuse_other_databases(file)?;
        // SQLite would make it readable by all and writable only by its owner, whatever the umask is.
        if let Err(error) = std::fs::OpenOptions::new().append(true).create(true).open(file) {
            return Err(CatalogError::Unavailable(format!("{}: {error}", file.display())));
        }
        let url = file.to_str().ok_or_else(|| {
            CatalogError::Unavailable("the registry directory's path is not UTF-8".to_owned())
        })?;
        prepare(url).map_err(|error| {
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
        let commits = Commits::of(file);
        Ok(Self { pool, layout: KnownLayout::current(), commits, writable: true })
    }

    /// What is wrong with an existing file, where it is not a sound SQLite database.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where it is locked, or may not be read.
    pub fn damage(file: &Path) -> Result<Option<String>, CatalogError> {
        use diesel::{Connection as _, RunQueryDsl as _, connection::SimpleConnection as _};
        #[derive(diesel::QueryableByName)]
        struct Verdict {
            #[diesel(sql_type = diesel::sql_types::Text)]
            quick_check: String,
        }
        std::fs::OpenOptions::new()
            .append(true)
            .open(file)
            .map_err(|error| CatalogError::Unavailable(format!("{}: {error}", file.display())))?;
        if let Err(error) = refuse_other_databases(file) {
            return Ok(Some(error.to_string()));
        }
        let url = file.to_str().ok_or_else(|| {
            CatalogError::Unavailable("the registry directory's path is not UTF-8".to_owned())
        })?;
        let mut conn = match SqliteConnection::establish(url) {
            Ok(conn) => conn,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let checked = conn
            .batch_execute(&pragmas())
            .and_then(|()| diesel::sql_query("PRAGMA quick_check(1)").load::<Verdict>(&mut conn));
        match checked {
            Ok(verdicts) => {
                let verdict = verdicts.into_iter().next().map(|row| row.quick_check);
                Ok(verdict.filter(|verdict| verdict != "ok"))
            }
            Err(DieselError::DatabaseError(_, told)) if told.message() == BUSY => {
                Err(CatalogError::Unavailable(told.message().to_owned()))
            }
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    /// Opens an existing file only for reading. It creates no file beside it.
    ///
    /// Each transaction has its own connection: the way to read the file depends on whether a writer is active (see
    /// `reading_url`).
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where the file is not SQLite or cannot be read.
    pub fn open_to_read(file: &Path) -> Result<Self, CatalogError> {
        refuse_other_databases(file)?;
        let path = std::path::absolute(file)
            .map_err(|error| CatalogError::Unavailable(format!("{}: {error}", file.display())))?;
        let mut config = ManagerConfig::default();
        config.recycling_method = RecyclingMethod::CustomFunction(Box::new(|_| {
            async { Err(DieselError::NotFound) }.boxed()
        }));
        config.custom_setup = Box::new(move |_| {
            let url = reading_url(&path);
            async move {
                let mut conn = Conn::establish(&url?).await?;
                conn.batch_execute(&format!("{} PRAGMA query_only = ON;", pragmas()))
                    .await
                    .map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(conn)
            }
            .boxed()
        });
        let manager = AsyncDieselConnectionManager::new_with_config("", config);
        let pool = Pool::builder(manager)
            .max_size(limits::CATALOG_CONNECTIONS)
            .build()
            .map_err(|error| CatalogError::Unavailable(error.to_string()))?;
        let commits = Commits::of(file);
        Ok(Self { pool, layout: KnownLayout::current(), commits, writable: false })
    }

    async fn follow_commits(&self) -> CatalogError {
        if !self.writable {
            return std::future::pending().await;
        }
        loop {
            match self.commits.open() {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(%error, "every read asks the catalog");
                    tokio::time::sleep(limits::COMMITS_RETRY_PAUSE).await;
                }
            }
        }
        while !self.commits.are_of_another_catalog() {
            self.commits.check();
            tokio::time::sleep(limits::COMMITS_ROUND).await;
        }
        CatalogError::Unavailable("another registry.db was put in place of the open one".to_owned())
    }

    /// The directory's lock already serialises the writers of this file. This waits for the end of a transaction that
    /// a writer abandoned.
    async fn writer_lock(&self, _: Duration) -> Result<WriterLock, CatalogError> {
        self.begin(&self.pool, "BEGIN IMMEDIATE").await?.end("ROLLBACK").await?;
        Ok(WriterLock::none())
    }
}

/// The URL that opens a file only for reading (SQLite's "Read-Only Databases" in "Write-Ahead Logging").
///
/// While a writer is active, there are a log (`-wal`) and its index (`-shm`), which are read too. Without a log the file
/// is complete, but SQLite would create both files; `immutable` prevents this. With `immutable`, SQLite also ignores a
/// log, so it is never used where the log has content.
fn reading_url(file: &Path) -> Result<String, ConnectionError> {
    let beside = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        std::fs::metadata(name).ok().map(|found| found.len())
    };
    let (log, index) = (beside("-wal"), beside("-shm"));
    let (whole, writer) = (log.is_none_or(|length| length == 0), log.is_some() && index.is_some());
    if !whole && index.is_none() {
        return Err(ConnectionError::BadConnection(
            "registry.db-wal is there and registry.db-shm is not, without which it cannot be read here; it is a copy of a \
             registry in use: open it once where it can be written"
                .to_owned(),
        ));
    }
    let path = file.to_str().ok_or_else(|| {
        ConnectionError::BadConnection("the registry directory's path is not UTF-8".to_owned())
    })?;
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let mode = if whole && !writer { "mode=ro&immutable=1" } else { "mode=ro" };
    Ok(format!("file:{path}?{mode}"))
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

/// Sets the settings that SQLite stores in the file.
fn prepare(url: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use diesel::{Connection as _, connection::SimpleConnection as _};
    let mut conn = SqliteConnection::establish(url)?;
    conn.batch_execute(&pragmas())?;
    Ok(enter_wal(&mut conn)?)
}

/// Switches the file to WAL, which is permanent. If several processes create it at the same moment, SQLite reports to
/// all but one that it is locked, at once and without the wait of `busy_timeout`: two processes with a shared lock
/// that both want an exclusive one would wait for each other for ever.
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

/// SQLite's message for code 5, `SQLITE_BUSY`; diesel does not pass on the code.
const BUSY: &str = "database is locked";
