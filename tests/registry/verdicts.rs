//! Registration runs the load check, and the last verdict of each version is kept and shown.

use std::fs;

use serde_json::Value;

use crate::support::{Ran, World};

/// A pickle that calls `os.system` when it is loaded.
const HOSTILE: &[u8] = b"cos\nsystem\n(S'true'\ntR.";

fn register(world: &World, version: &str, content: &[u8], policy: Option<&str>) -> Ran {
    let file = world.outside("model.pkl");
    fs::write(&file, content).unwrap();
    let mut arguments = World::register_arguments(version);
    arguments[2] = file.to_str().unwrap().to_owned();
    arguments.push("--json".to_owned());
    run(world, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), policy)
}

fn run(world: &World, arguments: &[&str], policy: Option<&str>) -> Ran {
    let mut command = world.command(arguments);
    if let Some(text) = policy {
        let file = world.outside("policy.toml");
        fs::write(&file, text).unwrap();
        command.env("MODEL_REGISTRY_POLICY", file);
    }
    command.output().unwrap().into()
}

fn check_of(world: &World, version: &str) -> Value {
    world.run(&["show", "risk_model", version, "--json"]).ok().json()["check"].clone()
}

#[test]
fn a_registration_tells_its_verdict_and_keeps_it() {
    let world = World::new();
    world.register("v1.0.0").ok();
    let told = register(&world, "v1.1.0", br#"{"a":1,"a":2}"#, None).ok().json();
    assert_eq!(told["check"]["verdict"], "unloadable", "{told}");
    assert!(told["check"]["errors"][0].as_str().unwrap().contains("\"a\""), "{told}");
    for (version, verdict, format) in
        [("v1.0.0", "loadable", "pickle"), ("v1.1.0", "unloadable", "json")]
    {
        let check = check_of(&world, version);
        assert_eq!((&check["verdict"], &check["format"]), (&verdict.into(), &format.into()));
        assert!(check["checked_at"].is_string() && check["depth"].is_string(), "{check}");
    }
    let listed = world.run(&["list"]).ok().stdout;
    assert!(listed.contains("VERDICT") && listed.contains("unloadable"), "{listed}");
    let server = world.serve();
    assert_eq!(server.model("risk_model/v1.1.0").json()["check"]["verdict"], "unloadable");
    assert_eq!(server.model("risk_model").json()["models"][0]["check"]["verdict"], "unloadable");
    // The verdict is no part of the history.
    let history = world.run(&["history", "risk_model", "v1.1.0", "--json"]).ok().json();
    assert_eq!(history["transitions"].as_array().unwrap().len(), 1);
    world.promote("v1.1.0").refused(1, "VALIDATION_FAILED");
    world.run(&["verify"]).ok();
}

#[test]
fn an_artifact_that_could_do_harm_is_refused_unless_the_policy_of_its_type_accepts_it() {
    let world = World::promoted(&["v1.0.0"]);
    let before = world.artifacts();
    let ran = register(&world, "v2.0.0", HOSTILE, None);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(ran.json()["code"], "VALIDATION_FAILED");
    let said = ran.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("os.system") && said.contains("accept_unsafe"), "{said}");
    assert_eq!(world.artifacts(), before, "nothing is left behind");
    let other = "[types.alpha_weights]\naccept_unsafe = true\n";
    assert_eq!(register(&world, "v2.0.0", HOSTILE, Some(other)).status, 1);
    let accepts = "[types.risk_model]\naccept_unsafe = true\n";
    let told = register(&world, "v2.0.0", HOSTILE, Some(accepts)).ok().json();
    assert_eq!(told["check"]["verdict"], "unsafe");
    assert_eq!(check_of(&world, "v2.0.0")["verdict"], "unsafe");
    // It still never enters production.
    run(&world, &["promote", "risk_model", "v2.0.0"], Some(accepts))
        .refused(1, "VALIDATION_FAILED");
    world.run(&["verify"]).ok();
}

#[test]
fn a_type_takes_only_the_formats_that_the_policy_allows() {
    let world = World::new();
    world.register("v1.0.0").ok();
    let only = "[types.risk_model]\nformats = [\"json\", \"onnx\"]\n";
    let ran = register(&world, "v1.1.0", b"\x80\x04K\x01.", Some(only));
    assert_eq!(ran.status, 1, "{ran:?}");
    let said = ran.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("pickle") && said.contains("json, onnx"), "{said}");
    register(&world, "v1.1.0", b"{\"a\":1}", Some(only)).ok();
    // What was registered before the policy became stricter is not promoted either.
    run(&world, &["promote", "risk_model", "v1.0.0"], Some(only)).refused(1, "json, onnx");
    world.promote("v1.0.0").ok();
}

#[test]
fn an_imported_version_has_no_verdict_until_it_is_checked() {
    let world = World::with_legacy();
    let server = world.serve();
    assert_eq!(server.model("risk_model/v1.1.0").json()["check"], Value::Null);
    let before = server.model("risk_model/v1.1.0");
    assert_eq!(server.validate("risk_model/v1.1.0").status, 200);
    let after = server.model("risk_model/v1.1.0");
    assert_eq!(after.json()["check"]["verdict"], "loadable");
    assert_ne!(after.header("etag"), before.header("etag"));
    let first = check_of(&world, "v1.1.0")["checked_at"].clone();
    world.run(&["validate", "risk_model", "v1.1.0"]).ok();
    assert_ne!(check_of(&world, "v1.1.0")["checked_at"], first);
    world.run(&["verify"]).ok();
}
