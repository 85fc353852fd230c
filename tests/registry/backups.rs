//! Backups: what they hold, what they cost, and what is never taken for a good one.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use serde_json::Value;

use crate::support::{Ran, World, until};

/// Makes a backup and returns what the command says of it.
#[track_caller]
pub fn back_up(world: &World) -> Value {
    world.run(&["backup", "create", "--json"]).ok().json()
}

pub fn id_of(made: &Value) -> String {
    made["backup_id"].as_str().unwrap().to_owned()
}

pub fn folder_of(made: &Value) -> PathBuf {
    PathBuf::from(made["path"].as_str().unwrap())
}

fn verify(world: &World, id: &str) -> Ran {
    world.run(&["backup", "verify", id, "--json"])
}

fn listed(world: &World) -> Vec<Value> {
    let document = world.run(&["backup", "list", "--json"]).ok().json();
    document["backups"].as_array().unwrap().clone()
}

fn manifest(world: &World) -> Value {
    serde_json::from_slice(&std::fs::read(world.path("manifest.json")).unwrap()).unwrap()
}

#[test]
fn a_backup_holds_the_registry_and_its_unchanged_artifacts_cost_nothing() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    assert!(manifest(&world)["last_backup_at"].is_null());
    let made = back_up(&world);
    let id = id_of(&made);
    assert_eq!(made["versions"], 2);
    assert_eq!(made["verified"], true);
    assert_eq!(made["kind"], "backup");
    assert_eq!(made["root"], manifest(&world)["checksum"]);
    assert_eq!(folder_of(&made), world.path(&format!("backups/{id}")));
    // The two folders are on one file system, and this one has reflinks or hard links.
    assert_eq!(made["copied_bytes"], 0, "{made}");
    let shared = made["linked_bytes"].as_u64().unwrap() + made["cloned_bytes"].as_u64().unwrap();
    assert_eq!(shared, manifest(&world)["total_size_bytes"], "{made}");

    let checked = verify(&world, &id).ok().json();
    assert_eq!(
        (&checked["valid"], checked["differences"].as_array().unwrap().len()),
        (&true.into(), 0)
    );
    let found = listed(&world);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["backup_id"], &found[0]["state"]),
        (&made["backup_id"], &"complete".into())
    );

    let recorded = manifest(&world);
    assert_eq!(recorded["last_backup_at"], made["created_at"]);
    assert_eq!(recorded["backup_location"], format!("backups/{id}"));
    world.register("v1.2.0").ok();
    assert_eq!(manifest(&world)["last_backup_at"], made["created_at"], "a change keeps it");
    world.run(&["verify"]).ok();
}

#[test]
fn an_empty_registry_and_another_folder_are_backed_up_too() {
    let world = World::new();
    drop(world.serve());
    let place = world.outside("elsewhere/backups");
    let place = place.to_str().unwrap();
    let made = world.run(&["backup", "create", "--to", place, "--json"]).ok().json();
    let id = id_of(&made);
    assert_eq!(made["versions"], 0);
    assert!(folder_of(&made).starts_with(place));
    assert!(!world.path("backups").exists());
    world.run(&["backup", "verify", &id, "--from", place]).ok();
    world.run(&["backup", "verify", &id]).refused(3, "NOT_FOUND");
    assert_eq!(manifest(&world)["backup_location"], made["path"]);
    let text = world.run(&["backup", "list", "--from", place]).ok().stdout;
    assert!(text.contains(&id) && text.contains("yes"), "{text}");
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn backups_are_taken_while_many_read_and_one_writes() {
    let world = World::promoted(&["v0.0.1"]);
    let server = world.serve();
    let (stop, reads, written) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut made = Vec::new();
    std::thread::scope(|scope| {
        // Also where something panics: the readers would go on for ever.
        let _stop = StopOnDrop(&stop);
        for _ in 0..20 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let reply = server.model("risk_model/current");
                    assert_eq!(reply.status, 200, "{reply:?}");
                    reads.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
        scope.spawn(|| {
            let _stop = StopOnDrop(&stop);
            let mut patch = 0;
            while !stop.load(Ordering::Relaxed) {
                let version = format!("v1.0.{patch}");
                for change in [World::register, World::promote] {
                    // On a busy machine one may not get its turn in time.
                    let mut ran = change(&world, &version);
                    while ran.status == 6 && !stop.load(Ordering::Relaxed) {
                        ran = change(&world, &version);
                    }
                    // 4: it was done, though it did not look so.
                    let done = [0, 4].contains(&ran.status);
                    assert!(done || stop.load(Ordering::Relaxed), "{ran:?}");
                }
                patch += 1;
                written.store(patch, Ordering::Relaxed);
            }
        });
        until(Duration::from_secs(60), || written.load(Ordering::Relaxed) > 0);
        for _ in 0..3 {
            let before = written.load(Ordering::Relaxed);
            made.push(back_up(&world));
            until(Duration::from_secs(60), || written.load(Ordering::Relaxed) > before);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(reads.load(Ordering::Relaxed) > 0);
    let versions: Vec<_> = made.iter().map(|it| it["versions"].as_u64().unwrap()).collect();
    assert!(versions.is_sorted() && versions[0] < versions[2], "{versions:?}");
    for backup in &made {
        verify(&world, &id_of(backup)).ok();
    }
    world.run(&["verify"]).ok();
}

/// Removes the write protection and the other name of a file, so that only the backup changes.
fn overwrite(file: &Path, content: &[u8]) {
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, content).unwrap();
}

#[test]
fn a_backup_that_was_changed_is_found_out_and_never_restored() {
    let world = World::promoted(&["v1.0.0"]);
    let artifact = "artifacts/risk_model/v1.0.0/model.pkl";
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("model.pkl was changed", |folder| {
            overwrite(&folder.join("artifacts/risk_model/v1.0.0/model.pkl"), b"other");
        }),
        ("metadata.json is missing", |folder| {
            std::fs::remove_file(folder.join("artifacts/risk_model/v1.0.0/metadata.json")).unwrap();
        }),
        ("does not belong", |folder| {
            std::fs::write(folder.join("catalog/more.jsonl"), "").unwrap()
        }),
        ("log_entries.jsonl was changed", |folder| {
            let file = folder.join("catalog/log_entries.jsonl");
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, text.replace("alice", "mallory").replace("root", "toor"))
                .unwrap();
        }),
        ("catalog/versions.jsonl is missing", |folder| {
            std::fs::remove_file(folder.join("catalog/versions.jsonl")).unwrap();
        }),
        ("artifacts/risk_model/v1.0.0", |folder| {
            let file = folder.join("artifacts/risk_model/v1.0.0/model.pkl");
            std::fs::remove_file(&file).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
        }),
    ];
    for (saying, damage) in damages {
        let made = back_up(&world);
        let id = id_of(&made);
        damage(&folder_of(&made));
        let before = (std::fs::read(world.path("manifest.json")).unwrap(), world.artifacts());
        let checked = verify(&world, &id);
        assert_eq!(checked.status, 5, "{saying}: {checked:?}");
        let told = checked.json()["differences"].to_string();
        assert!(told.contains(saying), "{saying}: {told}");
        world.run(&["restore", "--backup", &id]).refused(5, saying);
        assert_eq!(
            before,
            (std::fs::read(world.path("manifest.json")).unwrap(), world.artifacts())
        );
        assert!(world.path(artifact).exists());
    }
    world.run(&["verify"]).ok();
}

#[test]
fn rows_that_the_log_does_not_prove_are_found_even_if_the_manifest_agrees_with_them() {
    use sha2::Digest as _;
    let world = World::promoted(&["v1.0.0"]);
    let made = back_up(&world);
    let folder = folder_of(&made);
    let file = folder.join("catalog/versions.jsonl");
    let text = std::fs::read_to_string(&file).unwrap().replace("production", "archived");
    std::fs::write(&file, &text).unwrap();
    let manifest = folder.join("backup_manifest.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    let digest = sha2::Sha256::digest(text.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    document["files"]["catalog/versions.jsonl"]["sha256"] = digest.into();
    document["files"]["catalog/versions.jsonl"]["size_bytes"] = text.len().into();
    std::fs::write(&manifest, document.to_string()).unwrap();
    let checked = verify(&world, &id_of(&made));
    assert_eq!(checked.status, 5, "{checked:?}");
    assert!(checked.stdout.contains("risk_model/v1.0.0"), "{checked:?}");
    world.run(&["restore", "latest"]).refused(5, "risk_model/v1.0.0");
}

#[test]
fn a_registry_that_is_not_intact_is_not_backed_up() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    std::fs::write(world.path("artifacts/risk_model/v1.0.0/model.pkl"), b"other").unwrap();
    world.run(&["backup", "create"]).refused(5, "artifacts/risk_model/v1.0.0/model.pkl");
    assert_eq!(listed(&world).len(), 0);
    assert!(manifest(&world)["last_backup_at"].is_null());
}

#[test]
fn a_name_that_is_none_is_refused_and_so_is_one_that_there_is_not() {
    let world = World::promoted(&["v1.0.0"]);
    let made = back_up(&world);
    for name in ["../backup_20260115_093000_1f2e3d4c", "..", "/etc", "backup_1", "LATEST"] {
        assert_eq!(world.run(&["backup", "verify", name]).status, 2, "{name}");
        assert_eq!(world.run(&["restore", "--backup", name]).status, 2, "{name}");
        assert_eq!(world.run(&["restore", name]).status, 2, "{name}");
    }
    world.run(&["restore"]).refused(2, "latest");
    assert_eq!(world.run(&["restore", "latest", "--backup", &id_of(&made)]).status, 2);
    assert_eq!(world.run(&["restore", "--from-backup", "15.01.2026"]).status, 2);
    let unknown = "backup_20260115_093000_1f2e3d4c";
    world.run(&["backup", "verify", unknown]).refused(3, unknown);
    world.run(&["restore", "--backup", unknown]).refused(3, unknown);
    world.run(&["restore", "latest", "--from", "/nowhere"]).refused(3, "/nowhere");
}

#[test]
fn a_backup_of_a_newer_program_is_refused_by_name() {
    let world = World::promoted(&["v1.0.0"]);
    let made = back_up(&world);
    let file = folder_of(&made).join("backup_manifest.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    document["backup_format"] = 2.into();
    document["program_version"] = "9.1.0".into();
    std::fs::write(&file, document.to_string()).unwrap();
    for arguments in [&["backup", "verify"][..], &["restore", "--backup"]] {
        let id = id_of(&made);
        let arguments: Vec<_> = arguments.iter().copied().chain([id.as_str()]).collect();
        world.run(&arguments).refused(5, "made by model-registry 9.1.0");
    }
    assert_eq!(listed(&world)[0]["state"], "unreadable");
    // A newer schema in the same format.
    let newer = back_up(&world);
    let file = folder_of(&newer).join("backup_manifest.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"schema_version\": \"0", "\"schema_version\": \"9"))
        .unwrap();
    world.run(&["restore", "--backup", &id_of(&newer)]).refused(5, "knows schemas up to");
    std::fs::remove_dir_all(folder_of(&newer)).unwrap();
    world.run(&["restore", "latest"]).refused(3, "no complete backup");
    let pruned = world.run(&["backup", "prune", "--keep-days", "0", "--execute", "--json"]).ok();
    assert_eq!(
        pruned.json()["backups"].as_array().unwrap().len(),
        0,
        "a newer program may want it"
    );
}

#[test]
fn old_and_incomplete_backups_are_pruned_and_the_newest_is_kept() {
    let world = World::promoted(&["v1.0.0"]);
    let (first, second) = (back_up(&world), back_up(&world));
    let incomplete = world.path("backups/backup_20260115_093000_1f2e3d4c");
    std::fs::create_dir_all(incomplete.join("artifacts/risk_model/v1.0.0")).unwrap();
    std::fs::write(incomplete.join("artifacts/risk_model/v1.0.0/model.pkl"), "half").unwrap();
    std::fs::write(world.path("backups/notes.txt"), "not a backup").unwrap();
    let states: Vec<_> = listed(&world).iter().map(|it| it["state"].clone()).collect();
    assert_eq!(states, ["incomplete", "complete", "complete"]);
    world.run(&["backup", "verify", "backup_20260115_093000_1f2e3d4c"]).refused(5, "incomplete");

    let prune = |arguments: &[&str]| {
        let all: Vec<_> = ["backup", "prune", "--json"].iter().chain(arguments).copied().collect();
        let document = world.run(&all).ok().json();
        let backups = document["backups"].as_array().unwrap().clone();
        backups.iter().map(|it| (id_of(it), it["removed"] == true)).collect::<Vec<_>>()
    };
    let cut = ("backup_20260115_093000_1f2e3d4c".to_owned(), false);
    assert_eq!(prune(&[]), std::slice::from_ref(&cut), "90 days are kept");
    // A backup of this second is not older than 0 days.
    until(Duration::from_secs(10), || {
        prune(&["--keep-days", "0"]) == [cut.clone(), (id_of(&first), false)]
    });
    assert!(
        incomplete.exists() && folder_of(&first).exists(),
        "nothing is removed without --execute"
    );
    assert_eq!(prune(&["--execute"]), [(cut.0.clone(), true)]);
    assert!(!incomplete.exists());
    assert_eq!(prune(&["--keep-days", "0", "--execute"]), [(id_of(&first), true)]);
    assert!(!folder_of(&first).exists() && folder_of(&second).exists());
    assert_eq!(prune(&["--keep-days", "0", "--execute"]), [], "the newest good one is kept");
    verify(&world, &id_of(&second)).ok();
    world.run(&["verify"]).ok();
}

#[cfg(debug_assertions)]
mod faults {
    use std::process::Stdio;

    use super::*;

    const POINTS: [&str; 7] = [
        "backup.begun",
        "backup.dumped",
        "backup.copying",
        "backup.copied",
        "backup.verified",
        "backup.manifest_written",
        "backup.complete",
    ];

    #[test]
    fn a_backup_that_is_killed_anywhere_does_not_look_good() {
        let world = World::promoted(&["v1.0.0"]);
        for point in POINTS {
            let ran = world.run_with_fault(&format!("{point}=kill"), &["backup", "create"]);
            assert_eq!(ran.status, -1, "{point}: the fault was not reached: {ran:?}");
            let complete = point == "backup.complete";
            let found = listed(&world);
            assert_eq!(found.len(), 1, "{point}");
            let state = if complete { "complete" } else { "incomplete" };
            assert_eq!(found[0]["state"], state, "{point}");
            let id = id_of(&found[0]);
            assert_eq!(verify(&world, &id).status, if complete { 0 } else { 5 }, "{point}");
            if !complete {
                world.run(&["restore", "latest"]).refused(3, "no complete backup");
            }
            world.run(&["verify"]).ok();
            world.promote("v1.0.0").refused(4, "INVALID_TRANSITION");
            world.run(&["backup", "prune", "--execute"]).ok();
            assert_eq!(listed(&world).len(), usize::from(complete), "{point}");
        }
    }

    #[test]
    fn a_removal_that_is_killed_leaves_nothing_that_looks_good() {
        let world = World::promoted(&["v1.0.0"]);
        let (first, _) = (back_up(&world), back_up(&world));
        let prune = ["backup", "prune", "--keep-days", "0", "--execute"];
        until(Duration::from_secs(10), || {
            world.run_with_fault("backup.removing=kill", &prune).status == -1
        });
        let found = listed(&world);
        assert_eq!((id_of(&found[0]), &found[0]["state"]), (id_of(&first), &"incomplete".into()));
        world.run(&["backup", "prune", "--execute"]).ok();
        assert_eq!(listed(&world).len(), 1);
    }

    #[test]
    fn a_backup_that_is_interrupted_is_cleaned_up_and_one_that_is_being_made_is_left_alone() {
        let world = World::promoted(&["v1.0.0"]);
        for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
            let go = world.outside(&format!("go-{}", signal.as_raw()));
            let mut command = world.command(&["backup", "create"]);
            command.env("MODEL_REGISTRY_FAULT", format!("backup.copying=wait:{}", go.display()));
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            until(Duration::from_secs(30), || go.with_extension("reached").exists());
            let found = listed(&world);
            assert_eq!(found[0]["state"], "being_made");
            let pruned = world.run(&["backup", "prune", "--execute", "--json"]).ok().json();
            assert_eq!(pruned["backups"].as_array().unwrap().len(), 0, "{pruned}");
            let pid = i32::try_from(child.id()).unwrap();
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, signal).unwrap();
            // It is noticed by the signal's own task; the copying goes on until it asks.
            std::thread::sleep(Duration::from_millis(200));
            std::fs::write(&go, "").unwrap();
            let ran = Ran::from(child.wait_with_output_of());
            assert_eq!(ran.status, 130, "{ran:?}");
            assert!(ran.stderr.contains("stopped"), "{ran:?}");
            assert_eq!(listed(&world).len(), 0);
        }
    }

    trait WaitWithOutput {
        fn wait_with_output_of(&mut self) -> std::process::Output;
    }

    impl WaitWithOutput for std::process::Child {
        fn wait_with_output_of(&mut self) -> std::process::Output {
            use std::io::Read as _;
            let mut stderr = Vec::new();
            self.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
            std::process::Output { status: self.wait().unwrap(), stdout: Vec::new(), stderr }
        }
    }
}

#[test]
fn a_dump_holds_every_column_of_every_table() {
    use model_registry::catalog::tables::TABLES;
    let mut expected: Vec<String> = TABLES
        .iter()
        .flat_map(|table| table.columns.iter().map(|(name, _)| format!("{}.{name}", table.name)))
        .collect();
    expected.sort();
    let world = World::promoted(&["v1.0.0"]);
    let records = "__diesel_schema_migrations";
    if let Some(url) = world.database() {
        let expected = expected.join(",");
        crate::postgres::execute(
            url,
            &format!(
                "DO $$ DECLARE found TEXT; BEGIN
                   SELECT string_agg(table_name || '.' || column_name, ',' ORDER BY
                                     (table_name || '.' || column_name) COLLATE \"C\")
                     INTO found FROM information_schema.columns
                     WHERE table_schema = 'public' AND table_name <> '{records}';
                   IF found <> '{expected}' THEN RAISE EXCEPTION '%', found; END IF;
                 END $$"
            ),
        );
    } else {
        use diesel::{Connection as _, RunQueryDsl as _};
        #[derive(diesel::QueryableByName)]
        struct Column {
            #[diesel(sql_type = diesel::sql_types::Text)]
            name: String,
        }
        let path = world.path("registry.db");
        let mut conn = diesel::SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        let query = format!(
            "SELECT t.name || '.' || c.name AS name FROM sqlite_master t, pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name <> '{records}'"
        );
        let columns: Vec<Column> = diesel::sql_query(query).load(&mut conn).unwrap();
        let mut found: Vec<_> = columns.into_iter().map(|column| column.name).collect();
        found.sort();
        assert_eq!(found, expected);
    }
}

/// The shell blocks of a section of the operator's page.
fn blocks(section: &str, before: &str) -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (_, text) = text.split_once(section).unwrap();
    let (text, _) = text.split_once(before).unwrap();
    text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_commands_of_the_operators_page_do_what_it_says() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let blocks = blocks("## Backup and restore\n", "## The clock\n");
    assert_eq!(blocks.len(), 4);
    let program = Path::new(env!("CARGO_BIN_EXE_model-registry"));
    for block in blocks {
        if world.database().is_some() && block.contains("-new") {
            // Another registry needs another database; the suite of moves has it.
            continue;
        }
        let mut command = std::process::Command::new("sh");
        command.env_clear().args(["-euc", &block]);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", program.parent().unwrap().display()));
        command.env("MODEL_REGISTRY_DIR", world.dir()).env("ENVIRONMENT", "test");
        command.envs(world.database().map(|url| ("DATABASE_URL", url)));
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.status, 0, "{block}\n{ran:?}");
    }
    world.run(&["verify"]).ok();
}
