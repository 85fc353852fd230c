//! Several servers and a command line over one database and one directory.

use std::{process::Stdio, time::Duration};

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

#[test]
fn of_32_processes_that_want_the_same_one_wins() {
    let world = World::promoted(&["v0.0.1"]);
    for minor in 0..4 {
        world.register(&format!("v1.{minor}.0")).ok();
    }
    let children: Vec<_> = (0..32)
        .map(|turn| {
            let version = format!("v1.{}.0", turn % 4);
            let mut command = match turn % 8 {
                0..4 => world.command(&["promote", "risk_model", &version]),
                4 | 5 => world.command(&["rollback", "risk_model"]),
                _ => {
                    let arguments = World::register_arguments("v2.0.0");
                    world.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
                }
            };
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            (turn % 8 >= 6, child)
        })
        .collect();
    let mut registered = 0;
    for (registers, mut child) in children {
        let status = child.wait().unwrap().code().unwrap();
        if registers {
            assert!(status == 0 || status == 4, "{status}");
            registered += usize::from(status == 0);
        } else {
            // Done, already in production, or nothing to go back to; 6 where another change came between.
            assert!([0, 3, 4, 6].contains(&status), "{status}");
        }
    }
    assert_eq!(registered, 1);
    let server = world.serve();
    assert_eq!(server.model("risk_model?status_filter=production").json()["total"], 1);
    world.run(&["verify"]).ok();
}
