//! Tests of evidence files: a valid file, and each way in which one is invalid.

use std::convert::Infallible;

use super::*;
use crate::domain::log::{
    checkpoint::{Checkpoint, Origin},
    note::{KeyName, SigningKey, Unverified},
    proof::{NoProof, Plan, root_of_complete},
    tree::RightEdge,
};

const ORIGIN: &str = "example.com/models";

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(KeyName::parse(name).unwrap(), &[seed; 32]).unwrap()
}

fn entries(prefix: &str) -> Vec<String> {
    (0..11)
        .map(|sequence| {
            let version = if sequence % 3 == 1 { "v1.0.0" } else { "v2.0.0" };
            format!(
                r#"{{"model_type":"{prefix}model","sequence":{sequence},"version":"{version}"}}"#
            )
        })
        .collect()
}

fn published(origin: &str, entries: &[String], key: Option<&SigningKey>) -> String {
    let mut edge = RightEdge::new();
    entries.iter().for_each(|entry| drop(edge.append(leaf_hash(entry.as_bytes()))));
    let origin = Origin::parse(origin).unwrap();
    let checkpoint = Checkpoint::new(origin, edge.size(), edge.root());
    match key {
        Some(key) => PublishedCheckpoint::signed(checkpoint, key).unwrap(),
        None => PublishedCheckpoint::unsigned(checkpoint),
    }
    .to_string()
}

fn prove(entries: &[String], index: usize) -> ProvenEntry {
    let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry.as_bytes())).collect();
    let path = Plan::inclusion(index as u64, entries.len() as u64)
        .unwrap()
        .fill(|level, index| {
            let first = usize::try_from(index << level).unwrap();
            Ok::<_, Infallible>(root_of_complete(&leaves[first..first + (1 << level)]).unwrap())
        })
        .unwrap();
    ProvenEntry { index: index as u64, entry: entries[index].clone(), path }
}

/// The entries of v1.0.0 in the log of `size` entries, with its signed checkpoint.
fn evidence(size: usize) -> Evidence {
    let entries = &entries("")[..size];
    Evidence {
        format: FORMAT.to_owned(),
        model_type: "model".to_owned(),
        version: "v1.0.0".to_owned(),
        log_size: size as u64,
        checkpoint: published(ORIGIN, entries, Some(&key(ORIGIN, 1))),
        entries: (1..size).step_by(3).map(|index| prove(entries, index)).collect(),
    }
}

fn check_with_key(evidence: &Evidence) -> Result<Report, Fault> {
    check(evidence.to_json().unwrap().as_bytes(), Some(key(ORIGIN, 1).verifier()))
}

fn fault(change: impl FnOnce(&mut Evidence)) -> Fault {
    let mut evidence = evidence(11);
    change(&mut evidence);
    check_with_key(&evidence).unwrap_err()
}

#[test]
fn a_file_is_verified_with_the_key_and_held_together_without() {
    let evidence = evidence(11);
    let report = check_with_key(&evidence).unwrap();
    assert_eq!(report.verified_by.as_deref(), Some(ORIGIN));
    assert_eq!(report.checkpoint.checkpoint().size, 11);
    assert_eq!(report.entries.iter().map(|e| e.index).collect::<Vec<_>>(), [1, 4, 7, 10]);
    let json = evidence.to_json().unwrap();
    assert_eq!(Evidence::parse(json.as_bytes()).unwrap(), evidence);
    assert_eq!(check(json.as_bytes(), None).unwrap().verified_by, None);
    let unsigned = Evidence { checkpoint: published(ORIGIN, &entries(""), None), ..evidence };
    assert!(check(unsigned.to_json().unwrap().as_bytes(), None).is_ok());
    assert_eq!(check_with_key(&unsigned), Err(Fault::Untrusted(Untrusted::Unsigned)));
}

#[test]
fn an_altered_entry_or_path_and_an_entry_of_another_log_are_not_in_the_log() {
    let not_in_log = Fault::NotInLog { index: 4 };
    assert_eq!(fault(|it| it.entries[1].entry.push(' ')), not_in_log);
    assert_eq!(fault(|it| it.entries[1].path[0] = leaf_hash(b"")), not_in_log);
    assert_eq!(fault(|it| it.entries[1].path.swap(0, 1)), not_in_log);
    assert_eq!(fault(|it| it.entries[1] = prove(&entries("my_"), 4)), not_in_log);
}

#[test]
fn a_truncated_or_extended_proof_is_named() {
    let truncated = InvalidProof::Truncated { needed: 4, found: 3 };
    let longer = InvalidProof::TooLong { needed: 4, found: 5 };
    let path = |fault| Fault::Path { index: 4, fault };
    assert_eq!(fault(|it| it.entries[1].path.truncate(3)), path(truncated));
    assert_eq!(fault(|it| _ = it.entries[1].path.remove(0)), path(truncated));
    assert_eq!(fault(|it| it.entries[1].path.push(leaf_hash(b""))), path(longer));
}

#[test]
fn a_wrong_key_or_another_log_is_named() {
    let other = |origin: &str, key: &SigningKey| {
        fault(|it| it.checkpoint = published(origin, &entries(""), Some(key)))
    };
    assert!(matches!(
        other(ORIGIN, &key(ORIGIN, 2)),
        Fault::Untrusted(Untrusted::Signature(Unverified::UnknownSigners { .. }))
    ));
    assert!(matches!(
        other("example.com/other", &key("example.com/other", 1)),
        Fault::Untrusted(Untrusted::OtherLog { .. })
    ));
    assert!(matches!(
        fault(|it| it.checkpoint = it.checkpoint.replace("\n11\n", "\n12\n")),
        Fault::Untrusted(Untrusted::Signature(Unverified::BadSignature { .. }))
    ));
    let rewritten = published(ORIGIN, &entries("my_"), Some(&key(ORIGIN, 1)));
    assert_eq!(fault(|it| it.checkpoint = rewritten), Fault::NotInLog { index: 1 });
    assert!(matches!(
        fault(|it| it.checkpoint = "a\n1\n".to_owned()),
        Fault::Checkpoint(Unreadable::Checkpoint(_))
    ));
}

#[test]
fn a_checkpoint_of_a_larger_or_smaller_log_is_named() {
    let size = |paths, checkpoint| Fault::OtherSize { paths, checkpoint };
    assert_eq!(fault(|it| it.checkpoint = evidence(5).checkpoint), size(11, 5));
    let mut smaller = evidence(8);
    smaller.checkpoint = evidence(11).checkpoint;
    assert_eq!(check_with_key(&smaller), Err(size(8, 11)));
    assert!(size(8, 11).to_string().contains("larger"));
    assert!(size(11, 5).to_string().contains("smaller"));
    // The size also changed, so the paths do not give that log's root.
    smaller.log_size = 11;
    assert!(check_with_key(&smaller).is_err());
}

#[test]
fn entries_are_those_of_the_version_once_and_in_order() {
    assert_eq!(fault(|it| it.entries.clear()), Fault::NoEntries);
    assert_eq!(fault(|it| it.entries.swap(0, 1)), Fault::Order(1));
    assert_eq!(fault(|it| it.entries[1] = it.entries[0].clone()), Fault::Order(1));
    let other = |index, member| Fault::OtherSubject { index, member };
    assert_eq!(fault(|it| it.version = "v3.0.0".to_owned()), other(1, "version"));
    assert_eq!(fault(|it| it.model_type = "other".to_owned()), other(1, "model_type"));
    assert_eq!(fault(|it| it.entries[0] = prove(&entries(""), 0)), other(0, "version"));
    assert_eq!(
        fault(|it| it.entries[3].index = 11),
        Fault::Path { index: 11, fault: NoProof::NoLeaf { index: 11, size: 11 }.into() }
    );
}

#[test]
fn what_is_no_evidence_is_malformed() {
    let json = evidence(11).to_json().unwrap();
    for text in [
        String::new(),
        "[]".to_owned(),
        json.replace("evidence/1", "evidence/2"),
        json.replace("\"version\"", "\"other\""),
        json.replace("\"index\": 4", "\"index\": -4"),
        json.replace("\"index\": 4", "\"index\": 4, \"more\": 1"),
        json[..json.len() / 2].to_owned(),
        format!("{json}{json}"),
        json.replacen("\"path\": [\n        \"", "\"path\": [\n        \"x", 1),
    ] {
        assert!(matches!(check(text.as_bytes(), None), Err(Fault::Malformed(_))), "{text}");
    }
}
