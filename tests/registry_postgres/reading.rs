//! A database that takes no changes, for a while or of this user, is one that can be read.

use std::time::Duration;

use serde_json::Value;

use crate::{
    postgres::execute,
    support::{READ, Server, World, until},
};

fn changes_line(server: &Server) -> Option<Value> {
    let ready = server.ask("GET", "/ready", &[]);
    assert_eq!(ready.status, 200, "{ready:?}");
    let body = ready.json();
    body["components"].as_array().unwrap().iter().find(|it| it["name"] == "changes").cloned()
}

fn read_all(world: &World) {
    for arguments in [
        &["list"][..],
        &["show", "risk_model", "v1.0.0"],
        &["history", "risk_model", "v1.0.0"],
        &["verify"],
        &["validate", "risk_model", "v1.0.0"],
    ] {
        world.run(arguments).ok();
    }
}

#[test]
fn a_database_that_is_read_only_for_a_while_is_read_and_changed_again_afterwards() {
    let world = World::promoted(&["v1.0.0"]);
    let url = world.database().unwrap().to_owned();
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let set = |to: &str| {
        execute(
            &url,
            &format!(
                "BEGIN READ WRITE; ALTER DATABASE \"{name}\" SET default_transaction_read_only = {to}; COMMIT;
                 SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = '{name}' AND pid <> pg_backend_pid()"
            ),
        );
    };
    set("on");
    read_all(&world);
    let before = world.artifacts();
    world.register("v1.1.0").refused(6, "can only be read");
    assert_eq!(world.artifacts(), before);
    let server = world.serve();
    assert_eq!(server.model("risk_model/current").status, 200);
    assert!(changes_line(&server).is_some());
    set("off");
    world.register("v1.1.0").ok();
    until(Duration::from_secs(20), || {
        server.ask("GET", "/ready", &[]).status == 200 && changes_line(&server).is_none()
    });
    assert_eq!(server.model("risk_model/v1.1.0").status, 200);
    world.run(&["verify"]).ok();
}

#[test]
fn a_role_that_may_only_look_reads_and_serves() {
    let world = World::promoted(&["v1.0.0"]);
    let url = world.database().unwrap().to_owned();
    let role = format!("looker_{}", std::process::id());
    execute(
        &url,
        &format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'looker'; GRANT USAGE ON SCHEMA public TO {role};
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
        ),
    );
    let (_, host) = url.split_once('@').unwrap();
    let theirs = format!("postgres://{role}:looker@{host}");
    let run = |arguments: &[&str]| -> crate::support::Ran {
        world.command(arguments).env("DATABASE_URL", &theirs).output().unwrap().into()
    };
    for arguments in [&["list"][..], &["show", "risk_model", "v1.0.0"], &["verify"]] {
        run(arguments).ok();
    }
    let mut command = world.command(&["serve", "--host", "127.0.0.1", "--port", "0"]);
    command.env("DATABASE_URL", &theirs).env("MODEL_REGISTRY_READ_TOKEN", READ);
    command.env("MODEL_REGISTRY_LOG_FORMAT", "json");
    let server = Server::start(command);
    assert_eq!(server.model("risk_model/current").status, 200);
    assert!(changes_line(&server).is_some());
}
