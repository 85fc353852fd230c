//! A registry moves between the databases by a backup: the same versions, files and log.

use serde_json::Value;

use crate::{postgres::shared_empty_database, support::World};

fn back_up(world: &World) -> Value {
    world.run(&["backup", "create", "--json"]).ok().json()
}

/// Restores the last backup of one registry into an empty other one.
#[track_caller]
fn move_to(from: &World, to: &World) -> Value {
    let place = from.path("backups");
    let done = to.run(&["restore", "latest", "--json", "--from", place.to_str().unwrap()]);
    done.ok().json()
}

/// The lines of a backup's catalog, table by table.
fn rows(world: &World, made: &Value) -> Vec<(String, Vec<String>)> {
    let folder = world.path("backups").join(made["backup_id"].as_str().unwrap()).join("catalog");
    let mut tables: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            // The databases sort text keys differently.
            let mut lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
            lines.sort();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), lines)
        })
        .collect();
    tables.sort();
    tables
}

#[test]
fn from_sqlite_to_postgresql_and_back_the_log_is_the_same() {
    let first = World::embedded();
    for version in ["v1.0.0", "v1.1.0"] {
        first.register(version).ok();
        first.promote(version).ok();
    }
    first
        .run(&["rollback", "risk_model", "--reason", "Überraschung: „zurück“ \u{1f600} \\ \""])
        .ok();
    first.register("v2.0.0").ok();
    first.run(&["fail", "risk_model", "v2.0.0", "--reason", "it lies"]).ok();
    let made = back_up(&first);

    let second = World::in_database(shared_empty_database());
    let done = move_to(&first, &second);
    assert_eq!(done["root"], made["root"]);
    second.run(&["verify"]).ok();
    let again = back_up(&second);
    assert_eq!(again["root"], made["root"]);
    assert_eq!(rows(&first, &made), rows(&second, &again), "the same dump from either database");

    let third = World::embedded();
    let done = move_to(&second, &third);
    assert_eq!(done["root"], made["root"]);
    third.run(&["verify"]).ok();
    let checkpoint = first.run(&["log", "checkpoint"]).ok().stdout;
    for world in [&first, &second, &third] {
        assert_eq!(world.status_of("v1.0.0"), "production");
        assert_eq!(world.status_of("v2.0.0"), "failed");
        assert_eq!(world.run(&["log", "checkpoint"]).ok().stdout, checkpoint);
        world.register("v3.0.0").ok();
        world.promote("v3.0.0").ok();
        world.run(&["verify"]).ok();
    }
}
