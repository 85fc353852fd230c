//! What is particular to the catalog in the registry directory.

use std::{
    fs,
    sync::{Arc, Barrier},
};

use model_registry::catalog::SqliteCatalog;

use crate::support::World;

#[test]
fn a_lost_catalog_is_not_an_empty_registry() {
    let world = World::promoted(&["v1.0.0"]);
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        drop(std::fs::remove_file(world.path(name)));
    }
    for arguments in [&["list"][..], &["verify"], &["promote", "risk_model", "v1.0.0"]] {
        world.run(arguments).refused(5, "the catalog was lost");
    }
    world.register("v1.1.0").refused(5, "the catalog was lost");
    assert!(!world.path("registry.db").exists());
}

#[test]
fn a_catalog_that_is_a_link_is_refused() {
    let world = World::promoted(&["v1.0.0"]);
    let elsewhere = world.outside("elsewhere.db");
    fs::rename(world.path("registry.db"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, world.path("registry.db")).unwrap();
    world.run(&["list"]).refused(6, "not a plain file");
}

#[test]
fn catalogs_opened_at_the_same_moment_migrate_once() {
    // The moment in which two want the new file alone is short: it is met in some of the rounds.
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("registry.db");
        let together = Arc::new(Barrier::new(8));
        let opened: Vec<_> = (0..8)
            .map(|_| {
                let (file, together) = (file.clone(), Arc::clone(&together));
                std::thread::spawn(move || {
                    together.wait();
                    SqliteCatalog::open(&file).map(drop)
                })
            })
            .collect();
        for thread in opened {
            thread.join().unwrap().unwrap();
        }
    }
}
