//! What was in production when, and the history of a type and of everything.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::support::{ADMIN, READ, Reply, Server, World};

/// The times at which versions of a type entered production, in order, each with its version.
fn promotions(world: &World) -> Vec<(String, String)> {
    let history = world.run(&["history", "risk_model", "--json"]).ok().json();
    let production = history["production"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    production.iter().map(|it| (text(&it["since"]), text(&it["version"]))).collect()
}

fn at(server: &Server, time: &str) -> Reply {
    server.model(&format!("risk_model/current?at={}", time.replace('+', "%2B")))
}

/// A moment a microsecond before a time.
fn just_before(time: &str) -> String {
    let micros: u64 = time[20..26].parse().unwrap();
    assert!(micros > 0, "{time}");
    format!("{}{:06}Z", &time[..20], micros - 1)
}

#[test]
fn the_version_that_was_in_production_at_a_moment_is_told() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    world.run(&["rollback", "risk_model", "--reason", "drift", "--user", "bob"]).ok();
    let promotions = promotions(&world);
    let versions: Vec<_> = promotions.iter().map(|(_, version)| version.as_str()).collect();
    assert_eq!(versions, ["v1.0.0", "v1.1.0", "v1.0.0"]);
    let server = world.serve();
    for (time, version) in &promotions {
        let reply = at(&server, time);
        assert_eq!(reply.status, 200, "{reply:?}");
        let body = reply.json();
        assert_eq!(
            (&body["version"], &body["as_of"]),
            (&version.as_str().into(), &time.as_str().into())
        );
        assert_eq!(
            (&body["promoted_at"], &body["integrity"]),
            (&time.as_str().into(), &"ok".into())
        );
    }
    assert_eq!(at(&server, &promotions[2].0).json()["promoted_by"], "bob");
    assert_eq!(at(&server, &just_before(&promotions[1].0)).json()["version"], "v1.0.0");
    assert_eq!(at(&server, &just_before(&promotions[2].0)).json()["version"], "v1.1.0");
    let sentence = "No production model found for risk_model at ";
    at(&server, &just_before(&promotions[0].0)).is_error(404, "MODEL_NOT_FOUND", sentence);
    // What is true of the present is also answered, with the same fields.
    let present = server.model("risk_model/current").json();
    let past = at(&server, &promotions[2].0).json();
    for (field, value) in present.as_object().unwrap() {
        assert_eq!(&past[field], value, "{field}");
    }
    for command in [["current", "risk_model", "--json"].as_slice(), &["current", "risk_model"]] {
        assert!(world.run(command).ok().stdout.contains("v1.0.0"));
    }
    let told = world.run(&["current", "risk_model", "--at", &promotions[1].0]).ok().stdout;
    assert!(told.contains("risk_model/v1.1.0 was in production at "), "{told}");
    world
        .run(&["current", "risk_model", "--at", &just_before(&promotions[0].0)])
        .refused(3, sentence);
    world
        .run(&["current", "alpha_weights"])
        .refused(3, "No production model found for alpha_weights");
}

#[test]
fn a_moment_that_is_malformed_or_in_the_future_is_refused() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    at(&server, "2999-01-01T00:00:00Z").is_error(422, "INVALID_REQUEST", "in the future");
    for (query, saying) in [
        ("at=yesterday", "at \"yesterday\" is not a time as in RFC 3339"),
        ("at=", "RFC 3339"),
        ("at=2026-11-14T09:03:36+01:00", "a plus sign in a query is written %2B"),
        ("at=2026-11-14T09:03:36Z&at=2026-11-14T09:03:36Z", "at is given twice"),
    ] {
        let reply = server.model(&format!("risk_model/current?{query}"));
        reply.is_error(422, "INVALID_REQUEST", saying);
    }
    let unknown = server.model("trees/current?at=2026-11-14T09:03:36Z");
    unknown.is_error(404, "MODEL_NOT_FOUND", "No production model found for trees");
    world
        .run(&["current", "risk_model", "--at", "2999-01-01T00:00:00Z"])
        .refused(2, "in the future");
    world.run(&["current", "risk_model", "--at", "yesterday"]).refused(2, "RFC 3339");
}

#[test]
fn imported_history_is_answered_by_the_times_of_the_old_service() {
    let world = World::with_legacy();
    let server = world.serve();
    for (time, version) in [
        ("2026-11-23T08:03:37.456972Z", Some("v1.0.0")),
        ("2026-11-23T08:03:37.528965Z", Some("v1.0.0")),
        ("2026-11-23T09:03:37.528966+01:00", Some("v1.1.0")),
        ("2026-11-23T08:03:37.602522Z", Some("v1.2.0")),
        // The old service wrote the return of v1.1.0 before the departure of v1.2.0, with the same time.
        ("2026-11-23T08:03:37.655158Z", Some("v1.1.0")),
        ("2026-11-23T08:03:37.456971Z", None),
    ] {
        let reply = at(&server, time);
        match version {
            Some(version) => assert_eq!(reply.json()["version"], version, "{time}"),
            None => assert_eq!(reply.status, 404, "{time}"),
        }
    }
    let periods: Vec<_> = world.run(&["history", "risk_model", "--json"]).ok().json()["production"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["version"].clone(), it["until"].clone()))
        .collect();
    let expected: [(Value, Value); 4] = [
        ("v1.0.0".into(), "2026-11-23T08:03:37.528966Z".into()),
        ("v1.1.0".into(), "2026-11-23T08:03:37.602522Z".into()),
        ("v1.2.0".into(), "2026-11-23T08:03:37.655158Z".into()),
        ("v1.1.0".into(), Value::Null),
    ];
    assert_eq!(periods, expected);
}

#[test]
fn a_version_whose_files_are_damaged_is_still_told_for_the_past() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let moment = promotions(&world)[0].0.clone();
    let server = world.serve();
    let before = at(&server, &moment).json();
    fs::write(world.path("artifacts/risk_model/v1.0.0/metadata.json"), "{}").unwrap();
    let reply = at(&server, &moment);
    assert_eq!(reply.status, 200);
    let body = reply.json();
    assert_eq!(body["integrity"], "CHECKSUM_MISMATCH");
    for field in ["version", "checksum", "dataset_version_ids", "promoted_at"] {
        assert_eq!(body[field], before[field], "{field}");
    }
}

/// The query that `Link` names as the next page.
fn next(reply: &Reply) -> Option<String> {
    let link = reply.header("link")?;
    Some(link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?.to_owned())
}

/// Every page from an address on: what it holds, one after the other.
fn walk(server: &Server, path: &str, query: &str) -> (Vec<Value>, usize) {
    let (mut found, mut pages, mut query) = (Vec::new(), 0, Some(query.to_owned()));
    while let Some(asked) = query {
        let reply = server.get(&format!("{path}{asked}"));
        assert_eq!(reply.status, 200, "{reply:?}");
        found.extend(reply.json()["transitions"].as_array().unwrap().clone());
        pages += 1;
        query = next(&reply);
    }
    (found, pages)
}

#[test]
fn the_pages_of_a_history_add_up_to_all_of_it() {
    let world = World::promoted(&["v1.0.0", "v1.1.0", "v1.2.0"]);
    world.run(&["fail", "risk_model", "v1.0.0", "--reason", "wrong data"]).ok();
    let server = world.serve();
    for path in ["/api/v1/history", "/api/v1/models/risk_model/history"] {
        let (whole, pages) = walk(&server, path, "");
        assert_eq!((whole.len(), pages), (9, 1));
        let sequences: Vec<_> = whole.iter().map(|it| it["sequence"].as_u64().unwrap()).collect();
        assert_eq!(sequences, (0..9).collect::<Vec<_>>());
        for (limit, expected) in [(1, 9), (2, 5), (3, 3), (8, 2), (9, 1)] {
            let (paged, pages) = walk(&server, path, &format!("?limit={limit}"));
            assert_eq!((paged, pages), (whole.clone(), expected), "{limit}");
        }
        let (rest, _) = walk(&server, path, "?after=5");
        assert_eq!(rest, whole[6..]);
        let (none, _) = walk(&server, path, "?after=9000000000");
        assert_eq!(none, [Value::Null; 0]);
    }
    // A period that begins on a page has its end, wherever that is.
    let page = server.model("risk_model/history?limit=2").json();
    let production = page["production"].as_array().unwrap();
    let all = server.model("risk_model/history").json()["production"].as_array().unwrap().clone();
    assert_eq!((all.len(), production.len()), (3, 1));
    assert_eq!(production[0], all[0]);
    assert!(production[0]["until"].is_string() && all[2]["until"].is_null());
    for (query, saying) in [
        ("limit=0", "limit \"0\" is not a whole number from 1 to 10000"),
        ("limit=10001", "limit"),
        ("after=-1", "after"),
        ("aftr=1", "did you mean after?"),
        ("limit=1&limit=2", "limit is given twice"),
    ] {
        for path in ["/api/v1/history", "/api/v1/models/risk_model/history"] {
            server.get(&format!("{path}?{query}")).is_error(422, "INVALID_REQUEST", saying);
        }
    }
    server.model("trees/history").is_error(404, "MODEL_NOT_FOUND", "trees");
    let empty = server.model("alpha_weights/history").json();
    assert_eq!(empty, serde_json::json!({"production": [], "transitions": []}));
}

#[test]
fn an_audit_finds_who_did_what() {
    let world = World::with_legacy();
    world.register("v5.0.0").ok();
    let promote = ["promote", "risk_model", "v5.0.0", "--user", "carol & co", "--reason", "tested"];
    world.run(&promote).ok();
    let server = world.serve();
    let all = walk(&server, "/api/v1/history", "").0;
    let of = |query: &str| walk(&server, "/api/v1/history", query).0;
    let chosen = |is: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        all.iter().filter(|entry| is(entry)).cloned().collect()
    };
    for limit in ["", "&limit=1", "&limit=2"] {
        let carols = of(&format!("?by=carol%20%26%20co{limit}"));
        assert_eq!(carols, chosen(&|it| it["changed_by"] == "carol & co"), "{limit}");
        assert_eq!(carols.len(), 2);
        assert_eq!(of(&format!("?action=promote{limit}")), chosen(&|it| it["action"] == "promote"),);
        assert_eq!(
            of(&format!("?model_type=alpha_weights{limit}")),
            chosen(&|it| it["model_type"] == "alpha_weights"),
        );
        let both = of(&format!("?by=alice&model_type=risk_model{limit}"));
        assert_eq!(
            both,
            chosen(&|it| it["changed_by"] == "alice" && it["model_type"] == "risk_model"),
        );
        assert!(both.len() > 2, "{both:#?}");
    }
    // The authenticated user is found as well as the stated one, and each entry is told once.
    let operator =
        all.iter().rfind(|it| it["action"] == "promote").unwrap()["authenticated_as"].clone();
    let theirs = of(&format!("?by={}", operator.as_str().unwrap()));
    let sequences: BTreeSet<_> = theirs.iter().map(|it| it["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences.len(), theirs.len());
    assert!(theirs.len() > 3);
    assert_eq!(of("?by=nobody"), [Value::Null; 0]);
    // What is not about a version is there too.
    let note = chosen(&|it| it["model_type"].is_null());
    assert_eq!(note.len(), 1);
    assert_eq!((&note[0]["action"], &note[0]["to_status"]), (&"import".into(), &Value::Null));
    assert!(note[0]["detail"]["versions"].is_string());
    for (query, saying) in [
        ("action=bogus", "is not one of register, import, promote"),
        ("model_type=No", "model_type \"No\" is not a model type"),
        ("user=alice", "\"user\" is not a parameter of a history"),
    ] {
        server.get(&format!("/api/v1/history?{query}")).is_error(422, "INVALID_REQUEST", saying);
    }
}

#[test]
fn a_history_is_also_told_as_csv_that_no_spreadsheet_runs() {
    let world = World::promoted(&["v1.0.0"]);
    let reason = "=HYPERLINK(\"http://x\",\"é, \"\"y\"\"\")";
    world.register("v1.1.0").ok();
    world.run(&["promote", "risk_model", "v1.1.0", "--reason", reason, "--user", "@eve"]).ok();
    let server = world.serve();
    let token = format!("Bearer {READ}");
    let ask = |path: &str| {
        server.ask("GET", path, &[("authorization", &token), ("accept", "text/csv, */*;q=0.1")])
    };
    let reply = ask("/api/v1/history");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert!(reply.header("vary").unwrap().starts_with("accept"), "{reply:?}");
    assert!(reply.header("content-disposition").unwrap().starts_with("attachment"));
    let rows = |bytes: &[u8]| -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
        reader.records().map(|row| row.unwrap().iter().map(ToOwned::to_owned).collect()).collect()
    };
    let table = rows(&reply.body);
    let json = server.get("/api/v1/history").json()["transitions"].as_array().unwrap().clone();
    assert_eq!(table.len(), json.len() + 1);
    for (row, entry) in table[1..].iter().zip(&json) {
        for (name, cell) in table[0].iter().zip(row) {
            assert!(!cell.starts_with(['=', '+', '-', '@']), "{name}: {cell}");
            let value = match &entry[name.as_str()] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(cell.strip_prefix('\'').unwrap_or(cell), value, "{name}");
        }
    }
    let last = table.last().unwrap();
    assert!(last.contains(&format!("'{reason}")) && last.contains(&"'@eve".to_owned()), "{last:?}");
    // A page of it has the columns' names as well, and names the next one.
    let page = ask("/api/v1/history?limit=2&after=0&by=%40eve");
    assert_eq!(rows(&page.body).len(), 3);
    assert_eq!(next(&page), None);
    let page = ask("/api/v1/models/risk_model/history?limit=1");
    assert_eq!(rows(&page.body), table[..2]);
    assert_eq!(next(&page).as_deref(), Some("?after=0&limit=1"));
    let tag = page.header("etag").unwrap();
    let headers =
        [("authorization", token.as_str()), ("accept", "text/csv"), ("if-none-match", tag)];
    let again = server.ask("GET", "/api/v1/models/risk_model/history?limit=1", &headers);
    assert_eq!((again.status, next(&again).as_deref()), (304, Some("?after=0&limit=1")));
    assert_eq!(world.run(&["history", "--csv"]).ok().stdout.as_bytes(), reply.body);
}

#[test]
fn every_known_type_is_listed_with_what_is_in_production() {
    let world = World::promoted(&["v1.0.0", "v1.1.0", "v1.2.0"]);
    world.register("v1.3.0").ok();
    world.run(&["fail", "risk_model", "v1.0.0", "--reason", "wrong data"]).ok();
    world.run(&["rollback", "risk_model", "--user", "bob"]).ok();
    let since = promotions(&world).last().unwrap().0.clone();
    let server = world.serve();
    let body = server.get("/api/v1/models").json();
    let models = body["models"].as_array().unwrap();
    let names: Vec<_> = models.iter().map(|it| it["model_type"].as_str().unwrap()).collect();
    assert_eq!(names, ["alpha_weights", "factor_definitions", "feature_transforms", "risk_model"]);
    let none = serde_json::json!({"staged": 0, "production": 0, "archived": 0, "failed": 0});
    assert_eq!((&models[0]["production"], &models[0]["versions"]), (&Value::Null, &none));
    let risk = &models[3];
    let counts = serde_json::json!({"staged": 2, "production": 1, "archived": 0, "failed": 1});
    assert_eq!(risk["versions"], counts);
    let production = &risk["production"];
    assert_eq!(
        (&production["version"], &production["since"], &production["by"]),
        (&"v1.1.0".into(), &since.into(), &"bob".into()),
    );
    assert_eq!((&risk["aliases"], &risk["description"]), (&serde_json::json!({}), &Value::Null));
    let tag = server.get("/api/v1/models").header("etag").unwrap().to_owned();
    let headers = [("authorization", format!("Bearer {ADMIN}")), ("if-none-match", tag)];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(server.ask("GET", "/api/v1/models", &headers).status, 304);
}

#[test]
fn the_command_line_tells_the_history_between_two_moments() {
    let world = World::promoted(&["v1.0.0", "v1.1.0", "v1.2.0"]);
    let promotions = promotions(&world);
    let of = |arguments: &[&str]| {
        let told = world.run(&[&["history", "--json"], arguments].concat()).ok().json();
        told["transitions"].as_array().unwrap().len()
    };
    assert_eq!((of(&[]), of(&["risk_model"]), of(&["risk_model", "v1.0.0"])), (8, 8, 3));
    assert_eq!(of(&["--at", &promotions[1].0]), 5);
    assert_eq!(of(&["--at", &just_before(&promotions[0].0)]), 1);
    assert_eq!(of(&["--since", &promotions[1].0]), 5);
    assert_eq!(of(&["risk_model", "v1.0.0", "--since", &promotions[1].0]), 1);
    let both = ["--since", &promotions[1].0, "--at", &just_before(&promotions[2].0)];
    assert_eq!(of(&[&["risk_model"], &both[..]].concat()), 3);
    // As it was then, v1.1.0 was still in production.
    let then = ["history", "risk_model", "--json", "--at", &just_before(&promotions[2].0)];
    let then = world.run(&then).ok().json();
    let last = then["production"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["version"], &last["until"]), (&"v1.1.0".into(), &Value::Null));
    let told = world.run(&["history", "risk_model"]).ok().stdout;
    assert!(told.contains("IN PRODUCTION") && told.contains("promote"), "{told}");
    let csv = world.run(&["history", "risk_model", "v1.0.0", "--csv"]).ok().stdout;
    assert_eq!(csv.lines().count(), 4, "{csv}");
    world.run(&["history", "trees"]).refused(3, "trees");
    world.run(&["history", "risk_model", "v9.9.9", "--csv"]).refused(3, "v9.9.9");
    world.run(&["history", "--csv", "--json"]).refused(2, "");
    world.run(&["history", "--since", "x"]).refused(2, "RFC 3339");
}

#[test]
fn a_list_tells_when_versions_were_in_production() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    world.run(&["rollback", "risk_model"]).ok();
    world.register("v1.2.0").ok();
    let times: Vec<_> = promotions(&world).into_iter().map(|(time, _)| time).collect();
    let told = world.run(&["list"]).ok().stdout;
    let line = |version: &str| told.lines().find(|line| line.contains(version)).unwrap();
    let past = format!("{} to {}", times[1], times[2]);
    assert!(line("v1.1.0").contains(&past) && line("v1.1.0").contains("staged"), "{told}");
    let present = format!("{} to now, and once before", times[2]);
    assert!(line("v1.0.0").contains(&present), "{told}");
    assert!(line("v1.2.0").contains(" -  "), "{told}");
}
