//! The log from outside: checkpoints, evidence and tiles, true and false.

use std::{
    fs,
    path::{Path, PathBuf},
};

use model_registry::domain::{
    Sha256Digest,
    log::{
        evidence::Evidence,
        note::VerifierKey,
        published::PublishedCheckpoint,
        tile::decode_bundle,
        tree::{RightEdge, leaf_hash},
    },
};
use serde_json::{Value, json};

use crate::support::{READ, Ran, Reply, Server, World, binary};

const NAME: &str = "registry.example/models";

/// A registry with three versions and a key for its log.
struct Logged {
    world: World,
    key: String,
}

impl Logged {
    fn new() -> Self {
        let world = World::promoted(&["v1.0.0", "v1.1.0"]);
        world.register("v1.2.0").ok();
        Self { key: new_key(&world, NAME, "log.key"), world }
    }

    fn with_key(&self, arguments: &[&str]) -> Ran {
        let mut command = self.world.command(arguments);
        command.env("MODEL_REGISTRY_LOG_KEY_FILE", self.world.outside("log.key"));
        command.output().unwrap().into()
    }

    fn serve(&self) -> Server {
        let key = self.world.outside("log.key");
        self.world.serve_with(&[("MODEL_REGISTRY_LOG_KEY_FILE", key.to_str().unwrap())])
    }

    /// The checkpoint in a file.
    fn checkpoint(&self, name: &str) -> PathBuf {
        let path = self.world.outside(name);
        fs::write(&path, self.with_key(&["log", "checkpoint"]).ok().stdout).unwrap();
        path
    }

    fn evidence(&self) -> Evidence {
        let ran = self.with_key(&["log", "prove", "risk_model", "v1.0.0"]).ok();
        Evidence::parse(ran.stdout.as_bytes()).unwrap()
    }

    /// Checks evidence where there is no registry.
    fn check(&self, evidence: &Evidence) -> Ran {
        let path = self.world.outside("evidence.json");
        fs::write(&path, evidence.to_json().unwrap()).unwrap();
        check(&[path.to_str().unwrap(), "--key", &self.key])
    }

    fn since(&self, checkpoint: &Path) -> Ran {
        self.with_key(&["log", "check", "--since", checkpoint.to_str().unwrap(), "--json"])
    }
}

/// `log check` of a machine without a registry.
fn check(arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let mut command = binary();
    command.current_dir(&folder).args(["log", "check"]).args(arguments);
    let ran = command.output().unwrap().into();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    ran
}

fn new_key(world: &World, name: &str, file: &str) -> String {
    let file = world.outside(file);
    let ran = world.run(&["log", "new-key", name, file.to_str().unwrap()]).ok();
    ran.stdout.trim_end().to_owned()
}

/// The check says no, and says this.
#[track_caller]
fn no(ran: &Ran, saying: &str) {
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stdout.contains(saying), "{saying}: {ran:?}");
}

fn get(server: &Server, path: &str) -> Reply {
    let token = format!("Bearer {READ}");
    server.ask("GET", &format!("/api/v1/log/{path}"), &[("authorization", &token)])
}

#[test]
fn service_and_command_line_give_the_same_checkpoint_signed_by_the_key() {
    let logged = Logged::new();
    let printed = logged.with_key(&["log", "checkpoint"]).ok().stdout;
    let server = logged.serve();
    let reply = get(&server, "checkpoint");
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(String::from_utf8(reply.body.clone()).unwrap(), printed);
    let published = PublishedCheckpoint::parse(&printed).unwrap();
    let key = VerifierKey::parse(&logged.key).unwrap();
    assert_eq!(published.verify(&key).unwrap().as_str(), NAME);
    let manifest = fs::read_to_string(logged.world.path("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["checksum"], published.checkpoint().root.to_string());
    let document = logged.with_key(&["log", "checkpoint", "--json"]).ok().json();
    assert_eq!(document["note"], printed);
    assert_eq!(document["origin"], NAME);
    assert_eq!(document["key"], logged.key);
    let tag = reply.header("etag").unwrap().to_owned();
    let token = format!("Bearer {READ}");
    let headers = [("authorization", token.as_str()), ("if-none-match", tag.as_str())];
    assert_eq!(server.ask("GET", "/api/v1/log/checkpoint", &headers).status, 304);
    logged.world.promote("v1.2.0").ok();
    assert_eq!(server.ask("GET", "/api/v1/log/checkpoint", &headers).status, 200);
}

#[test]
fn a_log_without_a_key_has_checkpoints_without_a_signature() {
    let world = World::promoted(&["v1.0.0"]);
    let printed = world.run(&["log", "checkpoint"]).ok().stdout;
    let published = PublishedCheckpoint::parse(&printed).unwrap();
    assert_eq!(published.checkpoint().origin.as_str(), "model-registry");
    let mut command = world.command(&["log", "checkpoint"]);
    command.env("MODEL_REGISTRY_LOG_ORIGIN", "models of ours");
    let named = Ran::from(command.output().unwrap()).ok().stdout;
    assert_eq!(named, printed.replace("model-registry", "models of ours"));
}

#[test]
fn evidence_is_checked_with_no_registry_at_hand() {
    let logged = Logged::new();
    let file = logged.world.outside("evidence.json");
    let path = file.to_str().unwrap();
    let ran = logged.with_key(&["log", "prove", "risk_model", "v1.0.0", "-o", path, "--json"]);
    let written = ran.ok().json();
    assert_eq!(written["entries"], 3);
    let report = check(&[path, "--key", &logged.key, "--json"]).ok().json();
    assert_eq!(report["valid"], true);
    assert_eq!(report["verified_by"], NAME);
    let actions: Vec<_> = report["entries"].as_array().unwrap().iter().collect();
    let said: Vec<_> = actions.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(said, ["register", "promote", "archive"]);
    let unverified = check(&[path]).ok();
    assert!(unverified.stdout.contains("no key was given"), "{unverified:?}");
    assert_eq!(check(&[path, "--json"]).ok().json()["verified_by"], json!(null));
}

#[test]
fn evidence_that_was_altered_is_refused_and_the_fault_is_named() {
    let logged = Logged::new();
    let evidence = logged.evidence();
    let altered = |change: fn(&mut Evidence)| {
        let mut evidence = evidence.clone();
        change(&mut evidence);
        logged.check(&evidence)
    };
    logged.check(&evidence).ok();
    let entry = |it: &mut Evidence| it.entries[0].entry = it.entries[0].entry.replace("alice", "x");
    no(&altered(entry), "is not in the log of this checkpoint");
    no(&altered(|it| _ = it.entries[0].path.pop()), "the proof is truncated");
    no(&altered(|it| it.checkpoint = it.checkpoint.replacen(NAME, "other", 1)), "other");
    no(&altered(|it| it.version = "v1.1.0".to_owned()), "its version differs");
    let escape = altered(|it| it.checkpoint = "\u{1b}[2J\n1\n".to_owned());
    assert!(!escape.stdout.contains('\u{1b}'), "{escape:?}");
    no(&altered(|it| it.log_size -= 1), "of a larger log");
    let unsigned = |it: &mut Evidence| {
        it.checkpoint.truncate(it.checkpoint.find("\n\n").unwrap() + 1);
    };
    no(&altered(unsigned), "is not signed");

    let other = new_key(&logged.world, NAME, "other.key");
    let file = logged.world.outside("evidence.json");
    logged.check(&evidence).ok();
    let path = file.to_str().unwrap();
    no(&check(&[path, "--key", &other]), "not by a given key");
    let another = new_key(&logged.world, "registry.example/others", "another.key");
    no(&check(&[path, "--key", &another]), "is of the log \"registry.example/others\"");

    logged.world.promote("v1.2.0").ok();
    let mut larger = evidence.clone();
    larger.checkpoint = logged.evidence().checkpoint;
    no(&logged.check(&larger), "of a larger log");
    larger.log_size = logged.evidence().log_size;
    no(&logged.check(&larger), "entry 0");
    let mut smaller = logged.evidence();
    smaller.checkpoint = evidence.checkpoint;
    no(&logged.check(&smaller), "of a smaller log");
}

#[test]
fn a_log_that_only_grew_is_told_from_one_that_did_not() {
    let logged = Logged::new();
    let first = logged.checkpoint("first");
    assert_eq!(logged.since(&first).ok().json()["grew_by"], 0);
    logged.world.promote("v1.2.0").ok();
    let grown = logged.since(&first).ok().json();
    assert_eq!(grown["grew_by"], 2);
    let later = logged.checkpoint("later");

    let other = Logged::new();
    other.world.promote("v1.2.0").ok();
    let rewritten = other.since(&later);
    no(&rewritten, "the log was rewritten");
    no(&other.since(&first), "there is no proof that the log of");
    let behind = Logged::new();
    no(&behind.since(&later), "the log was set back");

    let mut unnamed = logged.world.command(&["log", "check", "--since"]);
    unnamed.arg(&first);
    no(&unnamed.output().unwrap().into(), "is of the log");
    let altered = fs::read_to_string(&first).unwrap().replacen("\n6\n", "\n5\n", 1);
    let forged = logged.world.outside("forged");
    fs::write(&forged, altered).unwrap();
    let arguments = ["log", "check", "--key", &logged.key, "--since", forged.to_str().unwrap()];
    no(&logged.with_key(&arguments), "is wrong");
}

#[test]
fn what_cannot_be_read_or_is_not_there_has_an_exit_status_of_its_own() {
    let logged = Logged::new();
    check(&["nothing.json"]).refused(3, "nothing.json");
    check(&[]).refused(2, "");
    check(&["--key", &logged.key]).refused(2, "");
    check(&["nothing.json", "--key", "nonsense"]).refused(2, "a verifier key is");
    let secret = fs::read_to_string(logged.world.outside("log.key")).unwrap();
    let refused = check(&["nothing.json", "--key", secret.trim_end()]).refused(2, "private key");
    assert!(secret.starts_with("PRIVATE+KEY+"));
    drop(refused);
    logged.with_key(&["log", "prove", "risk_model", "v9.9.9"]).refused(3, "v9.9.9");
    let file = logged.world.outside("log.key");
    let again = ["log", "new-key", NAME, file.to_str().unwrap()];
    logged.world.run(&again).refused(2, "log.key");
    assert_eq!(fs::read_to_string(&file).unwrap(), secret);
    let mut misnamed = logged.world.command(&["log", "checkpoint"]);
    misnamed.env("MODEL_REGISTRY_LOG_KEY_FILE", &file).env("MODEL_REGISTRY_LOG_ORIGIN", "other");
    Ran::from(misnamed.output().unwrap()).refused(2, "MODEL_REGISTRY_LOG_ORIGIN");
    fs::write(&file, secret.replace('A', "B")).unwrap();
    let ran = logged.with_key(&["log", "checkpoint"]).refused(2, "MODEL_REGISTRY_LOG_KEY_FILE");
    assert!(!ran.stderr.contains("PRIVATE+KEY+registry"), "{ran:?}");
    // No other command needs the key.
    logged.with_key(&["list"]).ok();
}

#[test]
fn an_entry_that_was_changed_in_the_database_is_neither_proven_nor_served() {
    let logged = Logged::new();
    let server = logged.serve();
    logged.world.sql_without_triggers(
        "log_entries",
        "UPDATE log_entries SET actor = 'x' WHERE sequence = 0",
    );
    logged.with_key(&["log", "prove", "risk_model", "v1.0.0"]).refused(5, "damaged");
    let reply = get(&server, "tile/entries/000.p/6");
    assert_eq!(reply.error(), (503, "CHECKSUM_MISMATCH".to_owned()));
}

#[test]
fn tiles_and_entries_give_the_root_of_the_checkpoint_and_end_where_the_log_does() {
    let logged = Logged::new();
    let server = logged.serve();
    let note = String::from_utf8(get(&server, "checkpoint").body).unwrap();
    let published = PublishedCheckpoint::parse(&note).unwrap();
    let checkpoint = published.checkpoint();
    assert_eq!(checkpoint.size, 6);

    let bundle = get(&server, "tile/entries/000.p/6");
    assert_eq!(bundle.header("content-type"), Some("application/octet-stream"));
    assert!(bundle.header("cache-control").unwrap().contains("immutable"));
    let mut edge = RightEdge::new();
    let mut leaves = Vec::new();
    for entry in decode_bundle(&bundle.body).unwrap() {
        let said: Value = serde_json::from_slice(entry).unwrap();
        assert_eq!(said["sequence"], edge.size());
        leaves.extend_from_slice(leaf_hash(entry).as_bytes());
        edge.append(leaf_hash(entry));
    }
    assert_eq!((edge.size(), edge.root()), (checkpoint.size, checkpoint.root));
    assert_eq!(get(&server, "tile/0/000.p/6").body, leaves);
    assert_eq!(get(&server, "tile/0%2F000.p%2F6").body, leaves);
    assert_eq!(get(&server, "tile/0/000.p/2").body, leaves[..64]);
    let first: [u8; 32] = get(&server, "tile/0/000.p/1").body.try_into().unwrap();
    assert_eq!(Sha256Digest::from_bytes(first), {
        let mut one = RightEdge::new();
        one.append(leaf_hash(decode_bundle(&bundle.body).unwrap()[0]));
        one.root()
    });
    for beyond in [
        "tile/0/000",
        "tile/0/000.p/7",
        "tile/0/001.p/1",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/000.p/7",
        "tile/0/0",
        "tile/00/000.p/6",
        "tile/",
        "tile/x",
        "tile/0/000.p/6/",
    ] {
        assert_eq!(get(&server, beyond).error(), (404, "NOT_FOUND".to_owned()), "{beyond}");
    }
}

#[test]
fn who_is_named_is_recorded_beside_the_systems_user_and_not_in_its_place() {
    let world = World::promoted(&["v1.0.0"]);
    world.register("v1.1.0").ok();
    let mut promote = world.command(&["promote", "risk_model", "v1.1.0", "--user", "carol"]);
    let promoted: Ran = promote.env("USER", "mallory").output().unwrap().into();
    promoted.ok();
    let evidence = world.run(&["log", "prove", "risk_model", "v1.1.0"]).ok().stdout;
    let operator = model_registry::cli::operator::operator();
    let recorded = format!(r#""actor":"carol","authenticated_as":"{operator}""#);
    assert!(evidence.replace('\\', "").contains(&recorded), "{recorded}: {evidence}");
    assert!(!evidence.contains("mallory"));
}
