//! Reads the directory's history and checks it. The history of each version must lead by allowed status changes from
//! its registration to its current status.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    Found, HISTORY, LegacyVersion, MODELS,
    export::{HistoryRow, Row},
    version::time,
};
use crate::domain::{ModelId, Status, VersionRecord, history::Transition, text::check_short_text};

/// Reads the history of the versions that could be read. `unknown` holds the ids of the versions with faults, which
/// are already recorded.
pub(super) fn read(
    rows: &[Row<HistoryRow>],
    versions: &[LegacyVersion],
    unknown: &HashSet<&str>,
    found: &mut Found,
) -> Vec<Transition> {
    let by_id: HashMap<String, &VersionRecord> = versions
        .iter()
        .map(|version| (version.record.model_id.to_string(), &version.record))
        .collect();
    let mut steps = Vec::new();
    for row in rows {
        let model_id = row.model_id.as_deref().unwrap_or_default();
        if unknown.contains(model_id) {
            continue;
        }
        let place = match &row.value {
            Ok(values) => format!("{HISTORY}, row {}", values.id),
            Err(_) => row.subject.clone(),
        };
        match (by_id.get(model_id), &row.value) {
            (Some(record), Ok(values)) => match transition(values, record) {
                Ok(step) => steps.push(step),
                Err(fault) => found.add(record.name(), format!("{place}: {fault}")),
            },
            (Some(record), Err(fault)) => found.add(record.name(), format!("{place}: {fault}")),
            (None, Err(fault)) => found.add(place, fault),
            (None, Ok(_)) => found.add(place, format!("model_id {model_id} is not in {MODELS}")),
        }
    }
    // The sort is stable: rows with equal times keep the export's order, in which archiving precedes promotion.
    steps.sort_by_key(|step| step.changed_at);
    steps
}

fn transition(row: &HistoryRow, record: &VersionRecord) -> Result<Transition, String> {
    check_short_text(&row.changed_by).map_err(|what| format!("changed_by {what}"))?;
    let from = Some(row.from_status.as_str()).filter(|status| !status.is_empty());
    Ok(Transition {
        transition_id: field("id", Uuid::parse_str(&row.id))?,
        model_id: record.model_id,
        model_type: record.model_type.clone(),
        version: record.version,
        from_status: field("from_status", from.map(Status::parse).transpose())?,
        to_status: field("to_status", Status::parse(&row.to_status))?,
        changed_at: field("changed_at", time(&row.changed_at))?,
        changed_by: row.changed_by.clone(),
        authenticated_as: None,
        reason: None,
        gates_skipped: false,
    })
}

/// Puts the field's name in front of a parse error.
fn field<T, E: std::fmt::Display>(name: &str, parsed: Result<T, E>) -> Result<T, String> {
    parsed.map_err(|error| format!("{name}: {error}"))
}

/// Checks the status changes of each version.
pub(super) fn check(versions: &[LegacyVersion], steps: &[Transition], found: &mut Found) {
    let mut stands: HashMap<ModelId, Status> = HashMap::new();
    for step in steps {
        let before = stands.insert(step.model_id, step.to_status);
        let allowed = match (before, step.from_status) {
            (None, None) => step.to_status == Status::Staged,
            (Some(before), Some(from)) => before == from && from.may_become(step.to_status),
            _ => false,
        };
        if !allowed {
            let name = format!("{}/{}", step.model_type, step.version);
            let fault = format!(
                "{HISTORY}, row {}: it cannot have gone from {} to {} there",
                step.transition_id,
                step.from_status.map_or("nothing", Status::as_str),
                step.to_status
            );
            found.add(name, fault);
        }
    }
    for LegacyVersion { record, .. } in versions {
        let known = found.of_parts.contains_key(&record.name());
        if !known && stands.get(&record.model_id) != Some(&record.status) {
            let fault = format!("it is {}, and its history does not lead there", record.status);
            found.add(record.name(), fault);
        }
    }
}
