//! Registries to measure, made and served by the binary.

use std::{
    fmt::Write as _,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::server::{Server, pinned};

pub const TOKEN: &str = "bench-token-0123456789abcdef";
pub const ADMIN: &str = "bench-admin-0123456789abcdef";

/// The service's binary.
static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// Sets the service's binary, before any registry is made.
pub fn use_binary(path: &Path) {
    BINARY.set(std::path::absolute(path).unwrap()).unwrap();
}

fn binary() -> &'static Path {
    BINARY.get().expect("the binary is set at the start")
}

const DATASETS: &str = r#"{"crsp":"v1.2.3"}"#;
const PARAMETERS: &str = r#"{"factor_list":["size"],"halflife_days":60,"shrinkage_intensity":0.5}"#;
const METRICS: &str = r#"{"ic":0.04,"sharpe":1.2,"paper_trade_hours":48.0}"#;

/// A registry directory, its catalog, and its command line.
pub struct Registry {
    pub folder: TempDir,
    database: Option<String>,
}

impl Registry {
    /// An empty one over SQLite.
    pub fn new() -> Self {
        Self { folder: folder(), database: None }
    }

    /// An empty one over a PostgreSQL database.
    pub fn in_database(url: String) -> Self {
        Self { folder: folder(), database: Some(url) }
    }

    pub fn catalog(&self) -> &'static str {
        if self.database.is_some() { "postgres" } else { "sqlite" }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    /// A file beside the registry.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn prepared(&self, mut command: Command) -> Command {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("ENVIRONMENT", "test").env("USER", "bench");
        command.envs(self.database.as_ref().map(|url| ("DATABASE_URL", url)));
        command.arg("--registry-dir").arg(self.dir()).stdin(Stdio::null());
        command
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.prepared(Command::new(binary()));
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) {
        let output = self.command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
    }

    pub fn register(&self, version: &str, artifact: &Path) {
        let artifact = artifact.to_str().unwrap();
        let mut arguments = vec!["register", "risk_model", artifact, "--version", version];
        arguments.extend(["--snapshot-id", "snap-1", "--dataset-versions", DATASETS]);
        arguments.extend(["--parameters", PARAMETERS, "--metrics", METRICS, "--config", "{}"]);
        arguments.extend(["--factors", "size,value", "--created-by", "bench"]);
        self.run(&arguments);
    }

    pub fn promote(&self, version: &str) {
        self.run(&["promote", "risk_model", version]);
    }

    /// Fills an empty registry with versions, the first of them in production.
    pub fn fill(&self, versions: usize) {
        let directory = self.outside("legacy");
        write_legacy(&directory, versions);
        self.run(&["import", directory.to_str().unwrap()]);
        std::fs::remove_dir_all(directory).unwrap();
        self.promote(&version(0));
    }

    fn service(&self, command: Command, variables: &[(&'static str, String)]) -> Server {
        let mut command = self.prepared(command);
        command
            .args(["serve", "--json", "--host", "127.0.0.1", "--port", "0"])
            .env("MODEL_REGISTRY_READ_TOKEN", TOKEN)
            .env("MODEL_REGISTRY_ADMIN_TOKEN", ADMIN)
            .env("MODEL_REGISTRY_LOG_FORMAT", "json")
            .envs(variables.iter().map(|(name, value)| (name, value)));
        Server::service(command)
    }

    /// Starts the service on the server's core.
    pub fn serve(&self, variables: &[(&'static str, String)]) -> Server {
        self.service(pinned(binary()), variables)
    }

    /// Starts the service on all cores.
    pub fn serve_on_all_cores(&self) -> Server {
        self.service(Command::new(binary()), &[])
    }
}

/// In memory where that is possible, so that no disk is measured.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let name = "model-registry-bench-";
    let mut builder = tempfile::Builder::new();
    builder.prefix(name);
    builder.tempdir_in(memory).or_else(|_| builder.tempdir()).unwrap()
}

/// A small pickle that a library wrote.
pub fn pickle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("crates/load-checks/tests/corpus/real/risk_model_numpy.pkl")
}

/// The versions that [`Registry::fill`] makes, by number.
pub fn version(number: usize) -> String {
    format!("v0.{}.{}", number / 1000, number % 1000)
}

/// A safetensors file with one tensor of bytes that no compression or sparse file makes cheaper.
pub fn write_safetensors(path: &Path, bytes: u64) {
    let mut header =
        format!(r#"{{"w":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = BufWriter::with_capacity(1 << 20, std::fs::File::create(path).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let mut state = 7_u64;
    for _ in 0..bytes / 8 {
        // A linear congruential generator, Knuth's constants.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        file.write_all(&state.to_le_bytes()).unwrap();
    }
    file.write_all(&vec![0; (bytes % 8) as usize]).unwrap();
    file.flush().unwrap();
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A registry directory of the Python service, which `import` takes: the quickest way to many versions that goes through
/// the front door.
fn write_legacy(directory: &Path, versions: usize) {
    let artifact = std::fs::read(pickle()).unwrap();
    let checksum = sha256(&artifact);
    let checksum_file = format!("{checksum}  model.pkl\n");
    let config_hash = sha256(b"{}");
    let at = "2026-01-01 00:00:00.000000";
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut models = "model_id,model_type,version,status,artifact_path,checksum_sha256,metadata_sha256,created_at,\
                      promoted_at,archived_at,config_hash,snapshot_id,dataset_version_ids_json,metrics_json,\
                      factor_list_json,experiment_id,run_id,dataset_uri,qlib_version\n"
        .to_owned();
    let mut history = "id,model_id,from_status,to_status,changed_at,changed_by\n".to_owned();
    let mut total = 0;
    for number in 0..versions {
        let (id, version) = (uuid::Uuid::new_v4(), version(number));
        let place = format!("artifacts/risk_model/{version}");
        let metadata = json!({
            "checksum_sha256": checksum, "config": {}, "config_hash": config_hash,
            "created_at": "2026-01-01T00:00:00.000000Z", "dataset_uri": null,
            "dataset_version_ids": serde_json::from_str::<serde_json::Value>(DATASETS).unwrap(),
            "env": {
                "created_by": "bench", "cvxpy_version": null, "dependencies_hash": checksum,
                "numpy_version": "2.4.6", "platform": "linux-x86_64", "polars_version": "2.1.0",
                "python_version": "3.11.2", "sklearn_version": "1.9.1",
            },
            "experiment_id": null, "factor_list": ["size", "value"], "feature_formulas": null,
            "metrics": serde_json::from_str::<serde_json::Value>(METRICS).unwrap(),
            "model_id": id.to_string(), "model_type": "risk_model",
            "parameters": serde_json::from_str::<serde_json::Value>(PARAMETERS).unwrap(),
            "qlib_version": null, "run_id": null, "snapshot_id": "snap-1", "version": version,
        });
        let metadata = format!("{metadata:#}");
        let folder = directory.join(&place);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("model.pkl"), &artifact).unwrap();
        std::fs::write(folder.join("metadata.json"), &metadata).unwrap();
        std::fs::write(folder.join("checksum.sha256"), &checksum_file).unwrap();
        total += artifact.len() + metadata.len() + checksum_file.len();
        writeln!(
            models,
            "{id},risk_model,{version},staged,{place},{checksum},{},{at},,,{config_hash},snap-1,{},{},{},,,,",
            sha256(metadata.as_bytes()),
            quoted(DATASETS),
            quoted(METRICS),
            quoted(r#"["size","value"]"#),
        )
        .unwrap();
        writeln!(history, "{},{id},\"\",staged,{at},bench", uuid::Uuid::new_v4()).unwrap();
    }
    let export = directory.join("catalog-export");
    std::fs::create_dir_all(&export).unwrap();
    std::fs::write(export.join("models.csv"), models).unwrap();
    std::fs::write(export.join("promotion_history.csv"), history).unwrap();
    // Only its hash is looked at.
    std::fs::write(directory.join("registry.db"), "").unwrap();
    let manifest = json!({
        "registry_version": "1.0.0", "created_at": "2026-01-01T00:00:00.000000Z",
        "last_updated": "2026-01-01T00:00:00.000000Z", "artifact_count": versions,
        "production_models": {}, "total_size_bytes": total, "checksum": sha256(b""),
        "last_backup_at": null, "backup_location": null,
    });
    std::fs::write(directory.join("manifest.json"), manifest.to_string()).unwrap();
}
