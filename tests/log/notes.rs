//! Checkpoints, notes and keys, both ways.

use model_registry::domain::log::{
    checkpoint::{Checkpoint, Origin},
    note::{Note, SigningKey, VerifierKey},
    published::PublishedCheckpoint,
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    claims::{Log, base64, key, question},
    independent::ask,
};

#[derive(Deserialize)]
struct Answer {
    parsed: Tree,
    formatted: String,
    notes: Option<Vec<bool>>,
    signed: String,
    new_secret: String,
    new_key: String,
    new_note: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tree {
    n: u64,
    hash: String,
}

/// Notes and keys, of which some belong together.
fn claims(checkpoint: &Checkpoint) -> Vec<(VerifierKey, String)> {
    let (models, other) = (key("example.com/models", 1), key("example.com/models", 2));
    let signed = PublishedCheckpoint::signed(checkpoint.clone(), &models).unwrap().to_string();
    let by_other = PublishedCheckpoint::signed(checkpoint.clone(), &other).unwrap().to_string();
    let their_line = by_other.rsplit_once("\n\n").unwrap().1;
    let (text, our_line) = signed.rsplit_once("\n\n").unwrap();
    let notes = [
        signed.clone(),
        by_other.clone(),
        format!("{signed}{their_line}"),
        format!("{by_other}{our_line}"),
        format!("{signed}{our_line}"),
        signed.replace("\n300\n", "\n301\n"),
        format!("{text}\nan extension\n\n{our_line}"),
        format!("{text}\n\n{}", our_line.replace("models", "other")),
        format!("{text}\n\n{}", our_line.to_uppercase()),
        format!("{text}\n"),
        format!("{text}\n\n"),
        signed.trim_end().to_owned(),
        format!("{signed}\n"),
        signed.replace('\u{2014}', "-"),
        signed.replace('\n', "\r\n"),
        signed.replace("tree", "tr\tee"),
    ];
    let keys = [models.verifier().clone(), other.verifier().clone()];
    keys.iter().flat_map(|key| notes.iter().map(|note| (key.clone(), note.clone()))).collect()
}

#[test]
fn checkpoints_notes_and_keys_are_the_same_both_ways() {
    // Go's parser of checkpoints knows one log alone.
    let origin = Origin::parse("go.sum database tree").unwrap();
    let checkpoint = Checkpoint::new(origin, 300, Log::new(300).root(300));
    let claims = claims(&checkpoint);
    let mut question = question(300);
    question["checkpoint"] = json!(checkpoint.to_string());
    question["notes"] =
        claims.iter().map(|(key, note)| json!({"key": key.to_string(), "note": note})).collect();
    let Some(answer) = ask::<Answer>(&question) else { return };

    assert_eq!(answer.parsed.n, 300);
    assert_eq!(answer.parsed.hash, base64(&checkpoint.root));
    assert_eq!(answer.formatted, checkpoint.to_string());
    assert_eq!(Checkpoint::parse(&answer.formatted), Ok(checkpoint));

    let verdicts = answer.notes.unwrap();
    for ((key, note), theirs) in claims.iter().zip(&verdicts) {
        let ours =
            Note::parse(note).is_ok_and(|note| note.verify(std::slice::from_ref(key)).is_ok());
        assert_eq!(ours, *theirs, "{key}: {note}");
    }
    assert_eq!(verdicts.iter().filter(|verified| **verified).count(), 7);

    let secret = question["secret"].as_str().unwrap();
    let ours = SigningKey::parse(&secret.into()).unwrap().sign("a text\n").unwrap();
    assert_eq!(answer.signed, ours.to_string());

    let secret = SigningKey::parse(&answer.new_secret.into()).unwrap();
    assert_eq!(secret.verifier().to_string(), answer.new_key);
    let verifier = VerifierKey::parse(&answer.new_key).unwrap();
    let note = Note::parse(&answer.new_note).unwrap();
    assert_eq!(note.verify(std::slice::from_ref(&verifier)), Ok(&verifier));
    assert_eq!(secret.sign("a text\n").unwrap(), note);
}
