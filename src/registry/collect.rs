//! Collecting: the files of versions that are no longer kept are removed. The row of each version, its number and its
//! history stay.
//!
//! The catalog's mark comes before the removal: a reader never finds files missing that the catalog does not call
//! collected. An intent makes sure that the files go, also where the process is killed after the commit.

use std::time::Duration;

use super::{
    Registry,
    change::{Request, Wanted},
    collected, named,
};
use crate::{
    actors::db::{FindFailures, FindRollbackTarget, FindVersion, ListVersions},
    artifacts::lock::RetainLock,
    catalog::{Author, CatalogChange, CollectionCause, VersionFilter},
    clock,
    domain::{
        ModelType, Status, Version, VersionRecord,
        policy::Retention,
        retention::{self, Expired, Facts, Rules},
        status::InvalidTransition,
    },
    error::{ErrorKind, RegistryError},
    limits,
};

/// A request to collect.
#[derive(Debug, Clone)]
pub struct Collect {
    /// Only versions of this type.
    pub model_type: Option<ModelType>,
    /// The days for staged versions; those of the policy where `None`.
    pub staged_days: Option<u32>,
    /// The days for archived and failed versions; those of the policy where `None`.
    pub archived_days: Option<u32>,
    /// How many of the newest versions of each type are kept, however old they are.
    pub newest: u32,
    /// Whether to remove files, or only to tell which ones would be removed.
    pub execute: bool,
    /// The author of the change.
    pub author: Author,
}

/// The result of a collection.
#[derive(Debug, Clone)]
pub struct Collection {
    /// Whether files were removed, or would be.
    pub executed: bool,
    /// The retention that was applied.
    pub retention: Retention,
    /// The versions whose files were removed, or would be.
    pub versions: Vec<Expired>,
    /// The size of those files, in bytes.
    pub bytes: u64,
    /// The versions that could not be collected, with the reason.
    pub failures: Vec<(Expired, RegistryError)>,
}

impl Registry {
    /// Removes the files of the versions that are no longer kept, or tells which ones those are. A version that cannot
    /// be collected does not stop the others. Never collected are a version in production and the one to which a
    /// rollback would return.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND` for an unknown type; `REGISTRY_LOCKED` while version folders are copied; errors of the
    /// catalog.
    pub async fn collect(&self, ask: Collect) -> Result<Collection, RegistryError> {
        let rules = self.rules();
        let retention = Retention {
            staged_days: ask.staged_days.unwrap_or(rules.policy.retention.staged_days),
            archived_days: ask.archived_days.unwrap_or(rules.policy.retention.archived_days),
        };
        let mut done = Collection {
            executed: ask.execute,
            retention,
            versions: Vec::new(),
            bytes: 0,
            failures: Vec::new(),
        };
        let _alone = if ask.execute { Some(self.keep_copiers_out().await?) } else { None };
        for expired in self.expired(ask.model_type.as_ref(), retention, ask.newest).await? {
            if ask.execute
                && let Err(error) = self.collect_expired(&expired, &ask.author).await
            {
                tracing::warn!(version = expired.record.name(), %error, "could not be collected");
                done.failures.push((expired, error));
                continue;
            }
            done.bytes = done.bytes.saturating_add(expired.record.total_size_bytes);
            done.versions.push(expired);
        }
        Ok(done)
    }

    /// Removes the files of one version, as a collection does.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; `VERSION_COLLECTED`; `INVALID_TRANSITION` where it is in production; `INVALID_REQUEST` for
    /// the reason; `REGISTRY_LOCKED` while version folders are copied.
    pub async fn delete(
        &self,
        model_type: &ModelType,
        version: Version,
        author: &Author,
        reason: &str,
    ) -> Result<VersionRecord, RegistryError> {
        let request = Request::new(author, Some(reason))?;
        let record = self.record_of(model_type, version).await?;
        require_collectable(&record)?;
        let _alone = self.keep_copiers_out().await?;
        self.remove_files(record, CollectionCause::Request, request, false).await
    }

    async fn expired(
        &self,
        model_type: Option<&ModelType>,
        retention: Retention,
        newest: u32,
    ) -> Result<Vec<Expired>, RegistryError> {
        if let Some(model_type) = model_type {
            self.require_known(model_type).await?;
        }
        let filter = VersionFilter { model_type: model_type.cloned(), ..VersionFilter::default() };
        let records = self.db.ask(ListVersions { filter }).await?.records;
        let mut facts = Facts { failed_at: self.db.ask(FindFailures).await?, ..Facts::default() };
        let types: std::collections::BTreeSet<_> =
            records.iter().map(|record| record.model_type.clone()).collect();
        for model_type in types {
            let target = self.db.ask(FindRollbackTarget { model_type }).await?;
            facts.rollback_targets.extend(target.map(|record| record.model_id));
        }
        Ok(retention::expired(records, &facts, Rules { retention, newest, now: clock::now()? }))
    }

    async fn collect_expired(
        &self,
        expired: &Expired,
        author: &Author,
    ) -> Result<(), RegistryError> {
        let request = Request::new(author, Some(&expired.reason()))?;
        let record = expired.record.clone();
        self.remove_files(record, CollectionCause::Retention, request, true).await.map(drop)
    }

    /// Marks a version as collected and removes its files. `unless_target` keeps the version to which a rollback would
    /// return by now.
    async fn remove_files(
        &self,
        record: VersionRecord,
        cause: CollectionCause,
        request: Request,
        unless_target: bool,
    ) -> Result<VersionRecord, RegistryError> {
        let (model_type, version) = (&record.model_type, record.version);
        let change = self.begin_change().await?;
        // Another process may have moved it since it was looked at.
        let find = FindVersion { model_type: model_type.clone(), version };
        let now = self.db.ask(find).await?;
        let now =
            now.ok_or_else(|| super::no_version(model_type.as_str(), &version.to_string()))?;
        require_collectable(&now)?;
        let target = FindRollbackTarget { model_type: model_type.clone() };
        let is_target = unless_target
            && self.db.ask(target).await?.is_some_and(|target| target.model_id == record.model_id);
        if is_target || now.status != record.status {
            return Err(RegistryError::new(
                ErrorKind::InvalidTransition,
                format!("{}: it was moved meanwhile", record.name()),
            ));
        }
        let collect = CatalogChange::Collect { model_type: model_type.clone(), version, cause };
        let applied = change
            .commit(Wanted::removal(collect, &record, request))
            .await
            .map_err(|error| named(error, model_type, version))?;
        applied.record.ok_or_else(|| RegistryError::internal("the collected version is missing"))
    }

    /// Waits until nobody copies version folders, and keeps them from beginning.
    async fn keep_copiers_out(&self) -> Result<RetainLock, RegistryError> {
        let wait: Duration = limits::WRITE_LOCK_WAIT;
        let taken = RetainLock::remove(self.store.root(), wait).await?;
        taken.ok_or_else(|| {
            RegistryError::new(
                ErrorKind::RegistryLocked,
                "Another process is copying versions of the registry, as a backup does; wait for it to finish and \
                 try again",
            )
        })
    }
}

/// Refuses a version whose files cannot be removed.
fn require_collectable(record: &VersionRecord) -> Result<(), RegistryError> {
    if let Some(gone) = record.collected {
        return Err(collected(record, gone));
    }
    if record.status == Status::Production {
        let rule = InvalidTransition::RemovingProduction;
        return Err(named(rule.into(), &record.model_type, record.version));
    }
    Ok(())
}
