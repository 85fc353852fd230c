//! Files that are not what the catalog says are never answered with.

use std::{fs, path::Path, process::Command, time::Duration};

use crate::support::{World, until};

/// Changes bytes of a file and puts size and mtime back to what they were.
fn tamper(path: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let before = fs::metadata(path).unwrap();
    let text = String::from_utf8(fs::read(path).unwrap()).unwrap();
    assert!(text.contains(from));
    // In place: the inode stays the same as well.
    fs::write(path, text.replace(from, to)).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let after = fs::metadata(path).unwrap();
    assert_eq!(
        (after.len(), after.modified().unwrap()),
        (before.len(), before.modified().unwrap())
    );
}

#[test]
fn a_tampered_sidecar_is_503_on_the_next_read_of_it_while_others_answer() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let server = world.serve();
    // Both remembered, and remembered for good: a file just written is not yet trusted to be so.
    for _ in 0..2 {
        assert_eq!(server.model("risk_model/current").status, 200);
        assert_eq!(server.model("risk_model/v1.0.0").status, 200);
        std::thread::sleep(model_registry::limits::SIDECAR_SETTLED + Duration::from_millis(100));
    }
    let sidecar = world.path("artifacts/risk_model/v1.1.0/metadata.json");
    tamper(&sidecar, "\"snap-1\"", "\"snap-2\"");
    for path in ["risk_model/current", "risk_model/v1.1.0"] {
        let reply = server.model(path);
        reply.is_error(503, "CHECKSUM_MISMATCH", "risk_model/v1.1.0");
        assert!(!String::from_utf8(reply.body).unwrap().contains(world.dir().to_str().unwrap()));
    }
    assert_eq!(server.model("risk_model/v1.0.0").status, 200);
    let logged = server.events("request failed");
    assert!(logged.iter().any(|line| line["level"] == "ERROR"
        && line["detail"].as_str().unwrap().contains("risk_model/v1.1.0: metadata.json differs")));
    server.validate("risk_model/v1.1.0").is_error(422, "CHECKSUM_MISMATCH", "metadata.json");
    assert!(world.run(&["verify"]).stdout.contains("sidecar"));
    tamper(&sidecar, "\"snap-2\"", "\"snap-1\"");
    assert_eq!(server.model("risk_model/current").status, 200);
}

#[test]
fn a_sidecar_that_is_missing_or_a_link_is_503() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let sidecar = world.path("artifacts/risk_model/v1.0.0/metadata.json");
    let kept = world.outside("kept.json");
    fs::rename(&sidecar, &kept).unwrap();
    server.model("risk_model/current").is_error(
        503,
        "CHECKSUM_MISMATCH",
        "metadata.json is missing",
    );
    // The right bytes by way of a link are not the registry's bytes.
    std::os::unix::fs::symlink(&kept, &sidecar).unwrap();
    server.model("risk_model/current").is_error(503, "CHECKSUM_MISMATCH", "risk_model/v1.0.0");
    fs::remove_file(&sidecar).unwrap();
    assert!(Command::new("mkfifo").arg(&sidecar).status().unwrap().success());
    server.model("risk_model/current").is_error(503, "CHECKSUM_MISMATCH", "risk_model/v1.0.0");
    fs::remove_file(&sidecar).unwrap();
    fs::rename(&kept, &sidecar).unwrap();
    assert_eq!(server.model("risk_model/current").status, 200);
}

#[test]
fn no_link_is_followed_on_the_way_to_a_file() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    for folder in ["artifacts/risk_model/v1.0.0", "artifacts/risk_model"] {
        let (place, kept) = (world.path(folder), world.outside("kept"));
        fs::rename(&place, &kept).unwrap();
        // The right bytes in another place.
        let elsewhere = world.outside("elsewhere");
        assert!(Command::new("cp").arg("-r").args([&kept, &elsewhere]).status().unwrap().success());
        std::os::unix::fs::symlink(&elsewhere, &place).unwrap();
        for path in ["risk_model/current", "risk_model/v1.0.0/artifact"] {
            assert_eq!(
                server.model(path).error(),
                (503, "CHECKSUM_MISMATCH".to_owned()),
                "{folder}"
            );
        }
        fs::remove_file(&place).unwrap();
        fs::remove_dir_all(&elsewhere).unwrap();
        fs::rename(&kept, &place).unwrap();
        assert_eq!(server.model("risk_model/current").status, 200);
    }
}

#[test]
fn a_tampered_artifact_is_never_sent() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let path = "risk_model/v1.0.0/artifact";
    for _ in 0..2 {
        assert_eq!(server.model(path).status, 200);
        std::thread::sleep(model_registry::limits::SIDECAR_SETTLED + Duration::from_millis(100));
    }
    let artifact = world.path("artifacts/risk_model/v1.0.0/model.pkl");
    let mut bytes = fs::read(&artifact).unwrap();
    bytes[100] ^= 1;
    let modified = fs::metadata(&artifact).unwrap().modified().unwrap();
    fs::write(&artifact, &bytes).unwrap();
    fs::File::options().write(true).open(&artifact).unwrap().set_modified(modified).unwrap();
    server.model(path).is_error(503, "CHECKSUM_MISMATCH", "model.pkl");
    server.validate("risk_model/v1.0.0").is_error(422, "CHECKSUM_MISMATCH", "model.pkl");
    // What needs only the sidecar is still answered.
    assert_eq!(server.model("risk_model/current").status, 200);
}

#[test]
fn verify_names_every_disagreement_and_exits_with_5() {
    type Spoil = fn(&World);
    let cases: &[(&str, Spoil)] = &[
        ("sidecar", |w| {
            fs::write(w.path("artifacts/risk_model/v1.0.0/metadata.json"), "{}").unwrap()
        }),
        ("artifact", |w| fs::write(w.path("artifacts/risk_model/v1.0.0/model.pkl"), "x").unwrap()),
        ("checksum_file", |w| {
            fs::write(w.path("artifacts/risk_model/v1.0.0/checksum.sha256"), "x").unwrap()
        }),
        ("orphan", |w| fs::create_dir_all(w.path("artifacts/risk_model/v7.0.0")).unwrap()),
        ("orphan", |w| fs::write(w.path("artifacts/stray"), "").unwrap()),
        ("stray_file", |w| fs::write(w.path("artifacts/risk_model/v1.0.0/evil.pkl"), "x").unwrap()),
        ("manifest", |w| {
            let text = fs::read_to_string(w.path("manifest.json")).unwrap();
            fs::write(w.path("manifest.json"), text.replace("\"3.0.0\"", "\"4.0.0\"")).unwrap();
        }),
        ("manifest", |w| fs::remove_file(w.path("manifest.json")).unwrap()),
        ("manifest", |w| fs::write(w.path("manifest.json"), "{").unwrap()),
        ("catalog", |w| {
            w.sql_without_triggers(
                "versions",
                "UPDATE versions SET snapshot_id = 'x' WHERE version = 'v1.0.0'",
            )
        }),
        ("history", |w| {
            w.sql_without_triggers(
                "log_entries",
                "UPDATE log_entries SET actor = 'mallory' WHERE sequence = 1",
            )
        }),
        ("status", |w| w.sql("UPDATE versions SET status = 'archived' WHERE version = 'v1.1.0'")),
    ];
    for (kind, spoil) in cases {
        let world = World::promoted(&["v1.0.0", "v1.1.0"]);
        spoil(&world);
        let ran = world.run(&["verify", "--json"]);
        assert_eq!(ran.status, 5, "{kind}: {ran:?}");
        let found = ran.json();
        let findings = found["findings"].as_array().unwrap();
        let named = findings.iter().any(|finding| finding["kind"] == *kind);
        assert!(named, "{kind}: {found}");
        assert!(findings.iter().all(|finding| finding["remedy"].as_str().unwrap().len() > 10));
    }
}

#[test]
fn a_catalog_changed_by_another_program_refuses_to_start_and_says_what_differs() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    world.sql("UPDATE versions SET status = 'archived' WHERE version = 'v1.1.0'");
    let ran: crate::support::Ran = world
        .command(&["serve", "--port", "0"])
        .env("MODEL_REGISTRY_READ_TOKEN", "0123456789abcdef")
        .output()
        .unwrap()
        .into();
    let ran = ran.refused(5, "risk_model/v1.1.0: the log says production, the catalog archived");
    assert!(ran.stderr.contains("verify"), "{ran:?}");
}

#[test]
fn a_manifest_that_was_edited_refuses_to_start() {
    let world = World::promoted(&["v1.0.0"]);
    let path = world.path("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"artifact_count\": 1", "\"artifact_count\": 2")).unwrap();
    world.register("v1.1.0").refused(5, "artifact_count: the manifest says 2, the catalog 1");
}

#[test]
fn the_janitor_notices_in_time_what_readiness_depends_on() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    assert_eq!(server.ask("GET", "/ready", &[]).status, 200);
    world.sql(
        "UPDATE registry_state SET checksum = previous_checksum, previous_checksum = checksum",
    );
    until(Duration::from_secs(5), || server.ask("GET", "/ready", &[]).status == 200);
    let text = fs::read_to_string(world.path("manifest.json")).unwrap();
    fs::write(
        world.path("manifest.json"),
        text.replace("\"checksum\": \"", "\"checksum\": \"0000"),
    )
    .unwrap();
    until(Duration::from_secs(5), || server.ask("GET", "/ready", &[]).status == 503);
}

#[test]
fn a_registration_cut_short_is_told_from_a_stray_folder() {
    let world = World::promoted(&["v1.0.0"]);
    let arguments = World::register_arguments("v1.1.0");
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    world.run_with_fault("register.renamed=kill", &arguments);
    let found = world.run(&["verify", "--json"]).json();
    let kinds: Vec<_> = found["findings"].as_array().unwrap().iter().map(|f| &f["kind"]).collect();
    assert_eq!(kinds, ["unfinished"], "{found}");
}

#[test]
fn a_registration_replaces_nothing_whether_or_not_the_file_system_helps() {
    let world = World::promoted(&["v1.0.0"]);
    for (empty, full, free, fault) in [
        ("v2.0.0", "v2.1.0", "v2.2.0", "none"),
        ("v3.0.0", "v3.1.0", "v3.2.0", "files.rename_flags=x"),
    ] {
        let folder = |version: &str| world.path(&format!("artifacts/risk_model/{version}"));
        let register = |version: &str| {
            let arguments = World::register_arguments(version);
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            world.run_with_fault(fault, &arguments)
        };
        for taken in [empty, full] {
            fs::create_dir(folder(taken)).unwrap();
        }
        fs::write(folder(full).join("mine"), "mine").unwrap();
        register(empty).refused(4, empty);
        register(full).refused(4, full);
        assert_eq!(fs::read_dir(folder(empty)).unwrap().count(), 0);
        assert_eq!(fs::read(folder(full).join("mine")).unwrap(), b"mine");
        fs::remove_dir(folder(empty)).unwrap();
        fs::remove_dir_all(folder(full)).unwrap();
        register(free).ok();
        register(free).refused(4, "VERSION_EXISTS");
    }
    world.run(&["verify"]).ok();
}

#[test]
fn commands_do_not_answer_from_a_registry_that_contradicts_itself() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let old = fs::read(world.path("manifest.json")).unwrap();
    world.register("v1.2.0").ok();
    world.register("v1.3.0").ok();
    fs::write(world.path("manifest.json"), old).unwrap();
    world.run(&["show", "risk_model", "v1.0.0"]).refused(5, "lacks its last 2 log entries");
    assert!(world.run(&["verify"]).stdout.contains("manifest"));
}

#[test]
fn repair_mends_what_can_be_mended_safely_and_says_so() {
    type Spoil = fn(&World);
    let cases: &[(&str, Spoil)] = &[
        ("manifest.json", |w| fs::remove_file(w.path("manifest.json")).unwrap()),
        ("manifest.json", |w| fs::write(w.path("manifest.json"), "{").unwrap()),
        ("manifest.json", |w| {
            let old = fs::read(w.path("manifest.json")).unwrap();
            w.register("v1.2.0").ok();
            w.register("v1.3.0").ok();
            fs::write(w.path("manifest.json"), old).unwrap();
        }),
        ("risk_model/v7.0.0", |w| fs::create_dir(w.path("artifacts/risk_model/v7.0.0")).unwrap()),
        ("stray", |w| fs::write(w.path("artifacts/stray"), "kept").unwrap()),
        ("risk_model/v1.0.0", |w| {
            fs::write(w.path("artifacts/risk_model/v1.0.0/evil.pkl"), "kept").unwrap();
        }),
        ("risk_model/v1.0.0", |w| {
            fs::write(w.path("artifacts/risk_model/v1.0.0/checksum.sha256"), "x").unwrap();
        }),
        ("artifacts/.staging", |w| {
            let arguments = World::register_arguments("v1.2.0");
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            w.run_with_fault("register.renamed=kill", &arguments);
        }),
    ];
    for (subject, spoil) in cases {
        let world = World::promoted(&["v1.0.0", "v1.1.0"]);
        spoil(&world);
        assert_eq!(world.run(&["verify"]).status, 5, "{subject}");
        let done = world.run(&["verify", "--repair", "--json"]).ok().json();
        assert_eq!(done["repairs"][0]["subject"], *subject, "{done}");
        assert_eq!(
            world.run(&["verify", "--repair", "--json"]).ok().json()["repairs"],
            serde_json::json!([])
        );
        world.register("v3.0.0").ok();
    }
}

#[test]
fn repair_blesses_nothing_and_deletes_nothing() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    fs::write(world.path("artifacts/stray"), "kept").unwrap();
    world.run(&["verify", "--repair"]).ok();
    let kept: Vec<_> =
        fs::read_dir(world.path("quarantine")).unwrap().map(Result::unwrap).collect();
    assert_eq!(fs::read(kept[0].path()).unwrap(), b"kept");

    // A catalog that another program changed is not vouched for by writing a manifest that agrees with it.
    let manifest = fs::read(world.path("manifest.json")).unwrap();
    world.sql("UPDATE versions SET status = 'archived' WHERE version = 'v1.1.0'");
    let ran = world.run(&["verify", "--repair"]);
    assert_eq!(ran.status, 5);
    assert_eq!(fs::read(world.path("manifest.json")).unwrap(), manifest);

    // Nor is what a damaged artifact should hold known to anybody.
    let world = World::promoted(&["v1.0.0"]);
    fs::write(world.path("artifacts/risk_model/v1.0.0/model.pkl"), "x").unwrap();
    let done = world.run(&["verify", "--repair", "--json"]);
    assert_eq!((done.status, &done.json()["repairs"]), (5, &serde_json::json!([])));
}

#[test]
fn repair_does_not_hide_that_the_catalog_lost_something() {
    let world = World::promoted(&["v1.0.0"]);
    let legacy = crate::support::fixture("fixtures/legacy-registry");
    let other = World::new();
    other.run(&["import", legacy.to_str().unwrap()]).ok();
    // A manifest that vouches for versions which this catalog never held.
    fs::copy(other.path("manifest.json"), world.path("manifest.json")).unwrap();
    assert_eq!(world.run(&["verify", "--repair"]).status, 5);
    world.register("v1.1.0").refused(5, "the catalog is older than the manifest");
}

#[test]
fn a_list_marks_a_damaged_version_and_answers_the_rest() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let sound = world.run(&["list", "risk_model", "--json"]).ok().json();
    assert!(sound["models"].as_array().unwrap().iter().all(|it| it["integrity"] == "ok"));
    let missing: fn(&std::path::Path) = |path| std::fs::remove_file(path).unwrap();
    let changed: fn(&std::path::Path) = |path| std::fs::write(path, "{}").unwrap();
    let folder: fn(&std::path::Path) = |path| {
        drop(std::fs::remove_file(path));
        std::fs::create_dir(path).unwrap();
    };
    for damage in [changed, missing, folder] {
        damage(&world.path("artifacts/risk_model/v1.1.0/metadata.json"));
        let server = world.serve();
        let answer = server.model("risk_model");
        assert_eq!(answer.status, 200);
        let listed = world.run(&["list", "risk_model", "--json"]).ok().json();
        assert_eq!(answer.json(), listed);
        let (bad, good) = (&listed["models"][0], &listed["models"][1]);
        assert_eq!(
            (&bad["version"], &bad["integrity"]),
            (&"v1.1.0".into(), &"CHECKSUM_MISMATCH".into())
        );
        assert_eq!((good, &listed["total"]), (&sound["models"][1], &sound["total"]));
        for (name, value) in bad.as_object().unwrap() {
            let of_sidecar = [
                "factor_list",
                "parameters",
                "metrics",
                "config",
                "feature_formulas",
                "env",
                "experiment_id",
                "run_id",
                "dataset_uri",
                "qlib_version",
            ];
            match name.as_str() {
                "integrity" => {}
                name if of_sidecar.contains(&name) => assert!(value.is_null(), "{name}: {value}"),
                name => assert_eq!(value, &sound["models"][0][name], "{name}"),
            }
        }
        let text = world.run(&["list"]).ok();
        assert!(text.stdout.contains("damaged") && text.stdout.contains("v1.0.0"), "{text:?}");
        server.model("risk_model/current").is_error(503, "CHECKSUM_MISMATCH", "risk_model/v1.1.0");
        server.model("risk_model/v1.1.0").is_error(503, "CHECKSUM_MISMATCH", "risk_model/v1.1.0");
        assert_eq!(server.model("risk_model/v1.0.0").status, 200);
    }
}

#[test]
fn verify_tells_how_far_it_has_come_within_a_large_file() {
    use model_registry::{
        config::{Flags, Settings, Variables},
        startup::{Core, Opening},
    };

    let world = World::new();
    let artifact = world.outside("model.json");
    fs::write(&artifact, format!("\"{}\"", "x".repeat(6_000_000))).unwrap();
    let mut arguments = World::register_arguments("v1.0.0");
    arguments[2] = artifact.to_str().unwrap().to_owned();
    world.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    let variables: Variables =
        world.database().map(|url| ("DATABASE_URL", url)).into_iter().collect();
    let flags = Flags { registry_dir: Some(world.dir()), ..Flags::default() };
    let settings = Settings::load(&variables, &flags).unwrap();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = told.clone();
    let system = actix::System::new();
    system.block_on(async move {
        let core = Core::open(&settings, Opening::Examining).await.unwrap();
        let progress: model_registry::progress::Progress =
            std::sync::Arc::new(move |done, total, _| kept.lock().unwrap().push((done, total)));
        assert_eq!(core.registry.verify(None, &progress).await.unwrap().findings, []);
    });
    // The actors' threads end with the process.
    std::mem::forget(system);
    let told = told.lock().unwrap();
    let within = told.iter().filter(|(done, total)| 0 < *done && done < total).count();
    assert!(within > 3, "{told:?}");
}

#[test]
fn a_sample_has_the_versions_in_production_and_as_many_others_as_asked_for() {
    let world = World::promoted(&["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"]);
    let verify = |sample: &str| world.run(&["verify", "--sample", sample, "--json"]);
    for (sample, versions) in [("0", 1), ("2", 3), ("3", 4), ("1000", 4)] {
        let told = verify(sample).ok().json();
        assert_eq!(
            (&told["versions"], &told["sample_of"]),
            (&versions.into(), &4.into()),
            "{sample}"
        );
        assert_eq!(told["transitions"], 11);
    }
    assert_eq!(world.run(&["verify", "--json"]).ok().json()["sample_of"], serde_json::Value::Null);
    let told = world.run(&["verify", "--sample", "1"]).ok().stdout;
    assert!(told.contains("2 versions (a sample of 4), "), "{told}");
    // The version in production is always in it.
    fs::write(world.path("artifacts/risk_model/v1.3.0/model.pkl"), "tampered").unwrap();
    assert_eq!(verify("0").status, 5);
    world.run(&["verify", "--sample", "1", "--repair"]).refused(2, "--repair");
    world.run(&["verify", "--sample", "-1"]).refused(2, "");
}
