//! Notices commits of any process in the shared catalog.
//!
//! Every change sends a notification when it commits (`NOTIFY`), which a connection of its own waits for. Notifications
//! can be lost: a transaction pooler does not pass them on, and a connection may be dead without notice. So the same
//! connection also reads the root of the log at short intervals. What was read from the catalog is trusted for a short
//! time after the last such reading was begun, and no longer: then every read asks the database.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use diesel::{
    QueryableByName,
    sql_types::{Nullable, Text},
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::{FutureExt as _, StreamExt as _};
use uuid::Uuid;

use super::{DatabaseUrl, settings};
use crate::{
    catalog::{CatalogError, marker::Marker},
    limits,
};

/// The channel of the notifications. Its name is in use only by this program; a message for another catalog in the same
/// database does no harm.
const CHANNEL: &str = "model_registry_changes";

/// Ends a transaction that changed the catalog, and notifies all who listen of it.
pub(super) const COMMIT_AND_NOTIFY: &str = "NOTIFY model_registry_changes; COMMIT";

/// What is known of commits.
pub(super) struct Commits {
    url: DatabaseUrl,
    start: Instant,
    /// The number of commits noticed.
    noticed: AtomicU64,
    /// Until when no commit can have gone unnoticed, in microseconds since the start.
    trusted: AtomicU64,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Nullable<Text>)]
    found: Option<String>,
}

impl Commits {
    pub(super) fn of(url: DatabaseUrl) -> Self {
        let (noticed, trusted) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { url, start: Instant::now(), noticed, trusted }
    }

    fn since_start(&self, moment: Instant) -> u64 {
        u64::try_from(moment.duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }

    /// The marker; `None` where a commit may have gone unnoticed.
    pub(super) fn marker(&self) -> Option<Marker> {
        // In this order: a commit that is noticed before the time is extended is seen here.
        let trusted = self.trusted.load(Ordering::Acquire);
        let noticed = self.noticed.load(Ordering::Acquire);
        let now = self.since_start(Instant::now());
        (now < trusted).then(|| Marker::new([noticed, 0, 0, 0, 0, 0]))
    }

    /// Notes that there was a commit.
    pub(super) fn notice(&self) {
        self.noticed.fetch_add(1, Ordering::AcqRel);
    }

    /// Notices commits until the process ends.
    pub(super) async fn follow(&self) -> CatalogError {
        let mut last = None;
        let mut told = false;
        loop {
            let mut working = false;
            let error = self.follow_on_a_connection(&mut last, &mut working).await;
            self.trusted.store(0, Ordering::Release);
            if working || !told {
                tracing::warn!(
                    %error,
                    "changes by other replicas cannot be noticed at present: until they can, every read asks the database"
                );
                told = true;
            }
            tokio::time::sleep(limits::COMMITS_RETRY_PAUSE).await;
        }
    }

    async fn follow_on_a_connection(
        &self,
        last: &mut Option<Option<String>>,
        working: &mut bool,
    ) -> CatalogError {
        let followed = async {
            let mut conn = in_time(limits::CATALOG_CONNECTION_WAIT, async {
                let connected = self.url.listening().connect().await;
                connected.map_err(|error| CatalogError::Unavailable(error.to_string()))
            })
            .await?;
            let hears = in_time(limits::CATALOG_CONNECTION_WAIT, listen(&mut conn)).await?;
            loop {
                let begun = Instant::now();
                let root = in_time(limits::COMMITS_TRUSTED, root(&mut conn)).await?;
                if last.as_ref() != Some(&root) {
                    self.notice();
                    *last = Some(root);
                }
                let trusted = self.since_start(begun + limits::COMMITS_TRUSTED);
                self.trusted.store(trusted, Ordering::Release);
                if !std::mem::replace(working, true) {
                    tracing::info!(notifications = hears, "changes by other replicas are noticed");
                }
                if hears {
                    self.hear(&mut conn, limits::COMMITS_ROUND_WHILE_HEARING).await?;
                } else {
                    tokio::time::sleep(limits::COMMITS_ROUND).await;
                }
            }
        };
        let followed: Result<std::convert::Infallible, CatalogError> = followed.await;
        match followed {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    /// Notes a commit for each notification that comes within this time.
    async fn hear(&self, conn: &mut AsyncPgConnection, time: Duration) -> Result<(), CatalogError> {
        let deadline = tokio::time::Instant::now() + time;
        let mut heard = std::pin::pin!(conn.notifications_stream());
        while let Ok(next) = tokio::time::timeout_at(deadline, heard.next()).await {
            match next {
                Some(notification) => drop(notification?),
                None => return Err(CatalogError::Unavailable("the connection ended".to_owned())),
            }
            // Several that are there already are one change of what is known.
            while let Some(Some(more)) = heard.next().now_or_never() {
                drop(more?);
            }
            self.notice();
        }
        Ok(())
    }
}

async fn in_time<T>(
    time: Duration,
    work: impl Future<Output = Result<T, CatalogError>>,
) -> Result<T, CatalogError> {
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| {
        Err(CatalogError::Unavailable("the database did not answer in time".to_owned()))
    })
}

/// Subscribes to the notifications, and tries whether one arrives. It does not behind a transaction pooler, nor at a
/// server that only reads.
async fn listen(conn: &mut AsyncPgConnection) -> Result<bool, CatalogError> {
    let token = Uuid::new_v4().to_string();
    if conn.batch_execute(&format!("LISTEN {CHANNEL}")).await.is_err() {
        return Ok(false);
    }
    if conn.batch_execute(&format!("NOTIFY {CHANNEL}, '{token}'")).await.is_err() {
        return Ok(false);
    }
    let mut heard = std::pin::pin!(conn.notifications_stream());
    let own = async {
        while let Some(notification) = heard.next().await {
            if notification?.payload == token {
                return Ok::<_, CatalogError>(true);
            }
        }
        Err(CatalogError::Unavailable("the connection ended".to_owned()))
    };
    tokio::time::timeout(limits::COMMITS_TRUSTED, own).await.unwrap_or(Ok(false))
}

/// The root of the log; `None` before the first change.
async fn root(conn: &mut AsyncPgConnection) -> Result<Option<String>, CatalogError> {
    // Not at the top of the file: its methods would hide those of atomic integers.
    use diesel_async::RunQueryDsl as _;
    let wait = limits::COMMITS_TRUSTED.as_millis().to_string();
    conn.batch_execute(&format!("BEGIN READ ONLY; {}", settings(limits::COMMITS_TRUSTED, &wait)))
        .await?;
    // The tables of a new database may not exist yet.
    // A verdict raises the revision alone. A catalog that an earlier program left has none.
    let query = "SELECT max(checksum || ' ' || coalesce(to_jsonb(s) ->> 'revision', '')) AS found \
                 FROM registry_state s";
    let found: Found = diesel::sql_query(query).get_result(conn).await?;
    conn.batch_execute("COMMIT").await?;
    Ok(found.found)
}
