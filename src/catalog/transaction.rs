//! Transactions over the pool of one database.
//!
//! Mounted once under each database's module, which brings its connection (`Conn`) and its catalog (`Store`).
//!
//! A transaction is begun and ended by statements of our own, so that its settings travel with its first statement.
//! Nothing outlives it on the server: no setting, no lock, no prepared statement. So a transaction pooler may give
//! each one another connection.

use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::{
    SimpleAsyncConnection as _,
    pooled_connection::{
        self,
        deadpool::{Object, PoolError},
    },
};

use super::{Conn, DATABASE, Store};
use crate::{
    catalog::{
        CatalogError,
        connection::{CatalogConnection as _, Scope},
    },
    limits,
};

/// A connection that goes back to its pool only where nothing is left undone on it. Else it is closed, and whatever it
/// was doing ends.
pub(super) struct Borrowed(Option<Object<Conn>>);

impl Borrowed {
    /// The connection.
    ///
    /// # Errors
    /// Never: only giving it back takes it, which ends this value.
    pub(super) fn conn(&mut self) -> Result<&mut Conn, CatalogError> {
        self.0.as_deref_mut().ok_or_else(|| CatalogError::Unavailable("no connection".to_owned()))
    }

    /// Ends the transaction on it, and gives it back.
    ///
    /// # Errors
    /// The database's; the connection is then closed.
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
    /// Waits for a connection of the pool.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] where none becomes free, or can be opened, in time.
    async fn borrow(&self) -> Result<Borrowed, CatalogError> {
        match tokio::time::timeout(limits::CATALOG_CONNECTION_WAIT, self.pool.get()).await {
            Ok(Ok(conn)) => Ok(Borrowed(Some(conn))),
            Ok(Err(PoolError::Backend(pooled_connection::PoolError::ConnectionError(
                ConnectionError::InvalidConnectionUrl(why),
            )))) => Err(CatalogError::Unsuitable(why)),
            Ok(Err(PoolError::Backend(error))) => {
                Err(CatalogError::Unavailable(format!("{DATABASE}: {error}")))
            }
            Ok(Err(error)) => Err(CatalogError::Unavailable(format!("{DATABASE}: {error}"))),
            Err(_) => {
                Err(CatalogError::Unavailable("no connection became free in time".to_owned()))
            }
        }
    }

    /// Does some work in one transaction, within the time that an answer may take.
    ///
    /// # Errors
    /// The work's own; the database's; [`CatalogError::InDoubt`] where it took too long.
    pub(super) async fn run<T>(
        &self,
        scope: Scope,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        self.run_within(limits::CATALOG_ANSWER_WAIT, scope, work).await
    }

    /// As [`Self::run`], within another time.
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
                Ok(done) => borrowed.end("COMMIT").await.map(|()| done),
                Err(error) => {
                    // The work's error is the one to tell; a connection that cannot take back is closed.
                    drop(borrowed.end("ROLLBACK").await);
                    Err(error)
                }
            }
        };
        tokio::time::timeout(time, whole)
            .await
            .unwrap_or_else(|_| Err(CatalogError::InDoubt("it took too long".to_owned())))
    }

    /// Begins a transaction that is ended by [`Borrowed::end`], or by closing the connection.
    ///
    /// # Errors
    /// The database's; [`CatalogError::InDoubt`] where it took too long.
    pub(super) async fn begin(&self, begin: &str) -> Result<Borrowed, CatalogError> {
        let mut borrowed = self.borrow().await?;
        let begun = async {
            borrowed.conn()?.batch_execute(begin).await?;
            Ok(borrowed)
        };
        tokio::time::timeout(limits::CATALOG_ANSWER_WAIT, begun)
            .await
            .unwrap_or_else(|_| Err(CatalogError::InDoubt("it took too long".to_owned())))
    }
}
