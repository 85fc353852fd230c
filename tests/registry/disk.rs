//! Disks that are full, read-only or unreadable: a clear error, and nothing half-registered.
//!
//! Each test makes its own file system in a mount namespace of its own, so it needs neither root nor a
//! loop device.

use std::process::Command;

use crate::support::{Ran, World, binary};

/// Runs a shell script where `/mnt` is a tmpfs of this size and `$BIN` is the binary.
fn in_namespace(size: &str, script: &str) -> Ran {
    let script = format!("set -e; mount -t tmpfs -o size={size} tmpfs /mnt; {script}");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let environment = binary();
    command.env_clear();
    for (name, value) in environment.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.env("BIN", environment.get_program());
    command.output().expect("unshare, of util-linux").into()
}

fn register(version: &str, artifact: &str) -> String {
    let arguments = World::register_arguments(version);
    let quoted: Vec<_> = arguments
        .iter()
        .enumerate()
        .map(|(at, argument)| if at == 2 { artifact.to_owned() } else { format!("'{argument}'") })
        .collect();
    format!("\"$BIN\" --registry-dir /mnt/r {}", quoted.join(" "))
}

#[test]
fn on_a_full_disk_a_registration_fails_clearly_and_leaves_nothing() {
    let small = crate::support::pickle();
    let script = format!(
        "{}; head -c 8000000 /dev/zero > /dev/shm/big.$$.bin; set +e; {}; echo status $?; \
         rm /dev/shm/big.$$.bin; find /mnt/r/artifacts -mindepth 1 | sort; {}; echo status $?; \
         \"$BIN\" --registry-dir /mnt/r verify; echo status $?",
        register("v1.0.0", small.to_str().unwrap()),
        register("v1.1.0", "/dev/shm/big.$$.bin"),
        register("v1.1.0", small.to_str().unwrap()),
    );
    let ran = in_namespace("14m", &script).ok();
    assert!(ran.stderr.contains("No space left on device"), "{ran:?}");
    assert!(
        ran.stdout.contains("status 6\n/mnt/r/artifacts/.staging\n/mnt/r/artifacts/risk_model\n"),
        "{ran:?}"
    );
    assert!(!ran.stdout.contains("model.bin"), "{ran:?}");
    // With the big file gone, the same number can be registered, and everything agrees.
    assert!(ran.stdout.contains("all agree\nstatus 0"), "{ran:?}");
}

#[test]
fn a_read_only_directory_is_named() {
    let small = crate::support::pickle();
    let script = format!(
        "{}; mount -o remount,ro /mnt; set +e; {}; echo status $?",
        register("v1.0.0", small.to_str().unwrap()),
        register("v1.1.0", small.to_str().unwrap()),
    );
    let ran = in_namespace("14m", &script).ok();
    assert!(ran.stdout.contains("status 6"), "{ran:?}");
    assert!(
        ran.stderr.to_lowercase().contains("read-only") || ran.stderr.contains("readonly"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("/mnt/r"), "{ran:?}");
}

#[test]
fn an_unreadable_artifact_is_named() {
    // Mode bits do not bind root, so the file is one that even root cannot read.
    let mut arguments = World::register_arguments("v1.0.0");
    arguments[2] = "/proc/self/mem".to_owned();
    let world = World::new();
    let ran = world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_ne!(ran.status, 0);
    assert!(ran.stderr.contains("error"), "{ran:?}");
    assert_eq!(world.artifacts(), []);
}
