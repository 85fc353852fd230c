//! Verifying: manifest, catalog, history, sidecars and artifacts, all re-read and re-hashed.

use std::collections::HashMap;

use super::Registry;
use crate::{
    actors::{
        blocking,
        db::{ListTransitions, ListVersions, ReadState},
        manifest::{ManifestVerdict, VerifyManifest},
    },
    artifacts::integrity::{self, Finding},
    catalog::VersionFilter,
    clock,
    domain::{
        ModelId, Status, VersionRecord,
        history::{ChainHead, Transition},
    },
    error::RegistryError,
    progress::Progress,
};

/// What a verification looked at and found.
#[derive(Debug, Clone)]
pub struct Verification {
    /// Versions whose files were re-hashed.
    pub versions: usize,
    /// Rows of history whose chain was walked.
    pub transitions: usize,
    /// Bytes that were hashed.
    pub bytes: u64,
    /// Every disagreement; empty where all is well.
    pub findings: Vec<Finding>,
}

impl Registry {
    /// Re-reads and re-hashes everything. Changes nothing. Waits for writers, so that it does not take a
    /// change under way for a disagreement.
    ///
    /// # Errors
    /// `REGISTRY_LOCKED`, `REGISTRY_UNAVAILABLE`; a disagreement is a finding, not an error.
    pub async fn verify(&self, progress: &Progress) -> Result<Verification, RegistryError> {
        let lock = self.lock().await?;
        let state = self.db.ask(ReadState).await?;
        let records = self.db.ask(ListVersions { filter: VersionFilter::default() }).await?.records;
        let transitions = self.db.ask(ListTransitions { of: None }).await?;
        let verdict = VerifyManifest { state, at: clock::now()?, repair: false };
        let mut findings = match self.manifest.ask(verdict).await {
            Ok(ManifestVerdict::Differs(differences)) => {
                differences.into_iter().map(manifest_finding).collect()
            }
            Ok(_) => Vec::new(),
            Err(error) => vec![manifest_finding(error.to_string())],
        };
        findings.extend(walk_history(&transitions, &records));
        let store = self.store.clone();
        let known = records.clone();
        findings.extend(blocking(move || Ok(integrity::orphans(&store, &known)?)).await?);
        // Versions never change once registered: hashing them keeps no writer waiting.
        drop(lock);

        let total: u64 = records.iter().map(|record| record.total_size_bytes).sum();
        let mut done = 0;
        let versions = records.len();
        for record in records {
            let name = record.name();
            progress(done, total, &name);
            let (store, verified) = (self.store.clone(), self.verified.clone());
            done += record.total_size_bytes;
            let found =
                blocking(move || Ok(integrity::examine(&store, &verified, &record, &|_| true)));
            findings.extend(found.await?);
        }
        progress(total, total, "done");
        Ok(Verification { versions, transitions: transitions.len(), bytes: total, findings })
    }
}

fn manifest_finding(detail: String) -> Finding {
    Finding {
        kind: "manifest",
        subject: "manifest.json".to_owned(),
        detail,
        remedy: "a manifest one step behind is brought up by the next start; `verify --repair` writes it \
                 anew where nothing that it vouches for is gone; else restore manifest and catalog from one \
                 backup",
    }
}

/// Walks the chain, and checks that each version stands where its history led it.
pub(super) fn walk_history(transitions: &[Transition], records: &[VersionRecord]) -> Vec<Finding> {
    let mut head = ChainHead::EMPTY;
    let mut findings = Vec::new();
    let mut last: HashMap<ModelId, Status> = HashMap::new();
    for link in transitions {
        if let Err(broken) = head.follow(link) {
            findings.push(Finding {
                kind: "history",
                subject: format!("{}/{}", link.model_type, link.version),
                detail: broken.to_string(),
                remedy: "restore the catalog from a backup; its history was changed by another program",
            });
            // Every later row would fail as well; the first tells the place.
            break;
        }
        last.insert(link.model_id, link.to_status);
    }
    if findings.is_empty() {
        findings.extend(
            records.iter().filter(|record| last.get(&record.model_id) != Some(&record.status)).map(
                |record| Finding {
                    kind: "status",
                    subject: record.name(),
                    detail: format!("it is {}, and its history does not lead there", record.status),
                    remedy: "restore the catalog from a backup",
                },
            ),
        );
    }
    findings
}
