//! A registry of this layout that an earlier version of the program left lacks the last steps of the schema. They are
//! taken when it is first opened for change, all or none; whoever only reads it leaves it as it is.

use std::{fs, process::Stdio, time::Duration};

use serde_json::Value;

use crate::{
    support::{World, until},
    upgrade::left_as,
};

fn left_behind() -> World {
    left_as("fixtures/registry-schema-3")
}

fn manifest(world: &World) -> Value {
    serde_json::from_slice(&fs::read(world.path("manifest.json")).unwrap()).unwrap()
}

/// What the reading commands say.
fn told(world: &World) -> Vec<Value> {
    [
        &["list", "--json"][..],
        &["list", "risk_model", "--status", "production", "--json"],
        &["show", "risk_model", "v1.2.0", "--json"],
        &["history", "risk_model", "v1.0.0", "--json"],
        &["log", "checkpoint", "--json"],
    ]
    .map(|command| world.run(command).ok().json())
    .into()
}

const EXTENDED: &str = "extended the catalog's schema";

#[test]
fn reading_commands_answer_from_a_registry_that_is_behind_without_extending_it() {
    let world = left_behind();
    let before = manifest(&world);
    let told = told(&world);
    assert_eq!(told[0]["total"], 4, "{}", told[0]);
    assert_eq!(told[1]["models"][0]["version"], "v1.1.0");
    assert_eq!(told[3]["transitions"].as_array().unwrap().len(), 3, "{}", told[3]);
    world.run(&["verify"]).ok();
    world.run(&["validate", "risk_model", "v1.1.0"]).ok();
    assert_eq!(manifest(&world), before);
    // It still is as it was: this start takes the steps.
    assert_eq!(world.serve().events(EXTENDED).len(), 1);
}

#[test]
fn the_first_change_takes_the_missing_steps_and_loses_nothing() {
    let world = left_behind();
    let (before, old) = (told(&world), manifest(&world));
    world.run(&["fail", "risk_model", "v9.9.9", "--reason", "none"]).refused(3, "MODEL_NOT_FOUND");
    assert_eq!(manifest(&world), old, "the steps change nothing that the manifest repeats");
    assert_eq!(told(&world), before);
    world.sql("UPDATE registry_state SET revision = revision + 1");
    world.run(&["verify"]).ok();
    world.run(&["rollback", "risk_model"]).ok();
    world.register("v2.0.0").ok();
    world.promote("v2.0.0").ok();
    let server = world.serve();
    assert_eq!(server.events(EXTENDED).len(), 0);
    assert_eq!(server.model("risk_model/current").json()["version"], "v2.0.0");
    world.run(&["verify"]).ok();
}

#[test]
fn serving_takes_the_missing_steps_as_well() {
    let world = left_behind();
    let server = world.serve();
    assert_eq!(server.events(EXTENDED).len(), 1);
    assert_eq!(server.model("risk_model/current").json()["version"], "v1.1.0");
    assert_eq!(server.ask("GET", "/ready", &[]).status, 200);
    assert_eq!(manifest(&world)["registry_version"], "3.0.0");
}

#[cfg(debug_assertions)]
#[test]
fn killed_while_it_takes_the_steps_a_registry_has_all_of_them_or_none() {
    for point in ["extension.locked", "extension.taken"] {
        let world = left_behind();
        let before = told(&world);
        let ran =
            world.run_with_fault(&format!("{point}=kill"), &["promote", "risk_model", "v1.2.0"]);
        assert_eq!(ran.status, -1, "{point}: the fault was not reached: {ran:?}");
        assert_eq!(told(&world), before, "{point}");
        let server = world.serve();
        assert_eq!(server.events(EXTENDED).len(), 1, "{point}");
        world.promote("v1.2.0").ok();
        assert_eq!(server.model("risk_model/current").json()["version"], "v1.2.0", "{point}");
        world.run(&["verify"]).ok();
    }
}

#[test]
fn of_many_that_take_the_steps_at_once_one_does() {
    let world = left_behind();
    let children: Vec<_> = (0..6)
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

/// A service that only reads goes on when another process takes the steps.
#[test]
fn a_service_that_may_only_read_serves_before_and_after_the_steps() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT RUN: needs root");
        return;
    }
    use std::os::unix::{fs::PermissionsExt as _, process::CommandExt as _};
    let world = left_behind();
    let above = world.dir().parent().unwrap().to_owned();
    fs::set_permissions(above, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = world.command(&["serve", "--host", "127.0.0.1", "--port", "0"]);
    command
        .env("MODEL_REGISTRY_READ_TOKEN", crate::support::READ)
        .env("MODEL_REGISTRY_LOG_FORMAT", "json");
    let server = crate::support::Server::start({
        command.uid(20_001).gid(20_001);
        command
    });
    assert_eq!(server.model("risk_model/current").json()["version"], "v1.1.0");
    assert_eq!(server.events(EXTENDED).len(), 0);
    world.promote("v1.2.0").ok();
    until(Duration::from_secs(20), || {
        server.model("risk_model/current").json()["version"] == "v1.2.0"
    });
    assert_eq!(server.model("risk_model").json()["total"], 4);
}
