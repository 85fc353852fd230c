//! The command line beside a running server: each result is seen over HTTP within a second.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};

use crate::support::{GOOD, READ, Ran, World, ask, corpus, pickle, until};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_the_command_line_does_is_seen_over_http_within_a_second() {
    let world = World::new();
    let server = world.serve();
    let current = || server.model("risk_model/current").json()["version"].clone();
    let status =
        |version: &str| server.model(&format!("risk_model/{version}")).json()["status"].clone();
    world.register("v1.0.0").ok();
    until(SECOND, || status("v1.0.0") == "staged");
    world.promote("v1.0.0").ok();
    until(SECOND, || current() == "v1.0.0");
    world.register("v1.1.0").ok();
    world.promote("v1.1.0").ok();
    until(SECOND, || current() == "v1.1.0" && status("v1.0.0") == "archived");
    let rolled = world.run(&["rollback", "risk_model", "--json"]).ok().json();
    assert_eq!(rolled["message"], "Rolled back risk_model from v1.1.0 to v1.0.0");
    until(SECOND, || current() == "v1.0.0" && status("v1.1.0") == "staged");
    world.run(&["fail", "risk_model", "v1.1.0", "--reason", "leaks"]).ok();
    until(SECOND, || status("v1.1.0") == "failed");
    assert_eq!(server.validate("risk_model/v1.0.0").status, 200);
    world.run(&["verify"]).ok();
    assert_eq!(server.ask("GET", "/ready", &[]).status, 200);
}

#[test]
fn registering_writes_a_sidecar_that_holds_everything() {
    let world = World::new();
    let env = r#"{"python_version":"3.11.2","dependencies_hash":"abc","platform":"linux-x86_64","numpy_version":"2.4.6","polars_version":"2.1.0"}"#;
    let mut arguments = World::register_arguments("v1.0.0");
    arguments.extend(
        [
            "--env",
            env,
            "--experiment-id",
            "exp-7",
            "--run-id",
            "run-1",
            "--dataset-uri",
            "s3://lake/1",
            "--qlib-version",
            "0.9.6",
            "--feature-formula",
            "Ref($close,5)/$close-1",
            "--json",
        ]
        .map(ToOwned::to_owned),
    );
    let done = world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok().json();
    let folder = world.path("artifacts/risk_model/v1.0.0");
    let text = std::fs::read_to_string(folder.join("metadata.json")).unwrap();
    let sidecar: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        sidecar,
        json!({
            "checksum_sha256": done["checksum_sha256"],
            "config": {"max_depth": 6, "learning_rate": 0.02},
            // json.dumps({"learning_rate": 0.02, "max_depth": 6}, …) of the legacy registry's v1.1.0.
            "config_hash": "75426604f37cfed275591f3f142479f9f27f494b40ebfb5bd473ef5d4fbe55a2",
            "created_at": done["created_at"], "dataset_uri": "s3://lake/1",
            "dataset_version_ids": {"crsp": "v1.2.3"},
            "env": {
                "created_by": "alice", "cvxpy_version": null, "dependencies_hash": "abc",
                "numpy_version": "2.4.6", "platform": "linux-x86_64", "polars_version": "2.1.0",
                "python_version": "3.11.2", "sklearn_version": null,
            },
            "experiment_id": "exp-7", "factor_list": ["size", "value"],
            "feature_formulas": ["Ref($close,5)/$close-1"],
            "metrics": serde_json::from_str::<Value>(GOOD).unwrap(),
            "model_id": done["model_id"], "model_type": "risk_model",
            "parameters": {"factor_list": ["size"], "halflife_days": 60, "shrinkage_intensity": 0.5},
            "qlib_version": "0.9.6", "run_id": "run-1", "snapshot_id": "snap-1", "version": "v1.0.0",
        })
    );
    assert!(text.starts_with("{\n  \"checksum_sha256\"") && text.contains("48.0"));
    let line = std::fs::read_to_string(folder.join("checksum.sha256")).unwrap();
    assert_eq!(line, format!("{}  model.pkl\n", done["checksum_sha256"].as_str().unwrap()));
    assert_eq!(std::fs::read(folder.join("model.pkl")).unwrap(), std::fs::read(pickle()).unwrap());
}

#[test]
fn a_second_registration_leaves_the_first_untouched() {
    let world = World::new();
    world.register("v1.0.0").ok();
    let before = world.artifacts();
    let mut arguments = World::register_arguments("v1.0.0");
    arguments[2] = corpus("real/alpha_weights.json").to_str().unwrap().to_owned();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    world.run(&arguments).refused(4, "VERSION_EXISTS");
    assert_eq!(world.artifacts(), before);
    world.run(&["verify"]).ok();
}

#[test]
fn what_is_missing_or_wrong_is_named_and_nothing_is_registered() {
    let world = World::new();
    world.register("v0.0.1").ok();
    let before = world.artifacts();
    for (changes, status, said) in [
        (["--dataset-versions", "{}"], 2, "INVALID_DATASET_VERSION"),
        (["--dataset-versions", r#"{"crsp":""}"#], 2, "crsp"),
        (["--dataset-versions", r#"{"crsp":1}"#], 2, "--dataset-versions"),
        (["--dataset-versions", r#"{"a":"1","a":"2"}"#], 2, "--dataset-versions"),
        (["--snapshot-id", " "], 2, "INVALID_SNAPSHOT"),
        (["--parameters", r#"{"factor_list":[]}"#], 2, "halflife_days, shrinkage_intensity"),
        (["--parameters", "{"], 2, "--parameters"),
        (["--parameters", "[]"], 2, "--parameters"),
        (["--parameters", "@/no/such/file"], 2, "/no/such/file"),
        (["--metrics", r#"{"ic":"0.4"}"#], 2, "metrics.ic"),
        (["--metrics", r#"{"ic":NaN}"#], 2, "--metrics"),
        (["--metrics", r#"{"ic":1e999}"#], 2, "--metrics"),
        (["--config", r#"{"a":{"b":1,"b":2}}"#], 2, "--config"),
        (["--config", r#"{"a":"\u0000"}"#], 2, "config"),
        (["--env", r#"{"python":"3"}"#], 2, "--env"),
        (["--created-by", "a\nb"], 2, "created_by"),
        (["--created-by", ""], 2, "created_by"),
        (["--factors", "size,,value"], 2, "factor_list"),
        (["--version", "v01.0.0"], 2, "--version"),
        (["--version", "v1.0"], 2, "--version"),
        (["--version", "current"], 2, "--version"),
        (["--version", "v١.٠.٠"], 2, "--version"),
        (["--version", "../v1.0.0"], 2, "--version"),
    ] {
        let ran = world.register_with("v1.0.0", &changes);
        assert_eq!(ran.status, status, "{changes:?}: {ran:?}");
        assert!(ran.stderr.contains(said), "{changes:?}: {ran:?}");
    }
    let long = "a".repeat(10_000);
    for model_type in ["Risk", "../risk_model", "", "unknown_type", long.as_str()] {
        let mut arguments = World::register_arguments("v1.0.0");
        arguments[1] = model_type.to_owned();
        let ran = world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ran.status, 2, "{model_type}: {ran:?}");
    }
    for (file, said) in [
        ("/no/such/file", "/no/such/file"),
        ("/dev/null", "regular file"),
        ("/tmp", "regular file"),
    ] {
        let mut arguments = World::register_arguments("v1.0.0");
        arguments[2] = file.to_owned();
        let ran = world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        ran.refused(2, said);
    }
    let empty = world.outside("empty.pkl");
    std::fs::write(&empty, "").unwrap();
    let mut arguments = World::register_arguments("v1.0.0");
    arguments[2] = empty.to_str().unwrap().to_owned();
    world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).refused(2, "empty");
    assert_eq!(world.artifacts(), before);
    world.run(&["verify"]).ok();
}

#[test]
fn every_failed_gate_is_told_with_value_and_threshold() {
    let world = World::new();
    world.register_with("v1.0.0", &["--metrics", r#"{"ic":0.01,"paper_trade_hours":24}"#]).ok();
    let ran = world.promote("v1.0.0").refused(1, "PROMOTION_GATE_FAILED");
    for said in [
        "ic 0.01 is below 0.02",
        "sharpe is missing, counts as 0",
        "paper_trade_hours 24 reaches 24",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {ran:?}");
    }
    assert_eq!(world.status_of("v1.0.0"), "staged");
    let reason =
        ["promote", "risk_model", "v1.0.0", "--skip-gates", "--reason", "desk asked", "--json"];
    let done = world.run(&reason).ok().json();
    assert_eq!(
        (&done["gates_skipped"], &done["gates"][0]["passed"]),
        (&json!(true), &json!(false))
    );
    let history = world.run(&["history", "risk_model", "v1.0.0", "--json"]).ok().json();
    let last = &history["transitions"][1];
    assert_eq!((&last["gates_skipped"], &last["reason"]), (&json!(true), &json!("desk asked")));
}

#[test]
fn equality_passes_the_gates() {
    let world = World::new();
    let metrics = r#"{"ic":0.02,"sharpe":0.5,"paper_trade_hours":24.0}"#;
    world.register_with("v1.0.0", &["--metrics", metrics]).ok();
    world.promote("v1.0.0").ok();
}

#[test]
fn an_invalid_transition_changes_nothing() {
    let world = World::promoted(&["v1.0.0"]);
    world.register("v1.1.0").ok();
    world.run(&["fail", "risk_model", "v1.1.0", "--reason", "leaks"]).ok();
    let manifest = std::fs::read(world.path("manifest.json")).unwrap();
    for arguments in [
        &["promote", "risk_model", "v1.0.0"][..],
        &["promote", "risk_model", "v1.1.0"],
        &["promote", "risk_model", "v1.1.0", "--skip-gates", "--reason", "desk asked"],
        &["fail", "risk_model", "v1.0.0", "--reason", "x"],
        &["fail", "risk_model", "v1.1.0", "--reason", "x"],
    ] {
        world.run(arguments).refused(4, "INVALID_TRANSITION");
    }
    assert_eq!(std::fs::read(world.path("manifest.json")).unwrap(), manifest);
    for arguments in [
        &["promote", "risk_model", "v9.0.0"][..],
        &["fail", "risk_model", "v9.0.0", "--reason", "x"],
        &["show", "risk_model", "v9.0.0"],
        &["history", "risk_model", "v9.0.0"],
        &["validate", "risk_model", "v9.0.0"],
        &["rollback", "risk_model"],
        &["rollback", "alpha_weights"],
        &["list", "unknown_type"],
    ] {
        world.run(arguments).refused(3, "MODEL_NOT_FOUND");
    }
}

#[test]
fn a_rollback_returns_to_the_version_archived_last() {
    let world = World::promoted(&["v1.0.0", "v1.1.0", "v1.2.0"]);
    let rolled = world.run(&["rollback", "risk_model"]).ok();
    assert_eq!(rolled.stdout, "Rolled back risk_model from v1.2.0 to v1.1.0\n");
    assert_eq!(world.status_of("v1.2.0"), "staged");
    world.run(&["rollback", "risk_model"]).ok();
    assert_eq!(world.status_of("v1.0.0"), "production");
    world.run(&["rollback", "risk_model"]).refused(3, "No archived version of risk_model");
    // What was taken back may be promoted again.
    world.promote("v1.2.0").ok();
    let shown = world.run(&["show", "risk_model", "v1.2.0", "--json"]).ok().json();
    assert_ne!(shown["promoted_at"], Value::Null);
}

#[test]
fn an_archived_version_may_be_promoted_again() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    world.promote("v1.0.0").ok();
    assert_eq!(
        (world.status_of("v1.0.0"), world.status_of("v1.1.0")),
        ("production".into(), "archived".into())
    );
}

#[test]
fn promoting_a_corrupt_artifact_changes_nothing() {
    let world = World::promoted(&["v1.0.0"]);
    world.register("v1.1.0").ok();
    let artifact = world.path("artifacts/risk_model/v1.1.0/model.pkl");
    let mut bytes = std::fs::read(&artifact).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&artifact, bytes).unwrap();
    world.promote("v1.1.0").refused(5, "CHECKSUM_MISMATCH");
    world
        .run(&["promote", "risk_model", "v1.1.0", "--skip-gates", "--reason", "desk asked"])
        .refused(5, "CHECKSUM_MISMATCH");
    world.run(&["validate", "risk_model", "v1.1.0"]).refused(5, "CHECKSUM_MISMATCH");
    assert_eq!(world.status_of("v1.0.0"), "production");
}

#[test]
fn rolling_back_to_a_corrupt_artifact_changes_nothing() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    std::fs::write(world.path("artifacts/risk_model/v1.0.0/model.pkl"), "x").unwrap();
    world.run(&["rollback", "risk_model"]).refused(5, "CHECKSUM_MISMATCH");
    assert_eq!(world.status_of("v1.1.0"), "production");
}

#[test]
fn promoting_what_would_not_load_or_would_run_code_changes_nothing() {
    let world = World::new();
    let accepting = world.outside("policy.toml");
    std::fs::write(&accepting, "[types.risk_model]\naccept_unsafe = true\n").unwrap();
    let hostile = world.outside("hostile.pkl");
    std::fs::write(&hostile, b"cos\nsystem\n(S'true'\ntR.").unwrap();
    let broken = world.outside("broken.json");
    std::fs::write(&broken, br#"{"a":1,"a":2}"#).unwrap();
    let unknown = world.outside("packed.zst");
    std::fs::write(&unknown, b"\x28\xb5\x2f\xfd\x00").unwrap();
    for (version, file, said) in [
        ("v1.0.0", &hostile, "os.system"),
        ("v1.1.0", &broken, "\"a\""),
        ("v1.2.0", &unknown, "no load check for this format yet"),
    ] {
        let mut arguments = World::register_arguments(version);
        arguments[2] = file.to_str().unwrap().to_owned();
        let registered: Ran = world
            .command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
            .env("MODEL_REGISTRY_POLICY", &accepting)
            .output()
            .unwrap()
            .into();
        registered.ok();
        world.promote(version).refused(1, "VALIDATION_FAILED");
        let ran = world.run(&["validate", "risk_model", version]).refused(1, said);
        assert_eq!(ran.stdout, "");
        assert_eq!(world.status_of(version), "staged");
    }
    let server = world.serve();
    server.validate("risk_model/v1.0.0").is_error(422, "VALIDATION_FAILED", "os.system");
}

#[test]
fn inspect_tells_format_verdict_depth_and_errors() {
    let world = World::new();
    let good = pickle();
    let report = world.run(&["inspect", good.to_str().unwrap(), "--json"]).ok().json();
    assert_eq!((&report["format"], &report["verdict"]), (&json!("pickle"), &json!("loadable")));
    assert_eq!(report["errors"], json!([]));
    let hostile = world.outside("innocent.json");
    std::fs::write(&hostile, b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.").unwrap();
    let ran = world.run(&["inspect", hostile.to_str().unwrap(), "--json"]);
    assert_eq!(ran.status, 1);
    assert_eq!(ran.json()["verdict"], "unsafe");
    assert!(ran.json()["errors"][0].as_str().unwrap().contains("posix.system"));
    world.run(&["inspect", "/no/such/file"]).refused(2, "/no/such/file");
    world.run(&["inspect", "/tmp"]).refused(2, "regular file");
    assert!(!world.dir().exists(), "inspect needs no registry and makes none");
}

#[test]
fn a_class_of_ones_own_loads_once_the_policy_trusts_it() {
    let world = World::new();
    let file = world.outside("model.pkl");
    std::fs::write(
        &file,
        b"\x80\x02clibs.models.risk\nBarraRiskModel\n)\x81}X\x01\x00\x00\x00aK\x01sb.",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let ran = world.run(&["inspect", file]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stdout.contains("libs.models.risk.BarraRiskModel") && ran.stdout.contains("policy")
    );
    let policy = world.outside("policy.toml");
    std::fs::write(&policy, "[pickle]\ntrusted = [\"libs.models.risk.BarraRiskModel\"]\n").unwrap();
    let ran: crate::support::Ran = world
        .command(&["inspect", file])
        .env("MODEL_REGISTRY_POLICY", &policy)
        .output()
        .unwrap()
        .into();
    ran.ok();
}

#[test]
fn further_types_come_from_the_policy() {
    let world = World::new();
    let policy = world.outside("policy.toml");
    let text = "[types.execution_model]\nrequired_parameters = [\"horizon\"]\n\
                gates = [{ metric = \"fill_rate\", minimum = 0.9 }]\n";
    std::fs::write(&policy, text).unwrap();
    let run = |arguments: &[String]| -> crate::support::Ran {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        world.command(&arguments).env("MODEL_REGISTRY_POLICY", &policy).output().unwrap().into()
    };
    let mut arguments = World::register_arguments("v1.0.0");
    arguments[1] = "execution_model".to_owned();
    run(&arguments).refused(2, "horizon");
    let parameters = arguments.iter().position(|argument| argument == "--parameters").unwrap();
    arguments[parameters + 1] = r#"{"horizon":5}"#.to_owned();
    run(&arguments).ok();
    let promote = ["promote", "execution_model", "v1.0.0"].map(ToOwned::to_owned);
    run(&promote).refused(1, "fill_rate is missing");
    // Where the policy no longer has the type, its versions can still be read, and nothing new can be done with them.
    let listed = world.run(&["list", "execution_model"]).ok();
    assert!(listed.stdout.contains("v1.0.0"), "{listed:?}");
    let promoted = world.run(&["promote", "execution_model", "v1.0.0"]);
    assert!(promoted.status != 0 && promoted.stderr.contains("execution_model"), "{promoted:?}");
    world.run(&["list", "nothing_of_this_name"]).refused(3, "MODEL_NOT_FOUND");
}

#[test]
fn json_is_one_document_and_nothing_else_on_standard_output() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let file = pickle();
    for arguments in [
        &["list"][..],
        &["list", "risk_model", "--status", "staged"],
        &["show", "risk_model", "v1.0.0"],
        &["history", "risk_model", "v1.0.0"],
        &["validate", "risk_model", "v1.0.0"],
        &["verify"],
        &["rollback", "risk_model"],
        &["inspect", file.to_str().unwrap()],
    ] {
        let arguments = [arguments, &["--json"]].concat();
        assert!(world.run(&arguments).ok().json().is_object(), "{arguments:?}");
    }
    for (arguments, status, code) in [
        (&["show", "risk_model", "v9.0.0"][..], 3, "MODEL_NOT_FOUND"),
        (&["promote", "risk_model", "v1.0.0"], 4, "INVALID_TRANSITION"),
        (&["serve"], 2, "INVALID_CONFIGURATION"),
        (&["list", "--bogus"], 2, "INVALID_REQUEST"),
        (&["show", "risk_model", "v1"], 2, "INVALID_REQUEST"),
        (&["serve", "--port", "99999"], 2, "INVALID_REQUEST"),
    ] {
        let ran = world.run(&[arguments, &["--json"]].concat());
        assert_eq!((ran.status, &ran.json()["code"]), (status, &json!(code)));
    }
}

#[test]
fn a_command_that_cannot_start_a_registry_makes_none() {
    let world = World::new();
    for arguments in [
        &["list"][..],
        &["promote", "risk_model", "v1.0.0"],
        &["rollback", "risk_model"],
        &["fail", "risk_model", "v1.0.0", "--reason", "x"],
        &["show", "risk_model", "v1.0.0"],
        &["verify"],
        &["validate", "risk_model", "v1.0.0"],
    ] {
        world.run(arguments).refused(2, "--registry-dir");
    }
    assert!(!world.dir().exists());
}

#[test]
fn a_rollback_goes_by_the_order_of_the_history_and_not_by_the_clock() {
    let world = World::new();
    // Checking the first takes long; the second is promoted meanwhile.
    let big = world.outside("big.json");
    std::fs::write(&big, format!("[{}1]", "1,".repeat(4_000_000))).unwrap();
    let mut arguments = World::register_arguments("v1.0.0");
    arguments[2] = big.to_str().unwrap().to_owned();
    world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    world.register("v1.1.0").ok();
    world.register("v1.2.0").ok();
    world.promote("v1.2.0").ok();
    let mut slow = world.command(&["promote", "risk_model", "v1.0.0"]);
    let mut slow = slow.stdout(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    world.promote("v1.1.0").ok();
    assert!(slow.wait().unwrap().success());
    let history = world.run(&["history", "risk_model", "v1.1.0", "--json"]).ok().json();
    let steps = history["transitions"].as_array().unwrap();
    let times: Vec<_> = steps.iter().map(|step| step["changed_at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    // Whichever was promoted first was archived by the other.
    let (last, before) = if world.status_of("v1.0.0") == "production" {
        ("v1.0.0", "v1.1.0")
    } else {
        ("v1.1.0", "v1.0.0")
    };
    let rolled = world.run(&["rollback", "risk_model"]).ok().stdout;
    assert_eq!(rolled, format!("Rolled back risk_model from {last} to {before}\n"));
}

#[test]
fn health_asks_a_running_service() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let url = server.url("");
    world.run(&["health", "--url", &url]).ok();
    assert_eq!(
        world.run(&["health", "--ready", "--url", &url, "--json"]).ok().json()["status"],
        "ready"
    );
    let port = server.port().to_string();
    let from_environment: crate::support::Ran = world
        .command(&["health"])
        .env("MODEL_REGISTRY_PORT", &port)
        .env("MODEL_REGISTRY_HOST", "0.0.0.0")
        .output()
        .unwrap()
        .into();
    from_environment.ok();
    std::fs::write(world.path("manifest.json"), "{}").unwrap();
    // An answer stands for a second.
    until(Duration::from_secs(10), || world.run(&["health", "--ready", "--url", &url]).status == 6);
    world.run(&["health", "--ready", "--url", &url]).refused(6, "manifest");
    drop(server);
    world.run(&["health", "--url", &url]).refused(6, "does not answer");
}

#[test]
fn usage_errors_exit_with_2() {
    let world = World::new();
    for arguments in [
        &[][..],
        &["bogus"],
        &["list", "--bogus"],
        &["promote", "risk_model"],
        &["promote", "Risk", "v1.0.0"],
        &["list", "--status", "bogus"],
        &["show", "risk_model", "v1.0"],
        &["serve", "--port", "x"],
        &["fail", "risk_model", "v1.0.0"],
        &["backup"],
        &["gc"],
        &["restore"],
    ] {
        let ran = world.run(arguments);
        assert_eq!(ran.status, 2, "{arguments:?}: {ran:?}");
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty());
    }
    for arguments in [&["--help"][..], &["--version"], &["register", "--help"]] {
        assert!(!world.run(arguments).ok().stdout.is_empty());
    }
}

#[test]
fn the_demonstration_works_as_printed_and_leaves_nothing_behind() {
    use std::io::{BufRead as _, BufReader};
    let world = World::new();
    std::fs::create_dir_all(world.dir()).unwrap();
    let mut command = crate::support::binary();
    command.args(["demo", "--port", "0"]).env("TMPDIR", world.dir());
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = Vec::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    while !lines.last().is_some_and(|line: &String| line.contains("curl -s -i")) {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "{lines:?}");
        lines.push(line);
    }
    let commands: Vec<_> = lines.iter().filter(|line| line.trim().starts_with("curl")).collect();
    assert_eq!(commands.len(), 8);
    for command in commands {
        let ran = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
        let text = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && text.contains('{'), "{command}: {text}");
        assert_eq!(text.contains("\"code\""), command.contains("curl -s -i"), "{command}: {text}");
    }
    assert_eq!(std::fs::read_dir(world.dir()).unwrap().count(), 1);
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(world.dir()).unwrap().count(), 0);
}

#[test]
fn a_result_that_cannot_be_printed_is_no_success() {
    let world = World::promoted(&["v1.0.0"]);
    for arguments in [&["list"][..], &["list", "--json"], &["verify", "--json"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ran: Ran = world.command(arguments).stdout(full).output().unwrap().into();
        ran.refused(6, "could not be printed: No space left on device");
        // Who reads no further, as `head` does, knows what it has.
        let mut command = world.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}

#[test]
fn serve_tells_where_it_serves_in_one_document() {
    let world = World::promoted(&["v1.0.0"]);
    let mut command = world.command(&["serve", "--host", "127.0.0.1", "--port", "0", "--json"]);
    command.env("MODEL_REGISTRY_READ_TOKEN", READ);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut first = serde_json::Deserializer::from_reader(&mut out).into_iter::<Value>();
    let document = first.next().unwrap().unwrap();
    let url = format!("http://127.0.0.1:{}/health", document["port"]);
    assert_eq!(ask("GET", &url, &[]).status, 200);
    assert!(document["metrics_port"].is_null(), "{document}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).unwrap();
    assert_eq!(rest.trim(), "");
}

#[test]
fn who_changed_something_is_the_systems_user_whatever_the_variables_say() {
    let world = World::new();
    let mut arguments = World::register_arguments("v1.0.0");
    let at = arguments.iter().position(|argument| argument == "--created-by").unwrap();
    arguments.drain(at..=at + 1);
    let ran = world
        .command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        .env("USER", "somebody-else")
        .env("LOGNAME", "somebody-else")
        .output()
        .unwrap();
    Ran::from(ran).ok();
    let shown = world.run(&["show", "risk_model", "v1.0.0", "--json"]).ok().json();
    let user = model_registry::cli::operator::operator();
    assert_eq!(shown["env"]["created_by"], json!(user));
    world.promote("v1.0.0").ok();
    let history = world.run(&["history", "risk_model", "v1.0.0", "--json"]).ok().json();
    let by: Vec<_> =
        history["transitions"].as_array().unwrap().iter().map(|step| &step["changed_by"]).collect();
    assert!(by.iter().all(|by| **by == json!(user)), "{history}");
}

#[test]
fn a_file_that_is_not_there_is_a_usage_error_of_every_command() {
    let world = World::new();
    world.run(&["inspect", "nofile"]).refused(2, "nofile");
    let mut arguments = World::register_arguments("v1.0.0");
    arguments[2] = "nofile".to_owned();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    world.run(&arguments).refused(2, "nofile");
    world.run(&["import", "nofile"]).refused(2, "nofile");
}

#[test]
fn a_wrong_argument_is_told_in_one_reading() {
    let world = World::new();
    world
        .run(&["list", "--limit", "0"])
        .refused(2, "must be a whole number of versions, 1 to 4294967295");
    world.run(&["list", "--offset", "-1"]).refused(2, "");
    world.run(&["serve", "--port", "70000"]).refused(2, "must be a port, 0 to 65535");
    let told = world
        .register_with("v1.0.0", &["--metrics", "ic=0.4"])
        .refused(2, "--metrics must be JSON");
    assert!(told.stderr.contains("at \"ic=0.4\", byte 0"), "{told:?}");
    world.register_with("v1.0.0", &["--metrics", ""]).refused(2, "at the end, after 0 bytes");
    world
        .run(&["list", "--status", "bogus"])
        .refused(2, "must be staged, production, archived or failed");
}

#[test]
fn nothing_panics_where_nobody_reads_what_is_printed() {
    let world = World::new();
    for arguments in
        [&["list"][..], &["list", "--status", "bogus"], &["show", "risk_model", "v1.0.0"]]
    {
        let mut child = world
            .command(arguments)
            .env("RUST_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Both pipes are closed before the command writes.
        drop((child.stdout.take(), child.stderr.take()));
        let status = child.wait().unwrap();
        assert_ne!(status.code(), Some(101), "{arguments:?}: {status}");
        assert!(status.code().is_some(), "{arguments:?}: {status}");
    }
}

#[test]
fn the_demonstration_ends_with_its_terminal_and_removes_its_directory() {
    let world = World::new();
    let mut child = world
        .command(&["demo", "--port", "0", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.ends_with("}\n") {
        assert_ne!(std::io::BufRead::read_line(&mut stdout, &mut text).unwrap(), 0, "{text}");
    }
    let directory = serde_json::from_str::<Value>(&text).unwrap()["registry_dir"].clone();
    let directory = std::path::PathBuf::from(directory.as_str().unwrap());
    assert!(directory.exists());
    // Nobody reads any more, and then the terminal goes.
    drop((stdout, child.stderr.take()));
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(!directory.exists(), "{} is left", directory.display());
}

#[test]
fn what_is_accepted_is_read_back_as_it_was_given() {
    let world = World::new();
    let nested =
        |levels: usize| format!(r#"{{"d":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
    let config = nested(100);
    world.register_with("v1.0.0", &["--config", &config]).ok();
    for (flag, value, named) in [
        ("--config", nested(101), "nested deeper than 100 levels"),
        ("--config", nested(126), "nested deeper than 100 levels"),
        ("--parameters", nested(5000), "nested deeper than 100 levels"),
        (
            "--config",
            r#"{"a":{"$serde_json::private::Number":"1"}}"#.to_owned(),
            "a holds a member",
        ),
        (
            "--config",
            r#"{"$serde_json::private::RawValue":"1"}"#.to_owned(),
            "the document holds a member",
        ),
        ("--metrics", r#"{"ic":NaN}"#.to_owned(), "ic is NaN"),
        (
            "--env",
            r#"{"platform":{"$serde_json::private::Number":"1"}}"#.to_owned(),
            "platform holds a member",
        ),
    ] {
        let ran = world.register_with("v2.0.0", &[flag, &value]).refused(2, named);
        assert!(ran.stderr.contains(flag), "{ran:?}");
    }
    let listed = world.run(&["list", "--json"]).ok().json();
    assert_eq!(listed["total"], 1);
    let given: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(listed["models"][0]["config"], given);
    assert_eq!(world.serve().model("risk_model").json()["models"][0]["config"], given);
    world.run(&["verify"]).ok();
}

#[test]
fn skipped_gates_need_a_reason() {
    let world = World::new();
    world.register("v1.0.0").ok();
    world.run(&["promote", "risk_model", "v1.0.0", "--skip-gates"]).refused(2, "INVALID_REQUEST");
    assert_eq!(world.status_of("v1.0.0"), "staged");
    world.run(&["promote", "risk_model", "v1.0.0", "--skip-gates", "--reason", "r"]).ok();
}
