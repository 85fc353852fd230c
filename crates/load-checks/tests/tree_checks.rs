//! Load checks of tree ensembles: LightGBM's text, XGBoost's JSON and Universal Binary JSON.
//!
//! `tests/corpus/make_trees.py` says where the files come from. `samples/` holds rows of features
//! and what the library itself answered to them.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails")]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use load_checks::{Depth, LoadReport, Sample, TrustedGlobals, Verdict, check};

fn corpus(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(part)
}

fn real(name: &str) -> Vec<u8> {
    fs::read(corpus("real").join(name)).unwrap()
}

fn run(bytes: &[u8], sample: Option<&Sample>) -> LoadReport {
    check(Cursor::new(bytes), &TrustedGlobals::default(), sample, &|| true).unwrap()
}

fn report(bytes: &[u8]) -> LoadReport {
    run(bytes, None)
}

/// Every model with its sample.
fn samples() -> Vec<(String, Vec<u8>, Sample)> {
    let mut found: Vec<_> = fs::read_dir(corpus("samples"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name.clone(), real(&name), serde_json::from_slice(&fs::read(&path).unwrap()).unwrap())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() >= 40, "only {} samples", found.len());
    found
}

#[test]
fn every_tree_ensemble_answers_its_sample_as_its_library_does() {
    for (name, bytes, sample) in samples() {
        let report = run(&bytes, Some(&sample));
        let depth = if name.contains("linear.") && name.starts_with("xgboost") {
            assert_eq!(report.notes.len(), 1, "{name}");
            Depth::Typed
        } else {
            assert_eq!(report.notes, Vec::<String>::new(), "{name}");
            Depth::Executed
        };
        assert_eq!((report.verdict, report.depth), (Verdict::Loadable, depth), "{name}");
    }
}

#[test]
fn a_sample_that_differs_or_does_not_fit_is_a_note_and_no_error() {
    for (name, bytes, sample) in samples() {
        if name.contains("linear.") || name.contains("no_rounds") {
            continue;
        }
        let mut wrong = sample.clone();
        for row in &mut wrong.expected {
            for value in row {
                *value = *value * 1.01 + 0.01;
            }
        }
        let mut narrow = sample.clone();
        narrow.input[3].pop();
        let mut short = sample.clone();
        short.expected.pop();
        let empty = Sample { input: Vec::new(), expected: Vec::new() };
        for (what, sample) in
            [("differ", wrong), ("row 3 has", narrow), ("rows of input", short), ("0 rows", empty)]
        {
            let report = run(&bytes, Some(&sample));
            assert_eq!((report.verdict, report.depth), (Verdict::Loadable, Depth::Typed), "{name}");
            assert!(report.notes[0].contains(what), "{name}: {:?}", report.notes);
        }
    }
}

#[test]
fn scores_before_the_objective_and_both_shares_of_a_class_agree_as_well() {
    let (_, bytes, sample) =
        samples().into_iter().find(|(name, ..)| name == "xgboost_binary.json").unwrap();
    let with = |f: &dyn Fn(f64) -> Vec<f64>| Sample {
        input: sample.input.clone(),
        expected: sample.expected.iter().map(|row| f(row[0])).collect(),
    };
    for other in [
        with(&|p| vec![(p / (1.0 - p)).ln()]),
        with(&|p| vec![1.0 - p, p]),
        with(&|p| vec![f64::from(u8::from(p > 0.5))]),
    ] {
        assert_eq!(run(&bytes, Some(&other)).depth, Depth::Executed);
    }
}

#[test]
fn no_cut_of_the_binary_form_is_loadable() {
    let bytes = real("xgboost_categorical.ubj");
    for cut in 0..bytes.len() {
        assert_ne!(report(&bytes[..cut]).verdict, Verdict::Loadable, "cut at {cut}");
    }
}

#[test]
fn a_tree_that_leads_back_or_nowhere_is_told_with_its_number() {
    for (name, from, to, told) in [
        ("lightgbm_regression.txt", "left_child=1 -1", "left_child=0 -1", "tree 0 at byte"),
        (
            "xgboost_regression.json",
            "\"left_children\":[1,3",
            "\"left_children\":[1,0",
            "tree 0: node 1",
        ),
        (
            "xgboost_regression.json",
            "\"split_indices\":[0",
            "\"split_indices\":[4",
            "tree 0 splits by feature 4 of 4",
        ),
    ] {
        let text = String::from_utf8(real(name)).unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(text, changed, "{name}: {from}");
        let report = report(changed.as_bytes());
        assert_eq!(report.verdict, Verdict::Unloadable, "{name}: {to}");
        assert!(report.errors[0].contains(told), "{:?}", report.errors);
    }
}

#[test]
fn json_with_the_words_of_a_model_but_no_model_is_plain_json() {
    for text in [
        r#"{"learner": 1}"#,
        r#"{"learner": [{"gradient_booster": {}}]}"#,
        r#"{"learner": {"name": "adam"}, "version": 2}"#,
        r#"{"version": [1, 2, 3]}"#,
        r#"{"version": {"learner": {"gradient_booster": 1}}}"#,
        r#"{"learner": {"objective": {"name": [1, "a", {}, null, true]}}}"#,
        r#"{"a": {"learner": {"gradient_booster": {}}}}"#,
    ] {
        let report = report(text.as_bytes());
        assert_eq!(report.verdict, Verdict::Loadable, "{text}: {:?}", report.errors);
        assert_eq!(report.format.to_string(), "json", "{text}");
    }
    let endless = report(br#"{"learner": {"objective": {"name": [NaN]}}}"#);
    assert_eq!(endless.verdict, Verdict::Unloadable);
    let model = report(br#"{"learner": {"gradient_booster": {}}}"#);
    assert_eq!(model.format.to_string(), "xgboost_json");
    assert_eq!(model.verdict, Verdict::Unloadable);
}

#[test]
fn a_model_with_endless_numbers_loads_as_it_does_in_xgboost() {
    let text = String::from_utf8(real("xgboost_regression.json")).unwrap();
    for word in ["NaN", "Infinity", "-Infinity"] {
        let at = text.find("\"base_weights\":[").unwrap() + "\"base_weights\":[".len();
        let end = at + text[at..].find(',').unwrap();
        let changed = format!("{}{word}{}", &text[..at], &text[end..]);
        assert_eq!(report(changed.as_bytes()).verdict, Verdict::Loadable, "{word}");
    }
}

#[test]
fn changed_models_never_panic() {
    for (name, bytes, sample) in samples() {
        for at in (0..bytes.len()).step_by(23) {
            for value in [0, b'9', b'-', b']', 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                let report = run(&changed, Some(&sample));
                assert_eq!(
                    report.verdict == Verdict::Loadable,
                    report.errors.is_empty(),
                    "{name} at {at}"
                );
            }
        }
    }
}
