//! The catalog by itself: what the trait promises, and what the database forbids whoever asks.

use std::sync::Arc;

use model_registry::{
    catalog::{
        Catalog, CatalogError, Change, DatabaseUrl, PostgresCatalog, SqliteCatalog, VersionFilter,
    },
    domain::{
        ArtifactFile, ModelId, ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord,
        history::ChainHead,
    },
};
use tempfile::TempDir;

/// A catalog with nothing in it, and a way past it to its database.
pub struct Fresh {
    pub catalog: Arc<dyn Catalog>,
    place: String,
    _folder: TempDir,
}

pub fn fresh() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    if crate::ON_POSTGRES {
        let place = crate::postgres::shared_fresh_database();
        let catalog = PostgresCatalog::open(DatabaseUrl::parse(&place).unwrap()).unwrap();
        return Fresh { catalog: Arc::new(catalog), place, _folder: folder };
    }
    let file = folder.path().join("registry.db");
    let place = file.to_str().unwrap().to_owned();
    Fresh { catalog: Arc::new(SqliteCatalog::open(&file).unwrap()), place, _folder: folder }
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
    }
}

pub fn at(second: u32) -> Timestamp {
    Timestamp::parse(&format!("2026-11-23T08:00:{second:02}.000001Z")).unwrap()
}

fn change(second: u32) -> Change {
    Change { at: at(second), by: "alice".to_owned(), reason: None }
}

#[actix::test]
async fn a_row_reads_back_as_it_was_written() {
    let fresh = fresh();
    let written = record("v1.0.0", 1);
    fresh.catalog.insert_version(&written, &change(1)).await.unwrap();
    let read = fresh.catalog.find_version(&written.model_type, written.version).await.unwrap();
    assert_eq!(read, Some(written));
}

#[actix::test]
async fn of_32_registrations_of_one_number_one_wins() {
    let fresh = fresh();
    let tries = (0..32)
        .map(|_| async { fresh.catalog.insert_version(&record("v1.0.0", 1), &change(1)).await });
    let results = futures_util::future::join_all(tries).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let losers = results.iter().filter(|r| matches!(r, Err(CatalogError::VersionExists))).count();
    assert_eq!(losers, 31, "{results:?}");
    let page = fresh.catalog.list_versions(&VersionFilter::default()).await.unwrap();
    assert_eq!(page.total, 1);
}

#[actix::test]
async fn of_many_promotions_at_once_none_leaves_two_in_production() {
    let fresh = fresh();
    let risk = ModelType::parse("risk_model").unwrap();
    let versions: Vec<_> = (0..8).map(|minor| format!("v1.{minor}.0")).collect();
    for (second, version) in (0..).zip(&versions) {
        fresh.catalog.insert_version(&record(version, second), &change(second)).await.unwrap();
    }
    let tries = versions.iter().map(|version| {
        let version = Version::parse(version).unwrap();
        let (catalog, risk) = (&fresh.catalog, &risk);
        async move { catalog.promote_version(risk, version, &change(30), false).await }
    });
    let results = futures_util::future::join_all(tries).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let filter = VersionFilter { status: Some(Status::Production), ..VersionFilter::default() };
    assert_eq!(fresh.catalog.list_versions(&filter).await.unwrap().total, 1);
    let mut head = ChainHead::EMPTY;
    for link in fresh.catalog.list_transitions(None).await.unwrap() {
        head.follow(&link).unwrap();
    }
    assert_eq!(head.length, 8 + 8 + 7);
    let state = fresh.catalog.state().await.unwrap();
    assert_eq!((state.summary.history, state.recorded.current), (head, state.summary.checksum));
}

#[actix::test]
async fn a_refused_step_leaves_the_transaction_without_a_trace() {
    let fresh = fresh();
    let risk = ModelType::parse("risk_model").unwrap();
    let version = Version::parse("v1.0.0").unwrap();
    fresh.catalog.insert_version(&record("v1.0.0", 1), &change(1)).await.unwrap();
    fresh.catalog.promote_version(&risk, version, &change(2), false).await.unwrap();
    let before = fresh.catalog.state().await.unwrap();
    let again = fresh.catalog.promote_version(&risk, version, &change(3), false).await;
    assert!(matches!(again, Err(CatalogError::InvalidTransition(_))), "{again:?}");
    let failed = fresh.catalog.mark_failed(&risk, version, &change(3)).await;
    assert!(matches!(failed, Err(CatalogError::InvalidTransition(_))), "{failed:?}");
    let missing = fresh.catalog.roll_back_production(&risk, version, &change(3)).await;
    assert!(matches!(missing, Err(CatalogError::NotFound)), "{missing:?}");
    assert_eq!(fresh.catalog.state().await.unwrap(), before);
}

#[actix::test]
async fn the_database_itself_forbids_what_must_never_be() {
    let fresh = fresh();
    let risk = ModelType::parse("risk_model").unwrap();
    for (version, second) in [("v1.0.0", 1), ("v1.1.0", 2), ("v1.2.0", 3)] {
        fresh.catalog.insert_version(&record(version, second), &change(second)).await.unwrap();
    }
    let first = Version::parse("v1.0.0").unwrap();
    fresh.catalog.promote_version(&risk, first, &change(4), false).await.unwrap();
    let failed = Version::parse("v1.2.0").unwrap();
    fresh.catalog.mark_failed(&risk, failed, &change(5)).await.unwrap();
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
        ("history changed", "UPDATE transitions SET changed_by = 'mallory'".into()),
        ("history removed", "DELETE FROM transitions".into()),
        ("history slipped in", "INSERT INTO transitions SELECT 9, '00000000-0000-4000-8000-000000000000', model_id, model_type, version, from_status, to_status, changed_at, changed_by, reason, gates_skipped, previous_sha256, row_sha256 FROM transitions WHERE sequence = 1".into()),
        ("history replaced", "INSERT OR REPLACE INTO transitions SELECT * FROM transitions WHERE sequence = 1".into()),
        ("history replaced by another", "REPLACE INTO transitions SELECT 6, transition_id, model_id, model_type, version, from_status, to_status, changed_at, changed_by, reason, gates_skipped, previous_sha256, row_sha256 FROM transitions WHERE sequence = 1".into()),
        ("production taken over", "UPDATE OR REPLACE versions SET status = 'production' WHERE version = 'v1.1.0'".into()),
        ("production inserted", copy(id, "v1.4.0").replacen("'staged'", "'production'", 1)),
        ("a version replaced", "REPLACE INTO versions SELECT * FROM versions WHERE version = 'v1.1.0'".into()),
        ("two states", "INSERT INTO registry_state SELECT 2, checksum, previous_checksum FROM registry_state".into()),
    ] {
        assert!(fresh.execute(&statement).is_err(), "{what} is allowed: {statement}");
    }
    if crate::ON_POSTGRES {
        for table in ["versions", "transitions", "used_versions"] {
            assert!(fresh.execute(&format!("TRUNCATE {table}")).is_err(), "{table} can be emptied");
        }
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
    let state = fresh.catalog.state().await.unwrap();
    assert_ne!(state.summary.checksum, state.recorded.current, "a tombstone is part of the digest");
    let again = fresh.catalog.insert_version(&record("v1.2.0", 9), &change(9)).await;
    assert!(matches!(again, Err(CatalogError::VersionExists)), "{again:?}");
    fresh.execute(&copy(id, "v1.3.0")).unwrap();
}
