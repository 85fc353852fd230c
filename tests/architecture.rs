//! Who may import whom: the table at the top of `src/lib.rs`, held to by reading the `crate::` paths.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "a test that cannot go on should say so and stop"
)]

use std::{collections::BTreeSet, fs, path::Path};

/// Each room and the rooms of ours that it may name.
const RULES: [(&str, &[&str]); 22] = [
    ("domain", &[]),
    ("limits", &[]),
    ("file_stamp", &[]),
    ("tls", &["file_stamp"]),
    ("metrics", &[]),
    ("progress", &[]),
    ("fault", &[]),
    ("error", &["catalog", "domain"]),
    ("clock", &["domain", "error"]),
    ("auth", &["domain", "file_stamp", "limits"]),
    ("catalog", &["domain", "file_stamp", "limits", "metrics"]),
    ("artifacts", &["domain", "error", "fault", "limits"]),
    (
        "actors",
        &[
            "progress",
            "artifacts",
            "auth",
            "catalog",
            "clock",
            "domain",
            "error",
            "fault",
            "limits",
            "metrics",
        ],
    ),
    (
        "registry",
        &[
            "progress",
            "actors",
            "artifacts",
            "catalog",
            "clock",
            "domain",
            "error",
            "fault",
            "limits",
        ],
    ),
    ("schemas", &["domain", "registry"]),
    ("config", &["auth", "catalog", "domain", "tls"]),
    ("telemetry", &["clock", "config"]),
    (
        "http",
        &[
            "progress",
            "actors",
            "auth",
            "catalog",
            "clock",
            "domain",
            "error",
            "limits",
            "metrics",
            "registry",
            "schemas",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "progress",
            "catalog",
            "config",
            "domain",
            "error",
            "limits",
            "registry",
            "schemas",
            "startup",
            "telemetry",
        ],
    ),
    (
        "startup",
        &[
            "actors",
            "artifacts",
            "auth",
            "catalog",
            "clock",
            "config",
            "domain",
            "error",
            "http",
            "limits",
            "metrics",
            "registry",
            "tls",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            let name = name.strip_prefix("src/").unwrap_or(name).to_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The rooms that a source names after `crate::`, one by one or in a braced `use`.
fn named_rooms(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut rooms = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        if let Some(list) = after.strip_prefix('{') {
            let mut depth = 1;
            let mut item = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 0 || (c == ',' && depth == 1) {
                    rooms.insert(word(item.trim()));
                    item.clear();
                } else {
                    item.push(c);
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            rooms.insert(word(after));
        }
    }
    rooms.remove("");
    rooms
}

#[test]
fn imports_run_one_way() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 60, "{}", files.len());
    let mut broken = Vec::new();
    for (name, text) in &files {
        let room = name.split(['/', '.']).next().unwrap();
        let (_, allowed) = RULES
            .iter()
            .find(|(rule, _)| *rule == room)
            .unwrap_or_else(|| panic!("{name} is in a room without a rule"));
        for used in named_rooms(text) {
            if used != room && !allowed.contains(&used.as_str()) {
                broken.push(format!("{name} names {used}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_domain_knows_no_actor_database_runtime_file_or_clock() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain"), &mut files);
    for (name, text) in files {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for foreign in [
            "actix",
            "diesel",
            "tokio",
            "std::fs",
            "std::env",
            "std::net",
            "now_utc",
            "SystemTime",
            "tracing",
        ] {
            assert!(!code.contains(foreign), "{name} names {foreign}");
        }
    }
}

#[test]
fn handlers_hold_no_sql_file_or_environment() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"), &mut files);
    for (name, text) in files {
        for foreign in ["diesel", "std::fs::", "std::env", "File::open", "now_utc"] {
            assert!(!text.contains(foreign), "{name} names {foreign}");
        }
    }
}

#[test]
fn one_module_alone_has_code_that_the_compiler_cannot_check() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/load-checks/src"), &mut found);
    let with: Vec<_> = found
        .iter()
        .filter(|(_, text)| text.contains("unsafe {") || text.contains("unsafe_code"))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(with, ["crates/load-checks/src/sandbox/descriptors.rs"]);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    assert!(fs::read_to_string(manifest).unwrap().contains("unsafe_code = \"deny\""));
}

#[test]
fn routes_are_mounted_from_their_table_alone() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    for (name, text) in files {
        for mounting in ["web::resource(", "web::scope(", "web::route(", ".route(", ".service("] {
            let mounts = text.contains(mounting);
            // The metrics' server has one path, on a port of its own.
            let may = ["http/routes.rs", "http/scrape.rs"].contains(&name.as_str());
            assert!(!mounts || may, "{name} mounts a route by {mounting}");
        }
    }
}

/// The texts of a list of constants in a source file.
fn listed(file: &str, name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let source = fs::read_to_string(path).unwrap();
    let start = source.find(&format!("const {name}: [&str;")).unwrap();
    let list = source[start..].split_once("= [").unwrap().1.split_once(']').unwrap().0;
    list.split(',')
        .map(|text| text.trim().trim_matches('"').to_owned())
        .filter(|t| !t.is_empty())
        .collect()
}

#[test]
fn what_an_operator_cannot_trust_is_what_no_pickle_may_name() {
    let refused = listed("src/domain/policy.rs", "NEVER_TRUSTED");
    assert!(refused.len() > 10, "{refused:?}");
    assert_eq!(
        refused,
        listed("crates/load-checks/src/formats/pickle/allow_list.rs", "RUN_ANYTHING")
    );
}
