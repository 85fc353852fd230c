//! The programs that put load on a server, and one plain request.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
};

use serde::{Deserialize, Serialize};

/// The core of the server under measurement.
pub const SERVER_CORE: &str = "0";
/// The core of the load.
const LOAD_CORE: &str = "1";

/// What is missing on this machine, and how to get it.
pub fn missing() -> Option<String> {
    let needed = [("wrk", "wrk"), ("taskset", "util-linux")];
    let absent: Vec<_> = needed
        .iter()
        .filter(|(program, _)| Command::new(program).arg("--version").output().is_err())
        .map(|(program, package)| format!("{program} is missing: apt-get install {package}"))
        .collect();
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Some("two cores are needed: one for the server, one for the load".to_owned());
    }
    (!absent.is_empty()).then(|| absent.join("\n"))
}

/// A thousand connections need as many open files; `wrk` and the servers inherit this limit.
pub fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        eprintln!("cannot allow more open files: {error}");
    }
}

/// One request as `wrk` repeats it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// A script for `wrk` that changes the headers from request to request.
    pub script: Option<String>,
}

impl Request {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), ..Self::default() }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// An answer, to be sent again by the bare server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    #[serde(skip)]
    pub body: Vec<u8>,
}

impl Answer {
    /// The head is one line of JSON; the body follows it.
    pub fn write_to(&self, file: &Path) {
        let mut bytes = serde_json::to_vec(self).unwrap();
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.body);
        std::fs::write(file, bytes).unwrap();
    }

    pub fn read_from(file: &Path) -> Self {
        let bytes = std::fs::read(file).unwrap();
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let mut answer: Self = serde_json::from_slice(&bytes[..end]).unwrap();
        answer.body = bytes[end + 1..].to_vec();
        answer
    }
}

/// Asks once, on a connection of its own.
pub fn ask(port: u16, request: &Request) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n",
        request.method, request.path
    );
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let broken = || std::io::Error::other(format!("no answer but {line:?}"));
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
    let mut headers = Vec::new();
    let mut length = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            // The framework writes these itself.
            "content-length" => length = value.parse().ok(),
            "connection" | "date" | "transfer-encoding" => {}
            name => headers.push((name.to_owned(), value.to_owned())),
        }
    }
    let mut body = Vec::new();
    match length {
        Some(length) => drop(reader.take(length).read_to_end(&mut body)?),
        None => drop(reader.read_to_end(&mut body)?),
    }
    Ok(Answer { status, headers, body })
}

/// What one run of `wrk` saw.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Run {
    pub requests: u64,
    pub per_second: f64,
    /// Latencies in microseconds.
    pub p50: f64,
    pub p99: f64,
}

/// Repeats a request for some seconds. Every answer must be a good one.
pub fn wrk(port: u16, request: &Request, connections: usize, seconds: u32) -> Run {
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE, "wrk", "-t1", "--latency", "--timeout", "30s"]);
    command.args([format!("-c{connections}"), format!("-d{seconds}s")]);
    for (name, value) in &request.headers {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let script = script_of(request);
    if let Some(script) = &script {
        command.arg("-s").arg(script.path());
    }
    command.arg(format!("http://127.0.0.1:{port}{}", request.path));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "wrk: {errors}");
    assert!(!text.contains("Non-2xx"), "{}: {text}", request.path);
    parse(&text).unwrap_or_else(|| panic!("wrk said what is not understood: {text}"))
}

fn script_of(request: &Request) -> Option<tempfile::NamedTempFile> {
    let mut text = request.script.clone().unwrap_or_default();
    if request.method != "GET" {
        text = format!("wrk.method = '{}'\n{text}", request.method);
    }
    if text.is_empty() {
        return None;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Some(file)
}

fn parse(text: &str) -> Option<Run> {
    let after = |label: &str| {
        let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(label))?;
        Some(line.trim().to_owned())
    };
    let requests = text.lines().find(|line| line.contains(" requests in "))?;
    Some(Run {
        requests: requests.split_whitespace().next()?.parse().ok()?,
        per_second: after("Requests/sec:")?.parse().ok()?,
        p50: microseconds(&after("50%")?)?,
        p99: microseconds(&after("99%")?)?,
    })
}

fn microseconds(text: &str) -> Option<f64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}
