//! Opens connections to PostgreSQL with the meaning that libpq gives to `sslmode`.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use diesel::{ConnectionError, ConnectionResult, result::Error as DieselError};
use diesel_async::AsyncPgConnection;
use tokio_postgres::{Connection, NoTls, config::SslMode as Wire, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{session, tls::SslMode, url::DatabaseUrl};
use crate::limits;

/// The server has no connection left for this program.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoneLeft(String);

/// Whether a connection failed because the server has none left.
pub(super) fn none_left(error: &ConnectionError) -> bool {
    matches!(
        error,
        ConnectionError::CouldntSetupConfiguration(DieselError::QueryBuilderError(cause))
            if cause.is::<NoneLeft>()
    )
}

/// Remembers for a moment that the server has no connection left: requests that wait for one must not ask it all the
/// time, because it starts a process for each attempt.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Option<(Instant, String)>>);

impl Refusals {
    /// Opens a connection, unless the server had none left a moment ago.
    ///
    /// # Errors
    /// As [`DatabaseUrl::connect`].
    pub(super) async fn connect(&self, url: &DatabaseUrl) -> ConnectionResult<AsyncPgConnection> {
        if let Some((at, told)) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
            && at.elapsed() < limits::CATALOG_CONNECTION_PAUSE
        {
            return Err(as_error(told.clone()));
        }
        let connected = url.connect().await;
        if let Err(error) = &connected
            && none_left(error)
        {
            let refused = Some((Instant::now(), error.to_string()));
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        }
        connected
    }
}

fn as_error(told: String) -> ConnectionError {
    let cause = Box::new(NoneLeft(told));
    ConnectionError::CouldntSetupConfiguration(DieselError::QueryBuilderError(cause))
}

/// The reason why a connection failed.
enum Refused {
    /// The server or the network refused the connection.
    By(tokio_postgres::Error),
    /// The connection was opened but cannot be used.
    Unusable(ConnectionError),
}

impl From<tokio_postgres::Error> for Refused {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::By(error)
    }
}

impl Refused {
    /// Whether the server may accept the opposite choice of TLS.
    fn may_want_the_other(&self) -> bool {
        match self {
            Self::By(error) => {
                error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
                    || error.to_string().starts_with("error performing TLS handshake")
            }
            Self::Unusable(_) => false,
        }
    }

    fn told(self) -> ConnectionError {
        match self {
            Self::By(error) => {
                let mut told = error.to_string();
                let mut source = std::error::Error::source(&error);
                while let Some(cause) = source {
                    told = format!("{told}: {cause}");
                    source = cause.source();
                }
                if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) {
                    return as_error(told);
                }
                ConnectionError::BadConnection(told)
            }
            Self::Unusable(error) => error,
        }
    }
}

impl DatabaseUrl {
    /// Opens a connection.
    ///
    /// # Errors
    /// The server's or the network's error, without the password; also where the database's encoding is not UTF-8.
    pub async fn connect(&self) -> ConnectionResult<AsyncPgConnection> {
        self.connect_as_sslmode_says().await.map_err(Refused::told)
    }

    async fn connect_as_sslmode_says(&self) -> Result<AsyncPgConnection, Refused> {
        let Some(tls) = &self.tls else { return self.without_tls().await };
        match tls.mode() {
            SslMode::Disable => self.without_tls().await,
            SslMode::Allow => match self.without_tls().await {
                Err(error) if error.may_want_the_other() => {
                    self.with_tls(Wire::Require, tls.connector()).await
                }
                done => done,
            },
            SslMode::Prefer => match self.with_tls(Wire::Prefer, tls.connector()).await {
                Err(error) if error.may_want_the_other() => self.without_tls().await,
                done => done,
            },
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                self.with_tls(Wire::Require, tls.connector()).await
            }
        }
    }

    async fn with_tls(
        &self,
        wire: Wire,
        tls: MakeRustlsConnect,
    ) -> Result<AsyncPgConnection, Refused> {
        let mut config = self.config.clone();
        config.ssl_mode(wire);
        let (client, connection) = config.connect(tls).await?;
        check_encoding(&connection)?;
        session::open(client, connection).await.map_err(Refused::Unusable)
    }

    async fn without_tls(&self) -> Result<AsyncPgConnection, Refused> {
        let mut config = self.config.clone();
        config.ssl_mode(Wire::Disable);
        let (client, connection) = config.connect(NoTls).await?;
        check_encoding(&connection)?;
        session::open(client, connection).await.map_err(Refused::Unusable)
    }
}

/// Names and reasons may contain any character; only UTF-8 databases can store all of them.
fn check_encoding<S, T>(connection: &Connection<S, T>) -> Result<(), Refused>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    match connection.parameter("server_encoding") {
        None | Some("UTF8") => Ok(()),
        // Another attempt cannot fix this kind of error.
        Some(other) => Err(Refused::Unusable(ConnectionError::InvalidConnectionUrl(format!(
            "the database's encoding is {other}, and the catalog needs UTF8: make the database with CREATE DATABASE \
             … ENCODING 'UTF8' TEMPLATE template0"
        )))),
    }
}
