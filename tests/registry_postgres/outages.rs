//! The database is stopped, frozen, cut off and filled: an answer within the time it may take, and recovery
//! by itself within two seconds of the database's return.

use std::time::{Duration, Instant};

use model_registry::limits;
use rustix::process::Signal;

use crate::{
    postgres::{Postgres, execute, try_execute},
    support::{READ, Server, World, until},
};

const RECOVERY: Duration = Duration::from_secs(2);
/// A connection's wait and an answer's, and some for the machine.
const LONGEST: Duration = Duration::from_secs(12);

fn world_on(server: &Postgres) -> World {
    let world = World::in_database(server.fresh_database());
    world.register("v1.0.0").ok();
    world.promote("v1.0.0").ok();
    world
}

fn expect_unavailable(replica: &Server) {
    // What was known before is given for less than a second.
    until(limits::COMMITS_TRUSTED + RECOVERY, || replica.model("risk_model/current").status == 503);
    let asked = Instant::now();
    let replies = std::thread::scope(|scope| {
        let asks: Vec<_> =
            (0..16).map(|_| scope.spawn(|| replica.model("risk_model/current"))).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect::<Vec<_>>()
    });
    for reply in replies {
        reply.is_error(503, "REGISTRY_UNAVAILABLE", "try again");
        assert_eq!(reply.header("retry-after"), Some("1"));
        let text = String::from_utf8(reply.body).unwrap();
        assert!(!text.contains("127.0.0.1") && !text.contains("postgres"), "{text}");
    }
    assert!(asked.elapsed() < LONGEST, "{:?}", asked.elapsed());
    assert_eq!(replica.ask("GET", "/health", &[]).status, 200);
    let ready = replica.ask("GET", "/ready", &[]);
    assert_eq!(ready.status, 503);
    assert!(String::from_utf8(ready.body).unwrap().contains("catalog"));
}

fn expect_recovery(replica: &Server, world: &World) {
    until(RECOVERY, || replica.model("risk_model/current").status == 200);
    until(RECOVERY, || replica.ask("GET", "/ready", &[]).status == 200);
    world.register("v1.1.0").ok();
    assert_eq!(replica.model("risk_model/v1.1.0").status, 200);
    world.run(&["verify"]).ok();
}

#[test]
fn a_database_that_is_stopped_and_restarted() {
    let mut database = Postgres::start();
    let world = world_on(&database);
    let replica = world.serve();
    assert_eq!(replica.model("risk_model/current").status, 200);
    database.stop();
    expect_unavailable(&replica);
    world.register("v1.1.0").refused(6, "REGISTRY_UNAVAILABLE");
    database.restart();
    expect_recovery(&replica, &world);
}

#[test]
fn a_database_that_is_frozen() {
    let database = Postgres::start();
    let world = world_on(&database);
    let replica = world.serve();
    assert_eq!(replica.model("risk_model/current").status, 200);
    database.signal_all(Signal::STOP);
    expect_unavailable(&replica);
    database.signal_all(Signal::CONT);
    expect_recovery(&replica, &world);
}

#[test]
fn connections_that_are_cut() {
    let database = Postgres::start();
    let world = world_on(&database);
    let replica = world.serve();
    for _ in 0..5 {
        assert_eq!(replica.model("risk_model/current").status, 200);
        execute(
            &database.url("postgres"),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'model-registry'",
        );
        until(RECOVERY, || replica.model("risk_model/current").status == 200);
    }
    expect_recovery(&replica, &world);
}

#[test]
fn a_commit_whose_connection_is_cut_is_whole_or_not_at_all() {
    let database = Postgres::start();
    let world = world_on(&database);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                           WHERE application_name = 'model-registry' AND random() < 0.3";
                drop(try_execute(&database.url("postgres"), cut));
                std::thread::sleep(Duration::from_millis(15));
            }
        });
        for patch in 0..12 {
            let status = world.register(&format!("v2.0.{patch}")).status;
            assert!(status == 0 || status == 6, "{status}");
            if status == 0 {
                // Acknowledged, so it must be there at the end.
                std::fs::write(world.outside(&format!("acknowledged.{patch}")), "").unwrap();
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let replica = world.serve();
    for patch in 0..12 {
        if world.outside(&format!("acknowledged.{patch}")).exists() {
            assert_eq!(replica.model(&format!("risk_model/v2.0.{patch}")).status, 200);
        }
    }
    world.run(&["verify"]).ok();
}

#[test]
fn a_start_without_its_database_is_refused_without_its_password() {
    let world = World::in_database("postgres://u:hunter2@127.0.0.1:1/d?sslmode=disable".to_owned());
    let ran = world
        .run(&World::register_arguments("v1.0.0").iter().map(String::as_str).collect::<Vec<_>>());
    let ran = ran.refused(6, "PostgreSQL");
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
}

#[test]
fn requests_during_an_outage_end_and_leave_nothing_behind() {
    let database = Postgres::start();
    let world = world_on(&database);
    let replica = world.serve();
    assert_eq!(replica.model("risk_model/current").status, 200);
    database.signal_all(Signal::STOP);
    let before = replica.open_files();
    let token = format!("Bearer {READ}");
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let path = "/api/v1/models/risk_model/current";
                let reply = replica.ask("GET", path, &[("authorization", &token)]);
                assert_eq!(reply.status, 503);
            });
        }
    });
    assert!(started.elapsed() < LONGEST, "{:?}", started.elapsed());
    database.signal_all(Signal::CONT);
    until(RECOVERY, || replica.model("risk_model/current").status == 200);
    until(Duration::from_secs(20), || {
        replica.open_files() <= before + limits::CATALOG_CONNECTIONS + 8
    });
}

#[test]
fn a_database_whose_disk_is_full() {
    if !rustix::process::getuid().is_root() {
        eprintln!("NOT RUN: giving PostgreSQL a small disk of its own needs root");
        return;
    }
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let mount = |arguments: &[&str]| {
        let done = std::process::Command::new(arguments[0]).args(&arguments[1..]).status().unwrap();
        assert!(done.success());
    };
    let place = folder.path().to_str().unwrap().to_owned();
    mount(&["mount", "-t", "tmpfs", "-o", "size=220m", "tmpfs", &place]);
    let database = Postgres::start_in(folder);
    let world = world_on(&database);
    let replica = world.serve();
    // Nothing is left but what is allocated already.
    let filler = format!("{place}/filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    // The preallocated log takes some changes yet; then one is refused, and none is half there.
    let mut refused = 0;
    for patch in 0..400 {
        let bulk = "INSERT INTO filler SELECT repeat(md5(random()::text), 100) FROM generate_series(1, 2000)";
        drop(try_execute(
            world.database().unwrap(),
            "CREATE TABLE IF NOT EXISTS filler (text TEXT)",
        ));
        drop(try_execute(world.database().unwrap(), bulk));
        let status = world.register(&format!("v3.0.{patch}")).status;
        assert!(status == 0 || status == 6, "{status}");
        refused += usize::from(status == 6);
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "the disk did not fill");
    assert_eq!(replica.ask("GET", "/health", &[]).status, 200);
    std::fs::remove_file(filler).unwrap();
    until(Duration::from_secs(30), || replica.model("risk_model/current").status == 200);
    until(Duration::from_secs(30), || world.register("v4.0.0").status != 6);
    world.run(&["verify"]).ok();
    drop(replica);
    drop(database);
    mount(&["umount", "-l", &place]);
}
