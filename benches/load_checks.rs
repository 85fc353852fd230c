//! What a load check costs: the sandbox around it, and, of a large artifact, hash and check together.
//!
//! `cargo bench --bench load_checks`. The first part checks one small pickle in this process and in the sandbox, by
//! turns. The second registers a safetensors file of 512 MiB and times `model-registry validate`, start and end of
//! the program included, against `openssl dgst -sha256` of the same file; both read from the page cache.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "a measurement that cannot go on should say so and stop"
)]

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use load_checks::{Mode, Sandbox, TrustedGlobals};

const CHECKS: usize = 400;
const ROUNDS: usize = 9;
const LARGE: u64 = 512 << 20;

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|first| first == load_checks::ARGUMENT) {
        return load_checks::run_child();
    }
    sandbox_cost();
    large_artifact();
    ExitCode::SUCCESS
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn sandbox_cost() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("crates/load-checks/tests/corpus/real/risk_model_numpy.pkl");
    let file = File::open(path).unwrap();
    let trusted = TrustedGlobals::default();
    let sandbox = Sandbox::new(Mode::Strict);
    let (mut bare, mut walled) = (Vec::new(), Vec::new());
    for _ in 0..CHECKS {
        let started = Instant::now();
        let here = load_checks::check(&file, &trusted, None, &|| true).unwrap();
        bare.push(started.elapsed());
        let started = Instant::now();
        let there = sandbox.check(&file, &trusted, None, &|| true).unwrap();
        walled.push(started.elapsed());
        assert_eq!(here, there);
    }
    let (bare, walled) = (median(bare), median(walled));
    println!("one small pickle, median of {CHECKS}: {bare:.1?} here, {walled:.1?} in the sandbox");
    println!("the sandbox costs {:.1?}", walled.saturating_sub(bare));
}

fn large_artifact() {
    let folder = tempfile::tempdir().unwrap();
    let artifact = folder.path().join("large.safetensors");
    write_safetensors(&artifact);
    let registry = folder.path().join("registry");
    let ours = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_model-registry"));
        command.arg("--registry-dir").arg(&registry).args(arguments).stdout(Stdio::null());
        command
    };
    let registered = ours(&["register", "risk_model", artifact.to_str().unwrap()])
        .args(["--version", "v1.0.0", "--snapshot-id", "s", "--dataset-versions", r#"{"a":"v1"}"#])
        .args([
            "--parameters",
            r#"{"factor_list":["a"],"halflife_days":1,"shrinkage_intensity":0.1}"#,
        ])
        .args(["--config", "{}", "--factors", "a", "--created-by", "bench"])
        .status();
    assert!(registered.unwrap().success());
    let timed = |command: &mut Command| {
        let started = Instant::now();
        assert!(command.stdout(Stdio::null()).status().unwrap().success());
        started.elapsed()
    };
    let (mut openssl, mut validate) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        openssl.push(timed(Command::new("openssl").args(["dgst", "-sha256"]).arg(&artifact)));
        validate.push(timed(&mut ours(&["validate", "risk_model", "v1.0.0"])));
    }
    let (openssl, validate) = (median(openssl), median(validate));
    println!(
        "512 MiB of safetensors, median of {ROUNDS}: openssl dgst {openssl:.1?}, validate {validate:.1?}"
    );
    println!("ratio, validate / openssl: {:.3}", validate.as_secs_f64() / openssl.as_secs_f64());
}

/// One tensor of bytes that no compression or sparse file makes cheaper.
fn write_safetensors(path: &Path) {
    let mut header =
        format!(r#"{{"w":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{LARGE}]}}}}"#, LARGE / 4);
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = std::io::BufWriter::new(File::create(path).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let mut state = 7_u64;
    for _ in 0..LARGE / 8 {
        // A linear congruential generator, Knuth's constants.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        file.write_all(&state.to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
}
