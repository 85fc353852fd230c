//! What is logged, and what never is.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::Stdio,
    time::Duration,
};

use serde_json::Value;

use crate::support::{ADMIN, READ, World, ask, eventually, until};

#[test]
fn each_model_route_logs_one_line_with_its_fields() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let reply = server.ask(
        "GET",
        "/api/v1/models/risk_model/current",
        &[("authorization", &format!("Bearer {READ}")), ("x-request-id", "req-1")],
    );
    assert_eq!(reply.status, 200);
    server.model("risk_model/v9.9.9");
    until(Duration::from_secs(5), || server.events("request").len() >= 2);
    let lines = server.events("request");
    assert_eq!(lines.len(), 2, "{lines:?}");
    let line = &lines[0];
    assert_eq!(line["request_id"], "req-1");
    assert_eq!(line["service"], "model_registry");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["auth_role"], "read");
    assert_eq!((&line["model_type"], &line["version"]), (&"risk_model".into(), &"v1.0.0".into()));
    assert_eq!(line["model_id"].as_str().unwrap().len(), 36);
    assert_eq!(line["status"], 200);
    assert!(line["duration_ms"].is_number());
    assert_eq!((&lines[1]["code"], &lines[1]["status"]), (&"MODEL_NOT_FOUND".into(), &404.into()));
}

#[test]
fn an_escaped_letter_in_a_path_changes_nothing_in_the_log() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    for path in ["/%61pi/v1/models/risk_model/current", "/api/v1/models/risk_model/curren%74"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    until(Duration::from_secs(5), || server.events("request").len() >= 2);
    for line in server.events("request") {
        assert_eq!(line["route"], "/api/v1/models/{model_type}/current");
        assert_eq!((&line["level"], &line["status"]), (&"INFO".into(), &200.into()));
    }
}

#[test]
fn no_part_of_a_token_is_logged_at_any_level() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve_with(&[("RUST_LOG", "trace")]);
    let wrong = "wrong-secret-abcdefghij";
    for token in [READ, ADMIN, wrong] {
        for path in ["risk_model/current", "risk_model", "risk_model/v1.0.0/artifact", "bogus/v1"] {
            let headers = [("authorization", &*format!("Bearer {token}"))];
            server.ask("GET", &format!("/api/v1/models/{path}"), &headers);
        }
    }
    server.validate("risk_model/v1.0.0");
    until(Duration::from_secs(5), || server.events("request").len() >= 13);
    let refused = server.events("request").into_iter().find(|line| line["code"] == "INVALID_TOKEN");
    assert_eq!(refused.unwrap()["token_length"], wrong.len());
    let everything = server.log().join("\n");
    for token in [READ, ADMIN, wrong] {
        // Any eight characters of it would be part of one.
        for at in 0..token.len() - 8 {
            let part = &token[at..at + 8];
            if !"read-token admin-token wrong-secret".contains(part) {
                assert!(!everything.contains(part), "{part}");
            }
        }
        assert!(!everything.contains(token));
    }
    assert!(!everything.to_lowercase().contains("bearer "));
}

#[test]
fn a_path_cannot_forge_a_log_line() {
    let world = World::new();
    let server = world.serve();
    server.model("risk_model%0a%7B%22message%22%3A%22forged%22%7D/current");
    until(Duration::from_secs(5), || !server.events("request").is_empty());
    assert!(server.events("forged").is_empty());
    assert!(server.log().iter().all(|line| line.starts_with('{')), "{:?}", server.log());
}

/// Whether probes are logged, which they are at `debug` alone.
fn logs_probes(server: &crate::support::Server) -> bool {
    let before = server.events("request").len();
    server.ask("GET", "/health", &[]);
    // What comes after it in the log shows that it is not on its way.
    server.model("risk_model");
    let models =
        || server.events("request")[before..].iter().any(|line| line["route"] != "/health");
    until(Duration::from_secs(5), models);
    server.events("request")[before..].iter().any(|line| line["route"] == "/health")
}

#[test]
fn a_hangup_switches_between_the_usual_log_lines_and_more_of_them() {
    use rustix::process::Signal;
    let world = World::new();
    let server = world.serve();
    let set = "SIGHUP: the log filter is set";
    assert!(!logs_probes(&server));
    for (times, closer) in [(1, true), (2, false), (3, true)] {
        server.signal(Signal::HUP);
        until(Duration::from_secs(5), || server.events(set).len() == times);
        assert_eq!(logs_probes(&server), closer);
    }
    assert_eq!(server.events(set)[0]["filter"], "info,model_registry=debug");
    assert_eq!(server.events(set)[1]["filter"], "info");
}

#[test]
fn a_hangup_reads_the_file_that_says_what_is_logged() {
    use rustix::process::Signal;
    let world = World::new();
    let file = world.outside("log-filter");
    std::fs::write(&file, "debug\n").unwrap();
    let variables =
        [("MODEL_REGISTRY_LOG_FILTER_FILE", file.to_str().unwrap()), ("RUST_LOG", "error")];
    let server = world.serve_with(&variables);
    assert!(logs_probes(&server), "the file wins over RUST_LOG");
    std::fs::write(&file, "info").unwrap();
    server.signal(Signal::HUP);
    until(Duration::from_secs(5), || server.events("SIGHUP: the log filter is set").len() == 1);
    assert!(!logs_probes(&server));
    std::fs::write(&file, "model_registry=loud").unwrap();
    server.signal(Signal::HUP);
    let kept = "SIGHUP: the log filter is unchanged";
    until(Duration::from_secs(5), || server.events(kept).len() == 1);
    assert!(server.events(kept)[0]["why"].as_str().unwrap().contains("log-filter"));
    assert!(!logs_probes(&server));
}

/// The lines of a text that are JSON with this message.
fn events(text: &str, message: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"] == message).collect()
}

#[test]
fn requests_are_answered_while_nobody_reads_the_log_and_lost_lines_are_counted() {
    let world = World::new();
    let mut command = world.command(&["serve", "--host", "127.0.0.1", "--port", "0", "--json"]);
    command
        .env("MODEL_REGISTRY_READ_TOKEN", READ)
        .env("MODEL_REGISTRY_ADMIN_TOKEN", ADMIN)
        .env("MODEL_REGISTRY_LOG_FORMAT", "json")
        .env("MODEL_REGISTRY_METRICS_PORT", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    while serde_json::from_str::<Value>(&told).is_err() {
        assert!(stdout.read_line(&mut told).unwrap() > 0, "{told}");
    }
    let told: Value = serde_json::from_str(&told).unwrap();
    // More lines than the pipe and the buffer hold, of 800 bytes each.
    let requests = 2000;
    let path = format!("/api/v1/models/{}/{}", "t".repeat(120), "v".repeat(120));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {READ}\r\nX-Request-Id: {}\r\n\r\n",
        "i".repeat(64)
    );
    let port = u16::try_from(told["port"].as_u64().unwrap()).unwrap();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut sender = client.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        for _ in 0..requests {
            sender.write_all(request.as_bytes()).unwrap();
        }
        sender.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    sending.join().unwrap();
    assert_eq!(answers.matches("HTTP/1.1 404 ").count(), requests);
    // Somebody reads again.
    let mut stderr = child.stderr.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        log
    });
    let metrics = format!("http://127.0.0.1:{}/metrics", told["metrics_port"]);
    let counted = eventually(Duration::from_secs(20), || {
        let text = String::from_utf8(ask("GET", &metrics, &[]).body).unwrap();
        let name = "model_registry_log_lines_lost_total ";
        let lost = text.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok())?;
        (lost > 0).then_some(lost)
    });
    let pid = i32::try_from(child.id()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let log = reading.join().unwrap();
    let message = "log lines were lost: they came faster than standard error takes them";
    let lost = events(&log, message);
    let lost: u64 = lost.iter().map(|line| line["lines"].as_u64().unwrap()).sum();
    assert_eq!(lost, counted);
    assert_eq!(events(&log, "request").len() as u64 + lost, requests as u64);
    assert_eq!(events(&log, "stopped").len(), 1, "the last lines are written before the end");
}
