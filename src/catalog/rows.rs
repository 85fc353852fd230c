//! Database rows, and their conversion to and from the domain's types.
//!
//! Included once in each database's module, which defines how times and JSON are stored.

use diesel::prelude::*;
use uuid::Uuid;

use super::{
    StoredJson, StoredTime, loaded_json, loaded_time,
    schema::{collected, load_checks, log_entries, versions},
    stored_json, stored_time,
};
use crate::{
    catalog::CatalogError,
    domain::{
        ArtifactFile, Collected, LoadCheck, ModelId, ModelType, Sha256Digest, Status, Verdict,
        Version, VersionRecord,
        log::{Action, Draft, Entry, Subject},
    },
};

/// A row of `versions`.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = versions)]
pub(super) struct VersionRow {
    model_id: String,
    model_type: String,
    version: String,
    status: String,
    artifact_file: String,
    artifact_size_bytes: i64,
    total_size_bytes: i64,
    checksum_sha256: String,
    metadata_sha256: String,
    config_hash: String,
    snapshot_id: String,
    dataset_version_ids: StoredJson,
    created_at: StoredTime,
    promoted_at: Option<StoredTime>,
    archived_at: Option<StoredTime>,
}

/// A row of `load_checks`.
#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = load_checks, primary_key(model_id))]
pub(super) struct CheckRow {
    model_id: String,
    verdict: String,
    format: String,
    depth: String,
    errors: StoredJson,
    checker: String,
    checked_at: StoredTime,
}

impl CheckRow {
    /// The row of a version's check.
    ///
    /// # Errors
    /// None in practice: a list of texts can be written as JSON.
    pub(super) fn of(model_id: ModelId, check: &LoadCheck) -> Result<Self, CatalogError> {
        Ok(Self {
            model_id: model_id.to_string(),
            verdict: check.verdict.to_string(),
            format: check.format.clone(),
            depth: check.depth.clone(),
            errors: column(&model_id, "errors", stored_json(&check.errors))?,
            checker: check.checker.clone(),
            checked_at: stored_time(check.checked_at),
        })
    }

    /// The check of a version.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`], which names row and column.
    fn into_check(self, row: &str) -> Result<LoadCheck, CatalogError> {
        let row = format!("load check of {row}");
        Ok(LoadCheck {
            verdict: column(&row, "verdict", Verdict::parse(&self.verdict))?,
            format: self.format,
            depth: self.depth,
            errors: column(&row, "errors", loaded_json(self.errors))?,
            checker: self.checker,
            checked_at: column(&row, "checked_at", loaded_time(&self.checked_at))?,
        })
    }
}

/// A row of `collected`.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = collected)]
pub(super) struct CollectedRow {
    model_id: String,
    collected_at: StoredTime,
    bytes_freed: i64,
}

impl CollectedRow {
    /// The row of a collection.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] for files of more than 2^63 bytes.
    pub(super) fn of(model_id: ModelId, gone: Collected) -> Result<Self, CatalogError> {
        Ok(Self {
            model_id: model_id.to_string(),
            collected_at: stored_time(gone.collected_at),
            bytes_freed: column(&model_id, "bytes_freed", i64::try_from(gone.bytes_freed))?,
        })
    }

    /// The version that was collected, and the size of its files, in bytes.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`], which names row and column.
    pub(super) fn freed(&self) -> Result<(ModelId, u64), CatalogError> {
        let row = format!("collection of {}", self.model_id);
        Ok((
            column(&row, "model_id", ModelId::parse(&self.model_id))?,
            column(&row, "bytes_freed", u64::try_from(self.bytes_freed))?,
        ))
    }

    /// The collection of a version.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`], which names row and column.
    fn into_collected(self, row: &str) -> Result<Collected, CatalogError> {
        let row = format!("collection of {row}");
        Ok(Collected {
            collected_at: column(&row, "collected_at", loaded_time(&self.collected_at))?,
            bytes_freed: column(&row, "bytes_freed", u64::try_from(self.bytes_freed))?,
        })
    }
}

/// A row of `log_entries`.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = log_entries)]
pub(super) struct EntryRow {
    sequence: i64,
    id: String,
    time: StoredTime,
    actor: String,
    authenticated_as: Option<String>,
    action: String,
    model_id: Option<String>,
    model_type: Option<String>,
    version: Option<String>,
    from_status: Option<String>,
    to_status: Option<String>,
    reason: Option<String>,
    gates_skipped: bool,
    detail: Option<StoredJson>,
    state_sha256: Option<String>,
    leaf_sha256: String,
}

/// Turns a column's parse error into [`CatalogError::Damaged`], which names row and column.
pub(super) fn column<T, E: std::fmt::Display>(
    row: &dyn std::fmt::Display,
    name: &str,
    parsed: Result<T, E>,
) -> Result<T, CatalogError> {
    parsed.map_err(|error| CatalogError::Damaged(format!("{row}, column {name}: {error}")))
}

impl VersionRow {
    /// The row of a record.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] for a file of more than 2^63 bytes.
    pub(super) fn of(record: &VersionRecord) -> Result<Self, CatalogError> {
        let name = record.name();
        Ok(Self {
            model_id: record.model_id.to_string(),
            model_type: record.model_type.to_string(),
            version: record.version.to_string(),
            status: record.status.to_string(),
            artifact_file: record.artifact_file.to_string(),
            artifact_size_bytes: column(
                &name,
                "artifact_size_bytes",
                i64::try_from(record.artifact_size_bytes),
            )?,
            total_size_bytes: column(
                &name,
                "total_size_bytes",
                i64::try_from(record.total_size_bytes),
            )?,
            checksum_sha256: record.checksum_sha256.to_string(),
            metadata_sha256: record.metadata_sha256.to_string(),
            config_hash: record.config_hash.to_string(),
            snapshot_id: record.snapshot_id.clone(),
            dataset_version_ids: column(
                &name,
                "dataset_version_ids",
                stored_json(&record.dataset_version_ids),
            )?,
            created_at: stored_time(record.created_at),
            promoted_at: record.promoted_at.map(stored_time),
            archived_at: record.archived_at.map(stored_time),
        })
    }

    /// The row's key, which also orders pages.
    pub(super) fn model_id(&self) -> &str {
        &self.model_id
    }

    /// The version's name for messages, also for a damaged row.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.model_type, self.version)
    }

    /// The record of a row.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`], which names row and column.
    pub(super) fn into_record(self) -> Result<VersionRecord, CatalogError> {
        let row = format!("row {}/{}", self.model_type, self.version);
        let time = |name, stored: Option<StoredTime>| {
            stored.map(|stored| column(&row, name, loaded_time(&stored))).transpose()
        };
        Ok(VersionRecord {
            model_id: column(&row, "model_id", ModelId::parse(&self.model_id))?,
            model_type: column(&row, "model_type", ModelType::parse(&self.model_type))?,
            version: column(&row, "version", Version::parse(&self.version))?,
            status: column(&row, "status", Status::parse(&self.status))?,
            artifact_file: column(&row, "artifact_file", ArtifactFile::parse(&self.artifact_file))?,
            artifact_size_bytes: column(
                &row,
                "artifact_size_bytes",
                u64::try_from(self.artifact_size_bytes),
            )?,
            total_size_bytes: column(
                &row,
                "total_size_bytes",
                u64::try_from(self.total_size_bytes),
            )?,
            checksum_sha256: column(
                &row,
                "checksum_sha256",
                Sha256Digest::parse(&self.checksum_sha256),
            )?,
            metadata_sha256: column(
                &row,
                "metadata_sha256",
                Sha256Digest::parse(&self.metadata_sha256),
            )?,
            config_hash: column(&row, "config_hash", Sha256Digest::parse(&self.config_hash))?,
            snapshot_id: self.snapshot_id,
            dataset_version_ids: column(
                &row,
                "dataset_version_ids",
                loaded_json(self.dataset_version_ids),
            )?,
            created_at: column(&row, "created_at", loaded_time(&self.created_at))?,
            promoted_at: time("promoted_at", self.promoted_at)?,
            archived_at: time("archived_at", self.archived_at)?,
            check: None,
            collected: None,
        })
    }

    /// The record of a row with what is known beside it.
    ///
    /// # Errors
    /// As [`Self::into_record`].
    pub(super) fn into_whole_record(
        self,
        check: Option<CheckRow>,
        collected: Option<CollectedRow>,
    ) -> Result<VersionRecord, CatalogError> {
        let name = self.name();
        let check = check.map(|check| check.into_check(&name).map(Box::new)).transpose()?;
        let collected = collected.map(|row| row.into_collected(&name)).transpose()?;
        Ok(VersionRecord { check, collected, ..self.into_record()? })
    }
}

/// Reads a nullable column.
fn optional<T, E: std::fmt::Display>(
    row: &dyn std::fmt::Display,
    name: &str,
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, CatalogError> {
    column(row, name, text.map(parse).transpose())
}

impl EntryRow {
    /// The row of an entry with this leaf hash.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] for a position beyond 2^63.
    pub(super) fn of(entry: &Entry, leaf: Sha256Digest) -> Result<Self, CatalogError> {
        let said = &entry.said;
        let subject = said.subject.as_ref();
        let detail = said.detail.as_ref().map(stored_json).transpose();
        Ok(Self {
            sequence: column(&said.id, "sequence", i64::try_from(entry.sequence))?,
            id: said.id.to_string(),
            time: stored_time(said.time),
            actor: said.actor.clone(),
            authenticated_as: said.authenticated_as.clone(),
            action: said.action.to_string(),
            model_id: subject.map(|it| it.model_id.to_string()),
            model_type: subject.map(|it| it.model_type.to_string()),
            version: subject.map(|it| it.version.to_string()),
            from_status: said.from_status.map(|status| status.to_string()),
            to_status: said.to_status.map(|status| status.to_string()),
            reason: said.reason.clone(),
            gates_skipped: said.gates_skipped,
            detail: column(&said.id, "detail", detail)?,
            state_sha256: said.state_sha256.map(|digest| digest.to_string()),
            leaf_sha256: leaf.to_string(),
        })
    }

    /// The position in the log, as the database stores it.
    pub(super) fn sequence(&self) -> i64 {
        self.sequence
    }

    /// The entry's subject for messages, also for a damaged row.
    pub(super) fn subject(&self) -> String {
        match (&self.model_type, &self.version) {
            (Some(model_type), Some(version)) => format!("{model_type}/{version}"),
            _ => format!("log entry {}", self.sequence),
        }
    }

    /// The entry, and the recorded hash of its leaf.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`], which names row and column.
    pub(super) fn into_entry(self) -> Result<(Entry, Sha256Digest), CatalogError> {
        let row = format!("log entry {}", self.sequence);
        let subject = match (&self.model_id, &self.model_type, &self.version) {
            (None, None, None) => None,
            (Some(model_id), Some(model_type), Some(version)) => Some(Subject {
                model_id: column(&row, "model_id", ModelId::parse(model_id))?,
                model_type: column(&row, "model_type", ModelType::parse(model_type))?,
                version: column(&row, "version", Version::parse(version))?,
            }),
            _ => {
                return Err(CatalogError::Damaged(format!("{row} names only a part of a version")));
            }
        };
        let status = |name, text: Option<&str>| optional(&row, name, text, Status::parse);
        let leaf = column(&row, "leaf_sha256", Sha256Digest::parse(&self.leaf_sha256))?;
        let said = Draft {
            id: column(&row, "id", Uuid::parse_str(&self.id))?,
            time: column(&row, "time", loaded_time(&self.time))?,
            action: column(&row, "action", Action::parse(&self.action))?,
            subject,
            from_status: status("from_status", self.from_status.as_deref())?,
            to_status: status("to_status", self.to_status.as_deref())?,
            detail: column(&row, "detail", self.detail.map(loaded_json).transpose())?,
            state_sha256: optional(
                &row,
                "state_sha256",
                self.state_sha256.as_deref(),
                Sha256Digest::parse,
            )?,
            actor: self.actor,
            authenticated_as: self.authenticated_as,
            reason: self.reason,
            gates_skipped: self.gates_skipped,
        };
        let sequence = column(&row, "sequence", u64::try_from(self.sequence))?;
        Ok((Entry { sequence, said }, leaf))
    }
}
