//! `GET` and `HEAD`: what is answered, and in which words.

use std::time::Duration;

use serde_json::json;

use crate::support::{ADMIN, READ, World, until};

#[test]
fn the_root_says_what_this_is() {
    let world = World::new();
    let server = world.serve();
    assert_eq!(
        server.ask("GET", "/", &[]).json(),
        json!({
            "service": "Model Registry API", "version": env!("CARGO_PKG_VERSION"),
            "description": "REST API for model metadata and validation",
            "docs": "/docs", "health": "/health", "api": "/api/v1/models",
        })
    );
}

#[test]
fn health_is_liveness_alone_and_touches_neither_disk_nor_database() {
    let world = World::new();
    let server = world.serve();
    std::fs::remove_dir_all(world.dir()).unwrap();
    let reply = server.ask("GET", "/health", &[]);
    assert_eq!(reply.status, 200);
    let body = reply.json();
    assert_eq!((&body["status"], &body["service"]), (&json!("healthy"), &json!("model_registry")));
    let time = body["timestamp"].as_str().unwrap();
    assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
    let head = server.ask("HEAD", "/health", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn ready_tells_a_line_a_component_and_no_path() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let reply = server.ask("GET", "/ready", &[]);
    assert_eq!(reply.status, 200);
    let names: Vec<_> = reply.json()["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| component["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["catalog", "manifest", "validator"]);

    std::fs::write(world.path("manifest.json"), "{}").unwrap();
    // An answer stands for a second.
    until(Duration::from_secs(10), || server.ask("GET", "/ready", &[]).status == 503);
    let reply = server.ask("GET", "/ready", &[]);
    let text = String::from_utf8(reply.body).unwrap();
    assert!(text.contains("manifest") && !text.contains(world.dir().to_str().unwrap()), "{text}");
}

#[test]
fn no_production_model_and_no_such_version_are_404_in_the_contracts_sentences() {
    let world = World::new();
    world.register("v1.0.0").ok();
    let server = world.serve();
    let not_found = |path: &str, sentence: &str| {
        let reply = server.model(path);
        assert_eq!(reply.error(), (404, "MODEL_NOT_FOUND".to_owned()), "{path}");
        assert_eq!(reply.json()["detail"], sentence, "{path}");
    };
    not_found("risk_model/current", "No production model found for risk_model");
    not_found("bogus/current", "No production model found for bogus");
    not_found("Risk-Model/current", "No production model found for Risk-Model");
    not_found("risk_model/v9.9.9", "Model risk_model/v9.9.9 not found");
    not_found("bogus/v1.0.0", "Model bogus/v1.0.0 not found");
    not_found("bogus", "No production model found for bogus");
    for version in ["v01.0.0", "v1.0", "1.0.0", "latest", "v1.0.0-rc1"] {
        not_found(
            &format!("risk_model/{version}"),
            &format!("Model risk_model/{version} not found"),
        );
        for tail in ["/history", "/artifact"] {
            let sentence = format!("Model risk_model/{version} not found");
            not_found(&format!("risk_model/{version}{tail}"), &sentence);
        }
    }
}

#[test]
fn names_that_are_none_are_404_whatever_they_hold() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let long = "a".repeat(6_000);
    for path in [
        "risk_model/%D9%A1.0.0",
        "risk_model/v%D9%A1.%D9%A0.%D9%A0",
        "risk_model/..%2Fv1.0.0",
        "risk_model/%2e%2e%2fv1.0.0",
        "risk_model/v1.0.0%00",
        "risk_model%00/current",
        "..%2Frisk_model/current",
        "risk_model/v1.0.0%0a",
        "risk_model/%ff%fe",
        long.as_str(),
        "risk_model%2Fv1.0.0/current",
        "risk_model/v1.0.0/..",
        ".staging/current",
        &format!("risk_model/{long}"),
        &format!("{long}/current"),
    ] {
        let reply = server.model(path);
        assert_eq!(reply.error().0, 404, "{path}: {reply:?}");
        assert!(reply.body.len() < 1000, "{path}: the answer repeats what was sent");
    }
    assert_eq!(server.model("risk_model/current").status, 200);
}

#[test]
fn a_list_is_filtered_paged_newest_first_and_counts_all_that_match() {
    let world = World::new();
    for version in ["v1.0.0", "v1.1.0", "v1.10.0", "v1.9.0"] {
        world.register(version).ok();
    }
    world.promote("v1.1.0").ok();
    let server = world.serve();
    let versions = |query: &str| {
        let body = server.model(&format!("risk_model{query}")).json();
        let models = body["models"].as_array().unwrap().iter();
        let versions: Vec<_> = models.map(|m| m["version"].as_str().unwrap().to_owned()).collect();
        (versions.join(" "), body["total"].as_u64().unwrap())
    };
    assert_eq!(versions(""), ("v1.9.0 v1.10.0 v1.1.0 v1.0.0".into(), 4));
    assert_eq!(versions("?limit=2"), ("v1.9.0 v1.10.0".into(), 4));
    assert_eq!(versions("?limit=2&offset=3"), ("v1.0.0".into(), 4));
    assert_eq!(versions("?offset=9"), (String::new(), 4));
    assert_eq!(versions("?status_filter=staged&limit=1&offset=1"), ("v1.10.0".into(), 3));
    assert_eq!(versions("?status_filter=failed"), (String::new(), 0));
    assert_eq!(versions("?order=newest"), versions(""));
    assert_eq!(versions("?order=oldest"), ("v1.0.0 v1.1.0 v1.10.0 v1.9.0".into(), 4));
    assert_eq!(
        versions("?order=oldest&status_filter=staged&limit=2&offset=1"),
        ("v1.10.0 v1.9.0".into(), 3)
    );
    assert_eq!(versions("?status=staged&limit=1&offset=1"), ("v1.10.0".into(), 3));
    assert_eq!(server.model("alpha_weights").json(), json!({ "models": [], "total": 0 }));
}

#[test]
fn a_malformed_query_names_the_parameter_and_what_it_may_be() {
    let world = World::new();
    let server = world.serve();
    for (query, named) in [
        ("status_filter=bogus", "staged, production, archived, failed"),
        ("status_filter=", "status_filter"),
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=%2B1", "limit"),
        ("limit=1e3", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("offset=-1", "offset"),
        ("limit=1&limit=2", "limit"),
        ("offset=%ff", "offset"),
        ("status=bogus", "staged, production, archived, failed"),
        ("status=staged&status_filter=staged", "the same parameter"),
        ("stauts=staged", "did you mean status?"),
        ("limits=1", "did you mean limit?"),
        ("order=latest", "newest, oldest"),
        ("order=", "order"),
        ("order=newest&order=newest", "order is given twice"),
    ] {
        let reply = server.model(&format!("risk_model?{query}"));
        reply.is_error(422, "INVALID_REQUEST", named);
    }
}

#[test]
fn what_is_polled_honours_if_none_match() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let token = format!("Bearer {READ}");
    for path in [
        "/api/v1/models/risk_model/current",
        "/api/v1/models/risk_model/v1.0.0",
        "/api/v1/models/risk_model/v1.0.0/history",
        "/api/v1/models/risk_model?limit=1",
    ] {
        let tag = server.get(path).header("etag").unwrap().to_owned();
        for (condition, status) in [
            (tag.as_str(), 304),
            (&format!("\"other\", {tag}"), 304),
            (&format!("W/{tag}"), 304),
            ("*", 304),
            ("\"other\"", 200),
            ("garbage", 200),
        ] {
            let headers = [("authorization", token.as_str()), ("if-none-match", condition)];
            let reply = server.ask("GET", path, &headers);
            assert_eq!(reply.status, status, "{path} {condition}");
            assert_eq!(reply.body.is_empty(), status == 304);
            assert_eq!(reply.header("etag"), Some(tag.as_str()));
        }
    }
    for path in ["/api/v1/models/risk_model/current", "/api/v1/models/risk_model/v1.0.0/artifact"] {
        let tag = server.get(path).header("etag").unwrap().to_owned();
        for (condition, status) in [
            (tag.as_str(), 200),
            (&format!("\"other\", {tag}"), 200),
            ("*", 200),
            (&format!("W/{tag}"), 412),
            ("\"other\"", 412),
            ("garbage", 412),
        ] {
            let headers = [("authorization", token.as_str()), ("if-match", condition)];
            let reply = server.ask("GET", path, &headers);
            assert_eq!(reply.status, status, "{path} {condition}");
            if status == 412 {
                reply.is_error(412, "PRECONDITION_FAILED", "If-Match");
            }
        }
    }
    let before = server.model("risk_model/v1.0.0").header("etag").unwrap().to_owned();
    world.register("v1.1.0").ok();
    world.promote("v1.1.0").ok();
    assert_ne!(server.model("risk_model/v1.0.0").header("etag"), Some(before.as_str()));
}

#[test]
fn an_artifact_is_streamed_whole_or_in_part() {
    let world = World::new();
    let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = world.outside("big.json");
    std::fs::write(&file, &bytes).unwrap();
    let mut arguments = World::register_arguments("v1.0.0");
    arguments[2] = file.to_str().unwrap().to_owned();
    world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    let server = world.serve();
    let path = "/api/v1/models/risk_model/v1.0.0/artifact";
    let token = format!("Bearer {READ}");

    let whole = server.get(path);
    assert_eq!((whole.status, whole.body == bytes), (200, true));
    let digest = server.model("risk_model/v1.0.0").json()["checksum_sha256"].clone();
    let tag = format!("\"{}\"", digest.as_str().unwrap());
    assert_eq!(whole.header("etag"), Some(tag.as_str()));
    assert_eq!(
        whole.header("content-disposition"),
        Some("attachment; filename=\"risk_model-v1.0.0.json\"")
    );
    let base64 = whole.header("repr-digest").unwrap();
    assert!(base64.starts_with("sha-256=:") && base64.ends_with(':'));
    assert_eq!(
        whole.header("digest").unwrap().trim_start_matches("sha-256="),
        base64[9..base64.len() - 1].to_owned()
    );

    let head = server.ask("HEAD", path, &[("authorization", &token)]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(bytes.len().to_string().as_str()));

    let size = bytes.len();
    for (range, from, to) in [
        ("bytes=0-0", 0, 0),
        ("bytes=10-99", 10, 99),
        ("bytes=3999990-", size - 10, size - 1),
        ("bytes=-5", size - 5, size - 1),
        ("bytes=0-99999999999", 0, size - 1),
        ("bytes=-99999999999", 0, size - 1),
    ] {
        let reply = server.ask("GET", path, &[("authorization", &token), ("range", range)]);
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(
            reply.header("content-range"),
            Some(format!("bytes {from}-{to}/{size}").as_str())
        );
        assert!(reply.body == bytes[from..=to], "{range}");
    }
    for range in ["bytes=4000000-", "bytes=99999999-100000000"] {
        let reply = server.ask("GET", path, &[("authorization", &token), ("range", range)]);
        reply.is_error(416, "RANGE_NOT_SATISFIABLE", "4000000");
        assert_eq!(reply.header("content-range"), Some("bytes */4000000"));
    }
    let part = [("authorization", token.as_str()), ("range", "bytes=0-0")];
    let head = server.ask("HEAD", path, &part);
    assert_eq!((head.status, head.header("content-range")), (200, None), "only GET has ranges");
    let twice = [part[0], part[1], ("range", "bytes=1-1")];
    assert_eq!(server.ask("GET", path, &twice).status, 200, "which of two is meant?");
    let many = format!("bytes=0-0{}", ",0-".repeat(2_000));
    for range in [
        many.as_str(),
        "bytes=0-9,5-14",
        "bytes=-0,-0",
        "bytes=5-2,0-0",
        "bytes=18446744073709551616-",
        "bytes=0-18446744073709551616",
        "bytes=0x0-0x1",
        "bytes=+0-1",
        "bytes=",
        "=0-1",
        "",
    ] {
        let reply = server.ask("GET", path, &[("authorization", &token), ("range", range)]);
        assert!([200, 206, 416].contains(&reply.status), "{range:.40}: {}", reply.status);
        assert!(reply.status != 200 || reply.body == bytes, "{range:.40}");
    }
    for range in ["bytes=0-1,5-6", "lines=1-2", "bytes=9-3", "bytes=x", "bytes", "bytes=+0-1"] {
        let reply = server.ask("GET", path, &[("authorization", &token), ("range", range)]);
        assert_eq!((reply.status, reply.body.len()), (200, size), "{range}");
    }
    for (condition, status) in [
        (tag.as_str(), 206),
        ("\"other\"", 200),
        (format!("W/{tag}").as_str(), 200),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 200),
        ("garbage", 200),
    ] {
        let headers =
            [("authorization", token.as_str()), ("range", "bytes=0-0"), ("if-range", condition)];
        assert_eq!(server.ask("GET", path, &headers).status, status, "{condition}");
    }
    let headers = [("authorization", token.as_str()), ("if-none-match", tag.as_str())];
    assert_eq!(server.ask("GET", path, &headers).status, 304);
}

#[test]
fn unknown_paths_and_methods_are_answered_in_the_one_shape() {
    let world = World::new();
    let server = world.serve();
    for path in ["/nope", "/api/v1/model", "/docs/nope", "/api/v1/models/a/b/c", "//"] {
        server.get(path).is_error(404, "NOT_FOUND", "Not Found");
    }
    for (method, path, allow) in [
        ("POST", "/health", "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/v1/models/risk_model/v1.0.0", "GET, HEAD, OPTIONS"),
        ("POST", "/api/v1/models/risk_model", "GET, HEAD, OPTIONS"),
        ("GET", "/api/v1/models/risk_model/v1.0.0/validate", "POST, OPTIONS"),
        ("PUT", "/api/v1/models/risk_model/current", "GET, HEAD, OPTIONS"),
    ] {
        let reply = server.ask(method, path, &[("authorization", &format!("Bearer {ADMIN}"))]);
        reply.is_error(405, "METHOD_NOT_ALLOWED", "Method Not Allowed");
        assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
    }
}

#[test]
fn a_request_id_is_taken_over_where_it_is_one() {
    let world = World::new();
    let server = world.serve();
    let id = |given: &str| {
        server
            .ask("GET", "/nope", &[("x-request-id", given)])
            .header("x-request-id")
            .unwrap()
            .to_owned()
    };
    assert_eq!(id("gateway-1.abc_D"), "gateway-1.abc_D");
    for bad in ["a b", "a\"b", &"x".repeat(65), ""] {
        assert_ne!(id(bad), bad);
        assert_eq!(id(bad).len(), 36);
    }
}

#[test]
fn browsers_may_call_from_allowed_origins_alone() {
    let world = World::new();
    let server = world.serve();
    let preflight = |origin: &str, headers: &str| {
        server.ask(
            "OPTIONS",
            "/api/v1/models/risk_model/current",
            &[
                ("origin", origin),
                ("access-control-request-method", "GET"),
                ("access-control-request-headers", headers),
            ],
        )
    };
    let good = preflight("http://localhost:3000", "authorization");
    assert_eq!(good.status, 200);
    assert_eq!(good.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert_eq!(good.header("access-control-allow-credentials"), Some("true"));
    let bad = preflight("https://evil.example", "authorization");
    assert_eq!(bad.header("access-control-allow-origin"), None);
    bad.is_error(400, "INVALID_REQUEST", "origin");
    let traced = "authorization,traceparent,tracestate,baggage,x-request-id";
    assert_eq!(preflight("http://localhost:3000", traced).status, 200);
    assert_eq!(preflight("http://localhost:3000", "x-other").status, 400);
    let simple = server.ask("GET", "/health", &[("origin", "http://localhost:8501")]);
    assert_eq!(simple.header("access-control-allow-origin"), Some("http://localhost:8501"));
    assert!(simple.header("vary").unwrap().to_lowercase().contains("origin"));
    let foreign = server.ask("GET", "/health", &[("origin", "https://evil.example")]);
    assert_eq!(foreign.header("access-control-allow-origin"), None);
}

#[test]
fn history_tells_who_moved_a_version_when_and_why() {
    let world = World::promoted(&["v1.0.0"]);
    world.register("v1.1.0").ok();
    world.run(&["promote", "risk_model", "v1.1.0", "--user", "bob", "--reason", "better ic"]).ok();
    world.run(&["rollback", "risk_model", "--user", "carol"]).ok();
    let server = world.serve();
    let steps = |version: &str| {
        let body = server.model(&format!("risk_model/{version}/history")).json();
        let steps = body["transitions"].as_array().unwrap().iter();
        let tell = |step: &serde_json::Value| {
            let text = |name: &str| step[name].as_str().unwrap_or("-").to_owned();
            format!(
                "{}>{} {} {}",
                text("from_status"),
                text("to_status"),
                text("changed_by"),
                text("reason")
            )
        };
        steps.map(tell).collect::<Vec<_>>()
    };
    assert_eq!(
        steps("v1.1.0"),
        ["->staged alice -", "staged>production bob better ic", "production>staged carol -"]
    );
    assert_eq!(
        steps("v1.0.0"),
        [
            "->staged alice -",
            // Whoever the system says runs the tests, whatever $USER says.
            &format!("staged>production {} -", model_registry::cli::operator::operator()),
            "production>archived bob better ic",
            "archived>production carol -",
        ]
    );
}

#[test]
fn a_body_larger_than_any_route_takes_is_413() {
    use std::io::{Read as _, Write as _};
    let world = World::new();
    let server = world.serve();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let head = format!(
        "POST /api/v1/models/risk_model/v1.0.0/validate HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {ADMIN}\r\nContent-Length: 20000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("\"code\":\"TOO_LARGE\""), "{answer}");
}
