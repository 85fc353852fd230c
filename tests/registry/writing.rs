//! Changes over HTTP, where the operator has turned them on.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    ADMIN, Form, READ, Reply, Server, WRITES, World, form, metadata, multipart, pickle, until,
};

fn artifact() -> Vec<u8> {
    std::fs::read(pickle()).unwrap()
}

fn register(server: &Server, form: &Form) -> Reply {
    let token = format!("Bearer {ADMIN}");
    let headers = [("authorization", token.as_str()), ("content-type", form.media.as_str())];
    server.send("POST", "/api/v1/models/risk_model", &headers, &form.body)
}

fn change(server: &Server, path: &str, body: &Value) -> Reply {
    let token = format!("Bearer {ADMIN}");
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.send("POST", &format!("/api/v1/models/{path}"), &headers, body.as_bytes())
}

/// Nothing of a registration that was refused remains.
#[track_caller]
fn expect_nothing_left(world: &World) {
    until(Duration::from_secs(20), || {
        std::fs::read_dir(world.path("artifacts/.staging"))
            .is_ok_and(|mut left| left.next().is_none())
    });
    world.run(&["verify"]).ok();
}

#[test]
fn a_version_goes_through_its_whole_life_over_http() {
    let world = World::new();
    let server = world.serve_writing();
    let bytes = artifact();
    let registered = register(&server, &multipart("v1.0.0", &bytes));
    assert_eq!(registered.status, 201, "{registered:?}");
    assert_eq!(registered.header("location"), Some("risk_model/v1.0.0"));
    assert_eq!(registered.json()["status"], "staged");
    assert_eq!(server.model("risk_model/v1.0.0/artifact").body, bytes);
    let shown = server.model("risk_model/v1.0.0").json();
    assert_eq!(
        (&shown["config"], &shown["metrics"]["paper_trade_hours"]),
        (&json!({"seed": 42}), &json!(48.0))
    );

    let dry_run = server.model("risk_model/v1.0.0/promotion").json();
    assert_eq!(
        (&dry_run["would_succeed"], &dry_run["would_archive"]),
        (&json!(true), &json!(null))
    );
    let promoted = change(&server, "risk_model/v1.0.0/promote", &json!({"reason": "passed"}));
    assert_eq!((promoted.status, &promoted.json()["version"]), (200, &json!("v1.0.0")));
    // The very next read has it.
    assert_eq!(server.model("risk_model/current").json()["version"], "v1.0.0");

    assert_eq!(register(&server, &multipart("v1.1.0", &bytes)).status, 201);
    let promoted = change(&server, "risk_model/v1.1.0/promote", &Value::Null);
    assert_eq!(promoted.json()["archived_version"], "v1.0.0");
    assert_eq!(server.model("risk_model/current").json()["version"], "v1.1.0");
    let back = change(&server, "risk_model/rollback", &json!({"reason": "drifts", "user": "bob"}));
    assert_eq!(back.json()["message"], "Rolled back risk_model from v1.1.0 to v1.0.0");
    assert_eq!(server.model("risk_model/current").json()["version"], "v1.0.0");
    let failed = change(&server, "risk_model/v1.1.0/fail", &json!({"reason": "drifts"}));
    assert_eq!((failed.status, &failed.json()["status"]), (200, &json!("failed")));
    change(&server, "risk_model/v1.1.0/promote", &Value::Null).is_error(
        409,
        "INVALID_TRANSITION",
        "failed",
    );

    let history = server.model("risk_model/v1.1.0/history").json();
    let by: Vec<_> =
        history["transitions"].as_array().unwrap().iter().map(|t| &t["changed_by"]).collect();
    // The caller, unless the request names a person.
    assert_eq!(by, ["admin", "admin", "bob", "admin"]);
    world.run(&["verify"]).ok();
}

#[test]
fn the_api_only_reads_until_it_is_asked_to_write() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    register(&server, &multipart("v2.0.0", &artifact())).is_error(405, "METHOD_NOT_ALLOWED", "");
    for path in ["risk_model/v1.0.0/promote", "risk_model/rollback", "risk_model/v1.0.0/fail"] {
        let reply = change(&server, path, &Value::Null);
        assert!([404, 405].contains(&reply.status), "{path}: {reply:?}");
    }
    let document = server.ask("GET", "/openapi.json", &[]).json();
    assert!(document["paths"]["/api/v1/models/{model_type}"]["post"].is_null());
}

#[test]
fn gates_hold_over_http_and_are_skipped_with_a_reason_alone() {
    let world = World::new();
    let server = world.serve_writing();
    let mut weak = metadata("v1.0.0");
    weak["metrics"] = json!({"ic": 0.01, "sharpe": 0.5});
    let weak = weak.to_string();
    let weak =
        form(&[("metadata", None, weak.as_bytes()), ("artifact", Some("m.pkl"), &artifact())]);
    assert_eq!(register(&server, &weak).status, 201);
    let dry_run = server.model("risk_model/v1.0.0/promotion").json();
    assert_eq!(dry_run["would_succeed"], false);
    let passed: Vec<_> =
        dry_run["gates"].as_array().unwrap().iter().map(|g| &g["passed"]).collect();
    assert_eq!(passed, [false, true, false]);
    let path = "risk_model/v1.0.0/promote";
    let refused = change(&server, path, &Value::Null);
    refused.is_error(422, "PROMOTION_GATE_FAILED", "ic 0.01 is below 0.02");
    change(&server, path, &json!({"skip_gates": true})).is_error(422, "INVALID_REQUEST", "reason");
    let skipped = change(&server, path, &json!({"skip_gates": true, "reason": "a trial"}));
    assert_eq!((skipped.status, &skipped.json()["gates_skipped"]), (200, &json!(true)));
}

#[test]
fn a_registration_that_is_wrong_is_refused_by_name_and_leaves_nothing() {
    let world = World::new();
    let server = world.serve_writing();
    let (right, bytes) = (metadata("v1.0.0").to_string(), artifact());
    let with = |field: &str, value: Value| {
        let mut changed = metadata("v1.0.0");
        changed[field] = value;
        changed.to_string()
    };
    let too_large = vec![0; usize::try_from(WRITES.largest_artifact).unwrap() + 1];
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let meta = |text: &str| {
        form(&[("metadata", None, text.as_bytes()), ("artifact", Some("m.pkl"), &bytes)])
    };
    let file = |name: Option<&str>, content: &[u8]| {
        form(&[("metadata", None, right.as_bytes()), ("artifact", name, content)])
    };
    let twice = form(&[
        ("metadata", None, right.as_bytes()),
        ("artifact", Some("m.pkl"), &bytes),
        ("artifact", Some("m.pkl"), &bytes),
    ]);
    let reversed =
        form(&[("artifact", Some("m.pkl"), &bytes), ("metadata", None, right.as_bytes())]);
    let alone = form(&[("metadata", None, right.as_bytes())]);
    let other = form(&[("metadata", None, right.as_bytes()), ("file", Some("m.pkl"), &bytes)]);
    let cases: Vec<(&str, Form, u16, &str, &str)> = vec![
        ("no JSON", meta("{"), 422, "INVALID_REQUEST", "metadata is not JSON"),
        ("NaN", meta(&right.replace("0.05", "NaN")), 422, "INVALID_REQUEST", "metadata"),
        (
            "too deep",
            meta(&right.replace("{\"seed\":42}", &deep)),
            422,
            "INVALID_REQUEST",
            "nested",
        ),
        ("unknown field", meta(&with("colour", json!("red"))), 422, "INVALID_REQUEST", "colour"),
        ("no version", meta(&with("version", json!("1.0"))), 422, "INVALID_REQUEST", "metadata"),
        (
            "no snapshot",
            meta(&with("snapshot_id", json!(""))),
            422,
            "INVALID_SNAPSHOT",
            "snapshot_id",
        ),
        (
            "no datasets",
            meta(&with("dataset_version_ids", json!({}))),
            422,
            "INVALID_DATASET_VERSION",
            "dataset",
        ),
        (
            "no parameters",
            meta(&with("parameters", json!({}))),
            422,
            "MISSING_REQUIRED_FIELDS",
            "halflife_days",
        ),
        (
            "another hash",
            meta(&with("checksum_sha256", json!("0".repeat(64)))),
            422,
            "CHECKSUM_MISMATCH",
            "SHA-256",
        ),
        ("no filename", file(None, &bytes), 422, "INVALID_REQUEST", "filename"),
        (
            "an empty artifact",
            file(Some("m.pkl"), b""),
            422,
            "INVALID_REQUEST",
            "artifact is empty",
        ),
        ("too large", file(Some("m.pkl"), &too_large), 413, "TOO_LARGE", "larger than"),
        ("twice", twice, 422, "INVALID_REQUEST", "artifact is sent twice"),
        ("reversed", reversed, 422, "INVALID_REQUEST", "before the part metadata"),
        ("no artifact", alone, 422, "INVALID_REQUEST", "artifact is missing"),
        ("another part", other, 422, "INVALID_REQUEST", "\"file\""),
        (
            "another media type",
            Form { media: "application/json".into(), body: b"{}".to_vec() },
            422,
            "INVALID_REQUEST",
            "multipart",
        ),
    ];
    for (name, form, status, code, detail) in cases {
        let reply = register(&server, &form);
        assert_eq!(reply.status, status, "{name}: {reply:?}");
        reply.is_error(status, code, detail);
    }
    assert_eq!(server.model("risk_model").json()["total"], 0);
    expect_nothing_left(&world);
    // A name that would lead elsewhere is a name without its path: nothing of it is used but the extension.
    let odd = file(Some("../../x.pkl"), &bytes);
    assert_eq!(register(&server, &odd).status, 201);
    assert!(world.path("artifacts/risk_model/v1.0.0/model.pkl").is_file());
    register(&server, &multipart("v1.0.0", &bytes)).is_error(409, "VERSION_EXISTS", "v1.0.0");
    expect_nothing_left(&world);
}

#[test]
fn an_upload_that_stops_half_way_leaves_nothing() {
    let world = World::new();
    let server = world.serve_writing();
    let Form { media, body } = multipart("v1.0.0", &artifact());
    for sent in [0, 50, body.len() / 2, body.len() - 10, body.len() - 1] {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        let head = format!(
            "POST /api/v1/models/risk_model HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\n\
             Content-Type: {media}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body[..sent]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains(" 201 "), "{sent}: {text}");
    }
    expect_nothing_left(&world);
    assert_eq!(server.model("risk_model").json()["total"], 0);
    assert_eq!(register(&server, &Form { media, body }).status, 201);
}

#[test]
fn a_client_that_may_not_register_is_refused_before_it_sends_its_artifact() {
    let world = World::new();
    let server = world.serve_writing();
    let Form { media, body } = multipart("v1.0.0", &artifact());
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let head = format!(
        "POST /api/v1/models/risk_model HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {READ}\r\n\
         Content-Type: {media}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The answer comes although the body has not.
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
}

#[test]
fn of_two_that_promote_at_once_one_wins_and_the_other_hears_of_it() {
    let world = World::new();
    let server = world.serve_writing();
    assert_eq!(register(&server, &multipart("v1.0.0", &artifact())).status, 201);
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| change(&server, "risk_model/v1.0.0/promote", &Value::Null).status)
            })
            .collect();
        asked.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409]);
    world.run(&["verify"]).ok();
}
