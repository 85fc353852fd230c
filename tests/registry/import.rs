//! A registry directory of the Python service: brought in whole, answered as the Python service did.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{Server, World, fixture};

fn legacy() -> PathBuf {
    fixture("fixtures/legacy-registry")
}

/// A copy of the legacy directory that a test may spoil.
fn copy_of_legacy(world: &World) -> PathBuf {
    let copy = world.outside("legacy");
    assert!(Command::new("cp").arg("-r").arg(legacy()).arg(&copy).status().unwrap().success());
    copy
}

fn import(world: &World, directory: &Path) -> crate::support::Ran {
    world.run(&["import", directory.to_str().unwrap()])
}

/// The rows of an exported table, by column.
fn rows(name: &str) -> Vec<HashMap<String, String>> {
    let path = legacy().join("catalog-export").join(name);
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

/// `2026-11-15 08:03:37.25218` as the API writes it.
fn as_written(exported: &str) -> Value {
    if exported.is_empty() {
        return Value::Null;
    }
    let (whole, fraction) = exported.split_once('.').unwrap_or((exported, ""));
    json!(format!("{}.{fraction:0<6}Z", whole.replace(' ', "T")))
}

fn expected_metadata(row: &HashMap<String, String>) -> Value {
    let place = format!("artifacts/{}/{}", row["model_type"], row["version"]);
    let sidecar = std::fs::read(legacy().join(&place).join("metadata.json")).unwrap();
    let mut expected: Value = serde_json::from_slice(&sidecar).unwrap();
    expected["status"] = json!(row["status"]);
    expected["artifact_path"] = json!(place);
    expected["integrity"] = json!("ok");
    expected["promoted_at"] = as_written(&row["promoted_at"]);
    expected["collected"] = Value::Null;
    expected
}

fn check_version(server: &Server, row: &HashMap<String, String>) {
    let place = format!("{}/{}", row["model_type"], row["version"]);
    let answer = server.model(&place);
    let mut expected = expected_metadata(row);
    // The Python service kept no verdicts; here a validation leaves one.
    expected["check"] = answer.json()["check"].clone();
    assert_eq!(answer.json(), expected, "{place}");
    // Equality of values would not see 48.0 become 48.
    assert!(String::from_utf8(answer.body).unwrap().contains("\"paper_trade_hours\":48.0"));

    let file = if row["model_type"] == "alpha_weights" { "model.json" } else { "model.pkl" };
    let artifact = legacy().join("artifacts").join(&place).join(file);
    assert_eq!(server.model(&format!("{place}/artifact")).body, std::fs::read(artifact).unwrap());

    let valid = json!({
        "valid": true, "model_id": row["model_id"], "checksum_verified": true,
        "load_successful": true, "errors": [],
    });
    let mut answer = server.validate(&place).json();
    let more = answer.as_object_mut().unwrap();
    for field in ["format", "depth", "notes"] {
        assert!(more.remove(field).is_some_and(|told| !told.is_null()), "{place}: {field}");
    }
    assert_eq!(answer, valid, "{place}");

    let expected: Vec<_> = rows("promotion_history.csv")
        .into_iter()
        .filter(|step| step["model_id"] == row["model_id"])
        .map(|step| {
            let from = Some(step["from_status"].clone()).filter(|from| !from.is_empty());
            json!({
                "from_status": from, "to_status": step["to_status"],
                "changed_at": as_written(&step["changed_at"]), "changed_by": step["changed_by"],
                "authenticated_as": model_registry::cli::operator::operator(),
                "reason": null, "gates_skipped": false,
            })
        })
        .collect();
    let history = server.model(&format!("{place}/history")).json();
    assert_eq!(history, json!({ "transitions": expected }), "{place}");
}

#[test]
fn every_get_and_validate_answers_as_the_python_service_does() {
    let world = World::with_legacy();
    let server = world.serve();
    let models = rows("models.csv");
    assert_eq!(models.len(), 11);
    for row in &models {
        check_version(&server, row);
    }
    for model_type in ["risk_model", "alpha_weights", "factor_definitions", "feature_transforms"] {
        let mut of_type: Vec<_> =
            models.iter().filter(|row| row["model_type"] == model_type).collect();
        of_type.sort_by(|a, b| b["created_at"].cmp(&a["created_at"]));
        let all: Vec<_> = of_type.iter().map(|row| expected_metadata(row)).collect();
        let mut list = server.model(model_type).json();
        // As above: the validations left verdicts.
        for model in list["models"].as_array_mut().unwrap() {
            assert!(model.as_object_mut().unwrap().remove("check").is_some(), "{model}");
        }
        assert_eq!(list, json!({ "models": all, "total": all.len() }));
        let current = server.model(&format!("{model_type}/current"));
        match of_type.iter().find(|row| row["status"] == "production") {
            None => current.is_error(404, "MODEL_NOT_FOUND", model_type),
            Some(row) => assert_eq!(
                current.json(),
                json!({
                    "model_type": model_type, "version": row["version"],
                    "checksum": row["checksum_sha256"],
                    "dataset_version_ids": expected_metadata(row)["dataset_version_ids"],
                })
            ),
        }
    }
}

#[test]
fn sidecars_are_kept_byte_for_byte_and_the_manifest_keeps_its_fields() {
    let world = World::with_legacy();
    let copied = world.artifacts();
    assert_eq!(copied.len(), 33);
    for (path, bytes) in copied {
        let original = legacy().join(path.strip_prefix(world.dir()).unwrap());
        assert_eq!(bytes, std::fs::read(original).unwrap(), "{}", path.display());
    }
    let read = |directory: &Path| -> Value {
        serde_json::from_slice(&std::fs::read(directory.join("manifest.json")).unwrap()).unwrap()
    };
    let (theirs, ours) = (read(&legacy()), read(&world.dir()));
    for field in [
        "artifact_count",
        "production_models",
        "total_size_bytes",
        "last_backup_at",
        "backup_location",
    ] {
        assert_eq!(ours[field], theirs[field], "{field}");
    }
    assert_eq!(ours["registry_version"], "3.0.0");
    assert_eq!(ours["checksum"].as_str().unwrap().len(), 64);
    world.run(&["verify"]).ok();
}

#[test]
fn a_second_import_changes_nothing() {
    let world = World::with_legacy();
    let before = world.artifacts();
    let manifest = std::fs::read(world.path("manifest.json")).unwrap();
    let done = world.run(&["import", legacy().to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(done["versions_imported"], 0);
    assert_eq!(done["versions_unchanged"], 11);
    assert_eq!(world.artifacts(), before);
    assert_eq!(std::fs::read(world.path("manifest.json")).unwrap(), manifest);
    // Also after this registry went its own way.
    world.run(&["promote", "risk_model", "v2.0.0"]).ok();
    assert_eq!(
        world.run(&["import", legacy().to_str().unwrap(), "--json"]).ok().json()["versions_moved"],
        0
    );
    assert_eq!(world.status_of("v2.0.0"), "production");
}

/// Takes the last version and its history out of a copy, as if it had been exported earlier.
fn without_last_promotion(copy: &Path) {
    let history = copy.join("catalog-export/promotion_history.csv");
    let text = std::fs::read_to_string(&history).unwrap();
    let kept: Vec<_> =
        text.lines().filter(|line| !line.contains("2026-11-23 08:03:37.976633")).collect();
    assert_eq!(kept.len() + 2, text.lines().count());
    std::fs::write(&history, kept.join("\n") + "\n").unwrap();
    let models = copy.join("catalog-export/models.csv");
    let text = std::fs::read_to_string(&models).unwrap();
    let earlier = text
        .replace("feature_transforms,v1.0.0,archived", "feature_transforms,v1.0.0,production")
        .replace(
            ",2026-11-23 08:03:37.829388,2026-11-23 08:03:37.960301,",
            ",2026-11-23 08:03:37.829388,,",
        )
        .replace("feature_transforms,v1.10.0,production", "feature_transforms,v1.10.0,staged")
        .replace(",2026-11-23 08:03:37.960301,,", ",,,");
    assert_ne!(earlier, text);
    std::fs::write(&models, earlier).unwrap();
    let manifest = copy.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let earlier =
        text.replace("\"feature_transforms\": \"v1.10.0\"", "\"feature_transforms\": \"v1.0.0\"");
    assert_ne!(earlier, text);
    std::fs::write(&manifest, earlier).unwrap();
}

#[test]
fn a_later_import_brings_what_happened_since() {
    let world = World::new();
    let copy = copy_of_legacy(&world);
    without_last_promotion(&copy);
    import(&world, &copy).ok();
    let server = world.serve();
    assert_eq!(server.model("feature_transforms/current").json()["version"], "v1.0.0");
    let done = world.run(&["import", legacy().to_str().unwrap(), "--json"]).ok().json();
    assert_eq!(
        done,
        json!({
            "versions_imported": 0, "versions_moved": 2, "versions_unchanged": 9,
            "transitions_imported": 2, "left_out": [],
        })
    );
    for row in rows("models.csv") {
        check_version(&server, &row);
    }
    world.run(&["verify"]).ok();
}

#[test]
fn an_import_that_contradicts_what_happened_here_is_refused() {
    let world = World::new();
    let copy = copy_of_legacy(&world);
    without_last_promotion(&copy);
    import(&world, &copy).ok();
    world.run(&["promote", "feature_transforms", "v0.9.0"]).ok();
    let before = world.artifacts();
    import(&world, &legacy()).refused(4, "nothing was imported");
    assert_eq!(world.artifacts(), before);
    world.run(&["verify"]).ok();
}

#[test]
fn an_import_beside_a_version_of_the_same_number_is_refused() {
    let world = World::new();
    world.register("v1.1.0").ok();
    import(&world, &legacy()).refused(4, "risk_model/v1.1.0");
    assert_eq!(world.run(&["list", "--json"]).ok().json()["total"], 1);
    world.run(&["verify"]).ok();
}

#[test]
fn whatever_does_not_agree_is_named_and_nothing_is_imported() {
    type Spoil = fn(&Path);
    fn edit(path: &Path, from: &str, to: &str) {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
    fn flip(path: &Path) {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    let cases: &[(&str, Spoil, &str)] = &[
        (
            "a byte of an artifact",
            |d| flip(&d.join("artifacts/risk_model/v1.0.0/model.pkl")),
            "risk_model/v1.0.0: model.pkl differs",
        ),
        (
            "a byte of a sidecar",
            |d| flip(&d.join("artifacts/alpha_weights/v1.0.1/metadata.json")),
            "alpha_weights/v1.0.1: metadata.json differs",
        ),
        (
            "a byte of a checksum file",
            |d| flip(&d.join("artifacts/risk_model/v1.2.0/checksum.sha256")),
            "risk_model/v1.2.0",
        ),
        ("a byte of the database", |d| flip(&d.join("registry.db")), "registry.db differs"),
        (
            "a missing artifact",
            |d| std::fs::remove_file(d.join("artifacts/risk_model/v1.0.0/model.pkl")).unwrap(),
            "holds no model file",
        ),
        (
            "a missing sidecar",
            |d| std::fs::remove_file(d.join("artifacts/risk_model/v1.0.0/metadata.json")).unwrap(),
            "metadata.json",
        ),
        (
            "a second artifact",
            |d| std::fs::write(d.join("artifacts/risk_model/v1.0.0/model.json"), "{}").unwrap(),
            "model.json",
        ),
        (
            "a folder of no row",
            |d| std::fs::create_dir(d.join("artifacts/risk_model/v9.0.0")).unwrap(),
            "risk_model/v9.0.0: the folder is not in the export",
        ),
        (
            "no export",
            |d| std::fs::remove_dir_all(d.join("catalog-export")).unwrap(),
            "catalog-export",
        ),
        (
            "no manifest",
            |d| std::fs::remove_file(d.join("manifest.json")).unwrap(),
            "manifest.json",
        ),
        (
            "a count",
            |d| edit(&d.join("manifest.json"), "\"artifact_count\": 11", "\"artifact_count\": 12"),
            "counts 12",
        ),
        ("a size", |d| edit(&d.join("manifest.json"), "19875", "19876"), "19876 bytes"),
        (
            "a production version",
            |d| edit(&d.join("manifest.json"), "v1.10.0", "v1.9.0"),
            "in production",
        ),
        (
            "a status",
            |d| {
                edit(
                    &d.join("catalog-export/models.csv"),
                    "risk_model,v1.2.0,staged",
                    "risk_model,v1.2.0,failed",
                )
            },
            "its history does not lead there",
        ),
        (
            "a version that is none",
            |d| edit(&d.join("catalog-export/models.csv"), "risk_model,v1.2.0", "risk_model,v1.2"),
            "risk_model/v1.2: version",
        ),
        (
            "a row of history of no model",
            |d| {
                edit(
                    &d.join("catalog-export/promotion_history.csv"),
                    "0298eea9-69a8-4a34-b9c4-5698e99f8f46",
                    "0298eea9-69a8-4a34-b9c4-5698e99f8f47",
                )
            },
            "is not in models.csv",
        ),
        (
            "a link for an artifact",
            |d| {
                let file = d.join("artifacts/risk_model/v1.0.0/model.pkl");
                std::fs::remove_file(&file).unwrap();
                std::os::unix::fs::symlink("/etc/passwd", file).unwrap();
            },
            "risk_model/v1.0.0",
        ),
    ];
    for (what, spoil, named) in cases {
        let world = World::new();
        let copy = copy_of_legacy(&world);
        spoil(&copy);
        let ran = import(&world, &copy);
        assert!(ran.status == 5 || ran.status == 6, "{what}: {ran:?}");
        assert!(ran.stderr.contains(named), "{what}: {named}: {}", ran.stderr);
        assert_eq!(world.artifacts(), [], "{what}");
        assert_eq!(world.run(&["list", "--json"]).ok().json()["total"], 0, "{what}");
        world.run(&["verify"]).ok();
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let world = World::new();
    let copy = copy_of_legacy(&world);
    for version in ["v1.0.0", "v1.1.0", "v2.0.0"] {
        std::fs::remove_file(copy.join("artifacts/risk_model").join(version).join("model.pkl"))
            .unwrap();
    }
    let ran = import(&world, &copy).refused(5, "risk_model/v1.0.0");
    assert!(ran.stderr.contains("risk_model/v1.1.0") && ran.stderr.contains("risk_model/v2.0.0"));
}

#[test]
fn a_directory_is_not_imported_into_itself() {
    let world = World::new();
    let copy = copy_of_legacy(&world);
    let copy = copy.to_str().unwrap();
    let ran: crate::support::Ran = crate::support::binary()
        .args(["--registry-dir", copy, "import", copy])
        .output()
        .unwrap()
        .into();
    ran.refused(2, "--registry-dir");
    let inner = format!("{copy}/new");
    let ran: crate::support::Ran = crate::support::binary()
        .args(["--registry-dir", &inner, "import", copy])
        .output()
        .unwrap()
        .into();
    ran.refused(2, "--registry-dir");
    assert!(!Path::new(&inner).exists());
    let nowhere = World::new();
    nowhere.run(&["import", "/no/such/directory"]).refused(2, "/no/such/directory");
    assert!(!nowhere.dir().exists());
}

#[test]
fn a_history_that_breaks_the_rules_is_refused() {
    let world = World::new();
    let copy = copy_of_legacy(&world);
    let history = copy.join("catalog-export/promotion_history.csv");
    let text = std::fs::read_to_string(&history).unwrap();
    for (from, to, named) in [
        (
            ",production,archived,2026-11-23 08:03:37.528966",
            ",staged,archived,2026-11-23 08:03:37.528966",
            "cannot have gone",
        ),
        (
            ",\"\",staged,2026-11-23 08:03:36.411667",
            ",staged,staged,2026-11-23 08:03:36.411667",
            "cannot have gone",
        ),
        ("08:03:37.456972,alice", "08:03:37.456972,ali\u{1b}[31mce", "changed_by"),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&history, text.replacen(from, to, 1)).unwrap();
        import(&world, &copy).refused(5, named);
    }
    assert_eq!(world.artifacts(), []);
    // And rows imported before may not change afterwards.
    std::fs::write(&history, &text).unwrap();
    import(&world, &copy).ok();
    std::fs::write(&history, text.replace("08:03:37.456972,alice", "08:03:37.456972,mallory"))
        .unwrap();
    import(&world, &copy).refused(5, "is not what was imported before");
}

#[test]
fn columns_that_contradict_the_sidecar_are_refused() {
    for (from, to, named) in [
        ("exp-7,run-1,s3://lake/crsp/1", "exp-8,run-1,s3://lake/crsp/1", "experiment_id"),
        ("\"\"ic\"\": 0.04", "\"\"ic\"\": 0.05", "metrics_json"),
        ("2026-11-14 08:03:36.458693", "2026-11-14 08:03:36.458694", "created_at"),
        ("snap-2024-02", "snap-2024-03", "snapshot_id"),
    ] {
        let world = World::new();
        let copy = copy_of_legacy(&world);
        let models = copy.join("catalog-export/models.csv");
        let text = std::fs::read_to_string(&models).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&models, text.replacen(from, to, 1)).unwrap();
        import(&world, &copy).refused(5, named);
    }
}

#[test]
fn an_import_holds_few_descriptors() {
    let world = World::new();
    let mut command = std::process::Command::new("sh");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.args(["-c", "ulimit -n 40; exec \"$0\" --registry-dir \"$1\" import \"$2\""]);
    command.arg(env!("CARGO_BIN_EXE_model-registry")).arg(world.dir()).arg(legacy());
    crate::support::Ran::from(command.output().unwrap()).ok();
}

#[test]
fn serving_a_directory_of_the_python_service_names_the_remedy() {
    let world = World::new();
    let copy = copy_of_legacy(&world);
    let ran: crate::support::Ran = crate::support::binary()
        .args(["--registry-dir", copy.to_str().unwrap(), "serve", "--port", "0"])
        .env("MODEL_REGISTRY_READ_TOKEN", "0123456789abcdef")
        .output()
        .unwrap()
        .into();
    ran.refused(6, "model-registry import");
}

/// Changes the sidecar of risk_model v1.2.0 in a copy, and makes every hash of it right again.
fn spoil_sidecar(copy: &Path, from: &str, to: &str) {
    let digest = |bytes: &[u8]| model_registry::domain::Sha256Digest::of(bytes).to_string();
    let sidecar = copy.join("artifacts/risk_model/v1.2.0/metadata.json");
    let before = std::fs::read_to_string(&sidecar).unwrap();
    let after = before.replacen(from, to, 1);
    assert_ne!(after, before);
    std::fs::write(&sidecar, &after).unwrap();
    let export = copy.join("catalog-export/models.csv");
    let rows = std::fs::read_to_string(&export).unwrap();
    let changed = rows.replace(&digest(before.as_bytes()), &digest(after.as_bytes()));
    assert_ne!(changed, rows);
    std::fs::write(&export, changed).unwrap();
}

#[test]
fn every_fault_of_a_directory_is_told_at_once_and_nothing_raw() {
    let world = World::new();
    let copy = copy_of_legacy(&world);
    spoil_sidecar(&copy, "\"metrics\": {", "\"metrics\": {\n    \"drawdown\": NaN,");
    std::fs::remove_file(copy.join("artifacts/risk_model/v1.0.0/model.pkl")).unwrap();
    std::fs::write(copy.join("artifacts/risk_model/v1.0.0/checksum.sha256"), "nothing").unwrap();
    std::fs::create_dir(copy.join("artifacts/risk_model/\u{1b}[2J")).unwrap();
    let ran = import(&world, &copy).refused(5, "metrics.drawdown is NaN");
    for told in
        ["v1.0.0: its folder holds no model file", "\\u{1b}[2J: the folder is not in the export"]
    {
        assert!(ran.stderr.contains(told), "{told}: {ran:?}");
    }
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
    assert!(!ran.stderr.contains("is not in models.csv"), "{ran:?}");
    assert!(world.run(&["list", "--json"]).ok().json()["total"] == 0);
}

#[test]
fn what_the_rules_do_not_allow_is_left_out_where_that_is_asked_for() {
    let world = World::new();
    let copy = copy_of_legacy(&world);
    spoil_sidecar(&copy, "\"metrics\": {", "\"metrics\": {\n    \"drawdown\": -Infinity,");
    let directory = copy.to_str().unwrap();
    let done = world.run(&["import", directory, "--skip-invalid", "--json"]).ok().json();
    assert_eq!(done["versions_imported"], 10, "{done}");
    assert_eq!(done["left_out"].as_array().unwrap().len(), 1, "{done}");
    assert_eq!(done["left_out"][0]["subject"], "risk_model/v1.2.0");
    let fault = done["left_out"][0]["faults"][0].as_str().unwrap();
    assert!(fault.contains("metrics.drawdown is -Infinity"), "{fault}");
    world.run(&["verify"]).ok();
    let again = world.run(&["import", directory, "--skip-invalid"]).ok();
    assert!(again.stdout.contains("left out risk_model/v1.2.0"), "{again:?}");
    // What is wrong with the whole directory is never passed over.
    std::fs::write(copy.join("registry.db"), "other").unwrap();
    world.run(&["import", directory, "--skip-invalid"]).refused(5, "registry.db differs");
    // Mended there, it comes.
    import(&world, &legacy()).ok();
    assert_eq!(world.run(&["list", "--json"]).ok().json()["total"], 11);
}
