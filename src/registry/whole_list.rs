//! A list without a limit: all versions of a type as they are at one moment, read part by part, so that its memory does
//! not grow with their number but for an outline of some 60 bytes a version, which lists of the same moment share.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::OwnedSemaphorePermit;

use super::{Registry, read::ListedModel};
use crate::{
    actors::db::{FindVersions, OutlineVersions},
    catalog::{Outline, VersionFilter},
    error::{ErrorKind, RegistryError},
    limits,
};

/// A list that is read part by part.
pub struct WholeList {
    registry: Registry,
    outline: Arc<[Outline]>,
    read: usize,
    _permit: OwnedSemaphorePermit,
}

impl Registry {
    /// Begins to read all versions of a known type that match a filter.
    ///
    /// # Errors
    /// `OVERLOADED` where too many lists are read already; `REGISTRY_UNAVAILABLE`.
    pub async fn whole_list(&self, filter: VersionFilter) -> Result<WholeList, RegistryError> {
        let turn = self.lists.clone().acquire_owned();
        let permit = tokio::time::timeout(limits::TURN_WAIT, turn).await;
        let Ok(Ok(permit)) = permit else {
            let detail =
                "Too many long lists are being answered; try again, or ask for pages with limit";
            return Err(RegistryError::new(ErrorKind::Overloaded, detail));
        };
        let skipped = usize::try_from(filter.offset).unwrap_or(usize::MAX);
        let filter = VersionFilter { limit: None, offset: 0, ..filter };
        let outline = self.db.ask(OutlineVersions { filter }).await?;
        let read = skipped.min(outline.len());
        Ok(WholeList { registry: self.clone(), outline, read, _permit: permit })
    }
}

impl WholeList {
    /// The number of versions that match, also of those that the filter skips.
    #[must_use]
    pub fn total(&self) -> usize {
        self.outline.len()
    }

    /// The next versions; none at the end.
    ///
    /// # Errors
    /// `REGISTRY_UNAVAILABLE`; `CHECKSUM_MISMATCH` where a version is gone from the catalog.
    pub async fn next(&mut self) -> Result<Vec<ListedModel>, RegistryError> {
        let end = self.outline.len().min(self.read + limits::LIST_PART);
        let outline = self.outline.get(self.read..end).unwrap_or_default();
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
