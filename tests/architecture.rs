//! Who may import whom: the table at the top of `src/lib.rs`, held to by reading the `crate::` paths.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "a test that cannot go on should say so and stop"
)]

use std::{collections::BTreeSet, fs, path::Path};

/// Each room and the rooms of ours that it may name.
const RULES: [(&str, &[&str]); 23] = [
    ("domain", &[]),
    ("limits", &[]),
    ("file_stamp", &[]),
    ("tls", &["file_stamp"]),
    ("metrics", &[]),
    ("policy", &["domain", "file_stamp"]),
    ("progress", &[]),
    ("fault", &[]),
    ("error", &["catalog", "domain"]),
    ("clock", &["domain", "error", "fault"]),
    ("auth", &["domain", "file_stamp", "limits", "policy"]),
    ("catalog", &["domain", "fault", "file_stamp", "limits", "metrics"]),
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
            "policy",
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
            "metrics",
            "policy",
        ],
    ),
    ("schemas", &["domain", "registry"]),
    ("config", &["auth", "catalog", "domain", "limits", "policy", "tls"]),
    ("telemetry", &["clock", "config", "limits", "metrics"]),
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
            "policy",
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
            "policy",
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

/// The rooms of `src/http`, each of which may name those before it.
const HTTP_ROOMS: [&str; 9] =
    ["errors", "wire", "edge", "v1", "docs", "openapi", "route", "routes", "server"];

/// The paths that a source names after `crate::` or `super::`, with braces written out, as modules below `crate`.
fn named_paths(module: &[&str], text: &str) -> BTreeSet<Vec<String>> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut paths = BTreeSet::new();
    let parent = module[..module.len() - 1].iter().map(ToString::to_string).collect::<Vec<_>>();
    for after in code.split("crate::").skip(1) {
        write_out(&[], after, &mut paths);
    }
    for after in code.split("super::").skip(1) {
        // Where one `super` follows another, the second is counted from the parent of the first: no room needs it.
        assert!(!after.starts_with("super::"), "{module:?} names super::super::");
        write_out(&parent, after, &mut paths);
    }
    paths
}

/// Adds the paths that begin here; returns what follows them.
fn write_out<'a>(before: &[String], text: &'a str, paths: &mut BTreeSet<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = write_out(before, rest, paths).trim_start();
            match (rest.strip_prefix(','), rest.strip_prefix('}')) {
                (Some(more), _) => rest = more,
                (None, Some(after)) => return after,
                (None, None) => panic!("not a list of paths: {rest:.80}"),
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if text.starts_with('}') {
        // After the last comma of a list.
        return text;
    }
    let mut path = before.to_vec();
    if !word.is_empty() {
        path.push(word.to_owned());
    }
    match rest.strip_prefix("::") {
        Some(rest) if !word.is_empty() => write_out(&path, rest, paths),
        _ => {
            paths.insert(path);
            let rest = rest.strip_prefix('*').unwrap_or(rest).trim_start();
            match rest.strip_prefix("as ") {
                Some(renamed) => {
                    renamed.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
                }
                None => rest,
            }
        }
    }
}

#[test]
fn imports_run_one_way_inside_http() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"), &mut files);
    let place = |room: &str| HTTP_ROOMS.iter().position(|known| *known == room);
    let mut broken = Vec::new();
    let mut arrows = 0;
    for (name, text) in &files {
        let module = name.trim_end_matches(".rs").trim_end_matches("/mod");
        let module: Vec<_> = module.split('/').collect();
        let Some(room) = module.get(1) else { continue };
        let own = place(room).unwrap_or_else(|| panic!("{name} is in a room without a place"));
        for path in named_paths(&module, text) {
            if let [http, used, ..] = path.as_slice()
                && http == "http"
                && used != room
            {
                arrows += 1;
                let allowed = place(used).is_some_and(|used| used < own);
                if !allowed {
                    broken.push(format!("{name} names {}", path.join("::")));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(arrows > 30, "{arrows}");
}

#[test]
fn paths_are_written_out_of_braces() {
    let text = "use crate::{\n    domain::Scope,\n    http::{edge::{guard::{Guard, Read}, rules}, v1::path as p},\n};\n\
                use super::routes;\nlet x = crate::limits::MAX + 1;";
    let paths: Vec<_> =
        named_paths(&["http", "docs"], text).iter().map(|path| path.join("::")).collect();
    assert_eq!(
        paths,
        [
            "domain::Scope",
            "http::edge::guard::Guard",
            "http::edge::guard::Read",
            "http::edge::rules",
            "http::routes",
            "http::v1::path",
            "limits::MAX",
        ]
    );
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
        .filter(|(_, text)| {
            // A field of the policy has the word in its name.
            let text = text.replace("accept_unsafe", "");
            text.contains("unsafe {") || text.contains("unsafe_code")
        })
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
            let may = ["http/route.rs", "http/edge/scrape.rs"].contains(&name.as_str());
            assert!(!mounts || may, "{name} mounts a route by {mounting}");
        }
    }
}
