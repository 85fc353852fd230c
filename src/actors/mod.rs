//! The actors: thin layers that unpack a message, call code that is tested without them, and reply. Reads never queue
//! behind a write or a validation: slow work runs in the reply's own future or on a blocking thread.

pub mod auth;
pub mod db;
pub mod janitor;
pub mod manifest;
pub mod supervise;
pub mod validator;
pub mod view;

pub use auth::AuthActor;
pub use db::DbActor;
pub use janitor::JanitorActor;
pub use manifest::ManifestActor;
pub use supervise::Handle;
pub use validator::ValidatorActor;

use crate::error::RegistryError;

/// Runs blocking work on a blocking thread and waits for it.
///
/// # Errors
/// The work's own error; an internal error where it panicked.
pub async fn blocking<T, F>(work: F) -> Result<T, RegistryError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, RegistryError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(RegistryError::internal)?
}
