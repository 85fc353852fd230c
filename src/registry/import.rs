//! Importing a registry directory of the Python service. An import is all or nothing and can be repeated.
//!
//! A later import adds what the Python service changed since the last one. Where both this registry and the Python
//! service have changed an imported version, the import is refused, because a program cannot decide which change is
//! right.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use super::{
    Registry,
    change::{Files, Request, Wanted},
};
use crate::{
    actors::{
        blocking,
        db::{ListTransitions, ListVersions},
    },
    artifacts::{
        legacy::{LegacyRegistry, LegacyVersion},
        store::{Batch, Intent, Purpose},
    },
    catalog::{Author, CatalogChange, ImportBatch, VersionFilter},
    domain::{ModelId, ModelType, Status, Version, VersionRecord, history::Transition},
    error::{ErrorKind, RegistryError},
    progress::Progress,
};

pub use crate::artifacts::legacy::{Invalid, LeftOut};

/// Refuses a directory that does not exist, lies within the registry directory, or contains it.
///
/// # Errors
/// `INVALID_REQUEST`.
pub fn check_source(directory: &Path, registry_dir: &Path) -> Result<(), RegistryError> {
    let refused = |what: String| RegistryError::new(ErrorKind::InvalidRequest, what);
    let from = directory.canonicalize().map_err(|error| {
        refused(format!("cannot read the directory to import, {}: {error}", directory.display()))
    })?;
    // The registry directory may not exist yet; then its nearest existing ancestor is resolved.
    let absolute = std::path::absolute(registry_dir).unwrap_or_else(|_| registry_dir.to_owned());
    let to = absolute
        .ancestors()
        .find_map(|ancestor| {
            let rest = absolute.strip_prefix(ancestor).ok()?;
            Some(ancestor.canonicalize().ok()?.join(rest))
        })
        .unwrap_or(absolute.clone());
    if from.starts_with(&to) || to.starts_with(&from) {
        return Err(refused(
            "the directory to import and the registry's own lie one within the other; give another one with \
             --registry-dir"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The number of new versions.
    pub versions: usize,
    /// The number of existing versions whose status the import changed.
    pub moved: usize,
    /// The number of new history rows.
    pub transitions: usize,
    /// The number of versions that existed and did not change.
    pub unchanged: usize,
    /// The items that the rules do not allow and that were left out.
    pub left_out: Vec<LeftOut>,
}

impl Registry {
    /// Imports a directory of the Python service; `invalid` says how to treat items that the rules do not allow.
    ///
    /// # Errors
    /// `INVALID_REQUEST` for the directory's path or the author's name; `CHECKSUM_MISMATCH` with every fault in the
    /// directory; `VERSION_EXISTS` or `INVALID_TRANSITION` where it contradicts this registry; `REGISTRY_LOCKED`
    /// where another process changed the registry meanwhile. Each leaves the registry unchanged.
    pub async fn import(
        &self,
        directory: &Path,
        invalid: Invalid,
        author: &Author,
        progress: &Progress,
    ) -> Result<Imported, RegistryError> {
        let request = Request::new(author, None)?;
        check_source(directory, self.store.root().path())?;
        let legacy = Arc::new(self.read_legacy(directory, invalid, progress).await?);
        let first = self.plan(&legacy).await?;
        if first.is_empty() {
            return Ok(first.outcome(&legacy.left_out));
        }
        self.require_room().await?;
        let batch = self.stage_all(&legacy, &first, progress).await?;

        let change = self.begin_addition().await?;
        // Another process may have changed the registry while files were copied.
        let plan = self.plan(&legacy).await?;
        if plan != first {
            return Err(RegistryError::new(
                ErrorKind::RegistryLocked,
                "The registry was changed while the import was copying; try again",
            ));
        }
        let (outcome, intents) = (plan.outcome(&legacy.left_out), plan.intents());
        let wanted = Wanted {
            change: CatalogChange::Import(plan.batch),
            files: Some(Files { batch, intents }),
            removal: None,
            request,
        };
        change.commit(wanted).await.map_err(|error| match error.kind() {
            ErrorKind::VersionExists => RegistryError::new(
                ErrorKind::VersionExists,
                format!(
                    "nothing was imported: {}, on disk and not in the catalog; `model-registry verify` tells more",
                    error.detail()
                ),
            ),
            _ => error,
        })?;
        Ok(outcome)
    }

    async fn read_legacy(
        &self,
        directory: &Path,
        invalid: Invalid,
        progress: &Progress,
    ) -> Result<LegacyRegistry, RegistryError> {
        let (directory, policy) = (directory.to_owned(), self.rules());
        let progress = progress.clone();
        blocking(move || {
            let tell = |bytes| progress(bytes, 0, "checking");
            LegacyRegistry::read(&directory, &policy.policy, invalid, &tell).map_err(|faults| {
                RegistryError::new(
                    ErrorKind::ChecksumMismatch,
                    format!("nothing was imported: {faults}"),
                )
            })
        })
        .await
    }

    /// Plans the changes that bring everything in the directory into this registry.
    async fn plan(&self, legacy: &LegacyRegistry) -> Result<Plan, RegistryError> {
        let all = ListVersions { filter: VersionFilter::default() };
        let here = self.db.ask(all).await?.records;
        let history = self.db.ask(ListTransitions { of: None }).await?;
        Plan::make(legacy, &here, &history)
    }

    async fn stage_all(
        &self,
        legacy: &Arc<LegacyRegistry>,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<Batch, RegistryError> {
        let new: HashSet<ModelId> =
            plan.batch.new_versions.iter().map(|record| record.model_id).collect();
        let total: u64 =
            plan.batch.new_versions.iter().map(|record| record.artifact_size_bytes).sum();
        let (legacy, store, progress) = (legacy.clone(), self.store.clone(), progress.clone());
        blocking(move || {
            let batch = store.open_batch()?;
            let mut before = 0;
            for version in &legacy.versions {
                if new.contains(&version.record.model_id) {
                    let name = version.record.name();
                    stage(&batch, &legacy, version, &|done| progress(before + done, total, &name))?;
                    before += version.record.artifact_size_bytes;
                }
            }
            Ok(batch)
        })
        .await
    }
}

/// Copies one version into the staging folder and checks its hash again during the copy.
fn stage(
    batch: &Batch,
    legacy: &LegacyRegistry,
    version: &LegacyVersion,
    tell: &dyn Fn(u64),
) -> Result<(), RegistryError> {
    let record = &version.record;
    let staged = batch.stage(record.model_id)?;
    let from = legacy.open_artifact(record)?;
    let (digest, _) = staged.write_artifact(&record.artifact_file, from, &|done| {
        tell(done);
        true
    })?;
    if digest != record.checksum_sha256 {
        return Err(RegistryError::new(
            ErrorKind::ChecksumMismatch,
            format!("nothing was imported: {} changed while it was copied", record.name()),
        ));
    }
    staged.write_sidecars(&version.sidecar, &version.checksum_file)?;
    Ok(())
}

/// The difference between a directory and this registry.
#[derive(Debug, PartialEq)]
struct Plan {
    batch: ImportBatch,
    unchanged: usize,
}

impl Plan {
    fn make(
        legacy: &LegacyRegistry,
        here: &[VersionRecord],
        history: &[Transition],
    ) -> Result<Self, RegistryError> {
        let known: HashMap<_, _> = history.iter().map(|link| (link.transition_id, link)).collect();
        // Who imported a row is not a part of it.
        let as_exported =
            |known: &Transition| Transition { authenticated_as: None, ..known.clone() };
        let changed = legacy.transitions.iter().find(|draft| {
            known.get(&draft.transition_id).is_some_and(|known| as_exported(known) != **draft)
        });
        if let Some(draft) = changed {
            return Err(RegistryError::new(
                ErrorKind::ChecksumMismatch,
                format!(
                    "nothing was imported: row {} of the history, of {}/{}, is not what was imported before",
                    draft.transition_id, draft.model_type, draft.version
                ),
            ));
        }
        let theirs: HashSet<_> =
            legacy.transitions.iter().map(|draft| draft.transition_id).collect();
        let transitions: Vec<_> = legacy
            .transitions
            .iter()
            .filter(|draft| !known.contains_key(&draft.transition_id))
            .cloned()
            .collect();
        let moved_there: HashSet<ModelId> =
            transitions.iter().map(|draft| draft.model_id).collect();
        let moved_here: HashSet<ModelId> = history
            .iter()
            .filter(|link| !theirs.contains(&link.transition_id))
            .map(|link| link.model_id)
            .collect();
        let here: HashMap<_, _> =
            here.iter().map(|record| ((&record.model_type, record.version), record)).collect();
        let mut batch = ImportBatch { transitions, ..ImportBatch::default() };
        let mut unchanged = 0;
        for LegacyVersion { record, .. } in &legacy.versions {
            match here.get(&(&record.model_type, record.version)) {
                None => batch.new_versions.push(record.clone()),
                Some(ours) if !same_version(ours, record) => {
                    return Err(RegistryError::new(
                        ErrorKind::VersionExists,
                        format!(
                            "nothing was imported: {} is here already and is another version than the \
                             one to import",
                            record.name()
                        ),
                    ));
                }
                Some(_) if !moved_there.contains(&record.model_id) => unchanged += 1,
                Some(_) if moved_here.contains(&record.model_id) => {
                    return Err(RegistryError::new(
                        ErrorKind::InvalidTransition,
                        format!(
                            "nothing was imported: {} was moved both here and by the Python service \
                             since the last import",
                            record.name()
                        ),
                    ));
                }
                Some(ours) if ours.collected.is_some() && record.status == Status::Production => {
                    return Err(RegistryError::new(
                        ErrorKind::InvalidTransition,
                        format!(
                            "nothing was imported: {} is in production there, and its files were removed here",
                            record.name()
                        ),
                    ));
                }
                Some(_) => batch.moved_versions.push(record.clone()),
            }
        }
        refuse_second_production(&batch, here.values().copied())?;
        Ok(Self { batch, unchanged })
    }

    fn intents(&self) -> Vec<Intent> {
        let new = self.batch.new_versions.iter();
        new.map(|record| Intent {
            model_id: record.model_id,
            model_type: record.model_type.clone(),
            version: record.version,
            purpose: Purpose::Register,
        })
        .collect()
    }

    fn is_empty(&self) -> bool {
        let batch = &self.batch;
        batch.new_versions.is_empty()
            && batch.moved_versions.is_empty()
            && batch.transitions.is_empty()
    }

    fn outcome(&self, left_out: &[LeftOut]) -> Imported {
        Imported {
            versions: self.batch.new_versions.len(),
            moved: self.batch.moved_versions.len(),
            transitions: self.batch.transitions.len(),
            unchanged: self.unchanged,
            left_out: left_out.to_vec(),
        }
    }
}

fn same_version(ours: &VersionRecord, theirs: &VersionRecord) -> bool {
    (ours.model_id, ours.checksum_sha256, ours.metadata_sha256)
        == (theirs.model_id, theirs.checksum_sha256, theirs.metadata_sha256)
}

/// Refuses a second production version of a type. The database would refuse it too, but with an unclear message.
fn refuse_second_production<'a>(
    batch: &'a ImportBatch,
    here: impl Iterator<Item = &'a VersionRecord>,
) -> Result<(), RegistryError> {
    let moved: HashSet<ModelId> =
        batch.moved_versions.iter().map(|record| record.model_id).collect();
    let mut production: HashMap<&ModelType, Version> = HashMap::new();
    let staying = here.filter(|record| !moved.contains(&record.model_id));
    for record in staying.chain(&batch.moved_versions).chain(&batch.new_versions) {
        if record.status == Status::Production
            && let Some(other) = production.insert(&record.model_type, record.version)
        {
            return Err(RegistryError::new(
                ErrorKind::InvalidTransition,
                format!(
                    "nothing was imported: both {other} and {} of {} would be in production",
                    record.version, record.model_type
                ),
            ));
        }
    }
    Ok(())
}
