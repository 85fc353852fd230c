//! The tables that a portable dump of the catalog holds: the one list of them, the same over both databases.
//!
//! A dump is JSON, one row a line, one file a table. It has no type of any database, so it can be loaded into either.

use serde_json::Value;

/// The number of rows in a piece of a dump.
pub const PIECE_ROWS: usize = 1000;

/// How a column's value is written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text or a number, as it is.
    Plain,
    /// `true` or `false`.
    Boolean,
    /// A time in RFC 3339, as [`crate::domain::Timestamp`] writes it.
    Time,
    /// A JSON value, nested in the row.
    Json,
}

/// A table of the catalog.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// The name of the table, and of its file in a dump.
    pub name: &'static str,
    /// The primary key, by which rows are read in pages.
    pub key: &'static [&'static str],
    /// Every column.
    pub columns: &'static [(&'static str, Kind)],
}

use Kind::{Boolean, Json, Plain, Time};

/// Every table, in the order in which a restore fills them. A new table or column is added here; a test compares this
/// list with the database.
pub const TABLES: &[Table] = &[
    Table {
        name: "versions",
        key: &["model_id"],
        columns: &[
            ("model_id", Plain),
            ("model_type", Plain),
            ("version", Plain),
            ("status", Plain),
            ("artifact_file", Plain),
            ("artifact_size_bytes", Plain),
            ("total_size_bytes", Plain),
            ("checksum_sha256", Plain),
            ("metadata_sha256", Plain),
            ("config_hash", Plain),
            ("snapshot_id", Plain),
            ("dataset_version_ids", Json),
            ("created_at", Time),
            ("promoted_at", Time),
            ("archived_at", Time),
        ],
    },
    Table {
        name: "used_versions",
        key: &["model_type", "version"],
        columns: &[("model_type", Plain), ("version", Plain), ("model_id", Plain)],
    },
    Table {
        name: "log_entries",
        key: &["sequence"],
        columns: &[
            ("sequence", Plain),
            ("id", Plain),
            ("time", Time),
            ("actor", Plain),
            ("authenticated_as", Plain),
            ("action", Plain),
            ("model_id", Plain),
            ("model_type", Plain),
            ("version", Plain),
            ("from_status", Plain),
            ("to_status", Plain),
            ("reason", Plain),
            ("gates_skipped", Boolean),
            ("detail", Json),
            ("state_sha256", Plain),
            ("leaf_sha256", Plain),
        ],
    },
    Table {
        name: "log_subtrees",
        key: &["level", "number"],
        columns: &[("level", Plain), ("number", Plain), ("sha256", Plain)],
    },
    // Before `registry_state`: its revision is that of the dump, whatever triggers do while these are filled.
    Table {
        name: "load_checks",
        key: &["model_id"],
        columns: &[
            ("model_id", Plain),
            ("verdict", Plain),
            ("format", Plain),
            ("depth", Plain),
            ("errors", Json),
            ("checker", Plain),
            ("checked_at", Time),
        ],
    },
    Table {
        name: "collected",
        key: &["model_id"],
        columns: &[("model_id", Plain), ("collected_at", Time), ("bytes_freed", Plain)],
    },
    Table {
        name: "registry_state",
        key: &["id"],
        columns: &[
            ("id", Plain),
            ("checksum", Plain),
            ("previous_checksum", Plain),
            ("log_size", Plain),
            ("right_edge", Plain),
            ("artifact_count", Plain),
            ("total_size_bytes", Plain),
            ("revision", Plain),
        ],
    },
];

/// The table of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

impl Table {
    /// The columns that a dumped row has, in the table's order. A dump of an older program may lack newer columns,
    /// which then get their defaults.
    ///
    /// # Errors
    /// The fault, where it is no row, or has a column that this program does not know.
    pub fn columns_of(&self, row: &str) -> Result<Vec<(&'static str, Kind)>, String> {
        let row: serde_json::Map<String, Value> =
            serde_json::from_str(row).map_err(|error| format!("table {}: {error}", self.name))?;
        let known = |name: &String| self.columns.iter().any(|(column, _)| column == name);
        if let Some(unknown) = row.keys().find(|name| !known(name)) {
            return Err(format!("table {} has no column {unknown:?}", self.name));
        }
        let has = |column: &&(&'static str, Kind)| row.contains_key(column.0);
        Ok(self.columns.iter().filter(has).copied().collect())
    }
}

/// A piece of a dump.
#[derive(Debug)]
pub enum Piece {
    /// Rows of one table, in the order of its key, each a JSON object.
    Rows {
        /// The table.
        table: &'static Table,
        /// At most [`PIECE_ROWS`] rows.
        rows: Vec<String>,
    },
    /// Nothing is missing. Without it the dump was cut off.
    End,
    /// The source of the dump failed.
    Failed(String),
}
