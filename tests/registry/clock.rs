//! Clocks that are wrong: times never run backwards, the log warns, and an operator has a way out that is in the log.

use std::sync::Arc;

use model_registry::{
    catalog::{Author, Catalog, DatabaseUrl, PostgresCatalog, SqliteCatalog, Stamp},
    domain::{ModelType, Timestamp, Version},
};
use serde_json::json;

use crate::{
    catalog::promote,
    support::{READ, World},
};

const WRONG: &str = "2036-05-01T08:00:00.000000Z";

/// Two versions, of which the second was promoted by a machine whose clock was years ahead.
fn with_a_change_of_the_future() -> World {
    let world = World::promoted(&["v1.0.0"]);
    world.register("v1.1.0").ok();
    let catalog: Arc<dyn Catalog> = match world.database() {
        Some(url) => Arc::new(PostgresCatalog::open(DatabaseUrl::parse(url).unwrap()).unwrap()),
        None => Arc::new(SqliteCatalog::open(&world.path("registry.db")).unwrap()),
    };
    let change =
        promote(&ModelType::parse("risk_model").unwrap(), Version::parse("v1.1.0").unwrap());
    let author = Author { actor: "bob".to_owned(), authenticated_as: None };
    let stamp = Stamp { at: Timestamp::parse(WRONG).unwrap(), author, reason: None };
    actix::System::new().block_on(catalog.apply(&change, &stamp)).unwrap();
    world
}

fn created(world: &World, version: &str) -> String {
    let shown = world.run(&["show", "risk_model", version, "--json"]).ok().json();
    shown["created_at"].as_str().unwrap().to_owned()
}

#[test]
fn after_a_change_of_the_future_an_operator_lets_times_follow_the_clock_again() {
    let world = with_a_change_of_the_future();
    let told = world.register("v1.2.0").ok();
    assert!(
        told.stderr.contains("clock is behind") && told.stderr.contains("reset-clock"),
        "{told:?}"
    );
    assert_eq!(created(&world, "v1.2.0"), WRONG);
    let size = |world: &World| {
        world.run(&["log", "checkpoint", "--json"]).ok().json()["size"].as_u64().unwrap()
    };
    let before = size(&world);

    // It needs a reason and a confirmation, and says what it would do.
    world.run(&["log", "reset-clock", "--yes"]).refused(2, "--reason");
    let told = world.run(&["log", "reset-clock", "--reason", "ntp was off"]).refused(2, "--yes");
    assert!(told.stderr.contains(WRONG), "{told:?}");
    assert_eq!(size(&world), before);

    let reset =
        ["log", "reset-clock", "--reason", "ntp was off", "--user", "carol", "--yes", "--json"];
    let reset = world.run(&reset).ok().json();
    assert_eq!(reset["from"], WRONG);
    assert!(reset["to"].as_str().unwrap() < WRONG, "{reset}");
    let registered = world.register("v1.3.0").ok();
    assert!(!registered.stderr.contains("clock"), "{registered:?}");
    assert!(created(&world, "v1.3.0").as_str() < WRONG);

    // Whatever follows the order of the log is right all the same.
    world.promote("v1.3.0").ok();
    let rolled = world.run(&["rollback", "risk_model", "--json"]).ok().json();
    assert_eq!(rolled["to_version"], "v1.1.0");
    world.run(&["verify"]).ok();
    let server = world.serve();
    assert_eq!(server.events("every row is what the log says").len(), 1);
    assert_eq!(server.model("risk_model/current").json()["version"], "v1.1.0");

    // Nobody can have done it unseen: it is in the log, with both times, its author and the reason.
    let size = size(&world);
    let path = format!("/api/v1/log/tile/entries/000.p/{size}");
    let tile = server.ask("GET", &path, &[("authorization", &format!("Bearer {READ}"))]);
    assert_eq!(tile.status, 200);
    let entries = String::from_utf8_lossy(&tile.body).into_owned();
    let at = entries.find(r#"{"action":"reset_clock","actor":"carol""#).expect(&entries);
    let entry = &entries[at..];
    assert!(entry.contains(&format!(r#""detail":{{"from":"{WRONG}","to":""#)), "{entry}");
    assert!(entry.contains(r#""reason":"ntp was off""#), "{entry}");

    world.run(&["log", "reset-clock", "--reason", "again", "--yes"]).refused(2, "nothing to reset");
}

#[cfg(debug_assertions)]
#[test]
fn a_change_under_a_clock_that_is_far_ahead_of_the_databases_is_refused() {
    let world = World::promoted(&["v1.0.0"]);
    let register = World::register_arguments("v1.1.0");
    let register: Vec<_> = register.iter().map(String::as_str).collect();
    let years = "clock.read=ahead:315360000";
    let ran = world.run_with_fault(years, &register);
    if crate::ON_POSTGRES {
        ran.refused(6, "ahead of the database server's");
        let reset = ["log", "reset-clock", "--reason", "x", "--yes"];
        world.run_with_fault(years, &reset).refused(6, "ahead of the database server's");
        assert!(!world.path("artifacts/risk_model/v1.1.0").exists());
        // Clocks are never quite equal.
        world.run_with_fault("clock.read=ahead:3600", &register).ok();
    } else {
        // There is no second clock to compare with: the log says that much time has passed.
        let ran = ran.ok();
        assert!(ran.stderr.contains("more than a year has passed"), "{ran:?}");
        assert!(created(&world, "v1.1.0").as_str() > "2030");
    }
    world.run(&["verify"]).ok();
}

#[test]
fn a_reset_is_refused_to_a_clock_that_is_not_behind() {
    let world = World::promoted(&["v1.0.0"]);
    let ran = world.run(&["log", "reset-clock", "--reason", "x", "--yes", "--json"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert_eq!(ran.json()["code"], json!("INVALID_REQUEST"));
    world.run(&["verify"]).ok();
}
