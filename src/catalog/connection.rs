//! What the connections of the two databases do differently.

use std::time::Duration;

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One statement that only looks.
    Statement,
    /// Several statements that only look, and see one moment.
    Snapshot,
    /// A change. Changes run one after the other, whoever makes them.
    Change,
}

/// A connection to a catalog's database.
pub(super) trait CatalogConnection {
    /// The statements that begin a transaction, each of whose statements may then take `statement` long; `None` where
    /// [`Scope::Statement`] needs no transaction.
    fn begin(scope: Scope, statement: Duration) -> Option<String>;

    /// A query that answers with one row, whose column `found` is null where the database takes no changes; `None` where
    /// the directory decides.
    fn find_writability() -> Option<&'static str>;

    /// A query that answers with one row, whose column `found` is null where the database has no such table.
    fn find_table(name: &str) -> String;
}
