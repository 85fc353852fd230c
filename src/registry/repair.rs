//! Repairing: what can be mended without losing anything or blessing anything, and nothing else.
//!
//! A manifest may be written anew only where the catalog is whole in itself (its rows are what its last change
//! recorded, its history an unbroken chain that leads to every status) and the manifest, if it can be read, is
//! one of the catalog's own earlier states: then nothing that it vouches for is gone. What does not belong in
//! the directory is moved to `quarantine/`, never deleted. Artifacts and sidecars cannot be mended: their
//! content is known to nobody.

use serde::Serialize;

use super::{
    Registry,
    verify::{Verification, walk_history},
};
use crate::{
    actors::{
        blocking,
        db::{ListTransitions, ListVersions, ReadState},
        janitor,
        manifest::{ManifestVerdict, ReadManifest, RecordChange, VerifyManifest},
    },
    artifacts::{integrity, quarantine},
    catalog::VersionFilter,
    clock,
    domain::{Sha256Digest, VersionRecord, history::Transition, manifest::Manifest},
    error::RegistryError,
    progress::Progress,
};

/// Something that was mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// What was wrong, for example `risk_model/v1.0.0`.
    pub subject: String,
    /// What was done.
    pub done: String,
}

impl Registry {
    /// Mends what can be mended safely, then verifies everything.
    ///
    /// # Errors
    /// `REGISTRY_LOCKED`, `REGISTRY_UNAVAILABLE`; what could not be mended is a finding, not an error.
    pub async fn repair(
        &self,
        progress: &Progress,
    ) -> Result<(Vec<Repair>, Verification), RegistryError> {
        let mut repairs = Vec::new();
        {
            let _lock = self.lock().await?;
            let before = self.store.intents()?.len();
            janitor::settle_leftovers(&self.premises()).await?;
            if before > 0 {
                let done = format!("{before} registrations that were cut short are ended");
                repairs.push(Repair { subject: "artifacts/.staging".to_owned(), done });
            }
            let records =
                self.db.ask(ListVersions { filter: VersionFilter::default() }).await?.records;
            repairs.extend(self.repair_manifest(&records).await?);
            repairs.extend(self.repair_folders(records).await?);
        }
        for repair in &repairs {
            tracing::warn!(subject = repair.subject, done = repair.done, "repaired");
        }
        Ok((repairs, self.verify(progress).await?))
    }

    async fn repair_manifest(
        &self,
        records: &[VersionRecord],
    ) -> Result<Option<Repair>, RegistryError> {
        let state = self.db.ask(ReadState).await?;
        let at = clock::now()?;
        let compare = VerifyManifest { state: state.clone(), at, repair: false };
        if self.manifest.ask(compare).await.is_ok_and(|verdict| verdict == ManifestVerdict::Agrees)
        {
            return Ok(None);
        }
        let transitions = self.db.ask(ListTransitions { of: None }).await?;
        let whole = state.recorded.current == state.summary.checksum
            && walk_history(&transitions, records).is_empty();
        let mut done = "written anew from the catalog".to_owned();
        match self.manifest.ask(ReadManifest).await {
            _ if !whole => return Ok(None),
            Ok(None) => {}
            Ok(Some(manifest)) if is_an_earlier_state(&manifest, &transitions) => {}
            // It vouches for something that the catalog does not hold.
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

    async fn repair_folders(
        &self,
        records: Vec<VersionRecord>,
    ) -> Result<Vec<Repair>, RegistryError> {
        let (store, verified) = (self.store.clone(), self.verified.clone());
        blocking(move || {
            let mut repairs = Vec::new();
            for finding in integrity::orphans(&store, &records)? {
                if finding.kind == "orphan" {
                    let place = quarantine::orphan(&store, &finding.subject)?;
                    let done = format!("not in the catalog; moved to {place}");
                    repairs.push(Repair { subject: finding.subject, done });
                }
            }
            for record in &records {
                // Without its folder there is nothing to look into; the verification says so.
                let Ok(names) = integrity::strangers(&store, record) else { continue };
                if !names.is_empty() {
                    let places = quarantine::strangers(&store, record, &names)?;
                    let done = format!("{} moved to {}", names.join(", "), places.join(", "));
                    repairs.push(Repair { subject: record.name(), done });
                }
                let wrong = !integrity::checksum_file_agrees(&store, record).unwrap_or(false);
                if wrong && verified.rehash_artifact(store.root(), record, &|_| true).is_ok() {
                    quarantine::rewrite_checksum_file(&store, record)?;
                    let done = "checksum.sha256 written anew from the catalog".to_owned();
                    repairs.push(Repair { subject: record.name(), done });
                }
            }
            Ok(repairs)
        })
        .await
    }
}

/// Whether the catalog's history goes through the state that a manifest vouches for.
fn is_an_earlier_state(manifest: &Manifest, transitions: &[Transition]) -> bool {
    let head = match manifest.history.length {
        0 => Some(Sha256Digest::ZERO),
        length => usize::try_from(length - 1)
            .ok()
            .and_then(|at| transitions.get(at))
            .map(|link| link.row_sha256),
    };
    head == Some(manifest.history.head_sha256)
}
