//! Clients that are too slow, or too many at a time.

use std::{
    net::{SocketAddr, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::{
    raw::{Raw, answers},
    support::{ADMIN, READ, Server, World, eventually},
};

/// The answers, and after how long the connection was closed.
fn answered(server: &Server, send: impl FnOnce(&mut Raw)) -> (Vec<(u16, String)>, Duration) {
    let mut raw = Raw::connect(server);
    let started = std::time::Instant::now();
    send(&mut raw);
    let found = answers(&raw.until_closed(), &[]);
    let told = |answer: crate::raw::Answer| {
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        (answer.status, body["code"].as_str().unwrap_or("-").to_owned())
    };
    (found.into_iter().map(told).collect(), started.elapsed())
}

#[test]
fn who_is_too_slow_in_asking_is_told_so_and_cut_off() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let good = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let timeout = vec![(408, "REQUEST_TIMEOUT".to_owned())];
    let drip = |raw: &mut Raw| {
        for _ in 0..40 {
            raw.send(b"a");
            thread::sleep(Duration::from_millis(400));
        }
    };
    thread::scope(|scope| {
        let head = scope.spawn(|| answered(&server, |raw| raw.send(b"GET /health HTTP/1.1\r\n")));
        let second = scope.spawn(|| {
            answered(&server, |raw| {
                raw.send(good);
                raw.at_least(100);
                raw.send(b"GET /health HTTP/1.1\r\nHost: x\r\n");
            })
        });
        let dripping = scope.spawn(|| {
            answered(&server, |raw| {
                raw.send(b"GET /health HTTP/1.1\r\nA: ");
                drip(raw);
            })
        });
        let body = scope.spawn(|| {
            answered(&server, |raw| {
                let token = format!("Authorization: Bearer {ADMIN}\r\n");
                let path = "/api/v1/models/risk_model/v1.0.0/validate";
                raw.send(
                    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{token}Content-Length: 40\r\n\r\n")
                        .as_bytes(),
                );
                raw.send(b"abc");
            })
        });
        let silent = scope.spawn(|| answered(&server, |_| {}));
        let range = Duration::from_secs(9)..Duration::from_secs(16);
        for (name, client, expected) in [
            ("head", head, timeout.clone()),
            ("second head", second, timeout.clone()),
            ("body", body, timeout.clone()),
            ("silent", silent, Vec::new()),
        ] {
            let (found, after) = client.join().unwrap();
            assert_eq!(found, expected, "{name}");
            assert!(range.contains(&after), "{name}: {after:?}");
        }
        // Each byte is no new beginning. Who goes on sending may see a reset and not the answer.
        let (found, _) = dripping.join().unwrap();
        assert!(found.is_empty() || found == timeout, "{found:?}");
    });
    assert_eq!(server.ask("GET", "/health", &[]).status, 200);
}

#[test]
fn downloads_that_nobody_takes_keep_no_question_out_and_end() {
    let world = World::new();
    let file = world.outside("big.json");
    std::fs::write(&file, vec![b' '; 24 << 20]).unwrap();
    world.register_with("v1.0.0", &[]).ok();
    let mut arguments = World::register_arguments("v2.0.0");
    arguments[2] = file.to_str().unwrap().to_owned();
    world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    world.promote("v1.0.0").ok();
    let server = world.serve();
    let path = "/api/v1/models/risk_model/v2.0.0/artifact";
    let asked = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {READ}\r\n\r\n");
    let room = model_registry::limits::DOWNLOADS_IN_FLIGHT;
    let clients: Vec<_> = (0..room)
        .map(|_| {
            let mut raw = Raw::connect(&server);
            raw.send(asked.as_bytes());
            assert!(raw.at_least(12).starts_with(b"HTTP/1.1 200"));
            raw
        })
        .collect();
    let refused = server.get(path);
    refused.is_error(503, "OVERLOADED", "try again");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(server.ask("HEAD", path, &[]).status, 503, "decided before anything else");
    assert_eq!(server.model("risk_model/current").status, 200);
    assert_eq!(server.ask("GET", "/health", &[]).status, 200);
    assert_eq!(server.ask("GET", "/ready", &[]).status, 200);
    // None of them ever reads on, or hangs up: the server does.
    let limit = model_registry::limits::ANSWER_STALL + Duration::from_secs(30);
    let whole = eventually(limit, || Some(server.get(path)).filter(|reply| reply.status == 200));
    assert_eq!(whole.body.len(), 24 << 20);
    drop(clients);
}

/// Memory that the service's process has, in bytes.
fn memory(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn a_connection_keeps_little_of_a_large_answer() {
    let world = World::new();
    let server = world.serve();
    let asked = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = server.ask("GET", "/openapi.json", &[]).body.len();
    assert!(length > 100_000, "{length}");
    let ask = || {
        let mut raw = Raw::connect(&server);
        raw.send(asked);
        raw.at_least(length);
        raw
    };
    // Nobody needs a token for it, and nobody has to go afterwards.
    let mut clients: Vec<_> = (0..50).map(|_| ask()).collect();
    let before = memory(&server);
    clients.extend((0..400).map(|_| ask()));
    let each = memory(&server).saturating_sub(before) / 400;
    assert!(each < 64 * 1024, "{each} bytes a connection");
}

#[test]
fn connections_leave_open_files_for_the_registry() {
    let world = World::promoted(&["v1.0.0"]);
    let serve = world.command(&["serve", "--host", "127.0.0.1", "--port", "0"]);
    let files = 700;
    let mut command = Command::new("sh");
    let limited = format!("ulimit -n {files} && exec \"$@\"");
    command
        .env_clear()
        .args(["-c", &limited, "sh"])
        .arg(serve.get_program())
        .args(serve.get_args());
    command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("MODEL_REGISTRY_READ_TOKEN", READ).env("MODEL_REGISTRY_LOG_FORMAT", "json");
    let server = Server::start(command);
    let path = "/api/v1/models/risk_model/v1.0.0/artifact";
    let asked = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {READ}\r\n\r\n");
    let artifact = std::fs::read(crate::support::pickle()).unwrap();
    let mut raw = Raw::connect(&server);
    let mut answered = || {
        raw.send(asked.as_bytes());
        // The whole of it, so that the next one begins at its first byte.
        let mut bytes = raw.at_least(1);
        while !bytes.ends_with(&artifact) && bytes.starts_with(b"HTTP/1.1 200 ") {
            bytes.extend(raw.at_least(1));
        }
        bytes.starts_with(b"HTTP/1.1 200 ")
    };
    assert!(answered());
    // As many as are taken, and as wait to be.
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(3)).ok();
    let crowd: Vec<_> = (0..files).map_while(|_| connect()).collect();
    assert!(crowd.len() > 100, "{}", crowd.len());
    let open = || std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
    for _ in 0..5 {
        assert!(answered(), "with {} files open", open());
        thread::sleep(Duration::from_millis(100));
    }
    assert!(open() < files - 100, "{}", open());
}

#[test]
fn more_connections_than_requests_in_progress_are_all_answered() {
    // Each client takes one file of this process, and other tests run in it too.
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    // While the process is stopped, requests gather: all of them are there at the same moment.
    server.signal(Signal::STOP);
    let crowd = model_registry::limits::REQUESTS_IN_FLIGHT + 300;
    let asked = format!(
        "GET /api/v1/models/risk_model/current HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {READ}\r\n\r\n"
    );
    let clients: Vec<_> = (0..crowd)
        .map(|_| {
            let mut raw = Raw::connect(&server);
            raw.send(asked.as_bytes());
            raw
        })
        .collect();
    server.signal(Signal::CONT);
    for mut raw in clients {
        let answer = raw.until_closed();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn clients_that_come_at_the_same_moment_are_not_sent_away() {
    let world = World::new();
    let server = world.serve();
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    // While nobody accepts, all of them wait in the kernel. Who finds no room there tries again after a second.
    server.signal(Signal::STOP);
    let patience = Duration::from_millis(800);
    let came: Vec<_> = (0..500).map(|_| TcpStream::connect_timeout(&address, patience)).collect();
    server.signal(Signal::CONT);
    for stream in came {
        let mut raw = Raw(stream.unwrap());
        raw.send(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(raw.until_closed().starts_with(b"HTTP/1.1 200 "));
    }
}
