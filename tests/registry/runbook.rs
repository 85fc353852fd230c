//! Every block of the runbook, run against a registry in the state that its section is about.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{READ, Ran, Server, World, fixture};

/// A block of a section: the status that it ends with, and its script.
struct Block {
    exit: i32,
    script: String,
}

/// The sections of the page that have blocks.
fn sections(page: &str) -> Vec<(String, Vec<Block>)> {
    let mut found: Vec<(String, Vec<Block>)> = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let mut words = info.split(' ');
                assert_eq!(words.next(), Some("sh"), "a block that is not run: {line}");
                let exit = words.next().map_or(0, |word| {
                    word.strip_prefix("exit=").and_then(|status| status.parse().ok()).unwrap()
                });
                open = Some(Block { exit, script: String::new() });
            }
            (Some(_), Some(_)) => {
                let (_, blocks) = found.last_mut().expect("a block is in a section");
                blocks.extend(open.take());
            }
            (Some(block), None) => {
                block.script.push_str(line);
                block.script.push('\n');
            }
            (None, None) => {
                if let Some(title) = line.strip_prefix("## ") {
                    found.push((title.to_owned(), Vec::new()));
                }
            }
        }
    }
    assert!(open.is_none());
    found
}

/// What a section starts from.
struct Scene {
    world: World,
    server: Option<Server>,
    variables: Vec<(&'static str, String)>,
}

impl Scene {
    fn run(&self, block: &Block, folder: &Path) -> Ran {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_model-registry"));
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", binary.parent().unwrap().display());
        let mut command = Command::new("sh");
        command
            .args(["-eu", "-c", &block.script])
            .current_dir(folder)
            .env_clear()
            .env("PATH", path)
            .env("ENVIRONMENT", "test")
            .env("MODEL_REGISTRY_DIR", self.world.dir())
            .env("BACKUPS", self.world.outside("backups"))
            .env("TOKEN", READ)
            .stdin(Stdio::null());
        if let Some(url) = self.world.database() {
            command.env("DATABASE_URL", url);
        }
        if let Some(server) = &self.server {
            command.env("BASE", server.url(""));
        }
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command.output().unwrap().into()
    }

    fn current(&self) -> String {
        let told = self.world.run(&["current", "risk_model", "--json"]).ok().json();
        told["version"].as_str().unwrap().to_owned()
    }
}

/// Overwrites a file with another one of its name, as a tool that writes it anew does.
fn replace(path: &Path, content: &str) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

fn prepare(title: &str) -> Scene {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let back_up = || {
        world.run(&["backup", "create"]).ok();
        let elsewhere = world.outside("backups");
        world.run(&["backup", "create", "--to", elsewhere.to_str().unwrap()]).ok();
    };
    let mut variables = Vec::new();
    let mut server = None;
    match title {
        "Which model was live" => {
            let history = world.run(&["history", "risk_model", "--json"]).ok().json();
            let moment = history["production"][0]["since"].as_str().unwrap().to_owned();
            variables.push(("MOMENT", moment));
            server = Some(world.serve());
        }
        "A corrupt artifact or sidecar" => {
            back_up();
            replace(&world.path("artifacts/risk_model/v1.1.0/model.pkl"), "tampered");
            replace(&world.path("artifacts/risk_model/v1.0.0/metadata.json"), "{}");
        }
        "A lost or old manifest" => fs::remove_file(world.path("manifest.json")).unwrap(),
        "A corrupt catalog" => {
            back_up();
            world.sql_without_triggers("versions", "UPDATE versions SET snapshot_id = 'other'");
        }
        "A lost directory" => {
            back_up();
            fs::remove_dir_all(world.dir()).unwrap();
        }
        "A full disk" => back_up(),
        "A bad model in production" | "Moving to another host" => {}
        "From SQLite to PostgreSQL, and back" => {
            variables.push(("NEW_DATABASE_URL", crate::postgres::shared_empty_database()));
        }
        "Upgrading the program" => server = Some(world.serve()),
        "Rotating tokens" => {
            let file = world.outside("tokens");
            fs::write(&file, "desk=0123456789abcdef\nleaked=fedcba9876543210\n").unwrap();
            let file = file.to_str().unwrap().to_owned();
            // The file stands in for the token of the variable.
            let tokens = [
                ("MODEL_REGISTRY_READ_TOKEN", ""),
                ("MODEL_REGISTRY_READ_TOKEN_FILE", file.as_str()),
            ];
            server = Some(world.serve_with(&tokens));
            variables.push(("TOKEN_FILE", file));
        }
        "Rotating the log's key" => {
            let file = world.outside("new.key").to_str().unwrap().to_owned();
            variables.push(("NEW_KEY_FILE", file));
        }
        other => panic!("the section \"{other}\" has no registry to run in"),
    }
    Scene { world, server, variables }
}

/// What must be so when a section's blocks have run.
fn check(title: &str, scene: &Scene, printed: &[Ran]) {
    let world = &scene.world;
    match title {
        "Which model was live" => {
            assert!(printed[0].stdout.contains("risk_model/v1.1.0 is in production"));
            assert!(printed[0].stdout.contains("risk_model/v1.0.0 was in production"));
            assert!(printed[0].stdout.contains("\"version\":\"v1.0.0\""));
        }
        "A bad model in production" => {
            assert_eq!(
                (scene.current().as_str(), world.status_of("v1.1.0").as_str()),
                ("v1.0.0", "failed")
            );
        }
        "From SQLite to PostgreSQL, and back" => {
            let root = |ran: &Ran| {
                ran.stdout.trim().lines().rev().take(2).map(ToOwned::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(root(&printed[0]), root(&printed[1]), "{printed:#?}");
        }
        "Rotating tokens" => {
            let server = scene.server.as_ref().unwrap();
            let status = |token: &str| {
                let token = format!("Bearer {token}");
                let path = "/api/v1/models/risk_model/current";
                server.ask("GET", path, &[("authorization", token.as_str())]).status
            };
            crate::support::until(std::time::Duration::from_secs(20), || {
                status("fedcba9876543210") == 401
            });
            assert_eq!(status("0123456789abcdef"), 200);
        }
        "Moving to another host" | "Rotating the log's key" | "Upgrading the program" => {}
        _ => {
            world.run(&["verify"]).ok();
            assert_eq!(scene.current(), "v1.1.0");
        }
    }
}

#[test]
fn every_block_of_the_runbook_does_what_it_says() {
    let page = fs::read_to_string(fixture("../docs/runbook.md")).unwrap();
    let sections = sections(&page);
    assert!(sections.len() > 10, "{}", sections.len());
    let mut wrong = Vec::new();
    for (title, blocks) in &sections {
        let scene = prepare(title);
        let folder = tempfile::tempdir().unwrap();
        let mut printed = Vec::new();
        for block in blocks {
            let ran = scene.run(block, folder.path());
            if ran.status != block.exit {
                wrong.push(format!("{title}: status {} of\n{}{ran:#?}", ran.status, block.script));
            }
            printed.push(ran);
        }
        if wrong.is_empty() {
            check(title, &scene, &printed);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
