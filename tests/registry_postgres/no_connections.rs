//! A server that has no connection left: requests wait for those of their own process, changes too, and whoever has none
//! gets an answer that says so.

use std::time::{Duration, Instant};

use model_registry::catalog::{Catalog as _, DatabaseUrl, PostgresCatalog};

use crate::{
    catalog::{at, audited, promote, record, register, stamp_at},
    postgres::Postgres,
    support::{ADMIN, World, until},
};

/// A connection's wait, a lock's and an answer's, and some for the machine.
const LONGEST: Duration = Duration::from_secs(30);

/// Connections of other programs.
struct Others {
    runtime: tokio::runtime::Runtime,
    held: Vec<tokio_postgres::Client>,
}

impl Others {
    /// Takes every connection that the server has left.
    fn take_all(server: &Postgres) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut others = Self { runtime, held: Vec::new() };
        others.take_rest(server);
        others
    }

    fn take_rest(&mut self, server: &Postgres) {
        let url = server.url("postgres");
        loop {
            match self.runtime.block_on(tokio_postgres::connect(&url, tokio_postgres::NoTls)) {
                Ok((client, connection)) => {
                    self.runtime.spawn(connection);
                    self.held.push(client);
                }
                Err(error) => {
                    let code = error.code().cloned();
                    assert_eq!(code, Some(tokio_postgres::error::SqlState::TOO_MANY_CONNECTIONS));
                    return;
                }
            }
        }
    }
}

#[test]
fn requests_wait_for_the_connections_that_their_own_service_has() {
    let server = Postgres::start_with(8);
    let world = World::in_database(server.fresh_database());
    for version in ["v0.9.0", "v1.0.0"] {
        world.register(version).ok();
        world.promote(version).ok();
    }
    let replica = world.serve_with(&[("MODEL_REGISTRY_WRITE_API", "true")]);
    assert_eq!(replica.model("risk_model/current").status, 200);
    let mut others = Others::take_all(&server);
    for _ in 0..5 {
        let statuses: Vec<_> = std::thread::scope(|scope| {
            let asks: Vec<_> = (0..32)
                .map(|_| scope.spawn(|| replica.model("risk_model/current").status))
                .collect();
            asks.into_iter().map(|ask| ask.join().unwrap()).collect()
        });
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    let admin = format!("Bearer {ADMIN}");
    let roll_back = || {
        let path = "/api/v1/models/risk_model/rollback";
        replica.send("POST", path, &[("authorization", &admin)], b"").status
    };
    // The readers want the same connections.
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| assert_eq!(replica.model("risk_model/v1.0.0").status, 200));
        }
        assert_eq!(roll_back(), 200);
    });
    // A command has no connection of its own to wait for.
    let began = Instant::now();
    world.register("v1.1.0").refused(6, "has no connection left");
    assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
    // One is enough for a query, and two for a change; the server frees them a moment after they end.
    others.held.truncate(others.held.len() - 2);
    until(LONGEST, || world.register("v1.1.0").status != 6);
    world.run(&["show", "risk_model", "v1.1.0"]).ok();
    drop(others);
    world.run(&["verify"]).ok();
}

#[test]
fn a_change_uses_the_connections_that_its_process_has() {
    let server = Postgres::start_with(8);
    let url = DatabaseUrl::parse(&server.fresh_database()).unwrap();
    actix::System::new().block_on(async {
        let catalog = PostgresCatalog::open(url).unwrap();
        catalog.layout().await.unwrap();
        // A first change opens both connections.
        let lock = catalog.lock_writers(Duration::from_secs(10)).await.unwrap();
        let first = record("v1.0.0", 1);
        catalog.apply(&register(&first), &stamp_at(at(1))).await.unwrap();
        lock.release().await.unwrap();
        let held = std::thread::scope(|scope| scope.spawn(|| Others::take_all(&server)).join());
        let held = held.unwrap();
        for minor in 1..10 {
            let lock = catalog.lock_writers(Duration::from_secs(10)).await.unwrap();
            let new = record(&format!("v1.{minor}.0"), 1);
            // Readers want the one connection that is left as well.
            let readers = (0..16).map(|_| catalog.find_version(&first.model_type, first.version));
            let change = register(&new);
            let stamp = stamp_at(at(1));
            let (applied, read) = tokio::join!(
                catalog.apply(&change, &stamp),
                futures_util::future::join_all(readers)
            );
            applied.unwrap();
            assert!(read.into_iter().all(|found| found.unwrap().is_some()));
            catalog.apply(&promote(&new.model_type, new.version), &stamp_at(at(1))).await.unwrap();
            lock.release().await.unwrap();
        }
        audited(&catalog).await;
        std::thread::spawn(move || drop(held)).join().unwrap();
    });
}

#[test]
fn a_pool_of_one_and_a_pool_of_two_are_enough_for_everything() {
    let server = Postgres::start_with(16);
    for size in ["1", "2"] {
        let world = World::in_database(server.fresh_database());
        let run = |arguments: &[&str]| {
            let mut command = world.command(arguments);
            let ran: crate::support::Ran =
                command.env("MODEL_REGISTRY_DB_POOL", size).output().unwrap().into();
            ran.ok()
        };
        for version in ["v1.0.0", "v1.1.0"] {
            let arguments = World::register_arguments(version);
            run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            run(&["promote", "risk_model", version]);
        }
        let replica = world.serve_with(&[("MODEL_REGISTRY_DB_POOL", size)]);
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| assert_eq!(replica.model("risk_model/v1.0.0").status, 200));
            }
            scope.spawn(|| run(&["rollback", "risk_model"]));
        });
        assert_eq!(replica.model("risk_model/current").json()["version"], "v1.0.0");
        run(&["verify"]);
        assert_eq!(replica.ask("GET", "/ready", &[]).status, 200);
    }
}
