//! The process in which a load check runs: each of its walls is tried from within, and whatever becomes of the
//! process is an answer about the artifact, never a failure of the service.

#![cfg(debug_assertions)]

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write as _,
    net::{Shutdown, TcpStream},
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{ADMIN, Ran, Server, World, binary, corpus, eventually, pickle, until};

const VALIDATE: &str = "risk_model/v1.0.0";

fn faults(faults: &str) -> [(&'static str, &str); 1] {
    [("LOAD_CHECKS_FAULT", faults)]
}

/// Runs a command with a fault in the sandbox.
fn run_with_fault(world: &World, fault: &str, arguments: &[&str]) -> Ran {
    world.command(arguments).env("LOAD_CHECKS_FAULT", fault).output().unwrap().into()
}

/// What was tried from within the sandbox, and whether it was prevented.
fn tried(without: &[&str]) -> BTreeMap<String, bool> {
    let mut command = binary();
    command.args(["sandbox", "--json"]);
    for wall in without {
        command.args(["--without", wall]);
    }
    let output = command.output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let attempts = found["attempts"].as_array().unwrap();
    let attempts: BTreeMap<String, bool> = attempts
        .iter()
        .map(|attempt| {
            (attempt["tried"].as_str().unwrap().to_owned(), attempt["held"].as_bool().unwrap())
        })
        .collect();
    assert_eq!(attempts.len(), 14, "{found}");
    assert_eq!(output.status.code(), Some(i32::from(attempts.values().any(|held| !held))));
    attempts
}

/// Those of `attempts` that were prevented without these walls.
fn prevented(without: &[&str]) -> Vec<String> {
    tried(without).into_iter().filter_map(|(name, held)| held.then_some(name)).collect()
}

#[test]
fn nothing_climbs_the_whole_sandbox() {
    let climbed: Vec<_> = tried(&[]).into_iter().filter(|(_, held)| !held).collect();
    assert_eq!(climbed, []);
}

#[test]
fn the_attempts_are_real_without_walls_they_succeed() {
    // The environment is the parent's to give, and it gives none.
    assert_eq!(prevented(&["limits", "landlock", "seccomp"]), ["see the environment"]);
}

#[test]
fn landlock_alone_keeps_files_programs_and_other_processes_out_of_reach() {
    let held = prevented(&["limits", "seccomp"]);
    for attempt in [
        "become another program",
        "list a directory",
        "read a file",
        "read this program's own file",
        "write a file",
        "start a process",
    ] {
        assert!(held.iter().any(|name| name == attempt), "{attempt}: {held:?}");
    }
}

#[test]
fn seccomp_alone_keeps_everything_but_memory_out_of_reach() {
    let climbed: Vec<_> =
        tried(&["limits", "landlock"]).into_iter().filter(|(_, held)| !held).collect();
    assert_eq!(climbed, [("hold more memory than allowed".to_owned(), false)]);
}

#[test]
fn limits_alone_bound_memory() {
    let held = prevented(&["landlock", "seccomp"]);
    assert!(held.iter().any(|name| name == "hold more memory than allowed"), "{held:?}");
}

#[test]
fn a_descriptor_that_the_program_inherited_does_not_reach_the_check() {
    let output = std::process::Command::new("sh")
        .args(["-c", "exec 9</etc/passwd; exec \"$0\" sandbox --json"])
        .arg(env!("CARGO_BIN_EXE_model-registry"))
        .output()
        .unwrap();
    let with: Value = serde_json::from_slice(&output.stdout).unwrap();
    let plain = binary().args(["sandbox", "--json"]).output().unwrap();
    let plain: Value = serde_json::from_slice(&plain.stdout).unwrap();
    let closed = |found: &Value| -> u64 {
        let attempts = found["attempts"].as_array().unwrap();
        let environment = attempts.iter().find(|a| a["tried"] == "see the environment").unwrap();
        let said = environment["outcome"].as_str().unwrap();
        said.split("; ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(closed(&with), closed(&plain) + 1);
}

#[test]
fn whatever_becomes_of_the_process_is_a_verdict_with_its_cause() {
    for (fault, cause) in [
        ("abort", "ran out of its 512 MiB of memory"),
        ("overflow", "ran out of its 512 MiB of memory, or of its stack"),
        ("memory", "ran out of its 512 MiB of memory"),
        ("panic", "failed within itself"),
        ("hang", "took too long or too much, and was killed"),
        ("spin", "needed more than 1 s of processor time"),
    ] {
        let world = World::promoted(&["v1.0.0"]);
        let fault = format!("sandbox.check={fault},sandbox.limits=short");
        let server = world.serve_with(&faults(&fault));
        let asked = Instant::now();
        let reply = server.validate(VALIDATE);
        reply.is_error(422, "VALIDATION_FAILED", cause);
        // The one that takes longer than five seconds says so meanwhile, as any would on a slow machine.
        let said = !server.events("still validating").is_empty();
        assert!(said || !cause.starts_with("took too long"), "{fault}");
        assert!(!said || asked.elapsed() > Duration::from_secs(5), "{fault}");
        // The same again, without the fault, is good: nothing of it stayed.
        assert_eq!(server.validate(VALIDATE).status, 200, "{fault}");
        assert_eq!(server.ask("GET", "/ready", &[]).status, 200);
        assert_eq!(server.events("a load check's process died").len(), 1, "{fault}");
    }
}

#[test]
fn without_a_wall_nothing_is_validated_and_reads_go_on() {
    let world = World::promoted(&["v1.0.0"]);
    let lacking = "sandbox.lacking=landlock (not in this kernel)";
    let server = world.serve_with(&faults(lacking));
    let told = server.events(
        "this machine lacks walls of the sandbox: nothing is validated or promoted here; \
         MODEL_REGISTRY_SANDBOX=best-effort accepts it",
    );
    assert_eq!(told.len(), 1, "{:#?}", server.log());
    assert_eq!(told[0]["missing"], "landlock (not in this kernel)");
    assert_eq!(server.model("risk_model/current").status, 200);
    assert_eq!(server.ask("GET", "/ready", &[]).status, 200);

    let inspect = || {
        let file = pickle();
        run_with_fault(&world, lacking, &["inspect", file.to_str().unwrap()])
    };
    inspect().refused(6, "MODEL_REGISTRY_SANDBOX=best-effort");
    run_with_fault(&world, lacking, &["validate", "risk_model", "v1.0.0"]).refused(6, "landlock");
    let mut command = world.command(&["inspect", pickle().to_str().unwrap()]);
    let output = command
        .env("LOAD_CHECKS_FAULT", lacking)
        .env("MODEL_REGISTRY_SANDBOX", "best-effort")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_service_says_at_start_that_the_sandbox_holds() {
    let server = World::new().serve();
    let told = server.events("the sandbox of load checks works");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["tried"], 14);
}

#[test]
fn an_artifact_changed_between_hash_and_check_is_not_valid() {
    let world = World::promoted(&["v1.0.0"]);
    let go = world.outside("go");
    let mut command = world.command(&["validate", "risk_model", "v1.0.0"]);
    command.env("MODEL_REGISTRY_FAULT", format!("validator.hashed=wait:{}", go.display()));
    let validating = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    until(Duration::from_secs(20), || go.with_extension("reached").exists());
    // In place, so that the open file itself changes; its length stays.
    let path = world.path("artifacts/risk_model/v1.0.0/model.pkl");
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all(&[0x80]).unwrap();
    std::fs::write(&go, "").unwrap();
    let ran: Ran = validating.wait_with_output().unwrap().into();
    ran.refused(5, "changed while it was being checked");
}

/// A request that is on its way and can be broken off.
pub fn start_validating(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let head = format!(
        "POST /api/v1/models/{VALIDATE}/validate HTTP/1.1\r\nHost: registry\r\n\
         Authorization: Bearer {ADMIN}\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn a_check_ends_when_nobody_waits_for_it_any_more() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve_with(&faults("sandbox.check=hang"));
    let stream = start_validating(&server);
    until(Duration::from_secs(10), || server.children() == 1);
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    until(Duration::from_secs(5), || server.children() == 0);
    assert_eq!(server.events("validated").len(), 0);
    // It is no failure of the service, and nobody is woken by it.
    let of_client = |line: &Value| line["status"] == 499 && line["level"] == "INFO";
    until(Duration::from_secs(5), || server.events("request").iter().any(of_client));
    assert_eq!(server.events("request failed").len(), 0);
    assert_eq!(server.validate(VALIDATE).status, 200);
}

/// A server whose first validation waits for a file, and that file.
fn held_up(world: &World) -> (Server, PathBuf) {
    let go = world.outside("go");
    let fault = format!("validator.hashed=wait:{}", go.display());
    let server =
        world.serve_with(&[("MODEL_REGISTRY_FAULT", &fault), ("RUST_LOG", "model_registry=debug")]);
    (server, go)
}

fn joined(server: &Server) -> usize {
    server.events("joins a validation under way").len()
}

#[test]
fn identical_requests_share_one_run_that_outlives_the_first_of_them() {
    let world = World::promoted(&["v1.0.0"]);
    let (server, go) = held_up(&world);
    let first = start_validating(&server);
    until(Duration::from_secs(10), || go.with_extension("reached").exists());
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..3).map(|_| scope.spawn(|| server.validate(VALIDATE))).collect();
        until(Duration::from_secs(10), || joined(&server) == 3);
        first.shutdown(Shutdown::Both).unwrap();
        std::fs::write(&go, "").unwrap();
        for other in others {
            assert_eq!(other.join().unwrap().status, 200);
        }
    });
    assert_eq!(server.events("validated").len(), 1);
}

#[test]
fn a_full_queue_is_overloaded_and_reads_go_on() {
    const CAPACITY: usize = 32;
    let world = World::promoted(&["v1.0.0"]);
    let (server, go) = held_up(&world);
    std::thread::scope(|scope| {
        let waiting: Vec<_> =
            (0..CAPACITY).map(|_| scope.spawn(|| server.validate(VALIDATE))).collect();
        until(Duration::from_secs(10), || joined(&server) == CAPACITY - 1);
        let one_more = server.validate(VALIDATE);
        one_more.is_error(503, "OVERLOADED", "too many requests");
        assert_eq!(one_more.header("retry-after"), Some("1"));
        assert_eq!(server.model("risk_model/current").status, 200);
        assert_eq!(server.ask("GET", "/ready", &[]).status, 200);
        std::fs::write(&go, "").unwrap();
        for one in waiting {
            assert_eq!(one.join().unwrap().status, 200);
        }
    });
}

#[test]
fn a_check_does_not_outlive_the_service() {
    let world = World::promoted(&["v1.0.0"]);
    let mut server = world.serve_with(&faults("sandbox.check=hang"));
    let _stream = start_validating(&server);
    let child = eventually(Duration::from_secs(10), || server.child_ids().first().copied());
    server.signal(rustix::process::Signal::KILL);
    server.wait();
    // Gone, or dead and waiting for whoever inherited it.
    until(Duration::from_secs(5), || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat"));
        stat.map_or(true, |stat| stat.rsplit(") ").next().unwrap().starts_with('Z'))
    });
}

#[test]
fn a_model_with_a_sample_of_its_own_is_run_on_it_and_a_disagreement_refuses_nothing() {
    let world = World::new();
    let sample = std::fs::read_to_string(corpus("samples/lightgbm_binary.txt.sample"));
    let sample: Value = serde_json::from_str(&sample.unwrap()).unwrap();
    let mut wrong = sample.clone();
    for row in wrong["expected"].as_array_mut().unwrap() {
        *row = serde_json::json!([123.0]);
    }
    // A file of its own for each: the suite's argument of a path stands third.
    let model = corpus("real/lightgbm_binary.txt");
    for (version, sample) in [("v1.0.0", &sample), ("v2.0.0", &wrong)] {
        let parameters = serde_json::json!({
            "factor_list": ["size"], "halflife_days": 60, "shrinkage_intensity": 0.5,
            "sample_input": sample["input"], "expected_output": sample["expected"],
        });
        let mut arguments = World::register_arguments(version);
        arguments[2] = model.to_str().unwrap().to_owned();
        let at = arguments.iter().position(|word| word == "--parameters").unwrap();
        arguments[at + 1] = parameters.to_string();
        world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    }
    let server = world.serve();
    assert_eq!(server.validate("risk_model/v1.0.0").status, 200);
    assert_eq!(server.validate("risk_model/v2.0.0").status, 200);
    let told = server.events("validated");
    assert_eq!((&told[0]["depth"], &told[0]["notes"]), (&"executed".into(), &"".into()));
    assert_eq!(told[1]["depth"], "typed");
    assert_ne!(told[1]["notes"], "");
}
