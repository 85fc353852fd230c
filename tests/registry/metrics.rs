//! The numbers for whoever watches the service.

use std::time::Duration;

use crate::{
    raw::Raw,
    support::{READ, Reply, Server, World, ask, eventually, until},
};

const ON: (&str, &str) = ("MODEL_REGISTRY_METRICS_PORT", "0");

fn port(server: &Server) -> u64 {
    server.events("serving")[0]["metrics_port"].as_u64().unwrap()
}

fn scrape(server: &Server) -> Reply {
    ask("GET", &format!("http://127.0.0.1:{}/metrics", port(server)), &[])
}

/// Every sample line.
fn samples(server: &Server) -> Vec<String> {
    let reply = scrape(server);
    assert_eq!(reply.status, 200);
    let text = String::from_utf8(reply.body).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text.lines().filter(|line| !line.starts_with('#')).map(ToOwned::to_owned).collect()
}

/// The value of the one sample that begins so.
#[track_caller]
fn value(samples: &[String], name: &str) -> f64 {
    let found: Vec<_> = samples.iter().filter(|line| line.starts_with(name)).collect();
    assert_eq!(found.len(), 1, "{name}: {samples:#?}");
    found[0].rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn there_are_no_metrics_unless_they_are_wanted() {
    let world = World::new();
    let server = world.serve();
    assert!(server.events("serving")[0]["metrics_port"].is_null());
    // One socket listens, and it has no such route.
    assert_eq!(server.ask("GET", "/metrics", &[]).status, 404);
    assert_eq!(listening(&server), 1);
    drop(server);
    let server = world.serve_with(&[ON]);
    assert_eq!(listening(&server), 2);
    assert_eq!(server.ask("GET", "/metrics", &[]).status, 404);
}

/// How many of the process's sockets listen.
fn listening(server: &Server) -> usize {
    let links = std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap();
    let links = links.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let own: Vec<_> = links.map(|link| link.to_str().unwrap().to_owned()).collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let listening = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        (fields[3] == "0A").then(|| format!("socket:[{}]", fields[9]))
    });
    listening.filter(|socket| own.contains(socket)).count()
}

#[test]
fn requests_are_counted_by_route_method_and_status_and_timed() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve_with(&[ON]);
    for _ in 0..3 {
        assert_eq!(server.model("risk_model/current").status, 200);
    }
    server.model("alpha_weights/current");
    server.ask("GET", "/api/v1/models/risk_model/current", &[]);
    for path in ["/nowhere", "/no/where/1", "/%2e%2e/x"] {
        server.ask("GET", path, &[]);
    }
    for method in ["BREW", "WHEN"] {
        server.ask(method, "/health", &[]);
    }
    let seen = samples(&server);
    let count = |route: &str, method: &str, status: u16| {
        let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
        value(&seen, &format!("model_registry_http_requests_total{{{labels}}}"))
    };
    let current = "/api/v1/models/{model_type}/current";
    assert_eq!(count(current, "GET", 200), 3.0);
    assert_eq!(count(current, "GET", 404), 1.0);
    assert_eq!(count(current, "GET", 401), 1.0);
    assert_eq!(count("unmatched", "GET", 404), 3.0);
    assert_eq!(count("/health", "other", 405), 2.0);
    let name = "model_registry_http_request_duration_seconds";
    let labels = format!("route=\"{current}\",method=\"GET\"");
    assert_eq!(value(&seen, &format!("{name}_count{{{labels}}}")), 5.0);
    assert_eq!(value(&seen, &format!("{name}_bucket{{le=\"+Inf\",{labels}}}")), 5.0);
    assert!(value(&seen, &format!("{name}_sum{{{labels}}}")) > 0.0);
    // Nothing that a client sent stands in a label.
    assert!(!seen.iter().any(|line| line.contains("nowhere") || line.contains("BREW")));
    assert_eq!(value(&seen, "model_registry_http_requests_in_flight"), 0.0);
}

#[test]
fn what_is_no_request_is_counted_and_logged_with_its_sender() {
    let world = World::new();
    let server = world.serve_with(&[ON]);
    for (bytes, status) in [
        // Refused beneath the framework, and by it.
        (&b"GET / HTTP/1.1\nHost: x\r\n\r\n"[..], "400"),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400"),
        (&[b'a'; 9000], "414"),
    ] {
        let mut raw = Raw::connect(&server);
        raw.send(bytes);
        assert!(raw.until_closed().starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
    }
    let seen = samples(&server);
    let answered = |status: u16| {
        let labels = format!("route=\"unmatched\",method=\"other\",status=\"{status}\"");
        value(&seen, &format!("model_registry_http_requests_total{{{labels}}}"))
    };
    assert_eq!((answered(400), answered(414)), (2.0, 1.0));
    let refused = server.events("request refused");
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|line| line["client"] == "127.0.0.1"), "{refused:?}");
}

#[test]
fn what_the_service_is_made_of_is_told() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve_with(&[ON]);
    assert_eq!(server.model("risk_model/current").status, 200);
    assert_eq!(server.validate("risk_model/v1.0.0").status, 200);
    let seen = samples(&server);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(value(&seen, &format!("model_registry_build_info{{version=\"{version}\"}}")), 1.0);
    for actor in ["auth", "db", "manifest", "validator", "janitor"] {
        let of = |what| {
            value(&seen, &format!("model_registry_actor_mailbox_{what}{{actor=\"{actor}\"}}"))
        };
        assert!(of("capacity") >= 32.0 && of("requests") <= 1.0, "{actor}");
    }
    let labels = "format=\"pickle\",verdict=\"loadable\"";
    assert_eq!(value(&seen, &format!("model_registry_load_checks_total{{{labels}}}")), 1.0);
    let name = "model_registry_load_check_duration_seconds_count{format=\"pickle\"}";
    assert_eq!(value(&seen, name), 1.0);
    assert_eq!(value(&seen, "model_registry_catalog_connections_max"), 8.0);
    assert_eq!(value(&seen, "model_registry_catalog_connection_waiters"), 0.0);
    assert!(value(&seen, "model_registry_catalog_connections{state=\"idle\"}") >= 1.0);
    assert!(value(&seen, "process_resident_memory_bytes") > 1e6);
    assert!(value(&seen, "process_open_fds") > 5.0);
    assert!(value(&seen, "process_max_fds") > 5.0);
    assert!(value(&seen, "process_cpu_seconds_total") > 0.0);
    let started = value(&seen, "process_start_time_seconds");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((0.0..60.0).contains(&(now.as_secs_f64() - started)), "{started}");
    // Without an identity provider there are no keys that could age.
    assert!(!seen.iter().any(|line| line.contains("identity_keys")));
}

#[test]
fn an_integrity_error_is_counted() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve_with(&[ON]);
    let name = "model_registry_integrity_errors_total{found_by=\"request\"}";
    assert_eq!(value(&samples(&server), name), 0.0);
    std::fs::write(world.path("artifacts/risk_model/v1.0.0/model.pkl"), "tampered").unwrap();
    assert_eq!(server.model("risk_model/v1.0.0/artifact").status, 503);
    assert_eq!(value(&samples(&server), name), 1.0);
}

#[test]
fn damage_is_told_until_it_is_repaired() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve_with(&[ON]);
    let findings = |kind: &str| {
        let name = format!("model_registry_integrity_findings{{kind=\"{kind}\"}}");
        value(&samples(&server), &name)
    };
    assert_eq!(
        (findings("artifact"), findings("sidecar"), findings("stray_file")),
        (0.0, 0.0, 0.0)
    );
    let path = world.path("artifacts/risk_model/v1.0.0/model.pkl");
    let intact = std::fs::read(&path).unwrap();
    std::fs::write(&path, "tampered").unwrap();
    assert_eq!(server.model("risk_model/v1.0.0/artifact").status, 503);
    until(Duration::from_secs(30), || findings("artifact") == 1.0);
    // It stays, however often it is looked at, and is logged once.
    let looked = server.events("integrity error").len();
    assert_eq!(looked, 1);
    std::fs::write(&path, "tampered again").unwrap();
    assert_eq!(server.model("risk_model/v1.0.0/artifact").status, 503);
    assert_eq!(findings("artifact"), 1.0);
    std::fs::write(&path, intact).unwrap();
    until(Duration::from_secs(30), || findings("artifact") == 0.0);
    assert_eq!(server.model("risk_model/v1.0.0/artifact").status, 200);
    let events = server.events("integrity error");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(server.events("the version is intact again").len(), 1);
    // A sidecar that is gone is found by a read as well.
    let sidecar = world.path("artifacts/risk_model/v1.0.0/metadata.json");
    let aside = world.outside("aside");
    std::fs::rename(&sidecar, &aside).unwrap();
    assert_eq!(server.model("risk_model/current").status, 503);
    until(Duration::from_secs(30), || findings("sidecar") == 1.0);
    std::fs::rename(&aside, &sidecar).unwrap();
    until(Duration::from_secs(30), || findings("sidecar") == 0.0);
}

#[test]
fn changes_of_other_processes_are_logged_and_counted_once() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let server = world.serve_with(&[ON]);
    let production = |version: &str| {
        let labels = format!("model_type=\"risk_model\",version=\"{version}\"");
        format!("model_registry_production_info{{{labels}}} 1")
    };
    let has = |line: &str| samples(&server).iter().any(|sample| sample == line);
    until(Duration::from_secs(20), || has(&production("v1.1.0")));
    let changes = |action: &str| {
        let labels = format!("action=\"{action}\",model_type=\"risk_model\"");
        value(&samples(&server), &format!("model_registry_changes_total{{{labels}}}"))
    };
    // What happened before the start is not news.
    assert_eq!((changes("promote"), changes("restore"), changes("fail")), (0.0, 0.0, 0.0));
    let rollback = ["rollback", "risk_model", "--user", "bob", "--reason", "drift"];
    world.run(&rollback).ok();
    world.run(&["fail", "risk_model", "v1.1.0", "--reason", "wrong data"]).ok();
    until(Duration::from_secs(20), || server.events("marked failed").len() == 1);
    let told = server.events("rolled back");
    assert_eq!(told.len(), 1, "{told:?}");
    for (field, expected) in [
        ("model_type", "risk_model"),
        ("version", "v1.0.0"),
        ("displaced", "v1.1.0"),
        ("user", "bob"),
        ("reason", "drift"),
        ("level", "INFO"),
    ] {
        assert_eq!(told[0][field], expected, "{told:?}");
    }
    assert_eq!(told[0]["by_another_process"], true);
    until(Duration::from_secs(20), || changes("fail") == 1.0);
    assert_eq!((changes("promote"), changes("restore"), changes("register")), (0.0, 1.0, 0.0));
    until(Duration::from_secs(20), || has(&production("v1.0.0")));
    assert!(!has(&production("v1.1.0")));
    let since = "model_registry_production_since_timestamp_seconds{model_type=\"risk_model\"}";
    assert!(value(&samples(&server), since) > 1e9);
    assert_eq!(server.events("rolled back").len(), 1);
}

#[cfg(debug_assertions)]
#[test]
fn the_death_of_an_actor_and_a_request_in_flight_are_counted() {
    let world = World::promoted(&["v1.0.0"]);
    let faults = ("MODEL_REGISTRY_FAULT", "auth.resolve=panic,registry.examine=slow");
    let server = world.serve_with(&[ON, faults]);
    assert_eq!(server.model("risk_model/current").status, 503);
    until(Duration::from_secs(5), || server.model("risk_model/current").status == 200);
    let name = "model_registry_actor_deaths_total{actor=\"auth\"}";
    // Another worker's actor may have answered; each worker has its own.
    let died = format!("{name} 1");
    until(Duration::from_secs(20), || samples(&server).contains(&died));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It waits until its connection is given up with the service.
            let url = server.url("/api/v1/models/risk_model/v1.0.0/validate");
            let token = format!("Bearer {}", crate::support::ADMIN);
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .timeout_global(Some(Duration::from_secs(3)))
                .build()
                .into();
            agent.post(&url).header("authorization", &token).send_empty().unwrap_err();
        });
        let name = "model_registry_http_requests_in_flight";
        eventually(Duration::from_secs(3), || {
            (value(&samples(&server), name) == 1.0).then_some(())
        });
    });
}

#[test]
fn the_port_of_the_metrics_answers_nothing_else() {
    let world = World::new();
    let server = world.serve_with(&[ON]);
    let base = format!("http://127.0.0.1:{}", port(&server));
    let reply = scrape(&server);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(reply.header("content-type"), Some(kind));
    let head = ask("HEAD", &format!("{base}/metrics"), &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(ask("POST", &format!("{base}/metrics"), &[]).status, 405);
    let token = format!("Bearer {READ}");
    for path in ["/", "/health", "/api/v1/models/risk_model", "/metrics/x"] {
        let reply = ask("GET", &format!("{base}{path}"), &[("authorization", &token)]);
        assert_eq!(reply.status, 404, "{path}");
    }
}

#[test]
fn a_port_of_the_metrics_that_is_taken_is_named() {
    let world = World::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = world.command(&["serve", "--host", "127.0.0.1", "--port", "0"]);
    command.env("MODEL_REGISTRY_READ_TOKEN", READ).env("MODEL_REGISTRY_METRICS_PORT", &port);
    let ran: crate::support::Ran = command.output().unwrap().into();
    ran.refused(2, "MODEL_REGISTRY_METRICS_PORT").refused(2, &port);
}
