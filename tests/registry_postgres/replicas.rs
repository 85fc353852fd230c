//! Several servers and a command line over one database and one directory.

use std::time::Duration;

use crate::{
    postgres::{Postgres, execute},
    support::{World, until},
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_change_by_any_process_is_seen_by_every_replica_within_a_second() {
    let world = World::promoted(&["v1.0.0"]);
    let replicas = [world.serve(), world.serve(), world.serve()];
    world.register("v1.1.0").ok();
    world.promote("v1.1.0").ok();
    for replica in &replicas {
        until(SECOND, || replica.model("risk_model/current").json()["version"] == "v1.1.0");
        assert_eq!(replica.ask("GET", "/ready", &[]).status, 200);
    }
    world.run(&["rollback", "risk_model"]).ok();
    for replica in &replicas {
        until(SECOND, || replica.model("risk_model/current").json()["version"] == "v1.0.0");
    }
    world.run(&["verify"]).ok();
}

#[test]
fn replicas_that_start_together_on_an_empty_database_migrate_once() {
    let server = Postgres::start();
    execute(&server.url("postgres"), "CREATE DATABASE empty");
    let world = World::in_database(server.url("empty"));
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| world.serve())).collect();
        for start in starts {
            let replica = start.join().unwrap();
            assert_eq!(replica.ask("GET", "/ready", &[]).status, 200);
        }
    });
    world.register("v1.0.0").ok();
    world.run(&["verify"]).ok();
}

#[test]
fn a_writer_on_another_host_keeps_writers_out_by_the_databases_lock() {
    let world = World::promoted(&["v1.0.0"]);
    let url = world.database().unwrap().to_owned();
    // Another host does not share the directory's lock; it holds the database's alone.
    let holder = std::thread::spawn(move || {
        drop(crate::postgres::try_execute(
            &url,
            "SELECT pg_advisory_lock(1836187650); SELECT pg_sleep(20)",
        ));
    });
    std::thread::sleep(Duration::from_millis(500));
    world.register("v1.1.0").refused(6, "REGISTRY_LOCKED");
    assert_eq!(world.run(&["list", "--json"]).ok().json()["total"], 1);
    holder.join().unwrap();
    world.register("v1.1.0").ok();
    world.run(&["verify"]).ok();
}
