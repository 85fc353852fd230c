//! Registries to measure, made and served by the binary.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::server::{Server, pinned};

pub const TOKEN: &str = "bench-token-0123456789abcdef";
pub const BINARY: &str = env!("CARGO_BIN_EXE_model-registry");

/// A registry directory and its command line.
pub struct Registry {
    pub folder: TempDir,
}

impl Registry {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    fn prepared(&self, mut command: Command) -> Command {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("ENVIRONMENT", "test").env("USER", "bench");
        command.arg("--registry-dir").arg(self.dir()).stdin(Stdio::null());
        command
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.prepared(Command::new(BINARY));
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) {
        let output = self.command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
    }

    pub fn register(&self, version: &str, artifact: &Path) {
        self.run(&[
            "register",
            "risk_model",
            artifact.to_str().unwrap(),
            "--version",
            version,
            "--snapshot-id",
            "snap-1",
            "--dataset-versions",
            r#"{"crsp":"v1.2.3"}"#,
            "--parameters",
            r#"{"factor_list":["size"],"halflife_days":60,"shrinkage_intensity":0.5}"#,
            "--metrics",
            r#"{"ic":0.04,"sharpe":1.2,"paper_trade_hours":48.0}"#,
            "--config",
            r#"{"max_depth":6,"learning_rate":0.02}"#,
            "--factors",
            "size,value",
            "--created-by",
            "bench",
        ]);
    }

    pub fn promote(&self, version: &str) {
        self.run(&["promote", "risk_model", version]);
    }

    /// Starts the service on the server's core.
    pub fn serve(&self, variables: &[(&str, &str)]) -> Server {
        let mut command = self.prepared(pinned(Path::new(BINARY)));
        command
            .args(["serve", "--json", "--host", "127.0.0.1", "--port", "0"])
            .env("MODEL_REGISTRY_READ_TOKEN", TOKEN)
            .env("MODEL_REGISTRY_ADMIN_TOKEN", "bench-admin-0123456789abcdef")
            .env("MODEL_REGISTRY_LOG_FORMAT", "json")
            .envs(variables.iter().copied());
        Server::service(command)
    }
}

/// A small pickle that a library wrote.
pub fn pickle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("crates/load-checks/tests/corpus/real/risk_model_numpy.pkl")
}
