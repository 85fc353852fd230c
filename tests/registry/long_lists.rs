//! A list without a limit is complete however long it is, and of one moment.

use std::{collections::BTreeSet, fs};

use model_registry::{
    catalog::{
        Author, Catalog, CatalogChange, DatabaseUrl, ImportBatch, PostgresCatalog, SqliteCatalog,
        Stamp,
    },
    domain::{
        ArtifactFile, ModelId, ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord,
        history::Transition,
    },
};
use uuid::Uuid;

use crate::support::{Server, World};

/// One more than is answered at once.
const MANY: usize = model_registry::limits::LIST_AT_ONCE as usize + 1;

fn versions(server: &Server, query: &str) -> (Vec<String>, u64) {
    let list = server.model(&format!("risk_model{query}")).json();
    let models = list["models"].as_array().unwrap();
    let versions = models.iter().map(|model| model["version"].as_str().unwrap().to_owned());
    (versions.collect(), list["total"].as_u64().unwrap())
}

/// A registry with many versions, which have rows and history and no files.
fn filled() -> World {
    let world = World::new();
    fs::create_dir_all(world.path("artifacts")).unwrap();
    let catalog: Box<dyn Catalog> = match world.database() {
        Some(url) => Box::new(PostgresCatalog::open(DatabaseUrl::parse(url).unwrap()).unwrap()),
        None => Box::new(SqliteCatalog::open(&world.path("registry.db")).unwrap()),
    };
    let at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let author = Author { actor: "test".to_owned(), authenticated_as: None };
    let stamp = Stamp { at, author, reason: None };
    let mut batch = ImportBatch::default();
    for number in 0..MANY {
        let digest = Sha256Digest::of(&number.to_be_bytes());
        let record = VersionRecord {
            model_id: ModelId::random(),
            model_type: ModelType::parse("risk_model").unwrap(),
            version: Version::parse(&format!("v0.{number}.0")).unwrap(),
            status: Status::Staged,
            artifact_file: ArtifactFile::parse("model.pkl").unwrap(),
            artifact_size_bytes: 1000,
            total_size_bytes: 2000,
            checksum_sha256: digest,
            metadata_sha256: digest,
            config_hash: digest,
            snapshot_id: "snap-1".to_owned(),
            dataset_version_ids: [("crsp".to_owned(), "v1.2.3".to_owned())].into(),
            created_at: at,
            promoted_at: None,
            archived_at: None,
            check: None,
            collected: None,
        };
        batch.transitions.push(Transition {
            transition_id: Uuid::new_v4(),
            model_id: record.model_id,
            model_type: record.model_type.clone(),
            version: record.version,
            from_status: None,
            to_status: Status::Staged,
            changed_at: at,
            changed_by: "test".to_owned(),
            authenticated_as: None,
            reason: None,
            gates_skipped: false,
        });
        batch.new_versions.push(record);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        catalog.create().await.unwrap();
        catalog.apply(&CatalogChange::Import(batch), &stamp).await.unwrap();
    });
    world
}

#[test]
fn a_list_without_a_limit_has_all_versions_once_in_the_order_of_its_pages() {
    let world = filled();
    let server = world.serve();
    let (whole, total) = versions(&server, "");
    assert_eq!((whole.len(), total), (MANY, MANY as u64));
    assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), MANY);
    let mut paged = Vec::new();
    while paged.len() < MANY {
        let (page, total) = versions(&server, &format!("?limit=300&offset={}", paged.len()));
        assert_eq!(total, MANY as u64);
        paged.extend(page);
    }
    assert_eq!(whole, paged);
    let (oldest, _) = versions(&server, "?order=oldest");
    assert_eq!(oldest, whole.iter().rev().cloned().collect::<Vec<_>>());
    // Below the length that is answered at once, and beyond the end.
    for offset in [1, 2, 500, MANY - 1, MANY, MANY + 1] {
        let (rest, total) = versions(&server, &format!("?offset={offset}"));
        assert_eq!((rest.as_slice(), total), (&whole[offset.min(MANY)..], MANY as u64), "{offset}");
    }
    // Pages that are longer than what is answered at once.
    for limit in [MANY - 1, MANY, MANY + 1, 10_000] {
        for offset in [0, 1, 2] {
            let (page, total) = versions(&server, &format!("?limit={limit}&offset={offset}"));
            let end = MANY.min(offset + limit);
            assert_eq!((page.as_slice(), total), (&whole[offset..end], MANY as u64), "{limit}");
        }
    }
    assert_eq!(versions(&server, "?status_filter=staged").0.len(), MANY);
    assert_eq!(versions(&server, "?status_filter=failed"), (Vec::new(), 0));
    let head = server.ask(
        "HEAD",
        "/api/v1/models/risk_model",
        &[("authorization", &format!("Bearer {}", crate::support::READ))],
    );
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn long_lists_at_once_are_all_complete_and_of_one_moment() {
    let world = filled();
    let server = world.serve();
    std::thread::scope(|scope| {
        let lists: Vec<_> = (0..3).map(|_| scope.spawn(|| versions(&server, "").0.len())).collect();
        // A change while they are read.
        world.run(&["fail", "risk_model", "v0.0.0", "--reason", "a test"]).ok();
        for list in lists {
            assert_eq!(list.join().unwrap(), MANY);
        }
    });
    assert_eq!(versions(&server, "?status_filter=failed"), (vec!["v0.0.0".to_owned()], 1));
}
