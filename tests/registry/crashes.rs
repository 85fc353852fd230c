//! The process is killed at every step of a change: the next start finds the old registry or the new one,
//! whole.

#![cfg(debug_assertions)]

use crate::support::{World, eventually, until};
use std::time::Duration;

const REGISTER: [&str; 9] = [
    "register.staged",
    "register.artifact",
    "register.sidecars",
    "register.intent",
    "register.renamed",
    "db.apply",
    "catalog.committed",
    "manifest.written",
    "manifest.renamed",
];
const PROMOTE: [&str; 6] = [
    "validator.validate",
    "change.locked",
    "db.apply",
    "catalog.committed",
    "manifest.written",
    "manifest.renamed",
];

/// No folder, intent or temporary file of an unfinished change.
fn no_leftovers(world: &World) {
    let staging = world.path("artifacts/.staging");
    if staging.exists() {
        assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0, "{staging:?}");
    }
}

#[test]
fn killed_at_any_step_of_a_registration_the_registry_starts_and_verifies() {
    for point in REGISTER {
        let world = World::promoted(&["v1.0.0"]);
        let arguments = World::register_arguments("v1.1.0");
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let ran = world.run_with_fault(&format!("{point}=kill"), &arguments);
        assert_eq!(ran.status, -1, "{point}: the fault was not reached: {ran:?}");

        let server = world.serve();
        let registered = server.model("risk_model/v1.1.0").status == 200;
        let committed =
            ["catalog.committed", "manifest.written", "manifest.renamed"].contains(&point);
        assert_eq!(registered, committed, "{point}");
        assert_eq!(server.model("risk_model/current").json()["version"], "v1.0.0");
        assert_eq!(world.path("artifacts/risk_model/v1.1.0").exists(), committed, "{point}");
        world.run(&["verify"]).ok();
        no_leftovers(&world);
        drop(server);
        // The number is free where nothing was registered, and taken where it was.
        assert_eq!(world.register("v1.1.0").status, if committed { 4 } else { 0 }, "{point}");
        world.run(&["verify"]).ok();
    }
}

#[test]
fn killed_at_any_step_of_a_promotion_the_registry_starts_and_verifies() {
    for point in PROMOTE {
        let world = World::promoted(&["v1.0.0"]);
        world.register("v1.1.0").ok();
        let fault = format!("{point}=kill");
        let ran = world.run_with_fault(&fault, &["promote", "risk_model", "v1.1.0"]);
        assert_eq!(ran.status, -1, "{point}: the fault was not reached: {ran:?}");

        let server = world.serve();
        let committed =
            ["catalog.committed", "manifest.written", "manifest.renamed"].contains(&point);
        let expected = if committed { "v1.1.0" } else { "v1.0.0" };
        assert_eq!(server.model("risk_model/current").json()["version"], expected, "{point}");
        let production = server.model("risk_model?status_filter=production").json();
        assert_eq!(production["total"], 1, "{point}");
        world.run(&["verify"]).ok();
        no_leftovers(&world);
    }
}

#[test]
fn killed_at_any_step_of_an_import_all_or_nothing_is_there() {
    for point in REGISTER {
        let world = World::new();
        let legacy = crate::support::fixture("fixtures/legacy-registry");
        // The first manifest, of the empty registry, must not be the one that is hit.
        drop(world.serve());
        let ran =
            world.run_with_fault(&format!("{point}=kill"), &["import", legacy.to_str().unwrap()]);
        assert_eq!(ran.status, -1, "{point}: the fault was not reached: {ran:?}");
        let server = world.serve();
        let total = server.model("risk_model").json()["total"].as_u64().unwrap();
        let committed =
            ["catalog.committed", "manifest.written", "manifest.renamed"].contains(&point);
        assert_eq!(total, if committed { 4 } else { 0 }, "{point}");
        no_leftovers(&world);
        world.run(&["verify"]).ok();
        world.run(&["import", legacy.to_str().unwrap()]).ok();
        assert_eq!(server.model("risk_model").json()["total"], 4);
        world.run(&["verify"]).ok();
    }
}

#[test]
fn a_running_service_ends_what_a_killed_command_left() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let arguments = World::register_arguments("v1.1.0");
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    world.run_with_fault("register.renamed=kill", &arguments);
    assert!(world.path("artifacts/risk_model/v1.1.0").exists());
    eventually(Duration::from_secs(15), || {
        (!world.path("artifacts/risk_model/v1.1.0").exists()).then_some(())
    });
    world.run_with_fault("catalog.committed=kill", &arguments);
    // The last thing that the janitor does is to bring up the manifest; `verify` would be in its way.
    let behind = std::fs::read(world.path("manifest.json")).unwrap();
    eventually(Duration::from_secs(15), || {
        (std::fs::read(world.path("manifest.json")).unwrap() != behind).then_some(())
    });
    world.run(&["verify"]).ok();
    assert_eq!(server.model("risk_model/v1.1.0").status, 200);
    no_leftovers(&world);
}

#[test]
fn a_manifest_two_steps_behind_is_no_crash_and_refuses_to_start() {
    let world = World::promoted(&["v1.0.0"]);
    let old = std::fs::read(world.path("manifest.json")).unwrap();
    world.register("v1.1.0").ok();
    world.register("v1.2.0").ok();
    std::fs::write(world.path("manifest.json"), old).unwrap();
    let ran = world.run(&["promote", "risk_model", "v1.1.0"]).refused(5, "CHECKSUM_MISMATCH");
    assert!(
        ran.stderr
            .contains("the manifest is older than the catalog and lacks its last 2 log entries"),
        "{ran:?}"
    );
}

#[test]
fn a_staging_folder_of_a_living_process_is_left_alone() {
    use std::io::Write as _;
    let world = World::promoted(&["v1.0.0"]);
    // A registration that has not got all of its artifact: it reads from a pipe that stays open.
    let big = world.outside("big.bin");
    let mut file = std::fs::File::create(&big).unwrap();
    file.write_all(&vec![7; 1 << 20]).unwrap();
    let mut arguments = World::register_arguments("v1.1.0");
    arguments[2] = big.to_str().unwrap().to_owned();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut slow = world.command(&arguments);
    slow.env("MODEL_REGISTRY_FAULT", "register.artifact=hang").stderr(std::process::Stdio::null());
    let mut slow = slow.stdout(std::process::Stdio::null()).spawn().unwrap();
    let staged = || {
        let batches = std::fs::read_dir(world.path("artifacts/.staging")).ok()?;
        batches
            .filter_map(Result::ok)
            .filter_map(|batch| std::fs::read_dir(batch.path()).ok()?.next()?.ok())
            .find(|entry| entry.path().join("model.bin").exists())
    };
    let folder = eventually(Duration::from_secs(10), staged).path();
    let server = world.serve();
    assert!(folder.join("model.bin").exists());
    assert_eq!(server.model("risk_model/current").status, 200);
    world.run(&["verify"]).ok();
    slow.kill().unwrap();
    slow.wait().unwrap();
    eventually(Duration::from_secs(15), || (!folder.exists()).then_some(()));
}

#[test]
fn two_writers_killed_one_after_the_other_leave_a_registry_that_starts() {
    let world = World::promoted(&["v1.0.0"]);
    // Both have opened the registry, and found it whole, before either commits.
    let big = world.outside("big.bin");
    std::fs::write(&big, vec![0; 40_000_000]).unwrap();
    let killed = ["v1.1.0", "v1.2.0"].map(|version| {
        let mut arguments = World::register_arguments(version);
        arguments[2] = big.to_str().unwrap().to_owned();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut command = world.command(&arguments);
        command.env("MODEL_REGISTRY_FAULT", "catalog.committed=kill");
        command.stderr(std::process::Stdio::null()).spawn().unwrap()
    });
    for mut child in killed {
        assert_eq!(child.wait().unwrap().code(), None);
    }
    let server = world.serve();
    assert_eq!(server.model("risk_model").json()["total"], 3);
    world.run(&["verify"]).ok();
}

#[test]
fn a_commit_that_nobody_waited_for_keeps_its_artifact() {
    let world = World::promoted(&["v1.0.0"]);
    let arguments = World::register_arguments("v1.1.0");
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let ran = world.run_with_fault("db.applied=slow", &arguments);
    ran.refused(6, "REGISTRY_UNAVAILABLE");
    assert!(world.path("artifacts/risk_model/v1.1.0/model.pkl").exists());
    let server = world.serve();
    assert_eq!(server.model("risk_model/v1.1.0").status, 200);
    world.run(&["verify"]).ok();
    no_leftovers(&world);
}

#[test]
fn a_committed_change_whose_manifest_cannot_be_written_is_done_and_mended_later() {
    let world = World::promoted(&["v1.0.0"]);
    world.register("v1.1.0").ok();
    // A folder in the place of the manifest's temporary file.
    let obstacle = world.path(".manifest.json.new");
    std::fs::create_dir(&obstacle).unwrap();
    let ran = world.promote("v1.1.0").ok();
    assert!(ran.stderr.contains("the manifest could not be written"), "{ran:?}");
    assert_eq!(world.status_of("v1.1.0"), "production");
    // The next change must not leave it two steps behind.
    world.register("v1.2.0").refused(6, ".manifest.json.new");
    std::fs::remove_dir(&obstacle).unwrap();
    world.register("v1.2.0").ok();
    world.run(&["verify"]).ok();
}

#[test]
fn what_is_strange_in_the_staging_folder_keeps_no_registry_from_starting() {
    let world = World::promoted(&["v1.0.0"]);
    std::fs::write(world.path("artifacts/.staging/.DS_Store"), "x").unwrap();
    std::fs::create_dir_all(world.path("artifacts/.staging/x/y/z")).unwrap();
    std::os::unix::fs::symlink("/etc", world.path("artifacts/.staging/link")).unwrap();
    std::fs::create_dir(world.path("artifacts/.staging/z.intent")).unwrap();
    let server = world.serve();
    assert_eq!(server.model("risk_model/current").status, 200);
    world.register("v1.1.0").ok();
    assert!(std::path::Path::new("/etc/passwd").exists());
}

#[test]
fn many_processes_register_and_promote_at_once_and_none_is_in_the_others_way() {
    let world = World::promoted(&["v0.0.1"]);
    let server = world.serve();
    let children: Vec<_> = (0..24)
        .map(|patch| {
            // Every number is wanted by two.
            let arguments = World::register_arguments(&format!("v1.0.{}", patch / 2));
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            world.command(&arguments).stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    let mut statuses: Vec<_> = (0..)
        .zip(children)
        .map(|(patch, mut child)| {
            let mut status = child.wait().unwrap().code().unwrap();
            // Waiting too long for one's turn is an answer as well, and one tries again.
            until(Duration::from_secs(120), || {
                if status == 6 {
                    status = world.register(&format!("v1.0.{}", patch / 2)).status;
                }
                status != 6
            });
            status
        })
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![0; 12], vec![4; 12]].concat());
    let children: Vec<_> = (0..12)
        .map(|patch| {
            let version = format!("v1.0.{patch}");
            let mut command = world.command(&["promote", "risk_model", &version]);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for (patch, mut child) in (0..).zip(children) {
        let mut status = child.wait().unwrap().code().unwrap();
        until(Duration::from_secs(120), || {
            if status == 6 {
                status = world.promote(&format!("v1.0.{patch}")).status;
            }
            status != 6
        });
        assert_eq!(status, 0, "{patch}");
    }
    assert_eq!(server.model("risk_model?status_filter=production").json()["total"], 1);
    world.run(&["verify"]).ok();
    no_leftovers(&world);
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
            let child = command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            (turn % 8 >= 6, child)
        })
        .collect();
    let mut registered = 0;
    for (registers, mut child) in children {
        let mut status = child.wait().unwrap().code().unwrap();
        if registers {
            // On a slow machine one of so many may wait for its turn in vain, and then tries again.
            until(Duration::from_secs(60), || {
                if status == 6 {
                    status = world.register("v2.0.0").status;
                }
                status != 6
            });
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

#[test]
fn nobody_changes_anything_between_a_commit_and_its_manifest() {
    for change in [
        &["promote", "risk_model", "v1.1.0"][..],
        &["rollback", "risk_model"],
        &["fail", "risk_model", "v1.1.0", "--reason", "test"],
    ] {
        let world = World::promoted(&["v0.0.1", "v1.0.0"]);
        for version in ["v1.1.0", "v1.2.0"] {
            world.register(version).ok();
        }
        let go = world.outside("go");
        let mut first = world.command(change);
        first.env("MODEL_REGISTRY_FAULT", format!("catalog.committed=wait:{}", go.display()));
        let mut first = first.stdout(std::process::Stdio::null()).spawn().unwrap();
        until(Duration::from_secs(20), || go.with_extension("reached").exists());
        world.promote("v1.2.0").refused(6, "REGISTRY_LOCKED");
        std::fs::write(&go, "").unwrap();
        assert_eq!(first.wait().unwrap().code(), Some(0), "{change:?}");
        world.promote("v1.2.0").ok();
        world.run(&["verify"]).ok();
    }
}
