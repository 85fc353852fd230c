//! A full disk: promotions and rollbacks go on with the room that is kept for them, a start works, `/ready` says what is
//! refused, and when there is room again everything agrees.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::support::{ADMIN, READ, Ran, Reply, World, ask, binary, until};

/// A shell in a mount namespace of its own, where `/mnt` is a small disk and `/mnt/r` the registry.
struct Disk {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    world: World,
}

impl Disk {
    fn of(size: &str) -> Self {
        let world = World::new();
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh"]);
        let environment = binary();
        command.env_clear();
        for (name, value) in environment.get_envs() {
            command.envs(value.map(|value| (name, value)));
        }
        if let Some(url) = world.database() {
            command.env("DATABASE_URL", url);
        }
        command.env("BIN", environment.get_program()).env("OUT", world.outside(""));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn().expect("unshare, of util-linux");
        let input = shell.stdin.take().unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        let mut disk = Self { shell, input, output, world };
        disk.sh(&format!("mount -t tmpfs -o size={size} tmpfs /mnt")).ok();
        disk
    }

    /// Runs a line of shell.
    fn sh(&mut self, line: &str) -> Ran {
        writeln!(self.input, "{{ {line}\n}} >$OUT/stdout 2>$OUT/stderr; echo $?").unwrap();
        let mut status = String::new();
        self.output.read_line(&mut status).unwrap();
        let read = |name| std::fs::read_to_string(self.world.outside(name)).unwrap();
        Ran {
            status: status.trim().parse().unwrap(),
            stdout: read("stdout"),
            stderr: read("stderr"),
        }
    }

    fn run(&mut self, arguments: &[&str]) -> Ran {
        let quoted: Vec<_> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
        self.sh(&format!("\"$BIN\" --registry-dir /mnt/r {}", quoted.join(" ")))
    }

    fn register(&mut self, version: &str) -> Ran {
        let arguments = World::register_arguments(version);
        self.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn promote(&mut self, version: &str) -> Ran {
        self.run(&["promote", "risk_model", version])
    }

    fn roll_back(&mut self) -> Ran {
        self.run(&["rollback", "risk_model"])
    }

    /// Takes all room that is left.
    fn fill(&mut self) {
        self.sh("cat /dev/zero >>/mnt/filler").refused(1, "No space left");
    }

    fn in_production(&mut self) -> Value {
        let listed = self.run(&["list", "risk_model", "--status", "production", "--json"]).ok();
        listed.json()["models"][0]["version"].clone()
    }

    /// Starts a service; the result is the number of its process, and its port.
    fn serve(&mut self) -> (String, u16) {
        let log = self.log_file();
        drop(std::fs::remove_file(&log));
        let tokens = format!("MODEL_REGISTRY_READ_TOKEN={READ} MODEL_REGISTRY_ADMIN_TOKEN={ADMIN}");
        let line = format!(
            "{tokens} MODEL_REGISTRY_LOG_FORMAT=json \"$BIN\" --registry-dir /mnt/r serve --host 127.0.0.1 \
             --port 0 2>{} & echo $!",
            log.display()
        );
        let process = self.sh(&line).ok().stdout.trim().to_owned();
        let mut port = None;
        until(Duration::from_secs(60), || {
            let told = std::fs::read_to_string(self.log_file()).unwrap_or_default();
            let serving = told
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .find(|line| line["message"] == "serving");
            port = serving.and_then(|line| line["port"].as_u64());
            assert!(port.is_some() || !told.contains("\"ERROR\""), "{told}");
            port.is_some()
        });
        (process, u16::try_from(port.unwrap()).unwrap())
    }

    fn log_file(&self) -> PathBuf {
        self.world.outside("service.log")
    }

    fn stop(&mut self, process: &str) {
        self.sh(&format!("kill {process}; wait {process}")).ok();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The shell's children keep the namespace.
        drop(writeln!(self.input, "kill $(jobs -p) 2>/dev/null; exit"));
        drop(self.shell.wait());
    }
}

fn ready(port: u16) -> Reply {
    ask("GET", &format!("http://127.0.0.1:{port}/ready"), &[])
}

fn told(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

/// A full disk that holds two versions, of which the second is in production.
fn full() -> Disk {
    let mut disk = Disk::of("24m");
    for version in ["v1.0.0", "v1.1.0"] {
        disk.register(version).ok();
        disk.promote(version).ok();
    }
    disk.fill();
    disk
}

#[test]
fn a_rollback_and_a_promotion_work_while_the_disk_is_full() {
    let mut disk = full();
    for _ in 0..10 {
        disk.roll_back().ok();
        disk.fill();
        assert_eq!(disk.in_production(), "v1.0.0");
        disk.promote("v1.1.0").ok();
        // Whatever a change leaves free is taken by somebody else.
        disk.fill();
    }
    disk.run(&["verify"]).ok();
    disk.sh("rm /mnt/filler").ok();
    disk.roll_back().ok();
    disk.register("v1.2.0").ok();
    disk.run(&["verify"]).ok();
}

#[test]
fn a_registration_is_refused_while_the_disk_is_full_and_leaves_the_rest_for_rollbacks() {
    let mut disk = full();
    for _ in 0..3 {
        disk.register("v1.2.0").refused(6, "The registry's disk is full");
    }
    let left = disk.sh("ls -A /mnt/r/artifacts/.staging | wc -l; stat -c %b /mnt/r/.reserve").ok();
    assert_eq!(left.stdout.lines().next(), Some("0"), "{left:?}");
    let blocks: u64 = left.stdout.lines().nth(1).unwrap().parse().unwrap();
    assert!(blocks * 512 >= model_registry::limits::DISK_RESERVE / 2, "{left:?}");
    disk.roll_back().ok();
    disk.sh("rm /mnt/filler").ok();
    disk.register("v1.2.0").ok();
    disk.run(&["verify"]).ok();
}

#[test]
fn a_service_starts_serves_and_says_what_it_refuses_while_the_disk_is_full() {
    let mut disk = full();
    let (process, port) = disk.serve();
    let reply = ready(port);
    assert_eq!(reply.status, 200, "{}", told(&reply));
    assert!(told(&reply).contains("that add versions are refused"), "{}", told(&reply));
    disk.roll_back().ok();
    disk.fill();
    let current = || {
        let url = format!("http://127.0.0.1:{port}/api/v1/models/risk_model/current");
        ask("GET", &url, &[("authorization", &format!("Bearer {READ}"))])
    };
    assert_eq!(current().json()["version"], "v1.0.0");
    disk.stop(&process);
    disk.fill();
    // Nobody has the catalog open, so that its files have to be made again.
    let (process, port) = disk.serve();
    assert_eq!(ready(port).status, 200);
    disk.sh("rm /mnt/filler").ok();
    // The service itself makes the reserve whole again.
    until(Duration::from_secs(60), || !told(&ready(port)).contains("refused"));
    disk.register("v1.2.0").ok();
    disk.run(&["verify"]).ok();
    disk.stop(&process);
}

/// Nothing is left of what was kept: the change is committed where the database is elsewhere, and its manifest waits.
#[test]
fn a_manifest_that_waits_for_room_stops_neither_a_start_nor_reads_and_ready_says_so() {
    if !crate::ON_POSTGRES {
        return;
    }
    let mut disk = full();
    disk.sh("rm /mnt/r/.reserve").ok();
    disk.fill();
    disk.roll_back().ok();
    disk.promote("v1.1.0").refused(6, "The registry's disk is full");
    let (process, port) = disk.serve();
    let reply = ready(port);
    assert_eq!(reply.status, 200, "{}", told(&reply));
    assert!(told(&reply).contains("is one change behind the catalog"), "{}", told(&reply));
    let log = std::fs::read_to_string(disk.log_file()).unwrap();
    assert!(log.contains("too full for changes"), "{log}");
    disk.sh("rm /mnt/filler").ok();
    until(Duration::from_secs(60), || {
        let reply = told(&ready(port));
        reply.contains("agrees with the catalog") && !reply.contains("refused")
    });
    disk.promote("v1.1.0").ok();
    disk.run(&["verify"]).ok();
    disk.stop(&process);
}
