//! A registry of layout 2.0.0 is upgraded when it is first opened for change, all or nothing; whoever only reads it
//! leaves it as it is.

use std::{fs, path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};

use crate::support::{Ran, World, fixture, until};

/// A registry as version 2.0.0 of the program left it.
fn left_by_version_2() -> World {
    left_as("fixtures/registry-2.0.0")
}

/// A registry as an earlier version of the program left it.
pub fn left_as(name: &str) -> World {
    let from = fixture(name);
    let world = if crate::ON_POSTGRES {
        let url = crate::postgres::shared_empty_database();
        crate::postgres::execute(
            &url,
            &fs::read_to_string(from.join("postgres/catalog.sql")).unwrap(),
        );
        World::in_database(url)
    } else {
        World::new()
    };
    copy(&from.join(if crate::ON_POSTGRES { "postgres" } else { "sqlite" }), &world.dir());
    drop(fs::remove_file(world.path("catalog.sql")));
    world
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

fn manifest(world: &World) -> Value {
    serde_json::from_slice(&fs::read(world.path("manifest.json")).unwrap()).unwrap()
}

/// What the reading commands say.
fn told(world: &World) -> Vec<Value> {
    [
        &["list", "--json"][..],
        &["list", "risk_model", "--json"],
        &["show", "risk_model", "v5.0.0", "--json"],
        &["list", "risk_model", "--status", "production", "--json"],
        &["history", "risk_model", "v5.1.0", "--json"],
        &["history", "risk_model", "v1.0.0", "--json"],
        &["history", "risk_model", "--json"],
        &["current", "risk_model", "--json", "--at", "2026-11-23T08:03:37.700000Z"],
    ]
    .map(|command| world.run(command).ok().json())
    .into()
}

#[test]
fn reading_commands_answer_from_a_registry_of_layout_2_without_upgrading_it() {
    let world = left_by_version_2();
    let before = manifest(&world);
    let told = told(&world);
    assert_eq!(told[1]["total"], 8, "{}", told[1]);
    assert_eq!(told[3]["models"][0]["version"], "v5.1.0");
    let steps = told[4]["transitions"].as_array().unwrap();
    assert_eq!(steps.len(), 4, "{steps:?}");
    assert_eq!(steps[1]["reason"], "the paper trade's clock was wrong");
    world.run(&["verify"]).ok();
    world.run(&["verify", "--repair"]).refused(2, "upgrades it");
    world.run(&["log", "checkpoint"]).refused(3, "no log yet");
    assert_eq!(manifest(&world), before);
    assert_eq!(before["registry_version"], "2.0.0");
}

#[test]
fn the_first_change_upgrades_the_registry_and_loses_nothing() {
    let world = left_by_version_2();
    let (before, old) = (told(&world), manifest(&world));
    world.run(&["fail", "risk_model", "v9.9.9", "--reason", "none"]).refused(3, "MODEL_NOT_FOUND");
    let new = manifest(&world);
    assert_eq!(new["registry_version"], "3.0.0");
    for field in ["artifact_count", "production_models", "total_size_bytes", "created_at"] {
        assert_eq!(new[field], old[field], "{field}");
    }
    assert!(fs::metadata(world.path("manifest.json")).unwrap().len() < 64 * 1024);
    assert_eq!(new.get("versions"), None);
    assert_eq!(told(&world), before);
    world.run(&["verify"]).ok();
    world.register("v6.0.0").ok();
    world.promote("v6.0.0").ok();
    let server = world.serve();
    assert_eq!(server.model("risk_model/current").json()["version"], "v6.0.0");
    world.run(&["verify"]).ok();
}

#[test]
fn serving_upgrades_the_registry_as_well() {
    let world = left_by_version_2();
    let server = world.serve();
    assert_eq!(server.model("risk_model/current").json()["version"], "v5.1.0");
    assert_eq!(server.events("upgraded the registry").len(), 1);
    assert_eq!(manifest(&world)["registry_version"], "3.0.0");
    assert_eq!(server.ask("GET", "/ready", &[]).status, 200);
}

#[cfg(debug_assertions)]
#[test]
fn killed_at_any_step_of_an_upgrade_the_old_registry_or_the_new_one_is_there() {
    for (point, done) in [
        ("upgrade.locked", false),
        ("upgrade.converted", false),
        ("catalog.committed", true),
        ("manifest.written", true),
        ("manifest.renamed", true),
    ] {
        let world = left_by_version_2();
        let before = told(&world);
        let ran =
            world.run_with_fault(&format!("{point}=kill"), &["promote", "risk_model", "v5.0.0"]);
        assert_eq!(ran.status, -1, "{point}: the fault was not reached: {ran:?}");
        // Whatever state it is in, it is read as it was.
        assert_eq!(told(&world), before, "{point}");
        let manifest_done = point == "manifest.renamed";
        assert_eq!(manifest(&world)["registry_version"] == "3.0.0", manifest_done, "{point}");
        let server = world.serve();
        assert_eq!(server.events("upgraded the registry").len(), usize::from(!done), "{point}");
        assert_eq!(server.model("risk_model/current").json()["version"], "v5.1.0", "{point}");
        world.promote("v5.0.0").ok();
        world.run(&["verify"]).ok();
    }
}

#[test]
fn a_registry_of_layout_2_whose_manifest_was_never_written_is_upgraded() {
    let world = left_by_version_2();
    let before = told(&world);
    fs::remove_file(world.path("manifest.json")).unwrap();
    let server = world.serve();
    assert_eq!(server.model("risk_model/current").json()["version"], "v5.1.0");
    assert_eq!(manifest(&world)["registry_version"], "3.0.0");
    assert_eq!(told(&world), before);
    world.run(&["verify"]).ok();
}

#[test]
fn of_many_that_upgrade_at_once_one_does() {
    let world = left_by_version_2();
    let children: Vec<_> = (0..8)
        .map(|patch| {
            let arguments = World::register_arguments(&format!("v7.0.{patch}"));
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            world.command(&arguments).stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for (patch, mut child) in (0..).zip(children) {
        let mut status = child.wait().unwrap().code().unwrap();
        until(Duration::from_secs(120), || {
            if status == 6 {
                status = world.register(&format!("v7.0.{patch}")).status;
            }
            status != 6
        });
        assert_eq!(status, 0);
    }
    world.run(&["verify"]).ok();
}

#[test]
fn a_registry_of_layout_2_that_was_tampered_with_is_not_upgraded() {
    type Spoil = fn(&World);
    let past_triggers = |world: &World, table: &str, trigger: &str, statement: &str| {
        let first = if crate::ON_POSTGRES {
            format!("ALTER TABLE {table} DISABLE TRIGGER ALL")
        } else {
            format!("DROP TRIGGER {trigger}")
        };
        world.sql(&format!("{first}; {statement}"));
    };
    let spoilers: [(&str, Spoil); 4] = [
        ("a row", |world| {
            world.sql("UPDATE versions SET status = 'archived' WHERE version = 'v5.1.0'");
        }),
        ("the recorded digest", |world| {
            world.sql("UPDATE registry_state SET checksum = previous_checksum");
        }),
        ("the manifest", |world| {
            let text = fs::read_to_string(world.path("manifest.json")).unwrap();
            let at = text.find("\"checksum\": \"").unwrap() + 13;
            fs::write(
                world.path("manifest.json"),
                format!("{}{}{}", &text[..at], "0".repeat(64), &text[at + 64..]),
            )
            .unwrap();
        }),
        ("a layout of the future", |world| {
            let text = fs::read_to_string(world.path("manifest.json")).unwrap();
            fs::write(world.path("manifest.json"), text.replace("\"2.0.0\"", "\"4.0.0\"")).unwrap();
        }),
    ];
    for (what, spoil) in spoilers {
        let world = left_by_version_2();
        spoil(&world);
        let ran: Ran = world.register("v6.0.0").refused(5, "CHECKSUM_MISMATCH");
        assert!(!world.path("artifacts/risk_model/v6.0.0").exists(), "{what}: {ran:?}");
        assert_ne!(manifest(&world)["registry_version"], "3.0.0", "{what}");
    }
    let world = left_by_version_2();
    past_triggers(
        &world,
        "transitions",
        "history_never_changes",
        "UPDATE transitions SET changed_by = 'mallory' WHERE sequence = 3",
    );
    let ran = world.register("v6.0.0").refused(5, "CHECKSUM_MISMATCH");
    assert!(ran.stderr.contains("history row 3"), "{ran:?}");
    assert_eq!(world.run(&["verify", "--json"]).json()["findings"][0]["kind"], json!("catalog"));
}
