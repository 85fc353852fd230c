//! The differences between connections to the two databases.

use std::time::Duration;

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
}
