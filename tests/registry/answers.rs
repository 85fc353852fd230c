//! What answers carry beside their bodies, and that bodies are what was stored.

use crate::support::{ADMIN, READ, World};

#[test]
fn a_slash_too_many_is_put_right_without_naming_a_host() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    for (path, location) in [
        ("/health/", "../health"),
        ("/health/?a=b%2F&a=//evil.example/", "../health?a=b%2F&a=//evil.example/"),
        ("/api/v1/models/risk_model/", "../risk_model"),
        ("/api/v1/models/risk_model/?limit=1", "../risk_model?limit=1"),
        ("/api/v1/models/risk_model/current/", "../current"),
        ("/api/v1/models/risk_model/v1.0.0/validate/", "../validate"),
        ("/api/v1/models/http:%2F%2Fevil.example/", "../http:%2F%2Fevil.example"),
    ] {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            let reply = server.ask(method, path, &[]);
            assert_eq!((reply.status, reply.header("location")), (308, Some(location)), "{path}");
        }
    }
    for path in
        ["/", "//", "//health/", "/../health/", "/api/v1/models/../", "/api/v1/models/./", "/nope/"]
    {
        assert_eq!(server.ask("GET", path, &[]).header("location"), None, "{path}");
    }
    let followed = server.get("/api/v1/models/risk_model/current");
    assert_eq!(followed.status, 200);
}

#[test]
fn answers_say_whether_they_may_be_kept_and_for_whom() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    for (method, path, kept) in [
        ("GET", "/", "no-store"),
        ("GET", "/health", "no-store"),
        ("GET", "/ready", "no-store"),
        ("GET", "/api/v1/models/risk_model", "private, no-cache"),
        ("GET", "/api/v1/models/risk_model/current", "private, no-cache"),
        ("GET", "/api/v1/models/risk_model/v1.0.0", "private, no-cache"),
        ("GET", "/api/v1/models/risk_model/v1.0.0/history", "private, no-cache"),
        ("GET", "/api/v1/models/risk_model/v1.0.0/artifact", "private, no-cache"),
        ("POST", "/api/v1/models/risk_model/v1.0.0/validate", "no-store"),
        ("GET", "/api/v1/models/risk_model/v9.9.9", "no-store"),
        ("GET", "/nope", "no-store"),
    ] {
        for origin in ["http://localhost:3000", "https://evil.example", ""] {
            let token = format!("Bearer {ADMIN}");
            let headers = [("authorization", token.as_str()), ("origin", origin)];
            let headers = if origin.is_empty() { &headers[..1] } else { &headers[..] };
            let reply = server.ask(method, path, headers);
            assert_eq!(reply.header("cache-control"), Some(kept), "{path}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
            // Also where no origin was sent: a cache must not hand that answer to a browser of another.
            let varies = reply.header("vary").unwrap().to_lowercase();
            assert!(varies.split(", ").any(|name| name == "origin"), "{path}: {varies}");
            assert_eq!(reply.header("etag").is_some(), kept != "no-store", "{path}");
        }
    }
}

#[test]
fn head_is_get_without_the_body() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let token = format!("Bearer {READ}");
    for path in [
        "/",
        "/ready",
        "/api/v1/models/risk_model?limit=1",
        "/api/v1/models/risk_model/current",
        "/api/v1/models/risk_model/v1.0.0",
        "/api/v1/models/risk_model/v1.0.0/history",
        "/api/v1/models/risk_model/v1.0.0/artifact",
        "/api/v1/models/risk_model/v9.9.9",
        "/nope",
    ] {
        let [get, head] =
            ["GET", "HEAD"].map(|method| server.ask(method, path, &[("authorization", &token)]));
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()));
        for (name, value) in &get.headers {
            let own = ["date", "x-request-id", "access-control-expose-headers"];
            if !own.contains(&name.as_str()) {
                assert_eq!(head.headers.get(name), Some(value), "{path}: {name}");
            }
        }
    }
}

#[test]
fn documents_keep_the_numbers_and_the_order_of_keys_that_were_stored() {
    let world = World::with_legacy();
    let config = r#"{"z":1.0,"a":1e-7,"m":{"b":100000000000000000000,"a":-0.0},"n":0.10}"#;
    world.register_with("v7.0.0", &["--config", config]).ok();
    let server = world.serve();
    let compact =
        |text: &str| text.lines().map(str::trim_start).collect::<String>().replace("\": ", "\":");
    let mut seen = 0;
    for version in ["v1.0.0", "v1.1.0", "v7.0.0"] {
        let sidecar = world.path(&format!("artifacts/risk_model/{version}/metadata.json"));
        let Ok(sidecar) = std::fs::read_to_string(sidecar) else { continue };
        let stored = compact(&sidecar);
        let answer =
            String::from_utf8(server.model(&format!("risk_model/{version}")).body).unwrap();
        for field in ["parameters", "metrics", "config"] {
            let start = stored.find(&format!("\"{field}\":{{")).unwrap();
            // Balanced: no string in these documents holds a brace.
            let mut depth = 0;
            let end = stored[start..].char_indices().find(|(_, c)| {
                depth += i32::from(*c == '{') - i32::from(*c == '}');
                *c == '}' && depth == 0
            });
            let text = &stored[start..=start + end.unwrap().0];
            assert!(answer.contains(text), "{version}: {text}\n{answer}");
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen}");
    let kept = r#""config":{"a":1e-7,"m":{"a":-0.0,"b":100000000000000000000},"n":0.10,"z":1.0}"#;
    let answer = String::from_utf8(server.model("risk_model/v7.0.0").body).unwrap();
    assert!(answer.contains(kept), "{answer}");
}
