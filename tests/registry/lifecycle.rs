//! How the service ends: gateways hear of it first, and nobody's request is lost.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::support::{ADMIN, READ, Server, World, until};

const DRAIN: (&str, &str) = ("MODEL_REGISTRY_DRAIN_SECONDS", "2");

/// A connection that is kept for more requests.
struct Kept(BufReader<TcpStream>);

impl Kept {
    fn open(server: &Server) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        Some(Self(BufReader::new(stream)))
    }

    fn send(&mut self, method: &str, path: &str, token: &str) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        // A connection that was closed shows when it is read from.
        drop(self.0.get_mut().write_all(head.as_bytes()));
    }

    /// The head and how long the body is; nothing where the connection is closed before it.
    fn head(&mut self) -> Option<(String, usize)> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).ok()? == 0 {
                assert!(head.is_empty(), "cut off: {head}");
                return None;
            }
        }
        let lower = head.to_ascii_lowercase();
        let length = lower.split("content-length: ").nth(1).unwrap();
        Some((lower.clone(), length.split("\r\n").next().unwrap().parse().unwrap()))
    }

    fn ask(&mut self, path: &str) -> Option<(String, String)> {
        self.send("GET", path, READ);
        let (head, length) = self.head()?;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Some((head, String::from_utf8(body).unwrap()))
    }
}

#[test]
fn a_service_that_is_told_to_stop_says_so_and_serves_on_before_it_goes() {
    let world = World::promoted(&["v1.0.0"]);
    let mut server = world.serve_with(&[DRAIN]);
    assert_eq!(server.ask("GET", "/ready", &[]).status, 200);
    let mut kept = Kept::open(&server).unwrap();
    let (head, _) = kept.ask("/ready").unwrap();
    assert!(!head.contains("connection: close"), "{head}");
    let told = Instant::now();
    server.signal(Signal::TERM);
    until(Duration::from_secs(2), || server.events("received a signal to stop").len() == 1);
    let ready = server.ask("GET", "/ready", &[]);
    ready.header("retry-after").unwrap();
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["detail"], "service is stopping");
    // New connections are served as well as old ones, and each answer is its connection's last.
    assert_eq!(server.model("risk_model/current").status, 200);
    let (head, body) = kept.ask("/api/v1/models/risk_model/current").unwrap();
    assert!(head.starts_with("http/1.1 200") && head.contains("connection: close"), "{head}");
    assert!(body.contains("v1.0.0"));
    assert!(kept.ask("/health").is_none());
    assert_eq!(server.ask("GET", "/health", &[]).status, 200);
    // A connection on which nothing is asked keeps nobody waiting.
    let _idle = Kept::open(&server).unwrap();
    assert_eq!(server.wait().code(), Some(0));
    let took = told.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(8)).contains(&took), "{took:?}");
    assert_eq!(server.events("stopped").len(), 1);
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());
}

#[test]
fn no_request_is_lost_when_a_service_under_load_is_stopped() {
    let world = World::promoted(&["v1.0.0"]);
    let mut server = world.serve_with(&[DRAIN]);
    let (answered, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let refused = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..24)
            .map(|_| {
                scope.spawn(|| {
                    // Each client does what a gateway does: keeps its connection while it may, and goes
                    // elsewhere where none is taken any more.
                    'connections: loop {
                        let Some(mut kept) = Kept::open(&server) else { return };
                        begun.fetch_add(1, Ordering::Relaxed);
                        loop {
                            let (head, _) = kept
                                .ask("/api/v1/models/risk_model/current")
                                .expect("the connection was taken, or was to stay, and was closed");
                            assert!(head.starts_with("http/1.1 200"), "{head}");
                            answered.fetch_add(1, Ordering::Relaxed);
                            if head.contains("connection: close") {
                                continue 'connections;
                            }
                        }
                    }
                })
            })
            .collect();
        until(Duration::from_secs(20), || answered.load(Ordering::Relaxed) > 200);
        server.signal(Signal::TERM);
        until(Duration::from_secs(10), || {
            !server.events("finishing requests in flight").is_empty()
        });
        clients.into_iter().map(|client| client.join().is_err()).filter(|failed| *failed).count()
    });
    assert_eq!(refused, 0);
    assert!(begun.load(Ordering::Relaxed) > 24, "nobody moved on during the drain");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_download_in_flight_is_finished() {
    let world = World::new();
    let artifact: Vec<u8> = (0..40_000_000_u32).map(|at| (at % 251) as u8).collect();
    let file = world.outside("large.pkl");
    std::fs::write(&file, &artifact).unwrap();
    let mut arguments = World::register_arguments("v1.0.0");
    arguments[2] = file.to_str().unwrap().to_owned();
    world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    let mut server = world.serve();
    let mut kept = Kept::open(&server).unwrap();
    kept.send("GET", "/api/v1/models/risk_model/v1.0.0/artifact", READ);
    let (_, length) = kept.head().unwrap();
    assert_eq!(length, artifact.len());
    let mut body = vec![0; length];
    kept.0.read_exact(&mut body[..1000]).unwrap();
    server.signal(Signal::TERM);
    let last = "finishing requests in flight";
    until(Duration::from_secs(5), || !server.events(last).is_empty());
    assert_eq!(server.events(last)[0]["in_flight"], 1);
    until(Duration::from_secs(5), || TcpStream::connect(("127.0.0.1", server.port())).is_err());
    kept.0.read_exact(&mut body[1000..]).unwrap();
    assert!(body == artifact);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_service_at_once_and_says_by_which() {
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let world = World::new();
        let mut server = world.serve_with(&[("MODEL_REGISTRY_DRAIN_SECONDS", "600")]);
        server.signal(Signal::INT);
        until(Duration::from_secs(5), || server.events("received a signal to stop").len() == 1);
        let told = Instant::now();
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(status));
        assert!(told.elapsed() < Duration::from_secs(3));
        assert_eq!(server.events("stopped").len(), 0);
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_validation_that_outlasts_the_end_is_cancelled_and_its_caller_told() {
    let world = World::promoted(&["v1.0.0"]);
    let reached = world.outside("reached");
    let fault = format!("registry.examine=slow:{}", reached.display());
    let mut server = world.serve_with(&[("MODEL_REGISTRY_FAULT", &fault)]);
    let mut kept = Kept::open(&server).unwrap();
    kept.send("POST", "/api/v1/models/risk_model/v1.0.0/validate", ADMIN);
    until(Duration::from_secs(20), || reached.exists());
    server.signal(Signal::TERM);
    let (head, length) = kept.head().unwrap();
    assert!(head.starts_with("http/1.1 503") && head.contains("connection: close"), "{head}");
    assert!(head.contains("retry-after") && head.contains("x-request-id"), "{head}");
    let mut body = vec![0; length];
    kept.0.read_exact(&mut body).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["code"], "REGISTRY_UNAVAILABLE");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_service_that_is_told_to_stop_while_it_starts_goes_at_once() {
    let world = World::new();
    let token = ("MODEL_REGISTRY_READ_TOKEN", READ);
    // Who holds the lock holds the start up.
    world.register("v1.0.0").ok();
    let lock = std::fs::File::open(world.path(".lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut command = world.command(&["serve", "--host", "127.0.0.1", "--port", "0"]);
    command.env(token.0, token.1).env("MODEL_REGISTRY_LOG_FORMAT", "json");
    command.env("RUST_LOG", "debug").stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let hears = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (Signal::TERM.as_raw() - 1)) != 0
    };
    until(Duration::from_secs(8), hears);
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let told = Instant::now();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("received a signal to stop before it served"), "{log}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
}
