//! Tidying passes over what it cannot tidy: one type's trouble is never another's.

use std::process::Command;

use crate::support::{Ran, World};

/// Runs the binary on a copy of the world's registry in which a type's folder is a mount of its own.
fn with_a_type_on_its_own_mount(world: &World, options: &str, script: &str) -> Ran {
    let dir = world.dir();
    let binary = env!("CARGO_BIN_EXE_model-registry");
    let script = format!(
        "mount -t tmpfs none /mnt && cp -a '{0}'/artifacts/alpha_weights/. /mnt/ && \
         mount --bind /mnt '{0}'/artifacts/alpha_weights && {options} || exit 99; \
         run() {{ '{binary}' --registry-dir '{0}' \"$@\"; echo \"status $?\"; }}; {script}",
        dir.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    command.env("ENVIRONMENT", "test");
    if let Some(url) = world.database() {
        command.env("DATABASE_URL", url);
    }
    command.output().unwrap().into()
}

fn statuses(ran: &Ran) -> Vec<&str> {
    ran.stdout.lines().filter_map(|line| line.strip_prefix("status ")).collect()
}

fn register(model_type: &str, parameters: &str, version: &str) -> String {
    let mut arguments = World::register_arguments(version);
    model_type.clone_into(&mut arguments[1]);
    let at = arguments.iter().position(|it| it == "--parameters").unwrap();
    parameters.clone_into(&mut arguments[at + 1]);
    let quoted: Vec<_> = arguments.iter().map(|it| format!("'{it}'")).collect();
    format!("run {};", quoted.join(" "))
}

const ALPHA: &str = r#"{"alpha_names":["a"],"combination_method":"x","ic_threshold":1}"#;
const RISK: &str = r#"{"factor_list":["size"],"halflife_days":60,"shrinkage_intensity":0.5}"#;

#[test]
fn a_type_on_a_mount_of_its_own_is_refused_and_keeps_no_other_type() {
    for options in ["true", "mount -o remount,ro,bind '$1'"] {
        let world = World::with_legacy();
        let mount = world.path("artifacts/alpha_weights");
        let options = options.replace("$1", mount.to_str().unwrap());
        let script = [
            &register("alpha_weights", ALPHA, "v9.0.0"),
            &register("risk_model", RISK, "v8.0.0"),
            "run promote risk_model v8.0.0; run verify --repair; run list alpha_weights;",
        ]
        .map(ToString::to_string)
        .concat();
        let ran = with_a_type_on_its_own_mount(&world, &options, &script);
        assert_eq!(statuses(&ran), ["6", "0", "0", "0", "0"], "{options}: {ran:?}");
        assert!(ran.stderr.contains("mount"), "{ran:?}");
        let left = std::fs::read_dir(world.path("artifacts/.staging")).unwrap().count();
        assert_eq!(left, 0, "{options}: {ran:?}");
        world.run(&["verify"]).ok();
    }
}

#[test]
fn an_intent_that_cannot_be_read_stops_no_start_and_no_change() {
    let world = World::promoted(&["v1.0.0"]);
    // Root reads whatever its mode says: a folder is what nobody can read as a file.
    let name = "0b0e4f54-52ce-4a2c-9b1e-1d6c1d2a3c4e.intent";
    std::fs::create_dir_all(world.path("artifacts/.staging").join(name).join("in/it")).unwrap();
    let ran = world.register("v1.1.0").ok();
    assert!(ran.stderr.contains("cannot be tidied") && ran.stderr.contains(name), "{ran:?}");
    let server = world.serve();
    assert_eq!(server.model("risk_model/current").status, 200);
    let found = world.run(&["verify", "--json"]);
    assert_eq!(found.status, 5, "{found:?}");
    assert!(found.stdout.contains(name), "{found:?}");
    world.run(&["verify", "--repair"]).refused(5, "");
    world.promote("v1.1.0").ok();
}

#[cfg(debug_assertions)]
#[test]
fn a_registration_that_cannot_be_undone_keeps_no_other_type() {
    let world = World::promoted(&["v1.0.0"]);
    let arguments = World::register_arguments("v2.0.0");
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    world.run_with_fault("register.renamed=kill", &arguments);
    let sidecar = world.path("artifacts/risk_model/v2.0.0/metadata.json");
    // What is in its place cannot be told from a stranger's.
    std::fs::rename(&sidecar, sidecar.with_extension("away")).unwrap();
    std::fs::create_dir(&sidecar).unwrap();
    let ran = world.register("v3.0.0").ok();
    assert!(ran.stderr.contains("risk_model/v2.0.0"), "{ran:?}");
    let server = world.serve();
    let told = server.log().join("\n");
    assert!(told.contains("risk_model/v2.0.0") && told.contains("WARN"), "{told}");
    drop(server);
    // Once it can be told, it is undone.
    std::fs::remove_dir(&sidecar).unwrap();
    std::fs::rename(sidecar.with_extension("away"), &sidecar).unwrap();
    world.register("v4.0.0").ok();
    world.run(&["verify"]).ok();
    assert!(!world.path("artifacts/risk_model/v2.0.0").exists());
}
