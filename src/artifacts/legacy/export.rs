//! Reads the tables in `catalog-export/` row by row. A faulty row does not affect other rows.

use csv::StringRecord;
use serde::{Deserialize, de::DeserializeOwned};

use super::{EXPORT, Found, MAX_EXPORT_BYTES, read_all};
use crate::artifacts::root::Folder;

/// A row of `models.csv`.
#[derive(Deserialize)]
pub(super) struct ModelRow {
    pub(super) model_id: String,
    pub(super) model_type: String,
    pub(super) version: String,
    pub(super) status: String,
    pub(super) artifact_path: String,
    pub(super) checksum_sha256: String,
    pub(super) metadata_sha256: String,
    pub(super) created_at: String,
    pub(super) promoted_at: Option<String>,
    pub(super) archived_at: Option<String>,
    pub(super) config_hash: String,
    pub(super) snapshot_id: String,
    pub(super) dataset_version_ids_json: String,
    pub(super) metrics_json: Option<String>,
    pub(super) factor_list_json: Option<String>,
    pub(super) experiment_id: Option<String>,
    pub(super) run_id: Option<String>,
    pub(super) dataset_uri: Option<String>,
    pub(super) qlib_version: Option<String>,
}

/// A row of `promotion_history.csv`.
#[derive(Deserialize)]
pub(super) struct HistoryRow {
    pub(super) id: String,
    pub(super) from_status: String,
    pub(super) to_status: String,
    pub(super) changed_at: String,
    pub(super) changed_by: String,
}

/// The readable part of a row.
pub(super) struct Row<T> {
    /// The row's name in messages: its version in a table of versions, else its place in the table.
    pub(super) subject: String,
    /// The id of the row's version, as the row gives it.
    pub(super) model_id: Option<String>,
    /// The row's values, or their fault.
    pub(super) value: Result<T, String>,
}

/// Reads a table. A fault of the whole table is a fault of the directory.
pub(super) fn read_rows<T: DeserializeOwned>(
    top: &Folder,
    name: &str,
    found: &mut Found,
) -> Vec<Row<T>> {
    let read = top.folder(EXPORT).and_then(|export| read_all(&export, name, MAX_EXPORT_BYTES));
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) => {
            found.of_directory.push(error.to_string());
            return Vec::new();
        }
    };
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => {
            found.of_directory.push(format!("{EXPORT}/{name}: {error}"));
            return Vec::new();
        }
    };
    let records = reader.records().zip(1_u64..);
    records
        .map(|(record, number)| row(record, &headers, &format!("{name}, row {number}")))
        .collect()
}

fn row<T: DeserializeOwned>(
    record: csv::Result<StringRecord>,
    headers: &StringRecord,
    place: &str,
) -> Row<T> {
    let record = match record {
        Ok(record) => record,
        Err(error) => {
            let value = Err(error.to_string());
            return Row { subject: place.to_owned(), model_id: None, value };
        }
    };
    let column = |name: &str| {
        let at = headers.iter().position(|header| header == name)?;
        record.get(at).map(ToOwned::to_owned)
    };
    let subject = match (column("model_type"), column("version")) {
        (Some(model_type), Some(version)) => format!("{model_type}/{version}"),
        _ => place.to_owned(),
    };
    let value = record.deserialize(Some(headers)).map_err(|error| error.to_string());
    Row { subject, model_id: column("model_id"), value }
}
