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

/// A registry with an artifact of 8 MB, and where it is.
fn with_a_large_artifact() -> (World, String) {
    let world = World::promoted(&["v1.0.0"]);
    let large = world.outside("large.bin");
    std::fs::write(&large, vec![7; 8_000_000]).unwrap();
    let mut arguments = World::register_arguments("v1.1.0");
    arguments[2] = large.to_str().unwrap().to_owned();
    world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    let dir = world.dir().to_str().unwrap().to_owned();
    (world, dir)
}

#[test]
fn a_backup_that_finds_no_room_or_no_permission_says_so_and_leaves_nothing() {
    let (world, dir) = with_a_large_artifact();
    let create = format!("\"$BIN\" --registry-dir '{dir}' backup create --to /mnt/b");
    let ran = in_namespace("4m", &format!("set +e; {create}; echo status $?; ls -A /mnt/b")).ok();
    assert_eq!(ran.stdout, "status 6\n", "{ran:?}");
    assert!(ran.stderr.contains("The backup cannot be written"), "{ran:?}");
    assert!(ran.stderr.contains("No space left on device"), "{ran:?}");

    let script = format!("mount -o remount,ro /mnt; set +e; {create}; echo status $?");
    let ran = in_namespace("64m", &script).ok();
    assert_eq!(ran.stdout, "status 6\n", "{ran:?}");
    assert!(ran.stderr.contains("/mnt/b"), "{ran:?}");
    world.run(&["verify"]).ok();
}

#[test]
fn a_backup_on_another_file_system_is_a_copy_and_is_restored_from_there() {
    let (world, dir) = with_a_large_artifact();
    let script = format!(
        "\"$BIN\" --registry-dir '{dir}' backup create --to /mnt/b --json; \
         rm '{dir}/artifacts/risk_model/v1.1.0/model.bin'; \
         \"$BIN\" --registry-dir '{dir}' restore latest --from /mnt/b >&2"
    );
    let ran = in_namespace("64m", &script).ok();
    let made = ran.json();
    assert!(made["copied_bytes"].as_u64().unwrap() > 8_000_000, "{made}");
    assert_eq!((&made["linked_bytes"], &made["cloned_bytes"]), (&0.into(), &0.into()));
    world.run(&["verify"]).ok();
}

#[test]
fn a_restore_that_finds_no_room_changes_nothing() {
    let (world, _) = with_a_large_artifact();
    world.run(&["backup", "create"]).ok();
    let place = world.path("backups");
    let small = crate::support::pickle();
    let script = format!(
        "{}; set +e; \"$BIN\" --registry-dir /mnt/r restore latest --from '{}'; echo status $?; \
         ls -A /mnt/r/artifacts/.staging /mnt/r/quarantine; \"$BIN\" --registry-dir /mnt/r list; \
         \"$BIN\" --registry-dir /mnt/r verify; echo status $?",
        register("v3.0.0", small.to_str().unwrap()),
        place.display()
    );
    let ran = in_namespace("12m", &script).ok();
    assert!(ran.stderr.contains("No space left on device"), "{ran:?}");
    assert!(ran.stdout.contains("status 6\n/mnt/r/artifacts/.staging:\n"), "{ran:?}");
    assert!(ran.stdout.contains("v3.0.0") && !ran.stdout.contains("v1.0.0"), "{ran:?}");
    assert!(ran.stdout.contains("all agree\nstatus 0"), "{ran:?}");
}
