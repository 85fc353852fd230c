//! What commands tell people and programs: the same, and enough to act on.

use serde_json::Value;

use crate::support::{World, fixture};

#[test]
fn a_validation_tells_programs_what_it_tells_people() {
    let world = World::promoted(&["v1.0.0"]);
    let validate = ["validate", "risk_model", "v1.0.0"];
    let text = world.run(&validate).ok().stdout;
    let json = world.run(&[&validate[..], &["--json"]].concat()).ok().json();
    let (format, depth) = (json["format"].as_str().unwrap(), json["depth"].as_str().unwrap());
    assert!(text.contains(&format!("({format}, {depth})")), "{text}: {json}");
    for note in json["notes"].as_array().unwrap() {
        assert!(text.contains(note.as_str().unwrap()), "{text}: {json}");
    }
    let server = world.serve();
    assert_eq!(server.validate("risk_model/v1.0.0").json(), json);
}

#[test]
fn a_history_tells_who_was_authenticated_whatever_name_was_given() {
    let world = World::new();
    world.register("v1.0.0").ok();
    world.run(&["promote", "risk_model", "v1.0.0", "--user", "mallory"]).ok();
    let operator = model_registry::cli::operator::operator();
    let history = ["history", "risk_model", "v1.0.0"];
    let json = world.run(&[&history[..], &["--json"]].concat()).ok().json();
    let steps = json["transitions"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["authenticated_as"] == operator.as_str()), "{json}");
    assert_eq!(steps[1]["changed_by"], "mallory");
    let text = world.run(&history).ok().stdout;
    assert!(text.contains("AUTHENTICATED AS") && text.contains(&operator), "{text}");
    let server = world.serve();
    assert_eq!(server.model("risk_model/v1.0.0/history").json(), json);
}

#[test]
fn an_imported_history_tells_who_imported_it() {
    let world = World::new();
    world.run(&["import", fixture("fixtures/legacy-registry").to_str().unwrap()]).ok();
    let listed = world.run(&["list", "risk_model", "--json"]).ok().json();
    let version = listed["models"][0]["version"].as_str().unwrap().to_owned();
    let json = world.run(&["history", "risk_model", &version, "--json"]).ok().json();
    assert_ne!(json["transitions"][0]["authenticated_as"], Value::Null, "{json}");
}

#[test]
fn a_damaged_manifest_is_refused_with_its_remedy_and_the_remedy_works() {
    let world = World::promoted(&["v1.0.0"]);
    std::fs::write(world.path("manifest.json"), "{ not a manifest").unwrap();
    world.promote("v1.0.0").refused(5, "`model-registry verify --repair`");
    world.run(&["verify", "--repair"]).ok();
    let verified = world.run(&["verify"]).ok().stdout;
    assert!(verified.contains("2 log entries"), "{verified}");
}
