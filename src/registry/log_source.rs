//! Reads the catalog's log through the actor that owns the catalog.

use async_trait::async_trait;

use super::{
    Registry,
    log::{LogSource, NumberedEntry},
};
use crate::{
    actors::db::{FindEntries, FindLayout, ReadEntries, ReadHashes, ReadRightEdge},
    domain::{
        ModelType, Sha256Digest, Version,
        log::{Entry, RightEdge, proof::StoredHashes},
    },
    error::{ErrorKind, RegistryError},
};

#[async_trait(?Send)]
impl LogSource for Registry {
    async fn right_edge(&self) -> Result<RightEdge, RegistryError> {
        self.db.ask(ReadRightEdge).await
    }

    async fn hashes(&self, stored: StoredHashes) -> Result<Vec<Sha256Digest>, RegistryError> {
        let StoredHashes { level, first, count } = stored;
        self.db.ask(ReadHashes { level, from: first, count: count.into() }).await
    }

    async fn entries(&self, from: u64, count: u16) -> Result<Vec<String>, RegistryError> {
        let entries = self.db.ask(ReadEntries { from, count: count.into() }).await?;
        Ok(entries.iter().map(Entry::canonical).collect())
    }

    async fn entries_of(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<Vec<NumberedEntry>, RegistryError> {
        let find = FindEntries { model_type: model_type.clone(), version };
        let entries = self.db.ask(find).await?;
        Ok(entries.iter().map(|entry| (entry.sequence, entry.canonical())).collect())
    }
}

impl Registry {
    /// Refuses a registry without a log. Commands that do not upgrade the registry call this.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub async fn require_log(&self) -> Result<(), RegistryError> {
        if self.db.ask(FindLayout).await?.has_log() {
            return Ok(());
        }
        let detail = "this registry has no log yet: it is of layout 2.0.0, and is upgraded when it is next opened for \
                      change, as serve and promote do";
        Err(RegistryError::new(ErrorKind::NotFound, detail))
    }
}
