//! Whatever another program changes in the catalog, one thing at a time: `verify` names it, and a service does not start
//! over it. A change that would build on it is refused as well.

use std::fs;

use crate::support::{Ran, World};

/// A start of the service, which ends at once where it is refused.
fn start(world: &World) -> Ran {
    world
        .command(&["serve", "--port", "0"])
        .env("MODEL_REGISTRY_READ_TOKEN", "0123456789abcdef")
        .env("ENVIRONMENT", "test")
        .output()
        .unwrap()
        .into()
}

fn findings(world: &World) -> Vec<(String, String, String)> {
    let ran = world.run(&["verify", "--json"]);
    assert_eq!(ran.status, 5, "{ran:?}");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    ran.json()["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (text(&it["kind"]), text(&it["subject"]), text(&it["detail"])))
        .collect()
}

/// A registry whose log is longer than a subtree that is stored.
fn long_log() -> World {
    let world = World::with_legacy();
    world.register("v8.0.0").ok();
    let mut at = 0;
    while world.run(&["verify", "--json"]).ok().json()["transitions"].as_u64().unwrap() < 257 {
        // Each turn appends four entries: two promotions and the archivings that they bring.
        for version in ["v8.0.0", "v1.2.0"] {
            world.promote(version).ok();
        }
        at += 1;
        assert!(at < 100, "the log does not grow");
    }
    world
}

#[test]
fn each_thing_that_is_changed_by_hand_is_named_and_refused() {
    let cases: &[(&str, &str, &str, &str)] = &[
        // What, the table whose triggers are in the way, the statement, what is named.
        (
            "a version's row",
            "versions",
            "UPDATE versions SET snapshot_id = 'x' WHERE version = 'v1.1.0'",
            "risk_model/v1.1.0: the catalog's row does not match the log",
        ),
        (
            "a version's status",
            "versions",
            "UPDATE versions SET status = 'archived' WHERE version = 'v1.1.0'",
            "risk_model/v1.1.0: the log says production, the catalog archived",
        ),
        (
            "who did it",
            "log_entries",
            "UPDATE log_entries SET actor = 'mallory' WHERE sequence = 1",
            "log entry 1 was changed after it was written",
        ),
        (
            "a leaf",
            "log_entries",
            "UPDATE log_entries SET leaf_sha256 = (SELECT leaf_sha256 FROM log_entries WHERE sequence = 0) \
             WHERE sequence = 1",
            "log entry 1 was changed after it was written",
        ),
        (
            "the digest of a row",
            "log_entries",
            "UPDATE log_entries SET state_sha256 = leaf_sha256 WHERE sequence = 1",
            "log entry 1 was changed after it was written",
        ),
        (
            "the right edge",
            "",
            "UPDATE registry_state SET right_edge = checksum || checksum, log_size = 3",
            "registry_state",
        ),
        (
            "the root",
            "",
            "UPDATE registry_state SET checksum = previous_checksum",
            "registry_state",
        ),
        (
            "the totals",
            "",
            "UPDATE registry_state SET artifact_count = 7",
            "artifact_count: the rows give 2, but 7 is recorded",
        ),
    ];
    for (what, table, statement, named) in cases {
        let world = World::promoted(&["v1.0.0", "v1.1.0"]);
        if table.is_empty() {
            world.sql(statement);
        } else {
            world.sql_without_triggers(table, statement);
        }
        let found = findings(&world);
        assert!(found.iter().any(|it| it.2.contains(named)), "{what}: {found:?}");
        assert!(found.iter().all(|it| !it.1.is_empty()), "{what}: {found:?}");
        let refused = start(&world);
        assert_eq!(refused.status, 5, "{what}: {refused:?}");
    }
}

#[test]
fn a_change_refuses_to_build_on_a_row_that_was_changed_by_hand() {
    let world = World::promoted(&["v1.0.0"]);
    world.register("v1.1.0").ok();
    world.sql_without_triggers(
        "versions",
        "UPDATE versions SET snapshot_id = 'x' WHERE version = 'v1.0.0'",
    );
    // It would archive the version whose row is wrong.
    let ran = world.promote("v1.1.0").refused(5, "CHECKSUM_MISMATCH");
    assert!(ran.stderr.contains("risk_model/v1.0.0: its row does not match the log"), "{ran:?}");
    assert_eq!(world.status_of("v1.1.0"), "staged");
}

#[test]
fn a_stored_subtree_that_was_changed_is_named() {
    let world = long_log();
    world.run(&["verify"]).ok();
    world.sql_without_triggers(
        "log_subtrees",
        "UPDATE log_subtrees SET sha256 = (SELECT checksum FROM registry_state)",
    );
    let found = findings(&world);
    assert!(
        found.iter().any(|it| it.1 == "log_subtrees"
            && it.2.contains("subtree 0 of level 8 does not match its entries")),
        "{found:?}"
    );
    assert_eq!(start(&world).status, 5);
}

#[test]
fn a_catalog_and_a_manifest_of_different_moments_are_told_apart() {
    let world = World::promoted(&["v1.0.0"]);
    let old = fs::read(world.path("manifest.json")).unwrap();
    for version in ["v1.1.0", "v1.2.0", "v1.3.0"] {
        world.register(version).ok();
    }
    let new = fs::read(world.path("manifest.json")).unwrap();
    fs::write(world.path("manifest.json"), &old).unwrap();
    start(&world)
        .refused(5, "the manifest is older than the catalog and lacks its last 3 log entries");
    // It vouches for nothing that is gone, so it may be written anew.
    world.run(&["verify", "--repair"]).ok();
    assert_eq!(fs::read(world.path("manifest.json")).unwrap().len(), new.len());

    // A catalog as an older dump has it, beside the newer manifest.
    let older = World::promoted(&["v1.0.0"]);
    fs::write(older.path("manifest.json"), &new).unwrap();
    start(&older)
        .refused(5, "the catalog is older than the manifest and lacks its last 3 log entries");
    assert_eq!(older.run(&["verify", "--repair"]).status, 5);
}

#[test]
fn a_registry_of_a_newer_layout_is_refused_by_name() {
    let world = World::promoted(&["v1.0.0"]);
    let text = fs::read_to_string(world.path("manifest.json")).unwrap();
    fs::write(world.path("manifest.json"), text.replace("\"3.0.0\"", "\"4.0.0\"")).unwrap();
    start(&world).refused(5, "4.0.0");
    world.run(&["list"]).refused(5, "4.0.0");
    world.register("v1.1.0").refused(5, "4.0.0");

    let world = World::promoted(&["v1.0.0"]);
    world.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('00000000000009')");
    start(&world).refused(5, "00000000000009");
    world.run(&["list"]).refused(5, "00000000000009");
}

#[test]
fn a_stored_subtree_that_is_missing_is_named() {
    let world = long_log();
    world.sql_without_triggers("log_subtrees", "DELETE FROM log_subtrees");
    let found = findings(&world);
    assert!(found.iter().any(|it| it.2.contains("subtree 0 of level 8")), "{found:?}");
    world.run(&["log", "prove", "risk_model", "v8.0.0"]).refused(5, "CHECKSUM_MISMATCH");
}
