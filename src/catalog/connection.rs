//! The differences between connections to the two databases.

use std::time::Duration;

use super::{CatalogError, tables::Kind};

/// The purpose of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One reading statement.
    Statement,
    /// Several reading statements that see the same snapshot.
    Snapshot,
    /// A change. Changes of all processes run one after the other.
    Change,
}

/// A connection to a catalog's database.
pub(super) trait CatalogConnection {
    /// The statements that begin a transaction. Each later statement may take as long as `statement`. `None` where
    /// [`Scope::Statement`] needs no transaction.
    fn begin(scope: Scope, statement: Duration) -> Option<String>;

    /// The statements that commit a transaction.
    fn commit(scope: Scope) -> &'static str;

    /// A query with one result row. Its column `found` is null where the database accepts no changes. `None` where the
    /// directory decides.
    fn find_writability() -> Option<&'static str>;

    /// A query with one result row. Its column `found` is null where the table does not exist.
    fn find_table(name: &str) -> String;

    /// The JSON value of a column, in a dump.
    fn column_as_json(column: &str, kind: Kind) -> String;

    /// The text of a JSON object with these members: names and values by turns.
    fn object_as_text(members: &str) -> String;

    /// A key column of the dumped row that is the statement's parameter.
    fn key_of_row(table: &str, column: &str) -> String;

    /// The statement that inserts rows, in their order. Its parameter is a JSON array of dumped rows.
    fn insert_rows(table: &str, columns: &[(&str, Kind)]) -> String;

    /// Leaves every table there and empty, although their triggers forbid to remove rows. The transaction is a
    /// change; readers see the rows as before until it commits.
    async fn make_room(&mut self) -> Result<(), CatalogError>;
}
