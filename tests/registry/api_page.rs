//! Every example of `docs/api.md`, run against a service over the fixture registry, and its output compared with
//! what the page shows.

use std::process::Command;

use model_registry::http::routes;
use serde_json::Value;

use crate::support::{ADMIN, READ, WRITES, World, fixture};

/// Stands for whatever is there.
const ANYTHING: &str = "…";

/// The page's fenced blocks: language and text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    page.split("\n```")
        .skip(1)
        .step_by(2)
        .map(|block| block.split_once('\n').unwrap_or((block, "")))
        .collect()
}

/// The commands that are followed by what they print.
fn examples(page: &str) -> Vec<(&str, &str, &str)> {
    let blocks = blocks(page);
    let mut found = Vec::new();
    for (at, (language, script)) in blocks.iter().enumerate() {
        if *language == "sh" {
            let (kind, shown) = blocks[at + 1];
            assert!(["http", "text"].contains(&kind), "no output is shown of:\n{script}");
            found.push((*script, kind, shown));
        }
    }
    found
}

/// Whether a text is what is shown, `…` being anything.
fn is_text(shown: &str, actual: &str) -> bool {
    let mut parts = shown.split(ANYTHING);
    let Some(mut rest) = actual.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        let Some(at) = (if part.is_empty() { Some(rest.len()) } else { rest.find(part) }) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last == Some("")
}

/// What of a shown document is not so: `"…"` is any value, as a member `"…": "…"` any others, and as the last element
/// of a list all further ones.
fn differs(at: &str, shown: &Value, actual: &Value) -> Option<String> {
    let difference = || Some(format!("{at}: shown {shown}, answered {actual}"));
    match (shown, actual) {
        (Value::String(text), _) if text == ANYTHING => None,
        (Value::String(text), Value::String(found)) if is_text(text, found) => None,
        (Value::Object(left), Value::Object(right)) => {
            let more = left.contains_key(ANYTHING);
            if !more && left.len() != right.len() {
                return difference();
            }
            left.iter().filter(|(key, _)| *key != ANYTHING).find_map(|(key, value)| {
                match right.get(key) {
                    Some(found) => differs(&format!("{at}/{key}"), value, found),
                    None => Some(format!("{at}/{key} is not there")),
                }
            })
        }
        (Value::Array(left), Value::Array(right)) => {
            let more = left.last().is_some_and(|last| last == ANYTHING);
            let told = left.len() - usize::from(more);
            if right.len() < told || (!more && right.len() != told) {
                return difference();
            }
            let pairs = left[..told].iter().zip(right).enumerate();
            pairs.into_iter().find_map(|(n, (l, r))| differs(&format!("{at}/{n}"), l, r))
        }
        _ if shown == actual => None,
        _ => difference(),
    }
}

/// What of a shown answer is not so.
fn answer_differs(shown: &str, actual: &str) -> Option<String> {
    let split = |text: &str| {
        let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
        let mut lines = head.lines().map(ToOwned::to_owned);
        (lines.next().unwrap_or_default(), lines.collect::<Vec<_>>(), body.trim().to_owned())
    };
    let (status, headers, body) = split(shown);
    let (actual_status, actual_headers, actual_body) = split(actual);
    if status != actual_status {
        return Some(format!("shown {status}, answered {actual_status}"));
    }
    for header in headers {
        if !actual_headers.iter().any(|line| is_text(&header, line)) {
            return Some(format!("shown {header}, answered {actual_headers:#?}"));
        }
    }
    if body.is_empty() {
        return None;
    }
    match (serde_json::from_str(&body), serde_json::from_str(&actual_body)) {
        (Ok(shown), Ok(actual)) => differs("", &shown, &actual),
        _ => Some(format!("not JSON: shown {body}, answered {actual_body}")),
    }
}

#[test]
fn every_example_of_the_page_does_what_it_shows() {
    let page = std::fs::read_to_string(fixture("../docs/api.md")).unwrap();
    let world = World::with_legacy();
    let server = world.serve_writing();
    let mut wrong = Vec::new();
    for (script, kind, shown) in examples(&page) {
        let folder = tempfile::tempdir().unwrap();
        let ran = Command::new("sh")
            .args(["-eu", "-c", script])
            .current_dir(folder.path())
            .env("BASE", server.url(""))
            .env("MODEL", crate::support::pickle())
            .env("TOKEN", READ)
            .env("ADMIN_TOKEN", ADMIN)
            .output()
            .unwrap();
        let printed = String::from_utf8(ran.stdout).unwrap().replace('\r', "");
        let difference = if !ran.status.success() {
            Some(format!("{}: {}", ran.status, String::from_utf8_lossy(&ran.stderr)))
        } else if kind == "http" {
            answer_differs(shown, &printed)
        } else {
            (shown.trim() != printed.trim()).then(|| format!("shown {shown}, printed {printed}"))
        };
        wrong.extend(difference.map(|difference| format!("{script}\n  {difference}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_page_has_an_example_of_every_route() {
    let page = std::fs::read_to_string(fixture("../docs/api.md")).unwrap();
    let examples = examples(&page);
    for row in routes::table(Some(WRITES)) {
        let path = row
            .path
            .replace("{model_type}", "risk_model")
            .replace("{version}", "v1.1.0")
            .replace("{tile}", "0/000.p/1")
            .replace("{asset}", "swagger-ui-bundle.js");
        let ends = ["\"", "?"].map(|end| format!("$BASE{path}{end}"));
        let flags = match row.method.as_str() {
            "GET" => [""].as_slice(),
            "HEAD" => &[" -I "],
            // A form is sent by POST.
            "POST" => &[" -X POST ", " -F "],
            other => panic!("no example of a {other} was thought of"),
        };
        let shown = examples.iter().any(|(script, ..)| {
            // Another version or type will do.
            let script = script.replace("v3.1.0", "v1.1.0").replace("alpha_weights", "risk_model");
            flags.iter().any(|flag| script.contains(flag))
                && ends.iter().any(|end| script.contains(end))
        });
        assert!(shown, "{} {}", row.method, row.path);
    }
}

#[test]
fn a_page_that_shows_something_else_is_caught() {
    let actual = "HTTP/1.1 200 OK\netag: \"a\"\n\n{\"a\": [1, 2.0], \"b\": {\"c\": null}}";
    for (shown, right) in [
        (actual, true),
        ("HTTP/1.1 200 OK\n", true),
        ("HTTP/1.1 200 OK\netag: \"…\"\n\n{\"a\": [1, \"…\"], \"…\": \"…\"}", true),
        ("HTTP/1.1 200 OK\n\n{\"b\": \"…\", \"a\": [\"…\"]}", true),
        ("HTTP/1.1 201 Created\n", false),
        ("HTTP/1.1 200 OK\netag: \"b\"\n", false),
        ("HTTP/1.1 200 OK\netag: \"…\" x\n", false),
        ("HTTP/1.1 200 OK\n\n{\"a\": [1, 2.0]}", false),
        ("HTTP/1.1 200 OK\n\n{\"a\": [1, 2], \"b\": \"…\"}", false),
        ("HTTP/1.1 200 OK\n\n{\"a\": [1], \"…\": \"…\"}", false),
        ("HTTP/1.1 200 OK\n\n{\"z\": 1, \"…\": \"…\"}", false),
    ] {
        assert_eq!(answer_differs(shown, actual).is_none(), right, "{shown}");
    }
}
