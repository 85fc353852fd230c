//! The first statements on a connection.

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use tokio_postgres::{Client, Connection, Error, Socket, tls::TlsStream};

/// Gives a connection to the library, which sets time zone and encoding by prepared statements. They run in one
/// transaction that first drops all prepared statements. A transaction pooler could otherwise send the parts to
/// different sessions, or to a session where another program prepared a statement of the same name.
pub(super) async fn open<T>(
    client: Client,
    mut connection: Connection<Socket, T>,
) -> ConnectionResult<AsyncPgConnection>
where
    T: TlsStream + Unpin + Send + 'static,
{
    let refused = |error: Error| ConnectionError::BadConnection(error.to_string());
    // The client makes progress only while its connection is polled.
    tokio::select! {
        begun = client.batch_execute("BEGIN; DEALLOCATE ALL") => begun.map_err(refused)?,
        ended = &mut connection => {
            ended.map_err(refused)?;
            return Err(ConnectionError::BadConnection("the server closed it".to_owned()));
        }
    }
    let mut conn = AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
    conn.batch_execute("COMMIT").await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}
