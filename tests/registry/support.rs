//! A small world for each test: a registry directory, the command line, a server, a client.

use std::{
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use model_registry::http::v1::writes::WriteRules;
use serde_json::Value;
use tempfile::TempDir;

pub const READ: &str = "read-token-0123456789";
pub const ADMIN: &str = "admin-token-0123456789";
pub const LEGACY: &str = "legacy-token-0123456789";

/// Metrics that pass every gate.
pub const GOOD: &str = r#"{"ic":0.04,"sharpe":1.2,"paper_trade_hours":48.0}"#;

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// A file of the load checks' corpus.
pub fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/load-checks/tests/corpus").join(name)
}

pub fn pickle() -> PathBuf {
    corpus("real/risk_model_numpy.pkl")
}

/// The binary with nothing of this process's environment that it would heed.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_model-registry"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("USER", "tester").env("ENVIRONMENT", "test").stdin(Stdio::null());
    command
}

/// A registry directory and its command line.
pub struct World {
    folder: TempDir,
    /// The catalog's database, where it is PostgreSQL.
    database: Option<String>,
}

/// What a command printed, and its exit status.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 0, "{self:?}");
        self
    }

    /// Exits with this status and says this.
    #[track_caller]
    pub fn refused(self, status: i32, saying: &str) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.stderr.contains(saying), "{saying}: {self:?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl World {
    pub fn new() -> Self {
        let database = crate::ON_POSTGRES.then(crate::postgres::shared_fresh_database);
        Self { folder: tempfile::tempdir().unwrap(), database }
    }

    /// A world whose catalog is in its directory, whatever the suite.
    pub fn embedded() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: None }
    }

    /// A world whose catalog is in this database.
    pub fn in_database(url: String) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: Some(url) }
    }

    /// The catalog's database, where it is PostgreSQL.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// Changes the catalog as any other program could.
    pub fn sql(&self, statements: &str) {
        match &self.database {
            Some(url) => crate::postgres::execute(url, statements),
            None => {
                use diesel::{Connection as _, connection::SimpleConnection as _};
                let path = self.path("registry.db");
                let mut conn = diesel::SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                conn.batch_execute(statements).unwrap();
            }
        }
    }

    pub fn with_legacy() -> Self {
        let world = Self::new();
        world.run(&["import", fixture("fixtures/legacy-registry").to_str().unwrap()]).ok();
        world
    }

    /// The registry directory; it need not exist yet.
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Somewhere outside the registry directory.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As [`Self::sql`], past the triggers that would forbid it.
    pub fn sql_without_triggers(&self, table: &str, statements: &str) {
        let trigger = match table {
            "versions" => "versions_never_change",
            "log_entries" => "the_log_never_changes",
            "log_subtrees" => "subtrees_never_change",
            other => panic!("{other} has no trigger"),
        };
        let first = match self.database {
            Some(_) => format!("ALTER TABLE {table} DISABLE TRIGGER ALL"),
            None if statements.starts_with("DELETE") => {
                format!("DROP TRIGGER {}", trigger.replace("never_change", "are_kept"))
            }
            None => format!("DROP TRIGGER {trigger}"),
        };
        self.sql(&format!("{first}; {statements}"));
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binary();
        command.arg("--registry-dir").arg(self.dir()).args(arguments);
        if let Some(url) = &self.database {
            command.env("DATABASE_URL", url);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    pub fn run_with_fault(&self, fault: &str, arguments: &[&str]) -> Ran {
        self.command(arguments).env("MODEL_REGISTRY_FAULT", fault).output().unwrap().into()
    }

    /// The arguments that register a version which could be promoted.
    pub fn register_arguments(version: &str) -> Vec<String> {
        let pickle = pickle();
        let parts = [
            "register",
            "risk_model",
            pickle.to_str().unwrap(),
            "--version",
            version,
            "--snapshot-id",
            "snap-1",
            "--dataset-versions",
            r#"{"crsp":"v1.2.3"}"#,
            "--parameters",
            r#"{"factor_list":["size"],"halflife_days":60,"shrinkage_intensity":0.5}"#,
            "--metrics",
            GOOD,
            "--config",
            r#"{"max_depth":6,"learning_rate":0.02}"#,
            "--factors",
            "size,value",
            "--created-by",
            "alice",
        ];
        parts.map(ToOwned::to_owned).into()
    }

    /// Registers with some flags replaced or added, given as flag and value by turns.
    pub fn register_with(&self, version: &str, changes: &[&str]) -> Ran {
        let mut arguments = Self::register_arguments(version);
        for pair in changes.chunks(2) {
            match arguments.iter().position(|argument| argument == pair[0]) {
                Some(at) => arguments[at + 1] = pair[1].to_owned(),
                None => arguments.extend(pair.iter().map(ToString::to_string)),
            }
        }
        self.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub fn register(&self, version: &str) -> Ran {
        self.register_with(version, &[])
    }

    pub fn promote(&self, version: &str) -> Ran {
        self.run(&["promote", "risk_model", version])
    }

    /// A registry with these versions, each promoted in turn.
    pub fn promoted(versions: &[&str]) -> Self {
        let world = Self::new();
        for version in versions {
            world.register(version).ok();
            world.promote(version).ok();
        }
        world
    }

    pub fn status_of(&self, version: &str) -> String {
        let shown = self.run(&["show", "risk_model", version, "--json"]).ok().json();
        shown["status"].as_str().unwrap().to_owned()
    }

    pub fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    pub fn serve_with(&self, variables: &[(&str, &str)]) -> Server {
        self.serve_on("127.0.0.1", variables)
    }

    /// A service that accepts changes.
    pub fn serve_writing(&self) -> Server {
        let most = WRITES.largest_artifact.to_string();
        self.serve_with(&[
            ("MODEL_REGISTRY_WRITE_API", "true"),
            ("MODEL_REGISTRY_MAX_ARTIFACT_BYTES", &most),
        ])
    }

    pub fn serve_on(&self, host: &str, variables: &[(&str, &str)]) -> Server {
        let mut command = self.command(&["serve", "--host", host, "--port", "0"]);
        command
            .env("MODEL_REGISTRY_READ_TOKEN", READ)
            .env("MODEL_REGISTRY_ADMIN_TOKEN", ADMIN)
            .env("MODEL_REGISTRY_TOKEN", LEGACY)
            .env("MODEL_REGISTRY_LOG_FORMAT", "json")
            .envs(variables.iter().copied());
        Server::start(command)
    }

    /// Every version folder's files, and what is staged: to see that nothing changed.
    pub fn artifacts(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        collect(&self.path("artifacts"), &mut found);
        found.sort();
        found
    }
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
}

/// What a service has written so far. Whoever looks reads first what is there: a line that was written before
/// something else was seen is never missed. A thread reads as well, so that the service never waits for a reader.
struct Log {
    stderr: ChildStderr,
    begun: Vec<u8>,
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    fn keep(stderr: ChildStderr) -> Arc<Mutex<Self>> {
        rustix::fs::fcntl_setfl(&stderr, rustix::fs::OFlags::NONBLOCK).unwrap();
        let log = Self { stderr, begun: Vec::new(), lines: Vec::new(), ended: false };
        let log = Arc::new(Mutex::new(log));
        let kept = log.clone();
        std::thread::spawn(move || {
            while !kept.lock().unwrap().read().ended {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        log
    }

    fn read(&mut self) -> &Self {
        let mut some = [0; 1 << 16];
        while !self.ended {
            match self.stderr.read(&mut some) {
                Ok(0) => self.ended = true,
                Ok(read) => self.begun.extend_from_slice(&some[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            self.lines.push(String::from_utf8(line).unwrap().trim_end().to_owned());
        }
        self
    }
}

/// What a service of [`World::serve_writing`] accepts.
pub const WRITES: WriteRules = WriteRules { largest_artifact: 1 << 20 };

/// A running service.
pub struct Server {
    child: Child,
    port: u16,
    log: Arc<Mutex<Log>>,
}

impl Server {
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let log = Log::keep(child.stderr.take().unwrap());
        let mut server = Self { child, port: 0, log };
        let port = eventually(Duration::from_secs(30), || {
            if let Some(status) = server.child.try_wait().unwrap() {
                panic!("the server ended with {status}: {:#?}", server.log());
            }
            server.events("serving").first().and_then(|line| line["port"].as_u64())
        });
        server.port = u16::try_from(port).unwrap();
        server
    }

    pub fn log(&self) -> Vec<String> {
        self.until_written();
        self.log.lock().unwrap().read().lines.clone()
    }

    /// Waits until the service has written the lines that it has by now. A thread of its own writes them, which then waits
    /// without a time limit for more.
    fn until_written(&self) {
        let folder = format!("/proc/{}/task", self.id());
        let writes = |task: &Path| {
            let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
            let call = std::fs::read_to_string(task.join("syscall")).unwrap_or_default();
            let call: Vec<_> = call.split_whitespace().collect();
            // The system call `futex`, on x86-64 and on ARM, without a time limit.
            let waits = matches!(call.first(), Some(&"202" | &"98")) && call[4] == "0x0";
            name.trim_end() == "log" && !waits
        };
        until(Duration::from_secs(10), || {
            let Ok(tasks) = std::fs::read_dir(&folder) else { return true };
            !tasks.filter_map(Result::ok).any(|task| writes(&task.path()))
        });
    }

    /// The log lines with this message.
    pub fn events(&self, message: &str) -> Vec<Value> {
        self.log()
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["message"] == message)
            .collect()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[("authorization", &format!("Bearer {READ}"))])
    }

    /// As [`Self::get`], where the connection may end without an answer.
    pub fn try_get(&self, path: &str) -> Result<Reply, Box<ureq::Error>> {
        try_ask("GET", &self.url(path), &[("authorization", &format!("Bearer {READ}"))])
    }

    /// `GET` of a path below `/api/v1/models/`.
    pub fn model(&self, path: &str) -> Reply {
        self.get(&format!("/api/v1/models/{path}"))
    }

    pub fn validate(&self, path: &str) -> Reply {
        let token = format!("Bearer {ADMIN}");
        let path = format!("/api/v1/models/{path}/validate");
        self.ask("POST", &path, &[("authorization", &token)])
    }

    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        ask(method, &self.url(path), headers)
    }

    /// As [`Self::ask`], with a body.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        send(method, &self.url(path), headers, body).unwrap()
    }

    /// Processes that it started and that are there.
    pub fn child_ids(&self) -> Vec<u32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok())
            .flat_map(|list| {
                list.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>()
            })
            .collect()
    }

    pub fn children(&self) -> usize {
        self.child_ids().len()
    }

    /// How many descriptors the process holds.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal)
            .unwrap();
    }

    /// Waits for the process's end.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        eventually(Duration::from_secs(40), || self.child.try_wait().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

#[track_caller]
pub fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> Reply {
    try_ask(method, url, headers).unwrap()
}

/// As [`ask`], where the connection may end without an answer.
pub fn try_ask(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
) -> Result<Reply, Box<ureq::Error>> {
    send(method, url, headers, b"")
}

/// As [`try_ask`], with a body, if there is anything in it.
pub fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Reply, Box<ureq::Error>> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .max_redirects(0)
        .allow_non_standard_methods(true)
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = if body.is_empty() {
        agent.run(request.body(()).unwrap())?
    } else {
        agent.run(request.body(body).unwrap())?
    };
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec()?;
    Ok(Reply { status: answer.status().as_u16(), headers: answer.headers().clone(), body })
}

impl Reply {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The error's status and code; the shape is checked on the way.
    #[track_caller]
    pub fn error(&self) -> (u16, String) {
        let body = self.json();
        let fields: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, ["code", "detail"], "{body}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        (self.status, body["code"].as_str().unwrap().to_owned())
    }

    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str, detail: &str) {
        assert_eq!(self.error(), (status, code.to_owned()), "{self:?}");
        assert!(
            self.json()["detail"].as_str().unwrap().contains(detail),
            "{detail}: {}",
            self.json()
        );
    }
}

/// Waits until something is there.
#[track_caller]
pub fn eventually<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < limit, "did not come about within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until something is so.
#[track_caller]
pub fn until(limit: Duration, mut holds: impl FnMut() -> bool) {
    eventually(limit, || holds().then_some(()));
}

/// The body of a registration over HTTP.
pub struct Form {
    pub media: String,
    pub body: Vec<u8>,
}

/// The parts of a form: name, filename and content.
pub fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Form {
    let boundary = "------------------------4a8f0c1d7e2b9635";
    let mut body = Vec::new();
    for (name, filename, content) in parts {
        let filename = filename.map_or(String::new(), |name| format!("; filename=\"{name}\""));
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Form { media: format!("multipart/form-data; boundary={boundary}"), body }
}

/// The metadata of a registration over HTTP that is right.
pub fn metadata(version: &str) -> Value {
    serde_json::json!({
        "version": version,
        "snapshot_id": "snap-1",
        "dataset_version_ids": {"crsp": "v1.2.3"},
        "parameters": {"factor_list": ["size"], "halflife_days": 60, "shrinkage_intensity": 0.1},
        "metrics": {"ic": 0.05, "sharpe": 1.5, "paper_trade_hours": 48.0},
        "config": {"seed": 42},
    })
}

/// A registration over HTTP that is right.
pub fn multipart(version: &str, artifact: &[u8]) -> Form {
    let metadata = metadata(version).to_string();
    form(&[("metadata", None, metadata.as_bytes()), ("artifact", Some("model.pkl"), artifact)])
}
