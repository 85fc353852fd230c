//! Verifying: re-reads and re-hashes manifest, catalog, history, sidecars and artifacts.

use uuid::Uuid;

use super::Registry;
use crate::{
    actors::{
        Handle, blocking,
        db::{
            AuditCatalog, DbActor, FindLayout, FindVersion, ListVersions, LockWriters, ReadState,
            ReleaseWriters,
        },
        manifest::{ManifestVerdict, VerifyManifest},
    },
    artifacts::{
        integrity::{self, Finding},
        lock::ReadLock,
    },
    catalog::{Discrepancy, DiscrepancyKind, Layout, VersionFilter, WriterLock},
    clock,
    domain::{ModelType, Status, Version, VersionRecord},
    error::{ErrorKind, RegistryError},
    limits,
    progress::Progress,
};

/// The scope and the findings of a verification.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The number of versions whose files were re-hashed.
    pub versions: usize,
    /// The number of all versions, where only a sample of them was re-hashed.
    pub sample_of: Option<usize>,
    /// The number of log entries that were checked against the log's root.
    pub transitions: u64,
    /// The number of hashed bytes.
    pub bytes: u64,
    /// Every disagreement; empty where there is none.
    pub findings: Vec<Finding>,
}

/// Excludes writers, as far as the permissions of a reader allow.
struct Quiet {
    _directory: ReadLock,
    catalog: Option<WriterLock>,
}

impl Quiet {
    async fn wait_for(registry: &Registry) -> Result<Self, RegistryError> {
        let directory = ReadLock::take(registry.store.root()).await?;
        if !registry.writable {
            return Ok(Self { _directory: directory, catalog: None });
        }
        let time = limits::WRITE_LOCK_WAIT + limits::ACTOR_TIMEOUT;
        let lock = LockWriters { wait: limits::WRITE_LOCK_WAIT };
        match registry.db.ask_within(time, lock).await {
            Ok(catalog) => Ok(Self { _directory: directory, catalog: Some(catalog) }),
            Err(error) if error.kind() == ErrorKind::RegistryLocked => Err(error),
            Err(error) => {
                tracing::debug!(%error, "reading without the catalog's lock");
                Ok(Self { _directory: directory, catalog: None })
            }
        }
    }

    async fn end(self, db: &Handle<DbActor>) {
        let Some(lock) = self.catalog else { return };
        if let Err(error) = db.ask(ReleaseWriters { lock }).await {
            tracing::warn!(%error, "the catalog's lock is let go with its connection");
        }
    }
}

impl Registry {
    /// Re-reads and re-hashes everything; with `sample`, the files only of that many versions, chosen at random, and of
    /// those in production. Changes nothing. Waits for writers where its permissions allow it, so that it does not
    /// report a change in progress as a disagreement.
    ///
    /// # Errors
    /// `REGISTRY_LOCKED`, `REGISTRY_UNAVAILABLE`; a disagreement is a finding, not an error.
    pub async fn verify(
        &self,
        sample: Option<usize>,
        progress: &Progress,
    ) -> Result<Verification, RegistryError> {
        progress(0, 0, "catalog and log");
        let layout = self.db.ask(FindLayout).await?;
        let quiet = Quiet::wait_for(self).await?;
        let records = self.db.ask(ListVersions { filter: VersionFilter::default() }).await?.records;
        let mut findings = self.verify_manifest(layout).await;
        let audit = self.db.ask_within(limits::LONG_WORK_TIMEOUT, AuditCatalog).await?;
        let transitions = audit.entries;
        findings.extend(audit.discrepancies.into_iter().map(log_finding));
        let store = self.store.clone();
        let known = records.clone();
        findings.extend(blocking(move || Ok(integrity::orphans(&store, &known)?)).await?);
        // The files of a registered version never change until they are removed, so hashing them needs no lock.
        quiet.end(&self.db).await;

        let records: Vec<_> =
            records.into_iter().filter(|record| record.collected.is_none()).collect();
        let sample_of = sample.map(|_| records.len());
        let records = match sample {
            Some(number) => sampled(records, number),
            None => records,
        };
        let versions = records.len();
        let total: u64 = records.iter().map(|record| record.total_size_bytes).sum();
        let mut done = 0;
        for record in records {
            let (name, size) =
                (format!("{}/{}", record.name(), record.artifact_file), record.total_size_bytes);
            progress(done, total, &name);
            let (store, verified) = (self.store.clone(), self.verified.clone());
            let (before, watched) = (done, progress.clone());
            let (model_type, version) = (record.model_type.clone(), record.version);
            let found = blocking(move || {
                let tell = |bytes| {
                    watched(before + bytes, total, &name);
                    true
                };
                Ok(integrity::examine(&store, &verified, &record, &tell))
            });
            let found = found.await?;
            // Its files may have been removed meanwhile.
            if found.is_empty() || !self.was_collected(&model_type, version).await? {
                findings.extend(found);
            }
            done += size;
        }
        progress(total, total, "done");
        Ok(Verification { versions, sample_of, transitions, bytes: total, findings })
    }

    /// Whether a version's files were removed by now.
    pub(super) async fn was_collected(
        &self,
        model_type: &ModelType,
        version: Version,
    ) -> Result<bool, RegistryError> {
        let find = FindVersion { model_type: model_type.clone(), version };
        Ok(self.db.ask(find).await?.is_some_and(|record| record.collected.is_some()))
    }

    async fn verify_manifest(&self, layout: Layout) -> Vec<Finding> {
        let verdict = async {
            if layout == Layout::Before {
                self.require_agreement().await?;
                return Ok(ManifestVerdict::Agrees);
            }
            let state = self.db.ask(ReadState).await?;
            let verify = VerifyManifest { state, at: clock::now()?, repair: false };
            self.manifest.ask(verify).await
        };
        match verdict.await {
            Ok(ManifestVerdict::Differs(differences)) => {
                differences.into_iter().map(manifest_finding).collect()
            }
            Ok(_) => Vec::new(),
            Err(error) => vec![manifest_finding(error.to_string())],
        }
    }
}

/// The versions in production, and this many of the others, chosen at random.
fn sampled(records: Vec<VersionRecord>, number: usize) -> Vec<VersionRecord> {
    let (mut chosen, mut others): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|record| record.status == Status::Production);
    others.sort_by_cached_key(|_| Uuid::new_v4());
    others.truncate(number);
    chosen.append(&mut others);
    chosen
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

fn log_finding(found: Discrepancy) -> Finding {
    let (kind, remedy) = match found.kind {
        DiscrepancyKind::Log => (
            "history",
            "restore the catalog from a backup; its history was changed by another program",
        ),
        DiscrepancyKind::Row => (
            "catalog",
            "restore the catalog from a backup; its rows were changed by another program",
        ),
        DiscrepancyKind::Status => (
            "status",
            "restore the catalog from a backup; its rows were changed by another program",
        ),
    };
    Finding { kind, subject: found.subject, detail: found.detail, remedy }
}
