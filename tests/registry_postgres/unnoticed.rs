//! A change that a replica is not told of, by whatever fault, is in every read that begins a second after it.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    pooler::PgBouncer,
    postgres::{Postgres, execute, try_execute},
    support::{Ran, Server, World, until},
};

/// As old as an answer may be.
const SECOND: Duration = Duration::from_secs(1);
/// For what has no limit on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn world_on(server: &Postgres) -> World {
    let world = World::in_database(server.fresh_database());
    for version in ["v1.0.0", "v1.1.0"] {
        world.register(version).ok();
        world.promote(version).ok();
    }
    world
}

/// Reads until the answer is kept for the next read.
fn settle(server: &Server) {
    std::thread::sleep(model_registry::limits::SIDECAR_SETTLED);
    until(PATIENCE, || !server.events("changes by other replicas are noticed").is_empty());
    for _ in 0..16 {
        assert_eq!(server.model("risk_model/current").json()["version"], "v1.1.0");
    }
}

/// Goes back to v1.0.0, and looks at the first answers a second later.
#[track_caller]
fn expect_noticed(change: impl FnOnce() -> Ran, replicas: &[&Server]) {
    change();
    let changed = Instant::now();
    std::thread::sleep(SECOND.saturating_sub(changed.elapsed()));
    for replica in replicas {
        for _ in 0..4 {
            assert_eq!(replica.model("risk_model/current").json()["version"], "v1.0.0");
        }
    }
}

fn listeners(database: &Postgres) -> Vec<Pid> {
    let (file, url) = (tempfile::NamedTempFile::new().unwrap(), database.url("postgres"));
    let found = std::process::Command::new("psql")
        .args([&url, "-AtX", "-o"])
        .arg(file.path())
        .args([
            "-c",
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'model-registry listener'",
        ])
        .status();
    assert!(found.unwrap().success());
    let text = std::fs::read_to_string(file.path()).unwrap();
    text.lines().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect()
}

#[test]
fn a_listener_that_is_frozen() {
    let database = Postgres::start();
    let world = world_on(&database);
    let replica = world.serve();
    settle(&replica);
    let frozen = listeners(&database);
    assert_eq!(frozen.len(), 1);
    kill_process(frozen[0], Signal::STOP).unwrap();
    expect_noticed(|| world.run(&["rollback", "risk_model"]).ok(), &[&replica]);
    kill_process(frozen[0], Signal::CONT).unwrap();
    world.promote("v1.1.0").ok();
    until(PATIENCE, || replica.model("risk_model/current").json()["version"] == "v1.1.0");
}

#[test]
fn a_listener_that_is_cut_off() {
    let database = Postgres::start();
    let world = world_on(&database);
    let replica = world.serve();
    settle(&replica);
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%listener'";
    execute(&database.url("postgres"), cut);
    expect_noticed(|| world.run(&["rollback", "risk_model"]).ok(), &[&replica]);
    // It listens again by itself.
    until(PATIENCE, || replica.events("changes by other replicas are noticed").len() == 2);
}

#[cfg(debug_assertions)]
#[test]
fn a_notification_that_is_lost() {
    let database = Postgres::start();
    let world = world_on(&database);
    let replicas = [world.serve(), world.serve()];
    replicas.iter().for_each(settle);
    let rollback =
        || world.run_with_fault("postgres.notify=skip", &["rollback", "risk_model"]).ok();
    expect_noticed(rollback, &[&replicas[0], &replicas[1]]);
}

#[test]
fn a_pooler_that_passes_no_notifications_on() {
    let server = Postgres::start();
    let Some(pooler) = PgBouncer::before(&server) else {
        println!("NOT RUN: pgbouncer is not installed");
        return;
    };
    execute(&server.url("postgres"), "CREATE DATABASE pooled");
    let url = pooler.url("pooled");
    until(PATIENCE, || try_execute(&url, "SELECT 1").is_ok());
    let world = World::in_database(url);
    for version in ["v1.0.0", "v1.1.0"] {
        world.register(version).ok();
        world.promote(version).ok();
    }
    let direct = server.url("pooled");
    let replicas =
        [world.serve(), world.serve_with(&[("MODEL_REGISTRY_DB_LISTEN_URL", direct.as_str())])];
    replicas.iter().for_each(settle);
    expect_noticed(|| world.run(&["rollback", "risk_model"]).ok(), &[&replicas[0], &replicas[1]]);
    let hears = |replica: &Server| {
        replica.events("changes by other replicas are noticed")[0]["notifications"].clone()
    };
    assert_eq!(hears(&replicas[1]), true, "asked at the server itself");
}
