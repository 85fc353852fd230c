//! Re-hashes the files on disk and compares them with the catalog. It does not use the cache of verified files.

use std::{collections::BTreeSet, io::Read as _};

use serde::Serialize;

use super::{
    ArtifactStore, StoreError, VerifiedFiles,
    root::{CHECKSUM, METADATA, STAGING},
    sidecar::Identity,
    store::{Purpose, UnreadableIntent},
};
use crate::domain::{ModelType, Version, VersionRecord};

/// A disagreement between any two of catalog, sidecars, artifacts, history and manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind: `sidecar`, `artifact`, `checksum_file`, `stray_file`, `orphan`, `unfinished`,
    /// `unreadable`, `history`, `status`, `manifest`.
    pub kind: &'static str,
    /// The affected item, for example `risk_model/v1.0.0`.
    pub subject: String,
    /// The disagreement.
    pub detail: String,
    /// The remedy for an operator.
    pub remedy: &'static str,
}

const RESTORE: &str =
    "restore the version's folder from a backup; do not promote or serve it until then";

/// Re-reads and re-hashes one version. A disk error is a finding too, and the other checks continue.
#[must_use]
pub fn examine(
    store: &ArtifactStore,
    verified: &VerifiedFiles,
    record: &VersionRecord,
    keep_going: &dyn Fn(u64) -> bool,
) -> Vec<Finding> {
    let finding = |kind, error: StoreError| Finding {
        kind,
        subject: record.name(),
        detail: error.to_string(),
        remedy: RESTORE,
    };
    let mut found = Vec::new();
    if let Err(error) = verified.read_sidecar(store.root(), record) {
        found.push(finding("sidecar", error));
    }
    if let Err(error) = verified.rehash_artifact(store.root(), record, keep_going) {
        found.push(finding("artifact", error));
    }
    match strangers(store, record) {
        Ok(names) if names.is_empty() => {}
        Ok(names) => found.push(Finding {
            kind: "stray_file",
            subject: record.name(),
            detail: format!("its folder holds {} beside its own files", names.join(", ")),
            remedy: "find out where it comes from; `verify --repair` moves it to quarantine/",
        }),
        Err(error) => found.push(finding("stray_file", error)),
    }
    match checksum_file_agrees(store, record) {
        Ok(true) => {}
        Ok(false) => found.push(Finding {
            kind: "checksum_file",
            subject: record.name(),
            detail: "checksum.sha256 does not name the recorded SHA-256".to_owned(),
            remedy: "the catalog decides; `verify --repair` writes the file anew where the artifact is intact",
        }),
        Err(error) => found.push(finding("checksum_file", error)),
    }
    found
}

/// The state of a version's folder and of the files in it, without their content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderState(Vec<(String, Identity)>);

/// The state of a version's files; `None` where it cannot be read.
#[must_use]
pub fn folder_state(
    store: &ArtifactStore,
    model_type: &ModelType,
    version: Version,
) -> Option<FolderState> {
    let folder = store.root().version_folder(model_type, version).ok()?;
    let mut names = folder.entries().ok()?;
    names.sort_unstable();
    let states = names.into_iter().map(|name| {
        let stat = folder.stat(&name).ok()?;
        Some((name, Identity::of(&stat)))
    });
    states.collect::<Option<_>>().map(FolderState)
}

/// The names of files in a version's folder that do not belong there.
///
/// # Errors
/// [`StoreError::Io`].
pub fn strangers(store: &ArtifactStore, record: &VersionRecord) -> Result<Vec<String>, StoreError> {
    let mut names = store.root().version_folder(&record.model_type, record.version)?.entries()?;
    names.retain(|name| {
        ![METADATA, CHECKSUM, record.artifact_file.as_str()].contains(&name.as_str())
    });
    Ok(names)
}

/// Whether `checksum.sha256` contains the catalog's digest.
///
/// # Errors
/// [`StoreError::Io`].
pub fn checksum_file_agrees(
    store: &ArtifactStore,
    record: &VersionRecord,
) -> Result<bool, StoreError> {
    let folder = store.root().version_folder(&record.model_type, record.version)?;
    let mut text = String::new();
    folder
        .open_file(CHECKSUM)?
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|error| StoreError::io("read", folder.path().join(CHECKSUM), error))?;
    let named = text.split_whitespace().next();
    Ok(named == Some(record.checksum_sha256.to_string().as_str()))
}

/// Finds folders and files in the artifacts folder that are not in the catalog, and unfinished registrations.
///
/// # Errors
/// [`StoreError::Io`] where the folder cannot be listed.
pub fn orphans(
    store: &ArtifactStore,
    records: &[VersionRecord],
) -> Result<Vec<Finding>, StoreError> {
    let (gone, here): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| record.collected.is_some());
    let mut known: BTreeSet<String> = here.into_iter().map(VersionRecord::name).collect();
    let gone: BTreeSet<String> = gone.into_iter().map(VersionRecord::name).collect();
    let mut found = Vec::new();
    for intent in store.intents()? {
        let intent = match intent {
            Ok(intent) => intent,
            Err(UnreadableIntent { name, error }) => {
                found.push(Finding {
                    kind: "unfinished",
                    subject: format!("artifacts/.staging/{name}"),
                    detail: error.to_string(),
                    remedy: "let the service's user read it, or remove it",
                });
                continue;
            }
        };
        let subject = format!("{}/{}", intent.model_type, intent.version);
        if known.insert(subject.clone()) {
            found.push(Finding {
                kind: "unfinished",
                subject,
                detail: match intent.purpose {
                    Purpose::Register => "a registration was cut short",
                    Purpose::Collect => "the removal of its files was cut short",
                }
                .to_owned(),
                remedy: "a running service, the next change or start, or `verify --repair` ends it",
            });
        }
    }
    let orphan = |subject: String| Finding {
        kind: "orphan",
        detail: if gone.contains(&subject) {
            format!("artifacts/{subject} is still there, but its files were removed")
        } else {
            format!("artifacts/{subject} is not in the catalog")
        },
        subject,
        remedy: "`verify --repair` moves it to quarantine/; or restore the catalog from a backup",
    };
    let artifacts = store.root().artifacts()?;
    for of_type in artifacts.entries()?.into_iter().filter(|name| name != STAGING) {
        match artifacts.folder(&of_type).and_then(|folder| folder.entries()) {
            Ok(entries) => found.extend(
                entries
                    .into_iter()
                    .map(|version| format!("{of_type}/{version}"))
                    .filter(|name| !known.contains(name))
                    .map(orphan),
            ),
            Err(error) if error.is_no_folder() => found.push(orphan(of_type)),
            Err(error) => found.push(Finding {
                kind: "unreadable",
                subject: of_type,
                detail: error.to_string(),
                remedy: "let the service's user read the folder",
            }),
        }
    }
    Ok(found)
}
