//! Repairs only what can be repaired without losing data and without accepting data that is not verified.
//!
//! The manifest is rewritten only where the catalog is consistent (its rows are what its last change recorded, and
//! its history is an unbroken chain that leads to every status) and the manifest, if it can be read, records an
//! earlier state of the same catalog. Then nothing that the manifest records is lost. Files that do not belong in the
//! directory are moved to `quarantine/`, never deleted. Artifacts and sidecars cannot be repaired, because the
//! registry has no second copy of them.

use serde::Serialize;

use super::{Registry, recovery, verify::Verification};
use crate::{
    actors::{
        blocking,
        db::{AuditCatalog, FindLayout, ListVersions, ReadHashes, ReadState},
        manifest::{ManifestVerdict, ReadManifest, RecordChange, VerifyManifest},
    },
    artifacts::{integrity, quarantine},
    catalog::VersionFilter,
    clock,
    domain::{
        VersionRecord,
        log::RightEdge,
        manifest::{Manifest, UPGRADED_VERSION},
    },
    error::{ErrorKind, RegistryError},
    limits,
    progress::Progress,
};

/// The number of leaves read with one query.
const PAGE: u32 = 4096;

/// A repair that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// The repaired item, for example `risk_model/v1.0.0`.
    pub subject: String,
    /// What was done.
    pub done: String,
}

impl Registry {
    /// Repairs what can be repaired safely, then verifies everything.
    ///
    /// # Errors
    /// `INVALID_REQUEST` for a registry of an earlier layout; `REGISTRY_LOCKED`, `REGISTRY_UNAVAILABLE`. What could
    /// not be repaired is a finding, not an error.
    pub async fn repair(
        &self,
        progress: &Progress,
    ) -> Result<(Vec<Repair>, Verification), RegistryError> {
        if !self.db.ask(FindLayout).await?.has_log() {
            return Err(RegistryError::new(
                ErrorKind::InvalidRequest,
                format!(
                    "the registry is of layout {UPGRADED_VERSION}: `verify` checks it as it is; the first change, or \
                     `serve`, upgrades it, and then it can be repaired"
                ),
            ));
        }
        let mut repairs = Vec::new();
        {
            let locks = self.lock().await?;
            let before = self.unfinished();
            recovery::settle_leftovers(self).await?;
            let ended = before.saturating_sub(self.unfinished());
            if ended > 0 {
                let done = format!("{ended} registrations that were cut short are ended");
                repairs.push(Repair { subject: "artifacts/.staging".to_owned(), done });
            }
            let records =
                self.db.ask(ListVersions { filter: VersionFilter::default() }).await?.records;
            repairs.extend(self.repair_manifest().await?);
            repairs.extend(self.repair_folders(records).await?);
            locks.release(&self.db).await;
        }
        for repair in &repairs {
            tracing::warn!(subject = repair.subject, done = repair.done, "repaired");
        }
        Ok((repairs, self.verify(None, progress).await?))
    }

    fn unfinished(&self) -> usize {
        self.store.intents().map_or(0, |intents| intents.len())
    }

    async fn repair_manifest(&self) -> Result<Option<Repair>, RegistryError> {
        let state = self.db.ask(ReadState).await?;
        let at = clock::now()?;
        let compare = VerifyManifest { state: state.clone(), at, repair: false };
        if self.manifest.ask(compare).await.is_ok_and(|verdict| verdict == ManifestVerdict::Agrees)
        {
            return Ok(None);
        }
        let audit = self.db.ask_within(limits::LONG_WORK_TIMEOUT, AuditCatalog).await?;
        if !audit.discrepancies.is_empty() {
            return Ok(None);
        }
        let mut done = "written anew from the catalog".to_owned();
        match self.manifest.ask(ReadManifest).await {
            Ok(None) => {}
            Ok(Some(manifest)) if self.was_once(&manifest).await? => {}
            // The manifest records a state that the catalog never had.
            Ok(Some(_)) => return Ok(None),
            Err(_) => {
                let store = self.store.clone();
                let place = blocking(move || Ok(quarantine::manifest(&store)?)).await?;
                done = format!("{done}; the one that could not be read is {place}");
            }
        }
        self.manifest.ask(RecordChange { state, at }).await?;
        Ok(Some(Repair { subject: "manifest.json".to_owned(), done }))
    }

    /// Whether the catalog's log had the root and size that the manifest records.
    async fn was_once(&self, manifest: &Manifest) -> Result<bool, RegistryError> {
        let mut edge = RightEdge::EMPTY;
        while edge.size() < manifest.log_size {
            let left = manifest.log_size - edge.size();
            let count = u32::try_from(left).unwrap_or(u32::MAX).min(PAGE);
            let leaves = self.db.ask(ReadHashes { level: 0, from: edge.size(), count }).await?;
            if leaves.is_empty() {
                return Ok(false);
            }
            for leaf in leaves {
                edge.append(leaf);
            }
        }
        Ok(edge.root() == manifest.checksum)
    }

    async fn repair_folders(
        &self,
        records: Vec<VersionRecord>,
    ) -> Result<Vec<Repair>, RegistryError> {
        let (store, verified) = (self.store.clone(), self.verified.clone());
        blocking(move || {
            let mut repairs = Vec::new();
            for finding in integrity::orphans(&store, &records)? {
                if finding.kind == "orphan" {
                    // A failed repair is skipped; the verification still reports the orphan.
                    match quarantine::orphan(&store, &finding.subject) {
                        Ok(place) => {
                            let done = format!("no version's; moved to {place}");
                            repairs.push(Repair { subject: finding.subject, done });
                        }
                        Err(error) => store.pass_over(&finding.subject, &error),
                    }
                }
            }
            for record in records.iter().filter(|record| record.collected.is_none()) {
                // The folder cannot be read; the verification reports this.
                let Ok(names) = integrity::strangers(&store, record) else { continue };
                if !names.is_empty() {
                    match quarantine::strangers(&store, record, &names) {
                        Ok(places) => {
                            let (names, places) = (names.join(", "), places.join(", "));
                            let done = format!("{names} moved to {places}");
                            repairs.push(Repair { subject: record.name(), done });
                        }
                        Err(error) => store.pass_over(&record.name(), &error),
                    }
                }
                let wrong = !integrity::checksum_file_agrees(&store, record).unwrap_or(false);
                if wrong && verified.rehash_artifact(store.root(), record, &|_| true).is_ok() {
                    match quarantine::rewrite_checksum_file(&store, record) {
                        Ok(()) => {
                            let done = "checksum.sha256 written anew from the catalog".to_owned();
                            repairs.push(Repair { subject: record.name(), done });
                        }
                        Err(error) => store.pass_over(&record.name(), &error),
                    }
                }
            }
            Ok(repairs)
        })
        .await
    }
}
