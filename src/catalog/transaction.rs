//! Transactions over the pool of one database.
//!
//! Included once in each database's module, which provides its connection (`Conn`) and its catalog (`Store`).
//!
//! This program's own statements begin and end a transaction, so that its settings are sent with its first statement.
//! Nothing outlives the transaction on the server: no setting, no lock, no prepared statement. So a transaction
//! pooler may give each one another connection.

use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::{
    SimpleAsyncConnection as _,
    pooled_connection::{
        self,
        deadpool::{Object, Pool, PoolError},
    },
};

use super::{Conn, DATABASE, Store, none_left};
use crate::{
    catalog::{
        CatalogError,
        connection::{CatalogConnection as _, Scope},
    },
    limits,
};

/// A connection that returns to its pool only when its work has ended. Otherwise it is closed, which ends its work.
pub(super) struct Borrowed(Option<Object<Conn>>);

impl Borrowed {
    /// The connection.
    ///
    /// # Errors
    /// This cannot fail: only [`Borrowed::end`] takes the connection, and it consumes this value.
    pub(super) fn conn(&mut self) -> Result<&mut Conn, CatalogError> {
        self.0.as_deref_mut().ok_or_else(|| CatalogError::Unavailable("no connection".to_owned()))
    }

    /// Ends the transaction, and returns the connection to the pool.
    ///
    /// # Errors
    /// The database's error; the connection is then closed.
    pub(super) async fn end(mut self, statement: &str) -> Result<(), CatalogError> {
        self.conn()?.batch_execute(statement).await?;
        self.give_back();
        Ok(())
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

impl Store {
    /// Waits for a connection from the pool.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where no connection becomes free or can be opened in time.
    async fn borrow(&self) -> Result<Borrowed, CatalogError> {
        self.borrow_from(&self.pool).await
    }

    /// Waits for a connection from a pool. If the server has no connection left, it waits for one of the pool's own.
    ///
    /// # Errors
    /// As [`Self::borrow`].
    async fn borrow_from(&self, pool: &Pool<Conn>) -> Result<Borrowed, CatalogError> {
        let mut refused = None;
        let got = async {
            loop {
                match pool.get().await {
                    Err(PoolError::Backend(pooled_connection::PoolError::ConnectionError(
                        error,
                    ))) if none_left(&error) => {
                        refused = Some(error.to_string());
                        tokio::time::sleep(limits::CATALOG_CONNECTION_POLL).await;
                    }
                    got => return got,
                }
            }
        };
        let got = tokio::time::timeout(limits::CATALOG_CONNECTION_WAIT, got).await;
        match got {
            Ok(Ok(conn)) => Ok(Borrowed(Some(conn))),
            Ok(Err(PoolError::Backend(pooled_connection::PoolError::ConnectionError(
                ConnectionError::InvalidConnectionUrl(why),
            )))) => Err(CatalogError::Unsuitable(why)),
            Ok(Err(PoolError::Backend(error))) => {
                Err(CatalogError::Unavailable(format!("{DATABASE}: {error}")))
            }
            Ok(Err(error)) => Err(CatalogError::Unavailable(format!("{DATABASE}: {error}"))),
            Err(_) => Err(CatalogError::Unavailable(match refused {
                Some(error) => format!(
                    "{DATABASE} has no connection left, and none of this process became free in time; raise its \
                     max_connections or end other clients: {error}"
                ),
                None => "no connection became free in time".to_owned(),
            })),
        }
    }

    /// Runs work in one transaction, within the time limit of an answer.
    ///
    /// # Errors
    /// The error of the work or of the database; [`CatalogError::InDoubt`] after the time limit.
    pub(super) async fn run<T>(
        &self,
        scope: Scope,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        self.run_within(limits::CATALOG_ANSWER_WAIT, scope, work).await
    }

    /// As [`Self::run`], with another time limit.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(super) async fn run_within<T>(
        &self,
        time: Duration,
        scope: Scope,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        let mut borrowed = self.borrow().await?;
        let whole = async {
            let conn = borrowed.conn()?;
            let Some(begin) = Conn::begin(scope, time.min(limits::DATABASE_STATEMENT_WAIT)) else {
                let done = work(conn).await?;
                borrowed.give_back();
                return Ok(done);
            };
            conn.batch_execute(&begin).await?;
            match work(conn).await {
                Ok(done) => borrowed.end(Conn::commit(scope)).await.map(|()| done),
                Err(error) => {
                    // Report the work's error; a connection that cannot roll back is closed.
                    drop(borrowed.end("ROLLBACK").await);
                    Err(error)
                }
            }
        };
        tokio::time::timeout(time, whole)
            .await
            .unwrap_or_else(|_| Err(CatalogError::InDoubt("it took too long".to_owned())))
    }

    /// Begins a transaction on a connection of a pool. It ends by [`Borrowed::end`] or when the connection closes.
    ///
    /// # Errors
    /// The database's error; [`CatalogError::InDoubt`] after the time limit.
    pub(super) async fn begin(
        &self,
        pool: &Pool<Conn>,
        begin: &str,
    ) -> Result<Borrowed, CatalogError> {
        let mut borrowed = self.borrow_from(pool).await?;
        let begun = async {
            borrowed.conn()?.batch_execute(begin).await?;
            Ok(borrowed)
        };
        tokio::time::timeout(limits::CATALOG_ANSWER_WAIT, begun)
            .await
            .unwrap_or_else(|_| Err(CatalogError::InDoubt("it took too long".to_owned())))
    }
}
