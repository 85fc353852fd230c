//! Whether the data sets at hand are those that a version was trained on, over REST and on the command line.

use crate::support::World;

#[test]
fn missing_always_blocks_and_drift_blocks_where_strict() {
    let world = World::new();
    world.register_with("v1.0.0", &["--dataset-versions", r#"{"crsp":"v1.2.3","taq":"v2"}"#]).ok();
    let (exact, drift) = ("crsp:v1.2.3", "crsp:v1.2.4");
    for (datasets, strict, level, compatible) in [
        (&[exact, "taq:v2"][..], "true", "exact", true),
        (&[exact, "taq:v2", "other:v9"], "true", "exact", true),
        (&[drift, "taq:v2"], "", "drift", false),
        (&[drift, "taq:v2"], "false", "drift", true),
        (&[exact], "false", "missing", false),
        (&[], "0", "missing", false),
    ] {
        let mut arguments = vec!["check-compatibility", "risk_model", "v1.0.0", "--json"];
        arguments.extend(datasets.iter().flat_map(|dataset| ["--dataset", *dataset]));
        let mut command = world.command(&arguments);
        command.env("STRICT_VERSION_MODE", strict);
        let ran: crate::support::Ran = command.output().unwrap().into();
        assert_eq!(ran.status, i32::from(!compatible), "{datasets:?}: {ran:?}");
        let told = ran.json();
        assert_eq!(told["level"], level, "{told}");
        assert_eq!(told["compatible"], compatible, "{told}");

        let server = world.serve_with(&[("STRICT_VERSION_MODE", strict)]);
        let query: Vec<_> = datasets.iter().map(|dataset| format!("dataset={dataset}")).collect();
        let path = format!("risk_model/v1.0.0/compatibility?{}", query.join("&"));
        let answer = server.model(&path);
        assert_eq!((answer.status, answer.json()), (200, told), "{path}");
    }
}

#[test]
fn each_data_set_that_does_not_fit_has_one_warning() {
    let world = World::new();
    world.register_with("v1.0.0", &["--dataset-versions", r#"{"a":"1","b":"1","c":"1"}"#]).ok();
    let server = world.serve();
    let told = server
        .model("risk_model/v1.0.0/compatibility?dataset=a:1&dataset=b:2026-01-01T00:00")
        .json();
    let warnings = told["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{told}");
    assert!(warnings[0].as_str().unwrap().starts_with("b: "), "{told}");
    assert_eq!(told["datasets"][2]["at_hand"], serde_json::Value::Null);
    let at = |query: &str| server.model(&format!("risk_model/v1.0.0/compatibility{query}"));
    at("?dataset=a").is_error(422, "INVALID_REQUEST", "name:version");
    at("?dataset=a:1&dataset=a:2").is_error(422, "INVALID_REQUEST", "twice");
    at("?datasets=a:1").is_error(422, "INVALID_REQUEST", "datasets");
    server.model("risk_model/v9.9.9/compatibility").is_error(404, "MODEL_NOT_FOUND", "v9.9.9");
    world.run(&["check-compatibility", "risk_model", "v9.9.9"]).refused(3, "v9.9.9");
    world
        .run(&["check-compatibility", "risk_model", "v1.0.0", "--dataset", "a"])
        .refused(2, "name:version");
    let refused = world.command(&["list"]).env("STRICT_VERSION_MODE", "maybe").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
