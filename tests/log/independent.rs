//! The Go program, built once.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Where Debian puts the sources of Go packages.
const GO_PATH: &str = "/usr/share/gocode";

/// The program, or `None` after a line that says why it is not there.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let go = Command::new("go").arg("version").output();
    let package = Path::new(GO_PATH).join("src/golang.org/x/mod/sumdb/tlog");
    if !go.is_ok_and(|output| output.status.success()) || !package.exists() {
        eprintln!(
            "NOT RUN: holding the log against Go's needs golang-go and golang-golang-x-mod-dev"
        );
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join("independent");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/log/independent.go"))
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("GOPATH", GO_PATH)
        .env("GOCACHE", folder.join("go-cache"))
        .env("CGO_ENABLED", "0")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(program)
}

/// What Go makes of a question; see `independent.go` for its members. `None` where Go is not here.
pub fn ask<A: DeserializeOwned>(question: &Value) -> Option<A> {
    let mut child =
        Command::new(program()?).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = question.to_string();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Whether Go verifies a file (`evidence` or `checkpoint`) with this key, and what it says. `None` where Go is not here.
pub fn check(what: &str, file: &Path, key: &str) -> Option<Result<String, String>> {
    let output = Command::new(program()?).arg(what).arg(file).arg(key).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    let verified = output.status.success();
    Some(if verified { Ok(text(output.stdout)) } else { Err(text(output.stderr)) })
}
