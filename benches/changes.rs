//! What a change and a start cost as the registry grows: medians of registrations and promotions by the command line,
//! the time from the start of `serve` to its first answer, and its memory, at 100, 10,000 and 100,000 versions.
//!
//! `cargo bench --bench changes`. Catalogs are SQLite in a temporary folder; the versions that they are filled with have
//! rows and history and no files. Rounds go through all sizes in turn, so that a busy machine slows all of them alike.
//! Nothing is asserted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "a measurement that cannot go on should say so and stop"
)]

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use model_registry::{
    catalog::{Author, Catalog as _, CatalogChange, ImportBatch, SqliteCatalog, Stamp},
    domain::{
        ArtifactFile, ModelId, ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord,
        history::Transition,
    },
};
use tempfile::TempDir;
use uuid::Uuid;

const SIZES: [usize; 3] = [100, 10_000, 100_000];
const ROUNDS: usize = 15;
/// Rows of one transaction.
const BATCH: usize = 10_000;

fn record(number: usize, at: Timestamp) -> VersionRecord {
    let digest = Sha256Digest::of(&number.to_be_bytes());
    VersionRecord {
        model_id: ModelId::random(),
        model_type: ModelType::parse("risk_model").unwrap(),
        version: Version::parse(&format!("v0.{}.{}", number / 1000, number % 1000)).unwrap(),
        status: Status::Staged,
        artifact_file: ArtifactFile::parse("model.pkl").unwrap(),
        artifact_size_bytes: 1000,
        total_size_bytes: 2000,
        checksum_sha256: digest,
        metadata_sha256: digest,
        config_hash: digest,
        snapshot_id: "snap-1".to_owned(),
        dataset_version_ids: [("crsp".to_owned(), "v1.2.3".to_owned())].into(),
        created_at: at,
        promoted_at: None,
        archived_at: None,
        check: None,
        collected: None,
    }
}

fn fill(folder: &Path, versions: usize) {
    std::fs::create_dir_all(folder.join("artifacts")).unwrap();
    let at = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let author = Author { actor: "bench".to_owned(), authenticated_as: None };
    let stamp = Stamp { at, author, reason: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let catalog = SqliteCatalog::open(&folder.join("registry.db")).unwrap();
    runtime.block_on(async {
        catalog.create().await.unwrap();
        let numbers: Vec<_> = (0..versions).collect();
        for numbers in numbers.chunks(BATCH) {
            let mut batch = ImportBatch::default();
            for number in numbers {
                let record = record(*number, at);
                batch.transitions.push(Transition {
                    transition_id: Uuid::new_v4(),
                    model_id: record.model_id,
                    model_type: record.model_type.clone(),
                    version: record.version,
                    from_status: None,
                    to_status: Status::Staged,
                    changed_at: at,
                    changed_by: "bench".to_owned(),
                    authenticated_as: None,
                    reason: None,
                    gates_skipped: false,
                });
                batch.new_versions.push(record);
            }
            catalog.apply(&CatalogChange::Import(batch), &stamp).await.unwrap();
        }
    });
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_model-registry"));
    command.arg("--registry-dir").arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn timed(mut command: Command) -> Duration {
    let started = Instant::now();
    assert!(command.status().unwrap().success(), "{command:?}");
    started.elapsed()
}

fn register(folder: &Path, version: &str) -> Duration {
    let model = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("crates/load-checks/tests/corpus/real/risk_model_numpy.pkl");
    let mut command = command(folder);
    command.args(["register", "risk_model"]).arg(model).args(["--version", version]);
    command.args(["--snapshot-id", "snap-1", "--dataset-versions", r#"{"crsp":"v1.2.3"}"#]);
    command.args([
        "--parameters",
        r#"{"factor_list":["size"],"halflife_days":60,"shrinkage_intensity":0.1}"#,
        "--metrics",
        r#"{"ic":0.05,"sharpe":1.5,"paper_trade_hours":48.0}"#,
        "--config",
        "{}",
    ]);
    timed(command)
}

/// The time until the service says where it serves, and its memory then, in MB.
fn start(folder: &Path) -> (Duration, u64) {
    let mut command = command(folder);
    command
        .args(["serve", "--json", "--port", "0", "--host", "127.0.0.1"])
        .env("MODEL_REGISTRY_READ_TOKEN", "0123456789abcdef0123456789abcdef")
        .env("ENVIRONMENT", "test")
        .stdout(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let took = started.elapsed();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    (took, kilobytes / 1024)
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

fn main() {
    let worlds: Vec<(usize, TempDir, PathBuf)> = SIZES
        .iter()
        .map(|size| {
            let folder = tempfile::tempdir().unwrap();
            let registry = folder.path().join("registry");
            fill(&registry, *size);
            (*size, folder, registry)
        })
        .collect();
    let mut registrations = vec![Vec::new(); SIZES.len()];
    let mut promotions = vec![Vec::new(); SIZES.len()];
    let mut starts = vec![Vec::new(); SIZES.len()];
    let mut memory = vec![0; SIZES.len()];
    for round in 0..ROUNDS {
        for (at, (_, _, registry)) in worlds.iter().enumerate() {
            let version = format!("v1.{round}.0");
            registrations[at].push(register(registry, &version));
            let mut promote = command(registry);
            promote.args(["promote", "risk_model", &version]);
            promotions[at].push(timed(promote));
            if round % 3 == 0 {
                let (took, megabytes) = start(registry);
                starts[at].push(took);
                memory[at] = megabytes;
            }
        }
    }
    println!(
        "{:>9} {:>12} {:>12} {:>12} {:>8} {:>10}",
        "versions", "register", "promote", "start", "MB", "manifest"
    );
    for (at, (size, _, registry)) in worlds.iter().enumerate() {
        println!(
            "{size:>9} {:>12.1?} {:>12.1?} {:>12.1?} {:>8} {:>10}",
            median(registrations[at].clone()),
            median(promotions[at].clone()),
            median(starts[at].clone()),
            memory[at],
            std::fs::metadata(registry.join("manifest.json")).unwrap().len(),
        );
    }
}
