//! What single steps of a request cost, through the library's public interface: medians of many runs.
//!
//! `cargo bench --bench micro`. Log lines are not here: the library writes them to the process's own output alone;
//! `cargo bench --bench http` measures them with the rest of a request.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "a measurement that cannot go on should say so and stop"
)]

use std::{
    fs::File,
    hint::black_box,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use load_checks::TrustedGlobals;
use model_registry::{
    artifacts::{RegistryRoot, VerifiedFiles, digest},
    auth::{
        StaticTokens,
        static_tokens::{TokenPlace, TokenRole, TokenSource},
    },
    catalog::{Catalog as _, SqliteCatalog},
    domain::{Metadata, ModelType, Version, VersionRecord},
    registry::read::Model,
    schemas::ModelMetadataResponse,
};
use secrecy::SecretString;
use sha2::Digest as _;

/// How long one step is measured.
const TIME: Duration = Duration::from_millis(500);
/// Runs between two looks at the clock, for steps that are shorter than such a look.
const TOGETHER: u32 = 100;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The median time of one run.
fn time(together: u32, mut step: impl FnMut()) -> Duration {
    let started = Instant::now();
    let mut times = Vec::new();
    while times.len() < 9 || started.elapsed() < TIME {
        let before = Instant::now();
        for _ in 0..together {
            step();
        }
        times.push(before.elapsed() / together);
    }
    median(times)
}

fn tell(what: &str, time: Duration) {
    println!("{what:<60} {time:>12.2?}");
}

fn tell_rate(what: &str, bytes: usize, time: Duration) {
    let rate = bytes as f64 / time.as_secs_f64() / f64::from(1 << 30);
    println!("{what:<60} {rate:>8.2} GiB/s");
}

fn main() {
    tokens();
    files();
    hashing();
    checks();
}

fn tokens() {
    let source = |role, variable: &str, secret: &str| TokenSource {
        role,
        variable: variable.to_owned(),
        place: TokenPlace::Value(SecretString::from(secret.to_owned())),
    };
    let (read, admin) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let tokens = StaticTokens::load(vec![
        source(TokenRole::Read, "MODEL_REGISTRY_READ_TOKEN", read),
        source(TokenRole::Admin, "MODEL_REGISTRY_ADMIN_TOKEN", admin),
    ])
    .unwrap();
    assert!(tokens.resolve(read.as_bytes()).is_some());
    tell(
        "a static token that is known",
        time(TOGETHER, || {
            black_box(tokens.resolve(black_box(read.as_bytes())));
        }),
    );
    tell(
        "a static token that is unknown",
        time(TOGETHER, || {
            black_box(tokens.resolve(black_box(b"0123456789abcdef0123456789abcdeX")));
        }),
    );
}

/// A registry with one version, and its row.
fn registry(folder: &Path) -> (RegistryRoot, VersionRecord) {
    let directory = folder.join("registry");
    let registered = Command::new(env!("CARGO_BIN_EXE_model-registry"))
        .arg("--registry-dir")
        .arg(&directory)
        .args(["register", "risk_model"])
        .arg(pickle())
        .args(["--version", "v1.0.0", "--snapshot-id", "snap-1"])
        .args(["--dataset-versions", r#"{"crsp":"v1.2.3"}"#, "--config", "{}"])
        .args([
            "--parameters",
            r#"{"factor_list":["size"],"halflife_days":60,"shrinkage_intensity":0.5}"#,
            "--metrics",
            r#"{"ic":0.04,"sharpe":1.2,"paper_trade_hours":48.0}"#,
        ])
        .stdout(Stdio::null())
        .status();
    assert!(registered.unwrap().success());
    let catalog = SqliteCatalog::open(&directory.join("registry.db")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let model_type = ModelType::parse("risk_model").unwrap();
    let version = Version::parse("v1.0.0").unwrap();
    let record = runtime.block_on(catalog.find_version(&model_type, version)).unwrap().unwrap();
    (RegistryRoot::open(&directory).unwrap(), record)
}

fn files() {
    let folder = tempfile::tempdir().unwrap();
    let (root, record) = registry(folder.path());
    let verified = VerifiedFiles::default();
    tell(
        "a sidecar that is read, hashed and parsed",
        time(1, || {
            black_box(verified.read_sidecar(&root, &record).unwrap());
        }),
    );
    // A file that has just changed is not remembered.
    std::thread::sleep(Duration::from_secs(3));
    let sidecar = verified.read_sidecar(&root, &record).unwrap();
    let seal = sidecar.seal.clone().unwrap();
    assert!(seal.is_whole(&root));
    tell(
        "a sidecar that is still the verified one",
        time(TOGETHER, || {
            black_box(seal.is_whole(black_box(&root)));
        }),
    );
    let path = folder.path().join("registry/artifacts/risk_model/v1.0.0/metadata.json");
    let bytes = std::fs::read(path).unwrap();
    tell(
        "a sidecar's text, parsed",
        time(TOGETHER, || {
            black_box(Metadata::parse(black_box(&bytes)).unwrap());
        }),
    );
    let model = Model { record, metadata: sidecar.metadata, seal: sidecar.seal };
    tell(
        "the body of a metadata answer",
        time(TOGETHER, || {
            let body = ModelMetadataResponse::from(black_box(&model));
            black_box(serde_json::to_vec(&body).unwrap());
        }),
    );
}

fn hashing() {
    const BYTES: usize = 256 << 20;
    let mut bytes = vec![0; BYTES];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (at % 251) as u8;
    }
    tell_rate(
        "SHA-256 in memory, sha2",
        BYTES,
        time(1, || {
            black_box(sha2::Sha256::digest(black_box(&bytes)));
        }),
    );
    tell_rate(
        "SHA-256 in memory, aws-lc-rs",
        BYTES,
        time(1, || {
            black_box(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, black_box(&bytes)));
        }),
    );
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    drop(bytes);
    tell_rate(
        "a file of 256 MiB, a loop of 256 KiB",
        BYTES,
        time(1, || {
            use std::io::{Read as _, Seek as _};
            file.rewind().unwrap();
            let mut hasher = sha2::Sha256::new();
            let mut buffer = vec![0; 256 << 10];
            loop {
                match file.read(&mut buffer).unwrap() {
                    0 => break,
                    count => hasher.update(&buffer[..count]),
                }
            }
            black_box(hasher.finalize());
        }),
    );
    tell_rate(
        "a file of 256 MiB, as artifacts are hashed",
        BYTES,
        time(1, || {
            black_box(digest::hash_file(&file, &|_| true).unwrap());
        }),
    );
}

fn checks() {
    let file = File::open(pickle()).unwrap();
    let trusted = TrustedGlobals::default();
    tell(
        "a small pickle, checked in this process",
        time(1, || {
            black_box(load_checks::check(&file, &trusted, None, &|| true).unwrap());
        }),
    );
}

fn pickle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("crates/load-checks/tests/corpus/real/risk_model_numpy.pkl")
}
