//! The open integrity findings of a service: versions whose files are not what was registered.
//!
//! A round re-hashes everything, every few hours. Between the rounds, versions that a request found damaged, and those
//! with open findings, are looked at every few seconds. Such a version is hashed again only when one of its files has
//! changed since the last look, or after some time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::Registry;
use crate::{
    actors::{
        blocking,
        db::{FindVersion, ListVersions},
    },
    artifacts::integrity::{self, Finding, FolderState},
    catalog::VersionFilter,
    clock,
    domain::{ModelType, Version, VersionRecord},
    error::RegistryError,
    limits, metrics,
};

/// The kinds of findings about a version.
pub const KINDS: [&str; 4] = ["artifact", "checksum_file", "sidecar", "stray_file"];

type Key = (ModelType, Version);

/// The open findings, and when the last round ended.
#[derive(Debug, Default)]
pub struct OpenFindings {
    state: Mutex<State>,
    /// Held by the round or the look that runs.
    alone: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    damaged: BTreeMap<Key, Damaged>,
    round_ended: Option<i64>,
}

#[derive(Debug)]
struct Damaged {
    kinds: Vec<&'static str>,
    /// The state of the files before they were examined; `None` where it could not be read.
    files: Option<FolderState>,
    examined: Instant,
}

impl OpenFindings {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of open findings of each kind, also of kinds without any.
    #[must_use]
    pub fn count(&self) -> BTreeMap<&'static str, usize> {
        let mut counts: BTreeMap<_, _> = KINDS.map(|kind| (kind, 0)).into();
        for kind in self.state().damaged.values().flat_map(|damaged| &damaged.kinds) {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// When the last round over all versions ended, in seconds since 1970; `None` before the first.
    #[must_use]
    pub fn round_ended(&self) -> Option<i64> {
        self.state().round_ended
    }

    /// Records the result of an examination, and logs what is new or gone.
    fn record(&self, record: &VersionRecord, files: Option<FolderState>, found: &[Finding]) {
        let key = (record.model_type.clone(), record.version);
        let mut state = self.state();
        let kinds: Vec<_> = found.iter().map(|finding| finding.kind).collect();
        let before = if kinds.is_empty() {
            state.damaged.remove(&key)
        } else {
            let damaged = Damaged { kinds, files, examined: Instant::now() };
            state.damaged.insert(key, damaged)
        };
        drop(state);
        let known = before.map(|damaged| damaged.kinds).unwrap_or_default();
        for finding in found.iter().filter(|finding| !known.contains(&finding.kind)) {
            tracing::error!(
                model = record.name(),
                kind = finding.kind,
                detail = finding.detail,
                remedy = finding.remedy,
                "integrity error"
            );
        }
        if found.is_empty() && !known.is_empty() {
            tracing::info!(model = record.name(), "the version is intact again");
        }
    }

    /// The versions to look at: those with open findings whose files changed, or that were not examined for a while.
    fn due(&self, registry: &Registry) -> BTreeSet<Key> {
        let state = self.state();
        let due = state.damaged.iter().filter(|((model_type, version), damaged)| {
            damaged.examined.elapsed() > limits::DAMAGED_REHASH_AGE
                || damaged.files.is_none()
                || damaged.files != integrity::folder_state(&registry.store, model_type, *version)
        });
        due.map(|(key, _)| key.clone()).collect()
    }

    /// Forgets versions that are no longer registered.
    fn keep_only(&self, is_there: impl Fn(&Key) -> bool) {
        self.state().damaged.retain(|key, _| is_there(key));
    }
}

async fn examine(registry: &Registry, record: VersionRecord) -> Result<usize, RegistryError> {
    let key = (record.model_type.clone(), record.version);
    if record.collected.is_some() {
        registry.findings.keep_only(|open| *open != key);
        return Ok(0);
    }
    let (store, verified) = (registry.store.clone(), registry.verified.clone());
    let findings = registry.findings.clone();
    let found = blocking(move || {
        // Taken before the files are read, so that a change meanwhile makes the next look read them again.
        let files = integrity::folder_state(&store, &record.model_type, record.version);
        let found = integrity::examine(&store, &verified, &record, &|_| true);
        findings.record(&record, files, &found);
        Ok(found.len())
    })
    .await?;
    // Its files may have been removed meanwhile.
    if found > 0 && registry.was_collected(&key.0, key.1).await? {
        registry.findings.keep_only(|open| *open != key);
        return Ok(0);
    }
    Ok(found)
}

/// Re-hashes every version.
///
/// # Errors
/// Errors of the catalog.
pub(super) async fn rehash(registry: &Registry) -> Result<(), RegistryError> {
    let _alone = registry.findings.alone.lock().await;
    let all = ListVersions { filter: VersionFilter::default() };
    let records = registry.db.ask(all).await?.records;
    let there: BTreeSet<Key> =
        records.iter().map(|record| (record.model_type.clone(), record.version)).collect();
    registry.findings.keep_only(|key| there.contains(key));
    for record in records {
        for _ in 0..examine(registry, record).await? {
            metrics::integrity_error("rehash");
        }
    }
    registry.findings.state().round_ended = Some(clock::now()?.unix_seconds());
    Ok(())
}

/// Looks at the versions that a request found damaged, and again at those with open findings.
///
/// # Errors
/// Errors of the catalog.
pub(super) async fn look_again(registry: &Registry) -> Result<(), RegistryError> {
    // A round looks at them as well.
    let Ok(_alone) = registry.findings.alone.try_lock() else { return Ok(()) };
    let looked = registry.clone();
    let due = blocking(move || {
        let mut due = looked.findings.due(&looked);
        due.extend(looked.verified.take_suspects());
        Ok(due)
    });
    for (model_type, version) in due.await? {
        let find = FindVersion { model_type: model_type.clone(), version };
        match registry.db.ask(find).await? {
            Some(record) => drop(examine(registry, record).await?),
            None => registry.findings.keep_only(|key| *key != (model_type.clone(), version)),
        }
    }
    Ok(())
}

/// The sources of the metrics.
pub(super) fn watch(findings: Arc<OpenFindings>) {
    let rounds = findings.clone();
    metrics::watch_findings(move || findings.count(), move || rounds.round_ended());
}
