//! PgBouncer in transaction mode between the registry and its database: each transaction may get another session, and
//! the sessions are shared with other programs.

use std::{
    path::PathBuf,
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    postgres::{Postgres, as_somebody, execute, try_execute},
    support::{World, until},
};

pub struct PgBouncer {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl PgBouncer {
    /// A pooler of two sessions, in front of a server.
    pub fn before(server: &Postgres) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].map(PathBuf::from);
        let program = program.into_iter().find(|path| path.is_file())?;
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=registry\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n\
             unix_socket_dir =\n",
            server.port()
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        if rustix::process::getuid().is_root() {
            for path in [folder.path(), &file] {
                std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
            }
        }
        let process = as_somebody(&program)
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { process, port, _folder: folder })
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://registry@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn behind_a_transaction_pooler_everything_works_and_nothing_stays_on_its_sessions() {
    let server = Postgres::start();
    let Some(pooler) = PgBouncer::before(&server) else {
        println!("NOT RUN: pgbouncer is not installed");
        return;
    };
    execute(&server.url("postgres"), "CREATE DATABASE pooled");
    let url = pooler.url("pooled");
    until(Duration::from_secs(20), || try_execute(&url, "SELECT 1").is_ok());
    let world = World::in_database(url.clone());
    world.register("v1.0.0").ok();
    world.promote("v1.0.0").ok();
    let replicas = [world.serve(), world.serve()];
    // Writers and readers at once, more than there are sessions.
    let children: Vec<_> = (1..7)
        .map(|minor| {
            let arguments = World::register_arguments(&format!("v1.{minor}.0"));
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            world.command(&arguments).stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for replica in &replicas {
        assert_eq!(replica.model("risk_model/current").json()["version"], "v1.0.0");
    }
    for (minor, mut child) in (1..).zip(children) {
        let mut status = child.wait().unwrap().code().unwrap();
        until(Duration::from_secs(120), || {
            if status == 6 {
                status = world.register(&format!("v1.{minor}.0")).status;
            }
            status != 6
        });
        assert_eq!(status, 0, "v1.{minor}.0");
    }
    world.promote("v1.3.0").ok();
    world.run(&["rollback", "risk_model"]).ok();
    for replica in &replicas {
        let production = || replica.model("risk_model/current").json()["version"].clone();
        until(Duration::from_secs(10), || production() == json!("v1.0.0"));
        assert_eq!(replica.ask("GET", "/ready", &[]).status, 200);
    }
    world.run(&["verify"]).ok();
    drop(replicas);
    let left = "DO $$ BEGIN
        IF EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory') THEN RAISE 'a lock is left'; END IF;
        IF current_setting('statement_timeout') <> '0' THEN RAISE 'a time limit is left'; END IF;
        IF current_setting('idle_in_transaction_session_timeout') <> '0' THEN RAISE 'an idle limit is left'; END IF;
    END $$";
    for _ in 0..8 {
        until(Duration::from_secs(10), || try_execute(&url, left).is_ok());
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_writer_that_is_killed_behind_a_pooler_leaves_no_lock() {
    let server = Postgres::start();
    let Some(pooler) = PgBouncer::before(&server) else {
        println!("NOT RUN: pgbouncer is not installed");
        return;
    };
    execute(&server.url("postgres"), "CREATE DATABASE pooled");
    let url = pooler.url("pooled");
    until(Duration::from_secs(20), || try_execute(&url, "SELECT 1").is_ok());
    let world = World::in_database(url);
    world.register("v1.0.0").ok();
    for point in ["change.locked", "db.apply", "catalog.committed"] {
        let ran =
            world.run_with_fault(&format!("{point}=kill"), &["promote", "risk_model", "v1.0.0"]);
        assert!([-1, 4].contains(&ran.status), "{point}: {ran:?}");
    }
    world.register("v1.1.0").ok();
    world.promote("v1.1.0").ok();
    world.run(&["verify"]).ok();
}
