//! A large artifact is checked while it is hashed. What the check says counts only if the hash is right.

#![cfg(debug_assertions)]

use std::{
    fs::{File, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    net::Shutdown,
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;

use crate::{
    sandbox::start_validating,
    support::{Server, World, until},
};

/// Above `limits::CHECK_WHILE_HASHING`.
const TENSOR: u64 = 9 << 20;
const NAME: &str = "risk_model/v1.0.0";

/// A registry with one large version, staged.
fn large() -> World {
    let world = World::new();
    let mut header =
        format!(r#"{{"w":{{"dtype":"U8","shape":[{TENSOR}],"data_offsets":[0,{TENSOR}]}}}}"#);
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let path = world.outside("large.safetensors");
    let mut file = File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let tensor: Vec<u8> = (0..TENSOR).map(|at| (at % 251) as u8).collect();
    file.write_all(&tensor).unwrap();
    let mut arguments = World::register_arguments("v1.0.0");
    arguments[2] = path.to_str().unwrap().to_owned();
    world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    world
}

fn artifact(world: &World) -> PathBuf {
    world.path("artifacts/risk_model/v1.0.0/model.safetensors")
}

/// Writes one byte in place.
fn overwrite(world: &World, at: SeekFrom) {
    let mut file = OpenOptions::new().write(true).open(artifact(world)).unwrap();
    file.seek(at).unwrap();
    file.write_all(&[0xff]).unwrap();
}

/// A server whose validation waits once it has hashed, until a file is made; and that file.
fn held_up(world: &World, check: &str) -> (Server, PathBuf) {
    let go = world.outside("go");
    let fault = format!("validator.hashed=wait:{}", go.display());
    (world.serve_with(&[("MODEL_REGISTRY_FAULT", &fault), ("LOAD_CHECKS_FAULT", check)]), go)
}

#[test]
fn a_large_artifact_is_checked_while_it_is_hashed() {
    let world = large();
    let (server, go) = held_up(&world, "sandbox.check=hang");
    let stream = start_validating(&server);
    until(Duration::from_secs(20), || go.with_extension("reached").exists());
    // The hashing has not returned yet.
    until(Duration::from_secs(10), || server.children() == 1);
    // The client goes, and the check ends.
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    until(Duration::from_secs(10), || server.children() == 0);
    std::fs::write(&go, "").unwrap();
    let reply = server.validate(NAME);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["load_successful"], true);
    assert_eq!(server.events("validated").len(), 1);
}

#[test]
fn a_large_artifact_with_another_hash_gets_no_verdict() {
    let world = large();
    // In the tensor's data: the file would load all the same.
    overwrite(&world, SeekFrom::End(-1));
    let server = world.serve_with(&[]);
    let reply = server.validate(NAME);
    reply.is_error(422, "CHECKSUM_MISMATCH", "differs from its recorded SHA-256");
    let told = server.events("validated");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["checksum_verified"], false);
    assert_eq!((&told[0]["verdict"], &told[0]["format"]), (&Value::Null, &Value::Null));
    assert!(!told[0]["errors"].as_str().unwrap().contains(';'), "{:?}", told[0]);
}

#[test]
fn the_check_of_a_large_artifact_ends_when_its_hash_is_wrong() {
    let world = large();
    overwrite(&world, SeekFrom::Start(1 << 20));
    let server = world.serve_with(&[("LOAD_CHECKS_FAULT", "sandbox.check=hang")]);
    // It would hang for minutes.
    server.validate(NAME).is_error(422, "CHECKSUM_MISMATCH", "differs from its recorded SHA-256");
    assert_eq!(server.children(), 0);
}

#[test]
fn a_large_artifact_that_changes_after_its_hash_is_not_valid() {
    let world = large();
    let (server, go) = held_up(&world, "");
    std::thread::scope(|scope| {
        let validating = scope.spawn(|| server.validate(NAME));
        until(Duration::from_secs(20), || go.with_extension("reached").exists());
        overwrite(&world, SeekFrom::End(-1));
        std::fs::write(&go, "").unwrap();
        let reply = validating.join().unwrap();
        reply.is_error(422, "CHECKSUM_MISMATCH", "changed while it was being checked");
    });
    assert_eq!(server.events("validated")[0]["verdict"], Value::Null);
}

#[test]
fn a_large_artifact_that_does_not_load_is_intact_all_the_same() {
    let world = large();
    let (server, go) = held_up(&world, "sandbox.check=abort");
    std::fs::write(&go, "").unwrap();
    server.validate(NAME).is_error(422, "VALIDATION_FAILED", "cannot be said to load");
    let told = server.events("validated");
    assert_eq!(told[0]["checksum_verified"], true);
}
