//! How old an answer may be. Over SQLite every change is in the very next read, whichever process made it; over PostgreSQL
//! within a second.

use std::{fs, time::Duration};

use crate::{
    ON_POSTGRES,
    support::{Server, World, until},
};

/// Over PostgreSQL, with room for a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// The version in production, which the service must know by now, or soon where another process changed it.
#[track_caller]
fn expect_production(server: &Server, version: &str) {
    let production = || server.model("risk_model/current").json()["version"] == version;
    if ON_POSTGRES {
        until(SOON, production);
    } else {
        assert!(production(), "an old answer: {:?}", server.model("risk_model/current"));
    }
}

/// Reads until the answer is one that is kept: a sidecar that was just written is not trusted yet.
fn settle(server: &Server) {
    std::thread::sleep(model_registry::limits::SIDECAR_SETTLED);
    for _ in 0..16 {
        assert_eq!(server.model("risk_model/current").status, 200);
    }
}

#[test]
fn a_change_by_another_process_is_in_the_very_next_read() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let server = world.serve();
    settle(&server);
    for _ in 0..4 {
        world.run(&["rollback", "risk_model"]).ok();
        expect_production(&server, "v1.0.0");
        assert_eq!(server.model("risk_model/v1.1.0").json()["status"], "staged");
        world.promote("v1.1.0").ok();
        expect_production(&server, "v1.1.0");
        let production = server.model("risk_model?status_filter=production").json();
        assert_eq!(production["models"][0]["version"], "v1.1.0");
        assert_eq!(production["total"], 1);
    }
    world.register("v1.2.0").ok();
    until(if ON_POSTGRES { SOON } else { Duration::ZERO }, || {
        server.model("risk_model").json()["total"] == 3
    });
}

#[test]
#[cfg(debug_assertions)]
fn a_change_whose_writer_was_killed_before_it_answered_is_in_the_very_next_read() {
    for point in ["catalog.committed", "manifest.written", "manifest.renamed"] {
        let world = World::promoted(&["v1.0.0", "v1.1.0"]);
        let server = world.serve();
        settle(&server);
        let fault = format!("{point}=kill");
        assert_eq!(world.run_with_fault(&fault, &["rollback", "risk_model"]).status, -1, "{point}");
        expect_production(&server, "v1.0.0");
    }
}

#[test]
fn an_answer_is_of_one_state_whatever_changes_beside_it() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let server = world.serve();
    settle(&server);
    let changes = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..6 {
                world.run(&["rollback", "risk_model"]).ok();
                world.promote("v1.1.0").ok();
            }
        });
        let mut reads = 0;
        while !writer.is_finished() {
            let list = server.model("risk_model").json();
            let in_production = |model: &&serde_json::Value| model["status"] == "production";
            let models = list["models"].as_array().unwrap();
            assert_eq!(models.iter().filter(in_production).count(), 1, "{list}");
            let current = server.model("risk_model/current").json();
            let checksum = current["checksum"].as_str().unwrap();
            let listed = models.iter().find(|model| model["version"] == current["version"]);
            assert_eq!(listed.unwrap()["checksum_sha256"], checksum);
            reads += 1;
        }
        writer.join().unwrap();
        reads
    });
    assert!(changes > 0);
}

#[test]
fn a_list_marks_a_tampered_sidecar_and_its_repair_within_a_second() {
    let world = World::promoted(&["v1.0.0", "v1.1.0"]);
    let server = world.serve();
    settle(&server);
    let marks = || {
        let list = server.model("risk_model").json();
        let models = list["models"].as_array().unwrap().clone();
        models
            .iter()
            .map(|model| model["integrity"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(marks(), ["ok", "ok"]);
    let sidecar = world.path("artifacts/risk_model/v1.0.0/metadata.json");
    let sound = fs::read(&sidecar).unwrap();
    let mut bytes = sound.clone();
    bytes[10] ^= 1;
    fs::write(&sidecar, bytes).unwrap();
    until(SOON, || marks() == ["ok", "CHECKSUM_MISMATCH"]);
    fs::write(&sidecar, sound).unwrap();
    until(SOON, || marks() == ["ok", "ok"]);
}

#[test]
fn a_service_whose_registry_was_replaced_ends_and_says_so() {
    let world = World::promoted(&["v1.0.0"]);
    let mut server = world.serve();
    assert_eq!(server.model("risk_model/current").status, 200);
    let (there, kept) = (world.dir(), world.outside("kept"));
    fs::rename(&there, &kept).unwrap();
    // As long as nothing is there, it waits for the directory to come back.
    fs::create_dir(&there).unwrap();
    assert_eq!(server.wait().code(), Some(6));
    let told = server.events("the registry was replaced");
    assert!(told[0]["what"].as_str().unwrap().contains("start again"), "{told:?}");
}
