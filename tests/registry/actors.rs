//! An actor that dies is replaced within a second, and its caller told to try again.

#![cfg(debug_assertions)]

use std::time::{Duration, Instant};

use crate::support::{ADMIN, READ, World};

#[test]
fn each_actor_that_panics_is_replaced_within_a_second() {
    for (point, method, path) in [
        ("auth.resolve", "GET", "risk_model/current"),
        ("db.find_production", "GET", "risk_model/current"),
        ("manifest.read_metadata", "GET", "risk_model/current"),
        ("validator.validate", "POST", "risk_model/v1.0.0/validate"),
    ] {
        let world = World::promoted(&["v1.0.0"]);
        let fault = format!("{point}=panic");
        let server = world.serve_with(&[("MODEL_REGISTRY_FAULT", &fault)]);
        let token = format!("Bearer {}", if method == "GET" { READ } else { ADMIN });
        let path = format!("/api/v1/models/{path}");
        let ask = || server.ask(method, &path, &[("authorization", &token)]);
        let first = ask();
        first.is_error(503, "REGISTRY_UNAVAILABLE", "try again");
        assert_eq!(first.header("retry-after"), Some("1"), "{point}");
        let died = Instant::now();
        while ask().status != 200 {
            assert!(died.elapsed() < Duration::from_secs(1), "{point}: not replaced");
        }
        assert_eq!(server.events("an actor died and will be replaced").len(), 1, "{point}");
        let panics = server.events("panic");
        assert_eq!(panics.len(), 1, "{point}");
        assert_eq!(panics[0]["cause"], format!("fault injected at {point}"));
        assert!(panics[0]["place"].as_str().unwrap().starts_with("src/"), "{:?}", panics[0]);
        assert_eq!(server.ask("GET", "/ready", &[]).status, 200);
    }
}

#[test]
fn an_actor_that_hangs_ends_the_process_with_a_failure() {
    let world = World::promoted(&["v1.0.0"]);
    let mut server = world.serve_with(&[("MODEL_REGISTRY_FAULT", "auth.resolve=hang")]);
    let reply = server.get("/api/v1/models/risk_model/current");
    reply.is_error(503, "REGISTRY_UNAVAILABLE", "did not answer in time");
    assert_eq!(server.wait().code(), Some(6));
    assert_eq!(server.events("an actor is lost for good").len(), 1);
}
