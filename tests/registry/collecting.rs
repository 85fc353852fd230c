//! Collection: the files of versions that are no longer kept are removed; their rows, numbers and history stay.

use std::{fs, io::Read as _};

use serde_json::{Value, json};

use crate::support::{READ, World};

/// v1.0.0 and v1.1.0 archived, v1.2.0 in production, v1.3.0 staged, v1.4.0 failed.
fn five() -> World {
    let world = World::promoted(&["v1.0.0", "v1.1.0", "v1.2.0"]);
    world.register("v1.3.0").ok();
    world.register("v1.4.0").ok();
    world.run(&["fail", "risk_model", "v1.4.0", "--reason", "wrong data"]).ok();
    world
}

fn folders(world: &World) -> Vec<String> {
    let entries = fs::read_dir(world.path("artifacts/risk_model")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn named(document: &Value) -> Vec<&str> {
    let versions = document["versions"].as_array().unwrap();
    versions.iter().map(|version| version["version"].as_str().unwrap()).collect()
}

const ALL: [&str; 6] = ["gc", "--staged-days", "0", "--archived-days", "0", "--json"];

fn manifest(world: &World) -> Value {
    serde_json::from_slice(&fs::read(world.path("manifest.json")).unwrap()).unwrap()
}

#[test]
fn a_collection_is_a_dry_run_unless_told_otherwise() {
    let world = five();
    let before = (world.artifacts(), manifest(&world));
    // By the defaults of 30 and 90 days, nothing is old enough.
    assert_eq!(named(&world.run(&["gc", "--json"]).ok().json()), Vec::<&str>::new());
    let told = world.run(&ALL).ok().json();
    assert_eq!(named(&told), ["v1.0.0", "v1.3.0", "v1.4.0"], "{told}");
    assert_eq!(told["executed"], false);
    assert!(told["bytes"].as_u64().unwrap() > 0);
    let staged = world.run(&["gc", "--staged-days", "0", "--json"]).ok().json();
    assert_eq!(named(&staged), ["v1.3.0"]);
    let keep = |number| {
        let mut arguments = ALL.to_vec();
        arguments.extend(["--keep", number]);
        let told = world.run(&arguments).ok().json();
        named(&told).into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(keep("1"), ["v1.0.0", "v1.3.0"]);
    assert_eq!(keep("5"), Vec::<String>::new());
    assert_eq!((world.artifacts(), manifest(&world)), before);
}

#[test]
fn collected_versions_lose_their_files_and_nothing_else() {
    let world = five();
    let server = world.serve();
    let old = manifest(&world);
    let mut arguments = ALL.to_vec();
    arguments.push("--execute");
    let told = world.run(&arguments).ok().json();
    assert_eq!(named(&told), ["v1.0.0", "v1.3.0", "v1.4.0"], "{told}");
    assert_eq!(told["failures"], json!([]));
    // Production, and the version to which a rollback would return.
    assert_eq!(folders(&world), ["v1.1.0", "v1.2.0"]);
    let new = manifest(&world);
    assert_eq!(new["artifact_count"], 2);
    let freed =
        old["total_size_bytes"].as_u64().unwrap() - new["total_size_bytes"].as_u64().unwrap();
    assert_eq!(told["bytes"], freed);
    world.run(&["verify"]).ok();

    let shown = world.run(&["show", "risk_model", "v1.3.0", "--json"]).ok().json();
    assert_eq!((&shown["status"], &shown["parameters"]), (&json!("staged"), &Value::Null));
    assert!(shown["collected"]["collected_at"].is_string(), "{shown}");
    assert_eq!(shown["check"]["verdict"], "loadable");
    assert_eq!(shown["integrity"], "ok");
    let listed = server.model("risk_model").json();
    assert!(listed["models"].as_array().unwrap().contains(&shown), "{listed}");
    server.model("risk_model/v1.3.0").is_error(410, "VERSION_COLLECTED", "v1.3.0");
    server.model("risk_model/v1.3.0/artifact").is_error(
        410,
        "VERSION_COLLECTED",
        "its files were removed",
    );
    server.validate("risk_model/v1.3.0").is_error(410, "VERSION_COLLECTED", "v1.3.0");
    assert_eq!(server.model("risk_model/v1.1.0").json()["collected"], Value::Null);
    let listed = server.model("risk_model").json();
    assert_eq!(listed["total"], 5);
    assert!(world.run(&["list"]).ok().stdout.contains("files removed"));
    let history = server.model("risk_model/v1.4.0/history").json();
    assert_eq!(history["transitions"][1]["reason"], "wrong data");

    world.promote("v1.3.0").refused(3, "VERSION_COLLECTED");
    world.register("v1.3.0").refused(4, "VERSION_EXISTS");
    assert_eq!(named(&world.run(&arguments).ok().json()), Vec::<&str>::new());
    world.run(&["rollback", "risk_model"]).ok();
    assert_eq!(server.model("risk_model/current").json()["version"], "v1.1.0");
    drop(server);
    // A start compares every row with the log.
    assert_eq!(world.serve().model("risk_model/current").status, 200);
    world.run(&["verify"]).ok();
}

#[test]
fn a_version_is_deleted_with_a_reason_and_never_from_production() {
    let world = five();
    let delete = |version: &str| {
        world.run(&["delete", "risk_model", version, "--reason", "licence ended", "--json"])
    };
    let ran = delete("v1.2.0");
    assert_eq!((ran.status, &ran.json()["code"]), (4, &json!("INVALID_TRANSITION")), "{ran:?}");
    let told = delete("v1.1.0").ok().json();
    assert!(told["collected_at"].is_string() && told["bytes"].as_u64().unwrap() > 0, "{told}");
    let again = delete("v1.1.0");
    assert_eq!((again.status, &again.json()["code"]), (3, &json!("VERSION_COLLECTED")));
    assert_eq!(delete("v9.9.9").status, 3);
    // It was the version to return to; the one archived before it is next.
    world.run(&["rollback", "risk_model"]).ok();
    assert_eq!(world.status_of("v1.0.0"), "production");
    world.run(&["verify"]).ok();
}

#[test]
fn the_retention_of_the_policy_applies() {
    let world = five();
    let file = world.outside("policy.toml");
    fs::write(&file, "[retention]\nstaged_days = 0\narchived_days = 4000\n").unwrap();
    let mut command = world.command(&["gc", "--json"]);
    let ran: crate::support::Ran =
        command.env("MODEL_REGISTRY_POLICY", file).output().unwrap().into();
    let told = ran.ok().json();
    assert_eq!(named(&told), ["v1.3.0"]);
    assert_eq!((&told["staged_days"], &told["archived_days"]), (&json!(0), &json!(4000)));
}

#[test]
fn a_download_in_flight_is_not_broken() {
    let world = World::promoted(&["v1.0.0"]);
    let artifact: Vec<u8> = (0..30_000_000_u32).map(|at| (at % 251) as u8).collect();
    let file = world.outside("large.pkl");
    fs::write(&file, &artifact).unwrap();
    let mut arguments = World::register_arguments("v1.1.0");
    arguments[2] = file.to_str().unwrap().to_owned();
    world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    let server = world.serve();
    let mut answer = ureq::get(server.url("/api/v1/models/risk_model/v1.1.0/artifact"))
        .header("authorization", format!("Bearer {READ}"))
        .call()
        .unwrap();
    let mut reader = answer.body_mut().with_config().limit(1 << 30).reader();
    let mut body = vec![0; 1000];
    reader.read_exact(&mut body).unwrap();
    world.run(&["delete", "risk_model", "v1.1.0", "--reason", "test"]).ok();
    assert!(!world.path("artifacts/risk_model/v1.1.0").exists());
    reader.read_to_end(&mut body).unwrap();
    assert!(body == artifact);
}

#[test]
fn what_cannot_be_collected_does_not_stop_the_rest() {
    let world = five();
    // An intent that cannot be written: its name is taken by a folder.
    let id = world.run(&["show", "risk_model", "v1.0.0", "--json"]).ok().json()["model_id"].clone();
    let intent = world.path("artifacts/.staging").join(format!("{}.intent", id.as_str().unwrap()));
    fs::create_dir_all(&intent).unwrap();
    let mut arguments = ALL.to_vec();
    arguments.push("--execute");
    let ran = world.run(&arguments);
    assert_ne!(ran.status, 0, "{ran:?}");
    let told = ran.json();
    assert_eq!(told["failures"][0]["version"], "v1.0.0", "{told}");
    assert_eq!(named(&told), ["v1.3.0", "v1.4.0"]);
    fs::remove_dir(&intent).unwrap();
    assert_eq!(named(&world.run(&arguments).ok().json()), ["v1.0.0"]);
    world.run(&["verify"]).ok();
}

#[test]
fn files_that_are_left_of_a_collected_version_are_a_finding() {
    let world = five();
    world.run(&["delete", "risk_model", "v1.3.0", "--reason", "test"]).ok();
    fs::create_dir(world.path("artifacts/risk_model/v1.3.0")).unwrap();
    fs::write(world.path("artifacts/risk_model/v1.3.0/model.pkl"), "x").unwrap();
    let ran = world.run(&["verify", "--json"]);
    assert_eq!(ran.status, 5, "{ran:?}");
    let finding = ran.json()["findings"][0].clone();
    assert_eq!(
        (&finding["kind"], &finding["subject"]),
        (&json!("orphan"), &json!("risk_model/v1.3.0"))
    );
    world.run(&["verify", "--repair"]).ok();
    world.run(&["verify"]).ok();
}

#[test]
fn a_collection_that_the_log_does_not_know_is_found() {
    let world = five();
    world.sql(
        "INSERT INTO collected (model_id, collected_at, bytes_freed)
         SELECT model_id, created_at, total_size_bytes FROM versions WHERE version = 'v1.3.0'",
    );
    let ran = world.run(&["verify", "--json"]);
    assert_eq!(ran.status, 5, "{ran:?}");
    assert!(ran.stdout.contains("collected in the catalog, not in the log"), "{ran:?}");
}

#[cfg(debug_assertions)]
#[test]
fn killed_at_any_step_of_a_collection_the_files_are_there_or_gone() {
    for (point, committed) in [
        ("change.locked", false),
        ("collect.intent", false),
        ("db.apply", false),
        ("catalog.committed", true),
        ("manifest.written", true),
        ("manifest.renamed", true),
        ("collect.moved", true),
        ("collect.confirmed", true),
    ] {
        let world = World::promoted(&["v1.0.0"]);
        world.register("v1.1.0").ok();
        let delete = ["delete", "risk_model", "v1.1.0", "--reason", "test"];
        let ran = world.run_with_fault(&format!("{point}=kill"), &delete);
        assert_eq!(ran.status, -1, "{point}: the fault was not reached: {ran:?}");
        let server = world.serve();
        let status = server.model("risk_model/v1.1.0/artifact").status;
        assert_eq!(status, if committed { 410 } else { 200 }, "{point}");
        assert_eq!(world.path("artifacts/risk_model/v1.1.0").exists(), !committed, "{point}");
        world.run(&["verify"]).ok();
        assert_eq!(fs::read_dir(world.path("artifacts/.staging")).unwrap().count(), 0, "{point}");
        assert_eq!(world.run(&delete).status, if committed { 3 } else { 0 }, "{point}");
        world.run(&["verify"]).ok();
    }
}
