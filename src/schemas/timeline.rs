//! What was in production when, and the history of types and of the registry.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::described;
use crate::{
    domain::{
        ModelId, ModelType, Sha256Digest, Status, Timestamp, Version,
        log::{Action, Entry},
        timeline::Period,
    },
    registry::timeline::{KnownType, ProductionAt, TypeHistory},
};

/// The version that was in production at a moment, with the fields of the version in production now.
#[derive(Debug, Serialize)]
pub struct ProductionAtResponse<'a> {
    model_type: &'a ModelType,
    version: Version,
    checksum: Sha256Digest,
    dataset_version_ids: &'a BTreeMap<String, String>,
    as_of: Timestamp,
    model_id: ModelId,
    promoted_at: Timestamp,
    promoted_by: &'a str,
    integrity: &'static str,
}

impl<'a> From<&'a ProductionAt> for ProductionAtResponse<'a> {
    fn from(ProductionAt { as_of, entered, record, intact }: &'a ProductionAt) -> Self {
        Self {
            model_type: &record.model_type,
            version: record.version,
            checksum: record.checksum_sha256,
            dataset_version_ids: &record.dataset_version_ids,
            as_of: *as_of,
            model_id: record.model_id,
            promoted_at: entered.said.time,
            promoted_by: &entered.said.actor,
            integrity: if *intact { "ok" } else { "CHECKSUM_MISMATCH" },
        }
    }
}

/// The history of a type.
#[derive(Debug, Serialize, ToSchema)]
pub struct TypeHistoryResponse<'a> {
    /// The periods in production that begin on this page, oldest first.
    production: Vec<PeriodResponse<'a>>,
    /// The changes on this page, in the log's order, oldest first.
    transitions: Vec<ChangeResponse<'a>>,
}

impl<'a> From<&'a TypeHistory> for TypeHistoryResponse<'a> {
    fn from(TypeHistory { page, production }: &'a TypeHistory) -> Self {
        Self {
            production: production.iter().map(PeriodResponse::from).collect(),
            transitions: page.entries.iter().map(ChangeResponse::from).collect(),
        }
    }
}

/// A time during which a version was in production.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeriodResponse<'a> {
    /// The version.
    version: Version,
    /// The id of the version.
    model_id: ModelId,
    /// When it entered production.
    since: Timestamp,
    /// When it left production; null while it is there.
    #[schema(required)]
    until: Option<Timestamp>,
    /// The person who put it there.
    by: &'a str,
}

impl<'a> From<&'a Period> for PeriodResponse<'a> {
    fn from(period: &'a Period) -> Self {
        Self {
            version: period.version,
            model_id: period.model_id,
            since: period.entered.said.time,
            until: period.until,
            by: &period.entered.said.actor,
        }
    }
}

/// A part of the history of all types.
#[derive(Debug, Serialize, ToSchema)]
pub struct WholeHistoryResponse<'a> {
    /// The changes on this page, in the log's order, oldest first.
    transitions: Vec<ChangeResponse<'a>>,
}

impl<'a> From<&'a [Entry]> for WholeHistoryResponse<'a> {
    fn from(entries: &'a [Entry]) -> Self {
        Self { transitions: entries.iter().map(ChangeResponse::from).collect() }
    }
}

/// One change of the registry.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeResponse<'a> {
    /// The position in the log, from 0.
    sequence: u64,
    /// The id of the change.
    #[schema(schema_with = described::change_id)]
    id: String,
    #[schema(schema_with = described::action)]
    action: Action,
    /// The model type; null if the change is not about one version.
    #[schema(required)]
    model_type: Option<&'a ModelType>,
    /// The version; null if the change is not about one.
    #[schema(required)]
    version: Option<Version>,
    /// The id of the version; null if the change is not about one.
    #[schema(required)]
    model_id: Option<ModelId>,
    /// The status before; null for a registration, and for a change that is not one of status.
    #[schema(required)]
    from_status: Option<Status>,
    /// The status after; null for a change that is not one of status.
    #[schema(required)]
    to_status: Option<Status>,
    /// The time of the change.
    changed_at: Timestamp,
    /// The person who made the change, as stated.
    changed_by: &'a str,
    /// The authenticated user or token; null if it is not known, as of imported history.
    #[schema(required)]
    authenticated_as: Option<&'a str>,
    /// The reason, if one was given.
    #[schema(required)]
    reason: Option<&'a str>,
    /// Whether the promotion gates were skipped.
    gates_skipped: bool,
    /// More facts about the change, by name.
    #[schema(required)]
    detail: Option<&'a BTreeMap<String, String>>,
}

impl<'a> From<&'a Entry> for ChangeResponse<'a> {
    fn from(Entry { sequence, said }: &'a Entry) -> Self {
        let subject = said.subject.as_ref();
        Self {
            sequence: *sequence,
            id: said.id.to_string(),
            action: said.action,
            model_type: subject.map(|it| &it.model_type),
            version: subject.map(|it| it.version),
            model_id: subject.map(|it| it.model_id),
            from_status: said.from_status,
            to_status: said.to_status,
            changed_at: said.time,
            changed_by: &said.actor,
            authenticated_as: said.authenticated_as.as_deref(),
            reason: said.reason.as_deref(),
            gates_skipped: said.gates_skipped,
            detail: said.detail.as_ref(),
        }
    }
}

/// The columns of the history as CSV.
const COLUMNS: [&str; 14] = [
    "sequence",
    "changed_at",
    "action",
    "model_type",
    "version",
    "from_status",
    "to_status",
    "changed_by",
    "authenticated_as",
    "reason",
    "gates_skipped",
    "detail",
    "model_id",
    "id",
];

/// Writes the history as CSV (RFC 4180), a page at a time.
///
/// A spreadsheet runs a cell as a formula if it begins with `=`, `+`, `-` or `@`, or with a tab or carriage return. So
/// text that begins with one of these gets an apostrophe in front, and so does text that begins with an apostrophe: the
/// original text is what follows the first one.
pub struct Csv {
    writer: csv::Writer<Vec<u8>>,
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            writer: csv::WriterBuilder::new()
                .terminator(csv::Terminator::CRLF)
                .from_writer(Vec::new()),
        }
    }
}

impl Csv {
    /// Writes the names of the columns.
    ///
    /// # Errors
    /// The writer's; writing to memory causes none.
    pub fn header(&mut self) -> Result<(), csv::Error> {
        self.writer.write_record(COLUMNS)
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// The writer's; writing to memory causes none.
    pub fn entry(&mut self, entry: &Entry) -> Result<(), csv::Error> {
        let change = ChangeResponse::from(entry);
        let text = |value: Option<&str>| value.map_or_else(String::new, as_text);
        let detail = change.detail.map(serde_json::to_string).transpose();
        let detail = detail.map_err(std::io::Error::from)?;
        let or_empty = |value: Option<String>| value.unwrap_or_default();
        self.writer.write_record([
            change.sequence.to_string(),
            change.changed_at.to_string(),
            change.action.to_string(),
            or_empty(change.model_type.map(ToString::to_string)),
            or_empty(change.version.map(|it| it.to_string())),
            or_empty(change.from_status.map(|it| it.to_string())),
            or_empty(change.to_status.map(|it| it.to_string())),
            as_text(change.changed_by),
            text(change.authenticated_as),
            text(change.reason),
            change.gates_skipped.to_string(),
            or_empty(detail),
            or_empty(change.model_id.map(|it| it.to_string())),
            change.id.clone(),
        ])
    }

    /// What was written since the last call.
    ///
    /// # Errors
    /// The writer's; writing to memory causes none.
    pub fn take(&mut self) -> Result<Vec<u8>, csv::Error> {
        let fresh = Self::default();
        let writer = std::mem::replace(&mut self.writer, fresh.writer);
        writer.into_inner().map_err(|error| error.into_error().into())
    }
}

/// Text that no spreadsheet runs as a formula.
fn as_text(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// The known types.
#[derive(Debug, Serialize, ToSchema)]
pub struct TypesResponse<'a> {
    /// The types, in alphabetical order.
    models: Vec<TypeResponse<'a>>,
}

impl<'a> From<&'a [KnownType]> for TypesResponse<'a> {
    fn from(types: &'a [KnownType]) -> Self {
        Self { models: types.iter().map(TypeResponse::from).collect() }
    }
}

/// One type.
#[derive(Debug, Serialize, ToSchema)]
pub struct TypeResponse<'a> {
    /// The model type.
    model_type: &'a ModelType,
    /// The version in production; null if there is none.
    #[schema(required)]
    production: Option<InProductionResponse<'a>>,
    /// The number of versions in each status.
    versions: CountsResponse,
    /// The aliases of the type, and the versions that they name. There are none yet.
    #[schema(schema_with = described::aliases)]
    aliases: BTreeMap<String, Version>,
    /// The description of the type. There are none yet.
    #[schema(required)]
    description: Option<&'a str>,
}

impl<'a> From<&'a KnownType> for TypeResponse<'a> {
    fn from(KnownType { model_type, summary }: &'a KnownType) -> Self {
        let count = |status| summary.versions.get(&status).copied().unwrap_or(0);
        Self {
            model_type,
            production: summary.production.as_ref().map(|it| InProductionResponse {
                version: it.version,
                model_id: it.model_id,
                since: it.entered.as_ref().map(|entry| entry.said.time),
                by: it.entered.as_ref().map(|entry| entry.said.actor.as_str()),
            }),
            versions: CountsResponse {
                staged: count(Status::Staged),
                production: count(Status::Production),
                archived: count(Status::Archived),
                failed: count(Status::Failed),
            },
            aliases: BTreeMap::new(),
            description: None,
        }
    }
}

/// The version of a type in production.
#[derive(Debug, Serialize, ToSchema)]
pub struct InProductionResponse<'a> {
    /// The version.
    version: Version,
    /// The id of the version.
    model_id: ModelId,
    /// When it entered production.
    #[schema(required)]
    since: Option<Timestamp>,
    /// The person who put it there.
    #[schema(required)]
    by: Option<&'a str>,
}

/// The number of versions in each status.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountsResponse {
    /// Staged versions.
    staged: u64,
    /// Versions in production: 0 or 1.
    production: u64,
    /// Archived versions.
    archived: u64,
    /// Failed versions.
    failed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_a_spreadsheet_would_run_is_told_as_text_and_can_be_read_back() {
        for (text, written) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("'quoted", "''quoted"),
            ("plain = text", "plain = text"),
            ("", ""),
            ("é", "é"),
        ] {
            assert_eq!(as_text(text), written);
            assert_eq!(written.strip_prefix('\'').unwrap_or(written), text);
        }
    }
}
