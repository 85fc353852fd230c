//! Restoring: the registry is the backup's or as before, whole, and a running service shows it.

use std::time::Duration;

use serde_json::Value;

use crate::{
    backups::{back_up, folder_of, id_of},
    support::{Server, World, eventually, until},
};

#[track_caller]
fn restore(world: &World, arguments: &[&str]) -> Value {
    let all: Vec<_> = ["restore", "--json"].iter().chain(arguments).copied().collect();
    world.run(&all).ok().json()
}

fn root_of(world: &World) -> Value {
    manifest(world)["checksum"].clone()
}

fn manifest(world: &World) -> Value {
    serde_json::from_slice(&std::fs::read(world.path("manifest.json")).unwrap()).unwrap()
}

/// Waits until the service has this version in production.
#[track_caller]
fn serves(server: &Server, version: &str) {
    until(Duration::from_secs(10), || {
        let reply = server.model("risk_model/current");
        reply.status == 200 && reply.json()["version"] == version
    });
}

#[test]
fn a_restored_registry_is_served_verified_and_can_be_changed_and_the_way_back_is_kept() {
    let world = World::promoted(&["v1.0.0"]);
    let made = back_up(&world);
    let server = world.serve();
    world.register("v1.1.0").ok();
    world.promote("v1.1.0").ok();
    let before = root_of(&world);
    serves(&server, "v1.1.0");

    let done = restore(&world, &["latest", "--reason", "a bad promotion", "--user", "alice"]);
    assert_eq!(done["backup_id"], made["backup_id"]);
    assert_eq!((&done["versions"], &done["folders_restored"]), (&1.into(), &0.into()), "{done}");
    assert_eq!(done["folders_moved_away"], 1);
    assert_eq!(done["replaced_root"], before);
    serves(&server, "v1.0.0");
    assert_eq!(server.model("risk_model/v1.1.0").status, 404);
    assert_eq!(server.get("/ready").status, 200);
    world.run(&["verify"]).ok();
    assert!(!world.path("artifacts/risk_model/v1.1.0").exists());
    let quarantined = std::fs::read_dir(world.path("quarantine")).unwrap().count();
    assert_eq!(quarantined, 1, "it is moved, not removed");
    assert_eq!(manifest(&world)["last_backup_at"], made["created_at"]);

    // The log says that it happened.
    let log = server.get("/api/v1/log/tile/entries/000.p/3");
    let text = String::from_utf8_lossy(&log.body).into_owned();
    for said in ["restore_backup", "a bad promotion", "alice", before.as_str().unwrap()] {
        assert!(text.contains(said), "{said}: {text}");
    }

    // Writes work, and so does the way back.
    world.register("v1.2.0").ok();
    world.promote("v1.2.0").ok();
    serves(&server, "v1.2.0");
    let safety = done["safety_copy"].as_str().unwrap();
    let kinds = world.run(&["backup", "list", "--json"]).ok().json();
    assert_eq!(kinds["backups"][1]["kind"], "safety");
    let done = restore(&world, &["--backup", safety]);
    assert_eq!(done["folders_restored"], 1, "v1.1.0 comes from the safety copy");
    serves(&server, "v1.1.0");
    assert_eq!(server.model("risk_model/v1.2.0").status, 404);
    world.run(&["validate", "risk_model", "v1.1.0"]).ok();
    world.run(&["verify"]).ok();
    // A safety copy is never chosen by time.
    assert_eq!(restore(&world, &["latest"])["backup_id"], made["backup_id"]);
    serves(&server, "v1.0.0");
    drop(server);
    let server = world.serve();
    serves(&server, "v1.0.0");
}

#[test]
fn the_log_tells_that_it_was_set_back() {
    let world = World::promoted(&["v1.0.0"]);
    back_up(&world);
    let early = world.outside("early");
    std::fs::write(&early, world.run(&["log", "checkpoint"]).ok().stdout).unwrap();
    world.register("v1.1.0").ok();
    let late = world.outside("late");
    std::fs::write(&late, world.run(&["log", "checkpoint"]).ok().stdout).unwrap();
    world.register("v1.2.0").ok();
    restore(&world, &["latest"]);
    world.run(&["log", "check", "--since", early.to_str().unwrap()]).ok();
    let since_late = world.run(&["log", "check", "--since", late.to_str().unwrap()]);
    assert_eq!(since_late.status, 1, "{since_late:?}");
    assert!(since_late.stdout.contains("rewritten"), "{since_late:?}");
}

#[test]
fn the_backup_nearest_to_a_date_is_taken() {
    let world = World::promoted(&["v1.0.0"]);
    let first = back_up(&world);
    world.register("v1.1.0").ok();
    let second = back_up(&world);
    let plan = |moment: &str| {
        restore(&world, &["--dry-run", "--from-backup", moment])["backup_id"].clone()
    };
    // The time of each, and a moment long before and after.
    assert_eq!(plan("2001-01-01"), first["backup_id"]);
    assert_eq!(plan("2999-12-31"), second["backup_id"]);
    let day = &second["created_at"].as_str().unwrap()[..10];
    assert_eq!(plan(day), second["backup_id"], "the last one of the day");
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let world = World::promoted(&["v1.0.0"]);
    back_up(&world);
    world.register("v1.1.0").ok();
    world.promote("v1.1.0").ok();
    let before = (manifest(&world), world.artifacts());
    let plan = restore(&world, &["latest", "--dry-run"]);
    assert_eq!(plan["removed"], serde_json::json!(["risk_model/v1.1.0"]));
    assert_eq!(plan["changed"], serde_json::json!(["risk_model/v1.0.0"]));
    assert_eq!(plan["added"], serde_json::json!([]));
    assert_eq!(before, (manifest(&world), world.artifacts()));
    let text = world.run(&["restore", "latest", "--dry-run"]).ok().stdout;
    assert!(text.contains("nothing was changed"), "{text}");
}

#[test]
fn damaged_and_missing_folders_come_from_the_backup() {
    let world = World::promoted(&["v1.0.0", "v1.1.0", "v1.2.0"]);
    back_up(&world);
    let damaged = world.path("artifacts/risk_model/v1.0.0/model.pkl");
    std::fs::remove_file(&damaged).unwrap();
    std::fs::write(&damaged, b"other").unwrap();
    std::fs::remove_dir_all(world.path("artifacts/risk_model/v1.1.0")).unwrap();
    assert_eq!(world.run(&["verify"]).status, 5);
    let server = world.serve();
    let done = restore(&world, &["latest"]);
    assert_eq!(done["folders_restored"], 2, "{done}");
    world.run(&["verify"]).ok();
    serves(&server, "v1.2.0");
    until(Duration::from_secs(10), || server.model("risk_model/v1.0.0/artifact").status == 200);
    // What was damaged is kept, and the safety copy says that it is not intact.
    assert_eq!(std::fs::read_dir(world.path("quarantine")).unwrap().count(), 1);
    let safety = done["safety_copy"].as_str().unwrap();
    world.run(&["restore", "--backup", safety]).refused(5, "known when it was made");
}

#[test]
fn a_registry_moves_to_an_empty_directory_with_the_same_root() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let made = back_up(&world);
    let place = world.path("backups");
    let new = World::new();
    let done = restore(&new, &["latest", "--from", place.to_str().unwrap()]);
    assert_eq!(done["root"], made["root"]);
    assert!(done["safety_copy"].is_null() && done["replaced_root"].is_null(), "{done}");
    assert_eq!(root_of(&new), root_of(&world));
    assert_eq!(manifest(&new)["created_at"], manifest(&world)["created_at"]);
    new.run(&["verify"]).ok();
    let server = new.serve();
    serves(&server, "v1.1.0");
    new.register("v1.2.0").ok();
    new.promote("v1.2.0").ok();
    new.run(&["verify"]).ok();
    world.run(&["verify"]).ok();
}

#[test]
fn a_backup_that_is_not_good_leaves_no_registry_behind() {
    let world = World::promoted(&["v1.0.0"]);
    let made = back_up(&world);
    std::fs::remove_file(folder_of(&made).join("catalog/versions.jsonl")).unwrap();
    let new = World::new();
    let place = world.path("backups");
    new.run(&["restore", "latest", "--from", place.to_str().unwrap()]).refused(5, "versions.jsonl");
    assert!(!new.dir().exists());
}

#[test]
fn a_lost_manifest_is_restored_too() {
    let world = World::promoted(&["v1.0.0"]);
    back_up(&world);
    world.register("v1.1.0").ok();
    std::fs::write(world.path("manifest.json"), "{").unwrap();
    restore(&world, &["latest"]);
    world.run(&["verify"]).ok();
    assert_eq!(world.status_of("v1.0.0"), "production");
}

#[test]
fn a_catalog_file_that_is_lost_or_damaged_is_replaced_unless_somebody_has_it_open() {
    let world = World::promoted(&["v1.0.0"]);
    if world.database().is_some() {
        return;
    }
    back_up(&world);
    world.register("v1.1.0").ok();
    let file = world.path("registry.db");
    type Damage = fn(&std::path::Path);
    let damages: [Damage; 3] = [
        |file| std::fs::remove_file(file).unwrap(),
        |file| std::fs::write(file, "no database at all, and long enough for a header").unwrap(),
        |file| {
            // Every page but the first.
            let mut bytes = std::fs::read(file).unwrap();
            bytes[4096..].fill(0x5a);
            std::fs::write(file, bytes).unwrap();
        },
    ];
    for damage in damages {
        let server = world.serve();
        damage(&file);
        world.run(&["restore", "latest"]).refused(6, "stop the service");
        drop(server);
        for suffix in ["-wal", "-shm"] {
            drop(std::fs::remove_file(world.path(&format!("registry.db{suffix}"))));
        }
        let done = restore(&world, &["latest"]);
        assert!(done["safety_copy"].is_null() && done["replaced_root"].is_string(), "{done}");
        world.run(&["verify"]).ok();
        assert_eq!(world.status_of("v1.0.0"), "production");
        world.promote("v1.0.0").refused(4, "INVALID_TRANSITION");
    }
}

#[test]
fn a_lost_database_is_restored_beside_a_directory_that_is_there() {
    let world = World::promoted(&["v1.0.0"]);
    let Some(url) = world.database() else { return };
    back_up(&world);
    crate::postgres::execute(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    let done = restore(&world, &["latest"]);
    assert!(done["safety_copy"].is_null() && done["replaced_root"].is_string(), "{done}");
    world.run(&["verify"]).ok();
    assert_eq!(world.status_of("v1.0.0"), "production");
}

#[test]
fn tampered_rows_are_replaced_and_kept_in_a_safety_copy_that_says_so() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    back_up(&world);
    world.sql_without_triggers("versions", "UPDATE versions SET snapshot_id = 'forged'");
    assert_eq!(world.run(&["verify"]).status, 5);
    let done = restore(&world, &["latest"]);
    let safety = done["safety_copy"].as_str().unwrap().to_owned();
    world.run(&["verify"]).ok();
    let listed = world.run(&["backup", "list", "--json"]).ok().json();
    let listed = listed["backups"].as_array().unwrap();
    let kept = listed.iter().find(|it| it["backup_id"] == safety.as_str()).unwrap();
    assert_eq!((&kept["state"], &kept["verified"]), (&"not_intact".into(), &false.into()));
    // The triggers are back.
    let catalog = std::panic::catch_unwind(|| world.sql("UPDATE versions SET snapshot_id = 'x'"));
    assert!(catalog.is_err());
}

#[cfg(debug_assertions)]
mod faults {
    use std::process::Stdio;

    use super::*;

    /// The points before the catalog commits, and those after.
    const BEFORE: [&str; 8] = [
        "restore.saved",
        "restore.staged",
        "restore.intent",
        "restore.moving",
        "restore.moved",
        "restore.emptied",
        "restore.loaded",
        "backup.copying",
    ];
    const AFTER: [&str; 5] = [
        "restore.committed",
        "manifest.written",
        "manifest.renamed",
        "restore.recorded",
        "restore.swept",
    ];

    /// A world with a backup of v1.0.0 and v1.1.0, in which v1.0.0 is damaged, v1.1.0 lost and v1.2.0 new.
    fn to_restore() -> World {
        let world = World::promoted(&["v1.0.0", "v1.1.0"]);
        back_up(&world);
        world.register("v1.2.0").ok();
        world.promote("v1.2.0").ok();
        let damaged = world.path("artifacts/risk_model/v1.0.0/model.pkl");
        std::fs::remove_file(&damaged).unwrap();
        std::fs::write(&damaged, b"other").unwrap();
        std::fs::remove_dir_all(world.path("artifacts/risk_model/v1.1.0")).unwrap();
        world
    }

    #[test]
    fn killed_at_any_step_of_a_restore_the_old_or_the_new_registry_is_there() {
        for point in BEFORE.iter().chain(&AFTER) {
            let world = to_restore();
            let old = world.artifacts();
            let ran = world.run_with_fault(&format!("{point}=kill"), &["restore", "latest"]);
            assert_eq!(ran.status, -1, "{point}: the fault was not reached: {ran:?}");
            // The next start settles it.
            let server = world.serve();
            let restored = AFTER.contains(point);
            serves(&server, if restored { "v1.1.0" } else { "v1.2.0" });
            assert!(!world.path(".restore.json").exists(), "{point}");
            if restored {
                world.run(&["verify"]).ok();
                assert_eq!(server.model("risk_model/v1.2.0").status, 404, "{point}");
            } else {
                let mut now = world.artifacts();
                now.retain(|(path, _)| !path.starts_with(world.path("artifacts/.staging")));
                assert_eq!(old.len(), now.len(), "{point}");
                assert!(old == now, "{point}: the folders are not as they were");
                restore(&world, &["latest"]);
                serves(&server, "v1.1.0");
            }
            assert_eq!(std::fs::read_dir(world.path("artifacts/.staging")).unwrap().count(), 0);
            world.promote("v1.0.0").ok();
            world.run(&["verify"]).ok();
        }
    }

    #[test]
    fn a_running_service_settles_a_restore_that_was_killed() {
        for (point, version) in [("restore.moved", "v1.2.0"), ("restore.committed", "v1.1.0")] {
            let world = to_restore();
            let server = world.serve();
            world.run_with_fault(&format!("{point}=kill"), &["restore", "latest"]);
            assert!(world.path(".restore.json").exists());
            until(Duration::from_secs(30), || !world.path(".restore.json").exists());
            serves(&server, version);
        }
    }

    #[test]
    fn another_restore_is_refused_and_reads_of_what_moves_say_that_it_is_locked() {
        let world = to_restore();
        let server = world.serve();
        let go = world.outside("go");
        let mut command = world.command(&["restore", "latest", "--json"]);
        command.env("MODEL_REGISTRY_FAULT", format!("restore.moved=wait:{}", go.display()));
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        until(Duration::from_secs(60), || go.with_extension("reached").exists());
        world.run(&["restore", "latest"]).refused(4, "RESTORE_UNDER_WAY");
        // What does not move is read all the time.
        assert_eq!(server.model("risk_model/current").json()["version"], "v1.2.0");
        world.promote("v1.1.0").refused(6, "REGISTRY_LOCKED");
        std::fs::write(&go, "").unwrap();
        let ran = crate::support::Ran::from(child.wait_with_output().unwrap());
        ran.ok();
        serves(&server, "v1.1.0");
        world.run(&["verify"]).ok();
    }

    #[test]
    fn a_version_with_other_content_under_the_same_number_is_never_served_wrong() {
        let world = World::promoted(&["v1.0.0"]);
        let early = back_up(&world);
        world.register("v1.1.0").ok();
        world.promote("v1.1.0").ok();
        let late = back_up(&world);
        restore(&world, &["--backup", &id_of(&early)]);
        // The same number again, with other parameters; then back to the first one.
        world.register_with("v1.1.0", &["--snapshot-id", "snap-2"]).ok();
        world.promote("v1.1.0").ok();
        let server = world.serve();
        serves(&server, "v1.1.0");
        let go = world.outside("go");
        let mut command = world.command(&["restore", "--backup", &id_of(&late)]);
        command.env("MODEL_REGISTRY_FAULT", format!("restore.moved=wait:{}", go.display()));
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        until(Duration::from_secs(60), || go.with_extension("reached").exists());
        let reply = server.model("risk_model/v1.1.0");
        reply.is_error(503, "REGISTRY_LOCKED", "restored");
        assert!(reply.header("retry-after").is_some());
        server.model("risk_model").is_error(503, "REGISTRY_LOCKED", "restored");
        std::fs::write(&go, "").unwrap();
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
        eventually(Duration::from_secs(10), || {
            let reply = server.model("risk_model/v1.1.0");
            (reply.status == 200 && reply.json()["snapshot_id"] == "snap-1").then_some(())
        });
        world.run(&["verify"]).ok();
    }
}
