//! `GET /api/v1/models/risk_model/current`, as a service polls it, against a bare actix-web handler that
//! answers the same bytes: the ratio of the two is what the registry's own work costs. Beside it the same with
//! a JWT access token: one that was seen before, as of a client that polls, and ever new ones, each of which
//! costs a signature check.
//!
//! `cargo bench --bench current`. Both servers run on the first core, the load generator (`wrk`, of the Debian
//! package of that name) on the second; `node` makes the keys. Rounds alternate, so that whatever else the machine
//! does falls on all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "a measurement that cannot go on should say so and stop"
)]

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};

const TOKEN: &str = "bench-token-0123456789";
const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "model-registry";
/// Twice as many tokens as the service remembers: taken by turns, each is new again when it comes.
const NEW_TOKENS: usize = 20_000;
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
    let tokens = Tokens::make(folder.path());
    let binary = env!("CARGO_BIN_EXE_model-registry");
    let (ours, our_url) = start(
        pinned(binary)
            .args(["serve", "--host", "127.0.0.1", "--port", "0", "--registry-dir"])
            .arg(&registry)
            .env("MODEL_REGISTRY_READ_TOKEN", TOKEN)
            .env("MODEL_REGISTRY_JWT_ISSUER", ISSUER)
            .env("MODEL_REGISTRY_JWT_AUDIENCE", AUDIENCE)
            .env("MODEL_REGISTRY_JWT_JWKS_FILE", folder.path().join("jwks.json"))
            .env("ENVIRONMENT", "test")
            // A log line a request is part of the service; the terminal is not.
            .env("MODEL_REGISTRY_LOG_FORMAT", "json"),
        "\"port\":",
    );
    let url = |base: &str| format!("http://127.0.0.1:{base}/api/v1/models/risk_model/current");
    println!("requests a second, 32 connections, {SECONDS} s a round");
    println!("{:>6} {:>10} {:>10} {:>10} {:>10}", "round", "bare", "static", "jwt", "jwt, new");
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        let measured = [
            load(&url(&bare_url), Credentials::Bearer(TOKEN)),
            load(&url(&our_url), Credentials::Bearer(TOKEN)),
            load(&url(&our_url), Credentials::Bearer(&tokens.rsa)),
            load(&url(&our_url), Credentials::Script(&tokens.script)),
        ];
        let [base, fixed, known, new] = measured;
        println!("{round:>6} {base:>10.0} {fixed:>10.0} {known:>10.0} {new:>10.0}");
        rounds.push(measured);
    }
    for (name, over, under) in [
        ("static token / bare", 1, 0),
        ("jwt / static token", 2, 1),
        ("new jwt / static token", 3, 1),
    ] {
        let mut ratios: Vec<_> = rounds.iter().map(|round| round[over] / round[under]).collect();
        ratios.sort_by(f64::total_cmp);
        println!("median ratio, {name}: {:.3}", ratios[ROUNDS / 2]);
    }
    drop((bare, ours));
}

/// Access tokens signed with keys of the measurement's own.
struct Tokens {
    rsa: String,
    /// For `wrk`: one of [`NEW_TOKENS`] by turns.
    script: PathBuf,
}

impl Tokens {
    fn make(folder: &Path) -> Self {
        let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/identity/keys.mjs");
        let made = Command::new("node").arg(keys).arg(folder).status();
        assert!(made.expect("node: apt-get install nodejs").success());
        let der = |name: &str| std::fs::read(folder.join(name)).unwrap();
        let token = |algorithm, key: &EncodingKey, kid: &str, subject: usize| {
            let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
            let claims = serde_json::json!({
                "iss": ISSUER, "aud": AUDIENCE, "exp": 4_000_000_000_u64, "iat": 1_700_000_000,
                "sub": subject.to_string(), "client_id": "bench", "scope": "model:read",
            });
            jsonwebtoken::encode(&header, &claims, key).unwrap()
        };
        let rsa_key = EncodingKey::from_rsa_der(&der("rs256.der"));
        let ec_key = EncodingKey::from_ec_der(&der("es256.der"));
        let list: Vec<_> = (0..NEW_TOKENS)
            .map(|subject| token(Algorithm::ES256, &ec_key, "es256-1", subject))
            .collect();
        std::fs::write(folder.join("tokens"), list.join("\n")).unwrap();
        let script = folder.join("new.lua");
        let lua = format!(
            "local tokens, at = {{}}, 0\n\
             for line in io.lines('{}') do tokens[#tokens + 1] = 'Bearer ' .. line end\n\
             request = function()\n\
             at = at % #tokens + 1\n\
             wrk.headers['Authorization'] = tokens[at]\n\
             return wrk.format()\n\
             end\n",
            folder.join("tokens").display()
        );
        std::fs::write(&script, lua).unwrap();
        Self { rsa: token(Algorithm::RS256, &rsa_key, "rs256-1", 0), script }
    }
}

/// What a request shows at the door.
enum Credentials<'a> {
    Bearer(&'a str),
    Script(&'a Path),
}

fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0", program]);
    command
}

fn make(registry: &Path) {
    let pickle = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("crates/load-checks/tests/corpus/real/risk_model_numpy.pkl");
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
fn load(url: &str, credentials: Credentials<'_>) -> f64 {
    let duration = format!("-d{SECONDS}s");
    let mut command = Command::new("taskset");
    command.args(["-c", "1", "wrk", "-t1", "-c32", &duration]);
    match credentials {
        Credentials::Bearer(token) => {
            command.args(["-H", &format!("Authorization: Bearer {token}")])
        }
        Credentials::Script(script) => command.arg("-s").arg(script),
    };
    let output =
        command.arg(url).output().expect("taskset and wrk: apt-get install wrk util-linux");
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
