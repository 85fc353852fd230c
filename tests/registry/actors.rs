//! An actor that dies is replaced, and its caller told to try again.

#![cfg(debug_assertions)]

use std::time::{Duration, Instant};

use crate::support::{ADMIN, READ, World};

/// How long a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn each_actor_that_panics_is_replaced() {
    for (point, method, path) in [
        ("auth.resolve", "GET", "risk_model/current"),
        ("db.recall", "GET", "risk_model/current"),
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
        // Each worker has its own actors, and a new connection may be another worker's.
        while server.events("an actor died and will be replaced").is_empty() {
            assert!(died.elapsed() < PATIENCE, "{point}: not replaced");
            std::thread::yield_now();
        }
        for _ in 0..8 {
            while ask().status != 200 {
                assert!(died.elapsed() < PATIENCE, "{point}: not replaced");
            }
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
    let mut server = world.serve_with(&[("MODEL_REGISTRY_FAULT", "db.find_production=hang")]);
    let reply = server.get("/api/v1/models/risk_model/current");
    reply.is_error(503, "REGISTRY_UNAVAILABLE", "did not answer in time");
    assert_eq!(server.wait().code(), Some(6));
    assert_eq!(server.events("an actor is lost for good").len(), 1);
}

#[test]
fn a_worker_whose_own_actor_hangs_ends_the_process_too() {
    let world = World::promoted(&["v1.0.0"]);
    for point in ["auth.resolve", "db.recall"] {
        let fault = format!("{point}=hang");
        let mut server = world.serve_with(&[("MODEL_REGISTRY_FAULT", &fault)]);
        // Its connection hangs with the worker, and is closed when the process ends.
        let asked = server.try_get("/api/v1/models/risk_model/current");
        assert!(asked.is_err(), "{point}");
        assert_eq!(server.wait().code(), Some(6), "{point}");
        // The other actor of that worker is lost as well.
        assert!(!server.events("an actor is lost for good").is_empty(), "{point}");
    }
}
