//! Creates the catalog's tables by the steps in `migrations/`, and finds out which steps a database has.
//!
//! Included once in each database's module, which provides the statements (`STEPS`). Taken steps are recorded in the
//! format of diesel's command line. Diesel's migration harness is not used: it needs a multi-threaded runtime and a
//! transaction of its own for each step.

use diesel::{
    QueryableByName,
    sql_types::{Nullable, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};

use super::{Conn, STEPS};
use crate::{
    catalog::{CatalogError, Layout, connection::CatalogConnection as _, schema_version},
    fault::{self, Point},
};

/// The table that says which steps were taken.
pub(super) const RECORDS: &str = "__diesel_schema_migrations";

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Nullable<Text>)]
    found: Option<String>,
}

/// The layout of the database.
///
/// # Errors
/// [`CatalogError::UnknownSchema`] for the layout of a newer program.
pub(super) async fn layout(conn: &mut Conn) -> Result<Layout, CatalogError> {
    let table: Vec<Found> = diesel::sql_query(Conn::find_table(RECORDS)).load(conn).await?;
    if !table.iter().any(|row| row.found.is_some()) {
        return Ok(Layout::Absent);
    }
    let query = format!("SELECT max(version) AS found FROM {RECORDS}");
    let last: Found = diesel::sql_query(query).get_result(conn).await?;
    match last.found.as_deref() {
        None => Ok(Layout::Absent),
        Some(schema_version::CHAIN) => Ok(Layout::Before),
        Some(schema_version::CURRENT) => Ok(Layout::Current),
        // Step LOG is never the last one: the upgrade takes it together with those after it.
        Some(behind) if additions().any(|step| step == behind) => Ok(Layout::Behind),
        Some(other) => Err(CatalogError::UnknownSchema(other.chars().take(40).collect())),
    }
}

/// Whether a query finds anything.
///
/// # Errors
/// The database's error.
pub(super) async fn finds(conn: &mut Conn, query: &str) -> Result<bool, CatalogError> {
    let row: Found = diesel::sql_query(query).get_result(conn).await?;
    Ok(row.found.is_some())
}

/// Takes every step in an empty database.
///
/// # Errors
/// The database's.
pub(super) async fn create(conn: &mut Conn) -> Result<(), CatalogError> {
    // Another program may have created the tables meanwhile.
    if layout(conn).await? != Layout::Absent {
        return Ok(());
    }
    conn.batch_execute(&format!(
        "CREATE TABLE IF NOT EXISTS {RECORDS} (
             version VARCHAR(50) PRIMARY KEY NOT NULL,
             run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
         )"
    ))
    .await?;
    for (version, _) in STEPS {
        take(conn, version).await?;
    }
    Ok(())
}

/// The first step of layout 3.0.0, and those after it, which only add to it.
fn additions() -> impl Iterator<Item = &'static str> {
    STEPS.into_iter().map(|(step, _)| step).skip_while(|step| *step != schema_version::UNCHAINED)
}

/// Takes the steps that only add to layout 3.0.0 and that the database lacks. Returns whether any was missing.
///
/// # Errors
/// The database's.
pub(super) async fn extend(conn: &mut Conn) -> Result<bool, CatalogError> {
    // Another program may have taken them meanwhile.
    if layout(conn).await? != Layout::Behind {
        return Ok(false);
    }
    take_additions(conn).await?;
    fault::point(Point::ExtensionTaken);
    Ok(true)
}

/// Takes the steps after [`schema_version::UNCHAINED`] that the database lacks.
///
/// # Errors
/// The database's.
pub(super) async fn take_additions(conn: &mut Conn) -> Result<(), CatalogError> {
    for step in additions().skip(1) {
        let taken = format!("SELECT max(version) AS found FROM {RECORDS} WHERE version = '{step}'");
        if !finds(conn, &taken).await? {
            take(conn, step).await?;
        }
    }
    Ok(())
}

/// Takes one step and records it.
///
/// # Errors
/// The database's.
pub(super) async fn take(conn: &mut Conn, version: &str) -> Result<(), CatalogError> {
    let step = STEPS.iter().find(|(step, _)| *step == version);
    let (_, statements) = step.ok_or_else(|| CatalogError::UnknownSchema(version.to_owned()))?;
    conn.batch_execute(statements).await?;
    conn.batch_execute(&format!("INSERT INTO {RECORDS} (version) VALUES ('{version}')")).await?;
    Ok(())
}
