//! A long list: the versions of a type as they are at one moment, read part by part, so that its memory does not grow with
//! their number but for an outline of some 60 bytes a version, which lists of the same moment share.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::OwnedSemaphorePermit;

use super::{Registry, read::ListedModel};
use crate::{
    actors::db::{FindVersions, OutlineVersions},
    catalog::{OutlinedPage, VersionFilter},
    error::{ErrorKind, RegistryError},
    limits,
};

/// A list that is read part by part.
pub struct LongList {
    registry: Registry,
    outline: Arc<OutlinedPage>,
    read: usize,
    _permit: OwnedSemaphorePermit,
}

impl Registry {
    /// Begins to read the versions of a known type that match a filter.
    ///
    /// # Errors
    /// `OVERLOADED` where too many lists are read already; `REGISTRY_UNAVAILABLE`.
    pub async fn long_list(&self, filter: VersionFilter) -> Result<LongList, RegistryError> {
        let turn = self.lists.clone().acquire_owned();
        let permit = tokio::time::timeout(limits::TURN_WAIT, turn).await;
        let Ok(Ok(permit)) = permit else {
            let detail =
                "Too many long lists are being answered; try again, or ask for pages with limit";
            return Err(RegistryError::new(ErrorKind::Overloaded, detail));
        };
        let outline = self.db.ask(OutlineVersions { filter }).await?;
        Ok(LongList { registry: self.clone(), outline, read: 0, _permit: permit })
    }
}

impl LongList {
    /// The number of all matching versions.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.outline.total
    }

    /// The next versions; none at the end.
    ///
    /// # Errors
    /// `REGISTRY_UNAVAILABLE`; `CHECKSUM_MISMATCH` where a version is gone from the catalog.
    pub async fn next(&mut self) -> Result<Vec<ListedModel>, RegistryError> {
        let versions = &self.outline.versions;
        let end = versions.len().min(self.read + limits::LIST_PART);
        let outline = versions.get(self.read..end).unwrap_or_default();
        self.read = end;
        if outline.is_empty() {
            return Ok(Vec::new());
        }
        let ids = outline.iter().map(|version| version.model_id).collect();
        let records = self.registry.db.ask(FindVersions { ids }).await?;
        let mut records: HashMap<_, _> =
            records.into_iter().map(|record| (record.model_id, record)).collect();
        let mut then = Vec::with_capacity(outline.len());
        for version in outline {
            // What may have changed since is told as it was.
            let Some(mut record) = records.remove(&version.model_id) else {
                let detail = format!("version {} is gone from the catalog", version.model_id);
                return Err(RegistryError::new(ErrorKind::IntegrityOnRead, detail));
            };
            record.status = version.status;
            record.promoted_at = version.promoted_at;
            record.archived_at = version.archived_at;
            then.push(record);
        }
        self.registry.with_sidecars(then).await
    }
}
