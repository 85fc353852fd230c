//! Room on the disk: changes of a status may use the reserve, registrations may not.

use super::Registry;
use crate::{
    actors::blocking,
    artifacts::{
        StoreError,
        reserve::{self, Room},
    },
    error::{ErrorKind, RegistryError},
};

impl Registry {
    /// Makes room for a change. A reserve that cannot be used stops no change. The caller holds the locks.
    ///
    /// # Errors
    /// An internal error where the work panicked.
    pub(super) async fn make_room(&self) -> Result<Room, RegistryError> {
        self.with_reserve(|store| match reserve::make_room(store.root()) {
            Ok(room) => room,
            Err(error) => {
                store.pass_over("the reserve of the disk", &error);
                Room::Ample
            }
        })
        .await
    }

    /// Grows the reserve again after a change. A failure does no harm: the next change or the janitor tries again. The
    /// caller holds the locks.
    pub(super) async fn refill(&self) {
        let refilled = self.with_reserve(|store| {
            if let Err(error) = reserve::refill(store.root()) {
                store.pass_over("the reserve of the disk", &error);
            }
        });
        if let Err(error) = refilled.await {
            tracing::warn!(%error, "the reserve of the disk is not whole");
        }
    }

    /// Frees room for one more attempt of a change; `false` where nothing is left of the reserve.
    pub(super) async fn free_some(&self) -> bool {
        let freed: Result<Result<bool, StoreError>, RegistryError> =
            self.with_reserve(|store| reserve::free_some(store.root())).await;
        matches!(freed, Ok(Ok(true)))
    }

    /// Whether registrations are refused because the disk is full. A disk that cannot be asked is not called full.
    pub(super) async fn is_short_of_room(&self) -> bool {
        let short = self.with_reserve(|store| reserve::is_short(store.root()).unwrap_or(false));
        short.await.unwrap_or(false)
    }

    /// Refuses to add versions to a registry whose disk is full, before anything is copied.
    ///
    /// # Errors
    /// `REGISTRY_UNAVAILABLE`.
    pub(super) async fn require_room(&self) -> Result<(), RegistryError> {
        if self.is_short_of_room().await { Err(no_room()) } else { Ok(()) }
    }

    async fn with_reserve<T: Send + 'static>(
        &self,
        work: impl FnOnce(&crate::artifacts::ArtifactStore) -> T + Send + 'static,
    ) -> Result<T, RegistryError> {
        let store = self.store.clone();
        blocking(move || Ok(work(&store))).await
    }
}

/// The refusal of new versions while the disk is full.
pub(super) fn no_room() -> RegistryError {
    RegistryError::new(
        ErrorKind::RegistryUnavailable,
        "The registry's disk is full, and what is left is kept for promotions and rollbacks: no version can be added \
         until there is room on the disk of the registry directory",
    )
}
