//! Rows as one database holds them, and their way to and from the domain's types.
//!
//! Mounted once under each database's module, which says how it stores times and JSON.

use diesel::prelude::*;
use uuid::Uuid;

use super::{
    StoredJson, StoredTime, loaded_json, loaded_time,
    schema::{transitions, versions},
    stored_json, stored_time,
};
use crate::{
    catalog::CatalogError,
    domain::{
        ArtifactFile, ModelId, ModelType, Sha256Digest, Status, Version, VersionRecord,
        history::Transition,
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

/// A row of `transitions`.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = transitions)]
pub(super) struct TransitionRow {
    sequence: i64,
    transition_id: String,
    model_id: String,
    model_type: String,
    version: String,
    from_status: Option<String>,
    to_status: String,
    changed_at: StoredTime,
    changed_by: String,
    reason: Option<String>,
    gates_skipped: bool,
    previous_sha256: String,
    row_sha256: String,
}

/// Turns a column's parse error into a damaged catalog that names row and column.
fn column<T, E: std::fmt::Display>(
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

    /// The record of a row.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`], naming row and column.
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
        })
    }
}

impl TransitionRow {
    /// The row of a link.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] for a position beyond 2^63.
    pub(super) fn of(link: &Transition) -> Result<Self, CatalogError> {
        Ok(Self {
            sequence: column(&link.transition_id, "sequence", i64::try_from(link.sequence))?,
            transition_id: link.transition_id.to_string(),
            model_id: link.model_id.to_string(),
            model_type: link.model_type.to_string(),
            version: link.version.to_string(),
            from_status: link.from_status.map(|status| status.to_string()),
            to_status: link.to_status.to_string(),
            changed_at: stored_time(link.changed_at),
            changed_by: link.changed_by.clone(),
            reason: link.reason.clone(),
            gates_skipped: link.gates_skipped,
            previous_sha256: link.previous_sha256.to_string(),
            row_sha256: link.row_sha256.to_string(),
        })
    }

    /// The link of a row.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`], naming row and column.
    pub(super) fn into_link(self) -> Result<Transition, CatalogError> {
        let row = format!("history row {}", self.sequence);
        let from = self.from_status.as_deref().map(Status::parse).transpose();
        Ok(Transition {
            sequence: column(&row, "sequence", u64::try_from(self.sequence))?,
            transition_id: column(&row, "transition_id", Uuid::parse_str(&self.transition_id))?,
            model_id: column(&row, "model_id", ModelId::parse(&self.model_id))?,
            model_type: column(&row, "model_type", ModelType::parse(&self.model_type))?,
            version: column(&row, "version", Version::parse(&self.version))?,
            from_status: column(&row, "from_status", from)?,
            to_status: column(&row, "to_status", Status::parse(&self.to_status))?,
            changed_at: column(&row, "changed_at", loaded_time(&self.changed_at))?,
            changed_by: self.changed_by,
            reason: self.reason,
            gates_skipped: self.gates_skipped,
            previous_sha256: column(
                &row,
                "previous_sha256",
                Sha256Digest::parse(&self.previous_sha256),
            )?,
            row_sha256: column(&row, "row_sha256", Sha256Digest::parse(&self.row_sha256))?,
        })
    }
}
