//! Changes, backups and restores are killed at every fault point and at random moments, with a server reading beside them. After
//! each kill: the registry starts and verifies, no acknowledged version is lost, none is half-visible, at most
//! one is in production, and nothing is left in the staging folder.
//!
//! `CRASH_ROUNDS=2000 cargo test --test registry harness -- --nocapture` runs it long (and `--test
//! registry_postgres` over PostgreSQL); the summary tells how many kills landed inside a change.

#![cfg(debug_assertions)]

use std::{
    collections::BTreeSet,
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use model_registry::fault::Point;

use crate::support::{Ran, World};

/// The points at which a change, a backup or a restore is killed. Each must be reached by one round at least.
const POINTS: [Point; 28] = [
    Point::RegisterStaged,
    Point::RegisterArtifact,
    Point::RegisterSidecars,
    Point::RegisterIntent,
    Point::RegisterRenamed,
    Point::ChangeLocked,
    Point::DbApply,
    Point::CatalogCommitted,
    Point::ManifestWritten,
    Point::ManifestRenamed,
    Point::BackupBegun,
    Point::BackupDumped,
    Point::BackupCopying,
    Point::BackupCopied,
    Point::BackupVerified,
    Point::BackupManifestWritten,
    Point::BackupComplete,
    Point::RestoreSaved,
    Point::RestoreStaged,
    Point::RestoreIntent,
    Point::RestoreMoving,
    Point::RestoreMoved,
    Point::RestoreEmptied,
    Point::RestoreLoaded,
    Point::RestoreCommitted,
    Point::RestoreRecorded,
    Point::RestoreSwept,
    Point::BackupRemoving,
];

/// What a round runs. The first rounds run what reaches their point.
fn kind_of(round: u64, random: &mut Random) -> u64 {
    let Some(point) = POINTS.get(usize::try_from(round).unwrap()) else { return random.below(9) };
    let name = point.name();
    match name.split_once('.') {
        Some(("backup", "removing")) => 8,
        Some(("backup", _)) => 6,
        Some(("restore", _)) => 7,
        _ => 0,
    }
}

/// A version that is never promoted.
const SPARE: &str = "artifacts/risk_model/v0.0.0";

/// Makes a backup, and loses a version's folder, so that a restore moves one into place.
fn make_ready_to_restore(world: &World) {
    world.run(&["backup", "create"]).ok();
    let kept = world.outside("spare");
    drop(std::fs::remove_dir_all(&kept));
    std::fs::rename(world.path(SPARE), &kept).unwrap();
}

/// Knuth's MMIX generator: the same seed, the same rounds.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn number_from(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[derive(Debug, Default)]
struct Tally {
    at_points: u64,
    reached: BTreeSet<&'static str>,
    at_random: u64,
    not_reached: u64,
}

#[test]
fn whatever_is_killed_whenever_nothing_is_lost_or_half_there() {
    let rounds = number_from("CRASH_ROUNDS", 80);
    let seed = number_from("CRASH_SEED", u64::from(std::process::id()));
    println!("CRASH_ROUNDS={rounds} CRASH_SEED={seed}");
    let world = World::promoted(&["v0.0.1", "v0.0.2"]);
    world.register("v0.0.0").ok();
    let server = world.serve();
    let (stop, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let reply = server.model("risk_model/current");
                assert_eq!(reply.status, 200, "{reply:?}");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _stop = StopOnDrop(&stop);
        let mut random = Random(seed);
        let mut acknowledged: BTreeSet<String> = ["v0.0.1".to_owned(), "v0.0.2".to_owned()].into();
        for round in 0..rounds {
            let version = format!("v1.0.{round}");
            let known: Vec<_> = acknowledged.iter().cloned().collect();
            let other = &known[usize::try_from(random.below(known.len() as u64)).unwrap()];
            let kind = kind_of(round, &mut random);
            if kind == 7 {
                make_ready_to_restore(&world);
            }
            let arguments = match kind {
                6 => ["backup", "create"].map(ToOwned::to_owned).into(),
                7 => ["restore", "latest"].map(ToOwned::to_owned).into(),
                8 => {
                    std::fs::create_dir_all(world.path(INCOMPLETE)).unwrap();
                    ["backup", "prune", "--execute"].map(ToOwned::to_owned).into()
                }
                0..4 => World::register_arguments(&version),
                4 => ["promote", "risk_model", other].map(ToOwned::to_owned).into(),
                _ => ["rollback", "risk_model"].map(ToOwned::to_owned).into(),
            };
            let registers = arguments[0] == "register";
            if killed(&world, &arguments, &mut random, &mut tally) && registers {
                acknowledged.insert(version);
            }
            if kind == 7 {
                settle(&world);
                if !world.path(SPARE).exists() {
                    std::fs::rename(world.outside("spare"), world.path(SPARE)).unwrap();
                }
            }
            check(&world, &acknowledged);
        }
    });
    println!("{tally:?}, {} reads beside them, lost 0", reads.load(Ordering::Relaxed));
    assert!(tally.at_points + tally.at_random > rounds / 3, "{tally:?}");
    let missed: Vec<_> =
        POINTS.iter().map(|point| point.name()).filter(|it| !tally.reached.contains(it)).collect();
    assert!(missed.is_empty(), "no round reached {missed:?}");
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a command and kills it; true where it had finished and said so.
fn killed(world: &World, arguments: &[String], random: &mut Random, tally: &mut Tally) -> bool {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut command = world.command(&arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    // Every point has its turn before chance decides.
    let turn = tally.at_points + tally.at_random + tally.not_reached;
    let point = POINTS.get(usize::try_from(turn).unwrap()).copied().or_else(|| {
        let at_point = random.below(2) == 0;
        at_point.then(|| POINTS[usize::try_from(random.below(POINTS.len() as u64)).unwrap()])
    });
    let at_point = point.is_some();
    if let Some(point) = point {
        command.env("MODEL_REGISTRY_FAULT", format!("{}=kill", point.name()));
    }
    let mut child = command.spawn().unwrap();
    if !at_point {
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    match (status.code(), at_point) {
        (Some(_), _) => tally.not_reached += 1,
        (None, true) => {
            tally.at_points += 1;
            tally.reached.extend(point.map(Point::name));
        }
        (None, false) => tally.at_random += 1,
    }
    status.success()
}

/// A backup that was cut off.
const INCOMPLETE: &str = "backups/backup_20260115_093000_1f2e3d4c";

/// Any change settles what is unfinished before it looks at what it was asked to do.
fn settle(world: &World) {
    let settled: Ran = world.run(&["rollback", "alpha_weights"]);
    assert_eq!(settled.status, 3, "{settled:?}");
}

fn check(world: &World, acknowledged: &BTreeSet<String>) {
    settle(world);
    let listed = world.run(&["backup", "list", "--json"]).ok().json();
    for backup in listed["backups"].as_array().unwrap() {
        // A restore that was killed while a folder was lost has a safety copy that says so.
        let states = ["complete", "incomplete", "not_intact"];
        assert!(states.contains(&backup["state"].as_str().unwrap()), "{backup}");
    }
    world.run(&["verify"]).ok();
    let staging = world.path("artifacts/.staging");
    assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0);
    let listed = world.run(&["list", "risk_model", "--json"]).ok().json();
    let models = listed["models"].as_array().unwrap();
    let versions: BTreeSet<_> =
        models.iter().map(|model| model["version"].as_str().unwrap().to_owned()).collect();
    assert!(versions.is_superset(acknowledged), "lost: {:?}", acknowledged - &versions);
    let production = models.iter().filter(|model| model["status"] == "production").count();
    assert_eq!(production, 1);
    let folders = std::fs::read_dir(world.path("artifacts/risk_model")).unwrap().count();
    assert_eq!(folders, versions.len());
}
