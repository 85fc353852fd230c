//! The catalog by itself: what the trait promises, and what the database forbids whoever asks.

use std::sync::Arc;

use model_registry::{
    catalog::{
        Author, Catalog, CatalogChange, CatalogError, DatabaseUrl, Layout, PostgresCatalog,
        SqliteCatalog, Stamp, VersionFilter,
    },
    domain::{
        ArtifactFile, ModelId, ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord,
    },
};
use tempfile::TempDir;

/// A catalog with nothing in it, and a way past it to its database.
pub struct Fresh {
    pub catalog: Arc<dyn Catalog>,
    place: String,
    _folder: TempDir,
}

pub async fn fresh() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let (catalog, place): (Arc<dyn Catalog>, _) = if crate::ON_POSTGRES {
        let place = crate::postgres::shared_fresh_database();
        let catalog = PostgresCatalog::open(DatabaseUrl::parse(&place).unwrap()).unwrap();
        (Arc::new(catalog), place)
    } else {
        let file = folder.path().join("registry.db");
        (Arc::new(SqliteCatalog::open(&file).unwrap()), file.to_str().unwrap().to_owned())
    };
    if catalog.layout().await.unwrap() == Layout::Absent {
        catalog.create().await.unwrap();
    }
    assert_eq!(catalog.layout().await.unwrap(), Layout::Current);
    Fresh { catalog, place, _folder: folder }
}

impl Fresh {
    /// Does what any other program could.
    fn execute(&self, statements: &str) -> Result<(), String> {
        if crate::ON_POSTGRES {
            return crate::postgres::try_execute(&self.place, statements)
                .map_err(|error| format!("{error:?}"));
        }
        use diesel::{Connection as _, connection::SimpleConnection as _};
        let mut conn = diesel::SqliteConnection::establish(&self.place).unwrap();
        conn.batch_execute(statements).map_err(|error| error.to_string())
    }
}

pub fn record(version: &str, second: u32) -> VersionRecord {
    VersionRecord {
        model_id: ModelId::random(),
        model_type: ModelType::parse("risk_model").unwrap(),
        version: Version::parse(version).unwrap(),
        status: Status::Staged,
        artifact_file: ArtifactFile::parse("model.pkl").unwrap(),
        artifact_size_bytes: 3,
        total_size_bytes: 9,
        checksum_sha256: Sha256Digest::of(b"artifact"),
        metadata_sha256: Sha256Digest::of(version.as_bytes()),
        config_hash: Sha256Digest::of(b"config"),
        snapshot_id: "snap-1 'é\"".to_owned(),
        dataset_version_ids: [("crsp".to_owned(), "v1\\\"é".to_owned())].into(),
        created_at: at(second),
        promoted_at: None,
        archived_at: None,
        check: None,
        collected: None,
    }
}

pub fn at(second: u32) -> Timestamp {
    Timestamp::parse(&format!("2026-11-23T08:00:{second:02}.000001Z")).unwrap()
}

pub fn stamp_at(at: Timestamp) -> Stamp {
    let author = Author { actor: "alice".to_owned(), authenticated_as: Some("ci".to_owned()) };
    Stamp { at, author, reason: None }
}

fn stamp(second: u32) -> Stamp {
    stamp_at(at(second))
}

pub fn register(record: &VersionRecord) -> CatalogChange {
    CatalogChange::Register(Box::new(record.clone()))
}

pub fn promote(model_type: &ModelType, version: Version) -> CatalogChange {
    CatalogChange::Promote { model_type: model_type.clone(), version, gates_skipped: false }
}

pub fn roll_back(model_type: &ModelType, target: Version) -> CatalogChange {
    CatalogChange::RollBack { model_type: model_type.clone(), target }
}

pub fn fail(model_type: &ModelType, version: Version) -> CatalogChange {
    CatalogChange::Fail { model_type: model_type.clone(), version }
}

/// Holds that every row is what the log says, and answers how many entries it has.
pub async fn audited(catalog: &dyn Catalog) -> u64 {
    let audit = catalog.audit().await.unwrap();
    assert_eq!(audit.discrepancies, []);
    assert_eq!(audit.entries, catalog.state().await.unwrap().summary.log_size);
    audit.entries
}

#[actix::test]
async fn a_row_reads_back_as_it_was_written() {
    let fresh = fresh().await;
    let written = record("v1.0.0", 1);
    fresh.catalog.apply(&register(&written), &stamp(1)).await.unwrap();
    let read = fresh.catalog.find_version(&written.model_type, written.version).await.unwrap();
    assert_eq!(read, Some(written));
}

#[actix::test]
async fn of_32_registrations_of_one_number_one_wins() {
    let fresh = fresh().await;
    let tries = (0..32)
        .map(|_| async { fresh.catalog.apply(&register(&record("v1.0.0", 1)), &stamp(1)).await });
    let results = futures_util::future::join_all(tries).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let losers = results.iter().filter(|r| matches!(r, Err(CatalogError::VersionExists))).count();
    assert_eq!(losers, 31, "{results:?}");
    let page = fresh.catalog.list_versions(&VersionFilter::default()).await.unwrap();
    assert_eq!(page.total, 1);
}

#[actix::test]
async fn of_many_promotions_at_once_none_leaves_two_in_production() {
    let fresh = fresh().await;
    let risk = ModelType::parse("risk_model").unwrap();
    let versions: Vec<_> = (0..8).map(|minor| format!("v1.{minor}.0")).collect();
    for (second, version) in (0..).zip(&versions) {
        fresh.catalog.apply(&register(&record(version, second)), &stamp(second)).await.unwrap();
    }
    let tries = versions.iter().map(|version| {
        let version = Version::parse(version).unwrap();
        let (catalog, risk) = (&fresh.catalog, &risk);
        async move { catalog.apply(&promote(risk, version), &stamp(30)).await }
    });
    let results = futures_util::future::join_all(tries).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let filter = VersionFilter { status: Some(Status::Production), ..VersionFilter::default() };
    assert_eq!(fresh.catalog.list_versions(&filter).await.unwrap().total, 1);
    assert_eq!(audited(fresh.catalog.as_ref()).await, 8 + 8 + 7);
}

const CHECK: &str =
    "INSERT INTO load_checks (model_id, verdict, format, depth, errors, checker, checked_at)";

#[actix::test]
async fn every_change_of_what_a_read_shows_raises_the_revision() {
    let fresh = fresh().await;
    let risk = ModelType::parse("risk_model").unwrap();
    let first = Version::parse("v1.0.0").unwrap();
    // A wrong revision makes the statement fail.
    let is = |revision: u32| {
        let wrong = format!(
            "SELECT 1 / (CASE WHEN revision = {revision} THEN 1 ELSE 0 END) FROM registry_state"
        );
        if crate::ON_POSTGRES {
            fresh.execute(&wrong).unwrap();
        } else {
            let assert = format!(
                "CREATE TEMP TABLE holds (it INTEGER NOT NULL);
                 INSERT INTO holds SELECT {}",
                wrong.trim_start_matches("SELECT ")
            );
            fresh.execute(&assert).unwrap();
        }
    };
    fresh.catalog.apply(&register(&record("v1.0.0", 1)), &stamp(1)).await.unwrap();
    is(1);
    fresh.catalog.apply(&promote(&risk, first), &stamp(2)).await.unwrap();
    is(2);
    fresh.execute(&format!("{CHECK} SELECT model_id, 'unsafe', 'pickle', 'typed', '[]', 'x', created_at FROM versions")).unwrap();
    is(3);
    fresh.execute("UPDATE load_checks SET verdict = 'loadable'").unwrap();
    is(4);
    fresh.execute("DELETE FROM load_checks").unwrap();
    is(5);
    // What an earlier version of the program writes.
    fresh.execute("UPDATE registry_state SET log_size = log_size").unwrap();
    is(6);
}

#[actix::test]
async fn a_refused_step_leaves_the_transaction_without_a_trace() {
    let fresh = fresh().await;
    let risk = ModelType::parse("risk_model").unwrap();
    let version = Version::parse("v1.0.0").unwrap();
    fresh.catalog.apply(&register(&record("v1.0.0", 1)), &stamp(1)).await.unwrap();
    fresh.catalog.apply(&promote(&risk, version), &stamp(2)).await.unwrap();
    let before = fresh.catalog.state().await.unwrap();
    let again = fresh.catalog.apply(&promote(&risk, version), &stamp(3)).await;
    assert!(matches!(again, Err(CatalogError::InvalidTransition(_))), "{again:?}");
    let failed = fresh.catalog.apply(&fail(&risk, version), &stamp(3)).await;
    assert!(matches!(failed, Err(CatalogError::InvalidTransition(_))), "{failed:?}");
    let missing = fresh.catalog.apply(&roll_back(&risk, version), &stamp(3)).await;
    assert!(matches!(missing, Err(CatalogError::NotFound)), "{missing:?}");
    assert_eq!(fresh.catalog.state().await.unwrap(), before);
}

#[actix::test]
async fn the_database_itself_forbids_what_must_never_be() {
    let fresh = fresh().await;
    let risk = ModelType::parse("risk_model").unwrap();
    for (version, second) in [("v1.0.0", 1), ("v1.1.0", 2), ("v1.2.0", 3)] {
        fresh.catalog.apply(&register(&record(version, second)), &stamp(second)).await.unwrap();
    }
    let first = Version::parse("v1.0.0").unwrap();
    fresh.catalog.apply(&promote(&risk, first), &stamp(4)).await.unwrap();
    let failed = Version::parse("v1.2.0").unwrap();
    fresh.catalog.apply(&fail(&risk, failed), &stamp(5)).await.unwrap();
    let columns = "model_id, model_type, version, status, artifact_file, artifact_size_bytes, \
                   total_size_bytes, checksum_sha256, metadata_sha256, config_hash, snapshot_id, \
                   dataset_version_ids, created_at, promoted_at, archived_at";
    let copy = |id: &str, version: &str| {
        let values = columns
            .replace("model_id", &format!("'{id}'"))
            .replacen(" version,", &format!(" '{version}',"), 1)
            .replacen("status,", "'staged',", 1);
        format!(
            "INSERT INTO versions ({columns}) SELECT {values} FROM versions WHERE version = 'v1.1.0'"
        )
    };
    let id = "00000000-0000-4000-8000-000000000000";
    let slipped_in = |sequence: u32, id: &str| {
        let columns = "sequence, id, time, actor, authenticated_as, action, model_id, model_type, version, \
                       from_status, to_status, reason, gates_skipped, detail, state_sha256, leaf_sha256";
        let values = columns.replacen("sequence, id", &format!("{sequence}, {id}"), 1);
        format!(
            "INSERT INTO log_entries ({columns}) SELECT {values} FROM log_entries WHERE sequence = 1"
        )
    };
    fresh
        .execute(&format!("INSERT INTO log_subtrees VALUES (8, 0, '{}')", "0".repeat(64)))
        .unwrap();
    for (what, statement) in [
        ("two in production", "UPDATE versions SET status = 'production' WHERE version = 'v1.1.0'".to_owned()),
        ("a status that is none", "UPDATE versions SET status = 'live' WHERE version = 'v1.1.0'".into()),
        ("a changed version", "UPDATE versions SET checksum_sha256 = metadata_sha256".into()),
        ("a changed time", if crate::ON_POSTGRES {
            "UPDATE versions SET created_at = created_at + interval '1 day'".into()
        } else {
            "UPDATE versions SET created_at = replace(created_at, '2026', '2027')".into()
        }),
        ("a failed version that comes back", "UPDATE versions SET status = 'staged' WHERE version = 'v1.2.0'".into()),
        ("a production version removed", "DELETE FROM versions WHERE version = 'v1.0.0'".into()),
        ("the same number twice", copy(id, "v1.1.0")),
        ("a number that is none", copy(id, "1.1.0")),
        ("history changed", "UPDATE log_entries SET actor = 'mallory'".into()),
        ("history removed", "DELETE FROM log_entries".into()),
        ("history slipped in", slipped_in(9, "'00000000-0000-4000-8000-000000000000'")),
        ("history replaced", "INSERT OR REPLACE INTO log_entries SELECT * FROM log_entries WHERE sequence = 1".into()),
        ("history replaced by another", slipped_in(6, "id").replacen("INSERT", "REPLACE", 1)),
        ("a subtree changed", "UPDATE log_subtrees SET number = 7".into()),
        ("a subtree removed", "DELETE FROM log_subtrees".into()),
        ("production taken over", "UPDATE OR REPLACE versions SET status = 'production' WHERE version = 'v1.1.0'".into()),
        ("production inserted", copy(id, "v1.4.0").replacen("'staged'", "'production'", 1)),
        ("a version replaced", "REPLACE INTO versions SELECT * FROM versions WHERE version = 'v1.1.0'".into()),
        ("two states", "INSERT INTO registry_state (id, checksum, previous_checksum) SELECT 2, checksum, previous_checksum FROM registry_state".into()),
    ] {
        assert!(fresh.execute(&statement).is_err(), "{what} is allowed: {statement}");
    }
    if crate::ON_POSTGRES {
        for table in ["versions", "log_entries", "log_subtrees", "used_versions"] {
            assert!(fresh.execute(&format!("TRUNCATE {table}")).is_err(), "{table} can be emptied");
        }
    }
    let collect = |version: &str| {
        let (columns, at) = ("(model_id, collected_at, bytes_freed)", "created_at");
        format!(
            "INSERT INTO collected {columns} SELECT model_id, {at}, 9 FROM versions WHERE version = '{version}'"
        )
    };
    fresh.execute(&collect("v1.1.0")).unwrap();
    for (what, statement) in [
        ("production collected", collect("v1.0.0")),
        ("a collection replaced", collect("v1.1.0").replacen("INSERT", "REPLACE", 1)),
        ("a version collected twice", collect("v1.1.0")),
        ("a collection changed", "UPDATE collected SET bytes_freed = 0".to_owned()),
        ("a collection removed", "DELETE FROM collected".into()),
        (
            "a collected version in production",
            "UPDATE versions SET status = 'archived' WHERE version = 'v1.0.0';
             UPDATE versions SET status = 'production' WHERE version = 'v1.1.0'"
                .into(),
        ),
        (
            "a verdict that is none",
            format!(
                "{CHECK} SELECT model_id, 'fine', 'pickle', 'typed', '[]', 'x', created_at FROM versions"
            ),
        ),
        (
            "errors that are no list",
            format!(
                "{CHECK} SELECT model_id, 'unsafe', 'pickle', 'typed', '{{}}', 'x', created_at FROM versions"
            ),
        ),
    ] {
        assert!(fresh.execute(&statement).is_err(), "{what} is allowed: {statement}");
    }
    // A number once used stays used, also when its version is gone.
    fresh.execute("DELETE FROM versions WHERE version = 'v1.2.0'").unwrap();
    assert!(fresh.execute(&copy(id, "v1.2.0")).is_err());
    for statement in [
        "DELETE FROM used_versions",
        "UPDATE used_versions SET version = 'v7.0.0'",
        "REPLACE INTO used_versions SELECT model_type, version, 'x' FROM used_versions",
    ] {
        assert!(fresh.execute(statement).is_err(), "{statement}");
    }
    let told = fresh.catalog.audit().await.unwrap().discrepancies;
    for detail in ["in the log, not in the catalog", "removed from the catalog by another program"]
    {
        let named = format!("risk_model/v1.2.0: {detail}");
        assert!(told.iter().any(|it| it.detail == named), "{named}: {told:?}");
    }
    let again = fresh.catalog.apply(&register(&record("v1.2.0", 9)), &stamp(9)).await;
    assert!(matches!(again, Err(CatalogError::VersionExists)), "{again:?}");
    fresh.execute(&copy(id, "v1.3.0")).unwrap();
}
