//! Reading needs only permission to read, and files are made as the umask and the directory say.
//!
//! Other users and mounts need root: where there is none, a test says NOT RUN.

use std::{
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::Path,
    process::Command,
};

use crate::support::{READ, Ran, Server, World, pickle};

const READER: u32 = 20_001;
const GROUP: u32 = 30_000;

fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("NOT RUN: needs root");
    }
    root
}

/// Runs a command as a user without rights of its own.
fn as_user(command: &mut Command, user: u32, group: u32) -> Ran {
    command.uid(user).gid(group).output().unwrap().into()
}

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn reading_commands() -> [&'static [&'static str]; 6] {
    [
        &["list"],
        &["list", "risk_model", "--json"],
        &["show", "risk_model", "v1.0.0"],
        &["history", "risk_model", "v1.0.0"],
        &["verify"],
        &["validate", "risk_model", "v1.0.0"],
    ]
}

#[test]
fn another_user_with_permission_to_read_reads_and_changes_nothing() {
    if !root() {
        return;
    }
    let world = World::promoted(&["v1.0.0"]);
    open_to_all(world.dir().parent().unwrap());
    let before = names(&world.dir());
    let read_all = || {
        for arguments in reading_commands() {
            as_user(&mut world.command(arguments), READER, READER).ok();
        }
        let refused =
            as_user(&mut world.command(&["promote", "risk_model", "v1.0.0"]), READER, READER);
        refused.refused(6, "Permission denied");
    };
    read_all();
    assert_eq!(names(&world.dir()), before, "a reader left something behind");
    // Beside a service, whose log is read along.
    let _server = world.serve();
    world.register("v1.1.0").ok();
    read_all();
    let listed = as_user(&mut world.command(&["list", "--json"]), READER, READER).ok().json();
    assert_eq!(listed["total"], 2);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_service_that_may_only_read_serves_and_says_so() {
    if !root() {
        return;
    }
    let world = World::promoted(&["v1.0.0"]);
    open_to_all(world.dir().parent().unwrap());
    let mut command = world.command(&["serve", "--host", "127.0.0.1", "--port", "0"]);
    command
        .env("MODEL_REGISTRY_READ_TOKEN", READ)
        .env("MODEL_REGISTRY_LOG_FORMAT", "json")
        .uid(READER)
        .gid(READER);
    let server = Server::start(command);
    assert_eq!(server.model("risk_model/current").status, 200);
    let ready = server.ask("GET", "/ready", &[]);
    assert_eq!(ready.status, 200);
    let body = ready.json();
    let line = body["components"].as_array().unwrap().iter().find(|it| it["name"] == "changes");
    assert!(line.unwrap()["detail"].as_str().unwrap().contains("refused"), "{body}");
    // What its owner changes is seen, whether or not there is a log beside the file.
    world.register("v1.1.0").ok();
    assert_eq!(server.model("risk_model").json()["total"], 2);
    world.promote("v1.1.0").ok();
    assert_eq!(server.model("risk_model/current").json()["version"], "v1.1.0");
}

#[test]
fn on_a_read_only_mount_everything_that_reads_works() {
    let world = World::promoted(&["v1.0.0"]);
    let dir = world.dir();
    let binary = env!("CARGO_BIN_EXE_model-registry");
    let mut script =
        format!("set -e; mount --bind '{0}' '{0}'; mount -o remount,ro,bind '{0}';", dir.display());
    for arguments in reading_commands() {
        script +=
            &format!(" '{binary}' --registry-dir '{}' {};", dir.display(), arguments.join(" "));
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    command.env("ENVIRONMENT", "test");
    if let Some(url) = world.database() {
        command.env("DATABASE_URL", url);
    }
    let ran: Ran = command.output().unwrap().into();
    ran.ok();
}

#[test]
fn a_group_shares_a_registry() {
    if !root() {
        return;
    }
    let world = World::new();
    let dir = world.dir();
    open_to_all(dir.parent().unwrap());
    std::fs::create_dir(&dir).unwrap();
    std::os::unix::fs::chown(&dir, Some(READER), Some(GROUP)).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o2775)).unwrap();
    let artifact = world.outside("model.pkl");
    std::fs::copy(pickle(), &artifact).unwrap();
    std::fs::set_permissions(&artifact, std::fs::Permissions::from_mode(0o644)).unwrap();
    for (user, version) in [(READER, "v1.0.0"), (READER + 1, "v1.0.1"), (READER, "v1.0.2")] {
        let mut arguments = World::register_arguments(version);
        arguments[2] = artifact.to_str().unwrap().to_owned();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let inner = world.command(&arguments);
        let mut command = Command::new("sh");
        command.args(["-c", "umask 002; exec \"$@\"", "sh"]).arg(inner.get_program());
        command.args(inner.get_args()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        as_user(&mut command, user, GROUP).ok();
    }
    for name in [".lock", "manifest.json", "artifacts", "artifacts/risk_model/v1.0.0/model.pkl"] {
        let found = std::fs::metadata(world.path(name)).unwrap();
        assert_eq!((found.mode() & 0o060, found.gid()), (0o060, GROUP), "{name}: {found:?}");
    }
}

#[test]
fn the_umask_is_honoured() {
    let world = World::new();
    let arguments = World::register_arguments("v1.0.0");
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let inner = world.command(&arguments);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(inner.get_program());
    command.args(inner.get_args()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran::from(command.output().unwrap()).ok();
    for name in [".lock", "manifest.json", "artifacts", "artifacts/risk_model/v1.0.0/metadata.json"]
    {
        assert_eq!(std::fs::metadata(world.path(name)).unwrap().mode() & 0o077, 0, "{name}");
    }
}
