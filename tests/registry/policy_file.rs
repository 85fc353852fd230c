//! The policy file: what it decides, how it is checked and shown, and that it is followed without a restart.

use std::{fs, os::unix::fs::symlink, time::Duration};

use rustix::process::Signal;

use crate::support::{Ran, World, until};

const MORE: &str = "[types.execution_model]\nrequired_parameters = []\n";

fn run(world: &World, arguments: &[&str], policy: &str) -> Ran {
    let file = world.outside("policy.toml");
    fs::write(&file, policy).unwrap();
    world.command(arguments).env("MODEL_REGISTRY_POLICY", file).output().unwrap().into()
}

#[test]
fn a_wrong_file_is_refused_with_its_line_and_key() {
    let world = World::new();
    let file = world.outside("policy.toml");
    let path = file.to_str().unwrap();
    for (text, said) in [
        ("[types.risk_model]\napproval = 2\n", "line 2, `approval = 2`"),
        ("[types.risk_model]\napproval = 2\n", "did you mean `approvals`?"),
        ("[types.risk_model]\ngates = [{ metric = \"ic\", minimum = nan }]\n", "finite"),
        ("[retention]\nstaged_days = -1\n", "line 2"),
        ("[types.risk_model]\nformats = [\"docx\"]\n", "docx"),
        ("[[webhooks]]\nurl = \"https://x\"\n", "webhooks"),
        ("x = = 1", "line 1"),
    ] {
        fs::write(&file, text).unwrap();
        let ran = world.run(&["policy", "check", path]);
        assert_eq!(ran.status, 1, "{text}: {ran:?}");
        assert!(ran.stdout.contains(said), "{text}: {ran:?}");
        run(&world, &["list"], text).refused(2, said);
    }
    fs::write(&file, "[types.risk_model]\n\nformats = []\n").unwrap();
    let ran = world.run(&["policy", "check", path, "--json"]);
    assert_eq!((ran.status, &ran.json()["line"]), (1, &3.into()));
    fs::write(&file, MORE).unwrap();
    assert_eq!(world.run(&["policy", "check", path, "--json"]).ok().json()["valid"], true);
    world.run(&["policy", "check", "/no/such/file"]).refused(2, "/no/such/file");
}

#[test]
fn the_policy_that_is_shown_is_a_file_that_says_the_same() {
    let world = World::new();
    let text = "[types.execution_model]\nformats = [\"onnx\"]\napprovals = 2\n\
                gates = [{ metric = \"fill rate\", minimum = 1e-9 }]\n\
                [retention]\nstaged_days = 0\n\
                [pickle]\ntrusted = [\"libs.models.Risk\"]\n\
                [roles]\n\"quant admin\" = [\"model:admin\"]\n";
    let shown = run(&world, &["policy", "show", "--json"], text).ok().json();
    assert_eq!(shown["types"]["execution_model"]["approvals"], 2);
    assert_eq!(shown["types"]["risk_model"]["gates"][0]["metric"], "ic");
    assert_eq!(shown["retention"]["archived_days"], 90);
    let written = run(&world, &["policy", "show"], text).ok().stdout;
    let again = run(&world, &["policy", "show", "--json"], &written).ok().json();
    assert_eq!(again["types"], shown["types"]);
    assert_eq!(again["roles"], shown["roles"]);
    assert_eq!(again["retention"], shown["retention"]);
    assert_eq!(again["pickle"], shown["pickle"]);
}

#[test]
fn a_type_that_needs_approvals_is_not_promoted_without_them() {
    let world = World::new();
    world.register("v1.0.0").ok();
    let policy = "[types.risk_model]\napprovals = 2\n";
    let promote = ["promote", "risk_model", "v1.0.0", "--skip-gates", "--reason", "desk"];
    run(&world, &promote, policy).refused(1, "0 of the 2 approvals");
    assert_eq!(world.status_of("v1.0.0"), "staged");
    world.run(&promote).ok();
}

#[test]
fn a_running_service_follows_the_file_and_keeps_the_last_good_policy() {
    let world = World::new();
    let file = world.outside("policy.toml");
    fs::write(&file, "").unwrap();
    let server = world.serve_with(&[("MODEL_REGISTRY_POLICY", file.to_str().unwrap())]);
    server.model("execution_model").is_error(404, "MODEL_NOT_FOUND", "execution_model");
    fs::write(&file, MORE).unwrap();
    until(Duration::from_secs(20), || server.model("execution_model").status == 200);
    // A wrong file changes nothing, and is told once.
    let refused = "the policy file cannot be used; the last good policy stays in force";
    fs::write(&file, "[type.other]\n").unwrap();
    until(Duration::from_secs(20), || server.events(refused).len() == 1);
    let problem = server.events(refused)[0]["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains("line 1") && problem.contains("`types`?"), "{problem}");
    assert_eq!(server.model("execution_model").status, 200);
    server.signal(Signal::HUP);
    until(Duration::from_secs(20), || server.events(refused).len() == 2);
    assert_eq!(server.model("execution_model").status, 200);
}

#[test]
fn a_mount_that_swaps_a_link_is_followed() {
    let world = World::new();
    let at = |name: &str| world.outside(name);
    for (name, text) in [("one", ""), ("two", MORE)] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("policy.toml"), text).unwrap();
    }
    symlink("one", at("..data")).unwrap();
    let file = at("..data").join("policy.toml");
    let server = world.serve_with(&[("MODEL_REGISTRY_POLICY", file.to_str().unwrap())]);
    assert_eq!(server.model("execution_model").status, 404);
    symlink("two", at("..next")).unwrap();
    fs::rename(at("..next"), at("..data")).unwrap();
    until(Duration::from_secs(20), || server.model("execution_model").status == 200);
}

#[test]
fn versions_of_a_type_that_the_policy_no_longer_names_stay_readable() {
    let world = World::new();
    let mut arguments = World::register_arguments("v1.0.0");
    arguments[1] = "execution_model".to_owned();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    run(&world, &arguments, MORE).ok();
    run(&world, &["promote", "execution_model", "v1.0.0"], MORE).ok();
    let server = world.serve();
    let warned = server.log().iter().filter(|line| line.contains("does not know types")).count();
    assert_eq!(warned, 1, "{:#?}", server.log());
    for path in ["execution_model", "execution_model/current", "execution_model/v1.0.0/artifact"] {
        assert_eq!(server.model(path).status, 200, "{path}");
    }
    assert_eq!(world.run(&["list", "execution_model", "--json"]).ok().json()["total"], 1);
    // Its gates are not known, so nothing of it enters production.
    world.run(&arguments).refused(2, "[types.execution_model]");
    world.run(&["promote", "execution_model", "v1.0.0"]).refused(2, "[types.execution_model]");
    world.run(&["list", "no_such_type"]).refused(3, "MODEL_NOT_FOUND");
}
