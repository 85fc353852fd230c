//! `GET /api/v1/models/risk_model/current`, as a service polls it, against a bare actix-web handler that
//! answers the same bytes: the ratio of the two is what the registry's own work costs.
//!
//! `cargo bench --bench current`. Both servers have one worker on the first core, the load generator (`wrk`,
//! of the Debian package of that name) has the second. Rounds alternate, so that whatever else the machine does falls
//! on both.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "a measurement that cannot go on should say so and stop"
)]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

const TOKEN: &str = "bench-token-0123456789";
const ROUNDS: usize = 5;
const SECONDS: &str = "3";

/// A body as long as the real one.
const BODY: &str = r#"{"model_type":"risk_model","version":"v1.0.0","checksum":"f6ee8065fa53c5da2fd93304427e602d9bd564200ee63d9b58ae890e3258a02f","dataset_version_ids":{"crsp":"v1.2.3"}}"#;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--bare") {
        return bare();
    }
    let folder = tempfile::tempdir().unwrap();
    let registry = folder.path().join("registry");
    make(&registry);
    let (bare, bare_url) = start(
        pinned(std::env::current_exe().unwrap().to_str().unwrap()).arg("--bare"),
        "listening on ",
    );
    let binary = env!("CARGO_BIN_EXE_model-registry");
    let (ours, our_url) = start(
        pinned(binary)
            .args(["serve", "--host", "127.0.0.1", "--port", "0", "--registry-dir"])
            .arg(&registry)
            .env("MODEL_REGISTRY_READ_TOKEN", TOKEN)
            .env("ENVIRONMENT", "test")
            // A log line a request is part of the service; the terminal is not.
            .env("MODEL_REGISTRY_LOG_FORMAT", "json"),
        "\"port\":",
    );
    let url = |base: &str| format!("http://127.0.0.1:{base}/api/v1/models/risk_model/current");
    println!("requests a second, 32 connections, {SECONDS} s a round");
    println!("{:>6} {:>10} {:>10} {:>6}", "round", "bare", "current", "ratio");
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let (base, measured) = (load(&url(&bare_url)), load(&url(&our_url)));
        let ratio = measured / base;
        println!("{round:>6} {base:>10.0} {measured:>10.0} {ratio:>6.3}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.3}", ratios[ROUNDS / 2]);
    drop((bare, ours));
}

fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0", program]);
    command
}

fn make(registry: &Path) {
    let pickle =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/real/risk_model_numpy.pkl");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_model-registry"));
        command.arg("--registry-dir").arg(registry).args(arguments);
        assert!(command.stdout(Stdio::null()).status().unwrap().success());
    };
    run(&[
        "register",
        "risk_model",
        pickle.to_str().unwrap(),
        "--version",
        "v1.0.0",
        "--snapshot-id",
        "s",
        "--dataset-versions",
        r#"{"crsp":"v1.2.3"}"#,
        "--parameters",
        r#"{"factor_list":["size"],"halflife_days":60,"shrinkage_intensity":0.5}"#,
        "--metrics",
        r#"{"ic":0.04,"sharpe":1.2,"paper_trade_hours":48.0}"#,
    ]);
    run(&["promote", "risk_model", "v1.0.0"]);
}

/// Starts a server and reads its port off its log.
fn start(command: &mut Command, marker: &str) -> (Server, String) {
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains(marker)).expect("the server started");
    let after = line.split(marker).nth(1).unwrap();
    let port = after.chars().take_while(char::is_ascii_digit).collect();
    // Somebody must go on reading, or the server's log would block it.
    std::thread::spawn(move || lines.for_each(drop));
    (Server(child), port)
}

/// Requests a second.
fn load(url: &str) -> f64 {
    let duration = format!("-d{SECONDS}s");
    let header = format!("Authorization: Bearer {TOKEN}");
    let output = Command::new("taskset")
        .args(["-c", "1", "wrk", "-t1", "-c32", &duration, "-H", &header, url])
        .output()
        .expect("taskset and wrk: apt-get install wrk util-linux");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("Non-2xx"), "{text}");
    let line = text.lines().find(|line| line.starts_with("Requests/sec:")).expect("wrk's summary");
    line.split(':').nth(1).unwrap().trim().parse().unwrap()
}

/// The baseline: one handler, nothing around it.
fn bare() {
    use actix_web::{App, HttpResponse, HttpServer, web};
    actix::System::new()
        .block_on(async {
            let handler =
                || async { HttpResponse::Ok().content_type("application/json").body(BODY) };
            let path = "/api/v1/models/{model_type}/current";
            let server = HttpServer::new(move || App::new().route(path, web::get().to(handler)))
                .workers(1)
                .bind(("127.0.0.1", 0))?;
            eprintln!("listening on {}", server.addrs()[0].port());
            server.run().await
        })
        .unwrap();
}
