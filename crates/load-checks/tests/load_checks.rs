//! Load checks against a corpus of real, hostile and broken artifacts.
//!
//! The files under `tests/corpus` are fixtures; `make_corpus.py` beside them says where each comes
//! from, and proved of every hostile one that a stock Python really does something when it loads
//! it. Counts are asserted, so that an empty directory cannot pass.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails")]

use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use load_checks::json::scan_slice;
use load_checks::{Depth, Format, LoadReport, TrustedGlobals, Verdict, check};
use proptest::prelude::*;

fn corpus(part: &str, at_least: usize) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(part);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= at_least, "{part} holds only {} files", files.len());
    files
}

fn named(path: &Path, start: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
}

fn report(bytes: &[u8]) -> LoadReport {
    check(Cursor::new(bytes), &TrustedGlobals::default(), None, &|| true).unwrap()
}

fn trusting(bytes: &[u8], module: &str, name: &str) -> LoadReport {
    let trusted = TrustedGlobals::new([(module.to_owned(), name.to_owned())]);
    check(Cursor::new(bytes), &trusted, None, &|| true).unwrap()
}

#[test]
fn every_real_artifact_is_loadable() {
    for (path, bytes) in corpus("real", 50) {
        let report = report(&bytes);
        assert_eq!(report.verdict, Verdict::Loadable, "{}: {:?}", path.display(), report.errors);
        assert_eq!(report.errors, Vec::<String>::new(), "{}", path.display());
        let name = path.file_name().and_then(|name| name.to_str()).unwrap();
        let (format, depth) = match path.extension().and_then(|e| e.to_str()) {
            Some("json") if named(&path, "xgboost_") => (Format::XgboostJson, Depth::Typed),
            Some("txt") => (Format::LightgbmText, Depth::Typed),
            Some("ubj") => (Format::XgboostUbjson, Depth::Typed),
            Some("arrow" | "feather") => (Format::Arrow, Depth::Parsed),
            Some("parquet") => (Format::Parquet, Depth::Parsed),
            Some("gguf") => (Format::Gguf, Depth::Typed),
            Some("onnx") => (Format::Onnx, Depth::Typed),
            Some("safetensors") => (Format::Safetensors, Depth::Typed),
            Some("npy") => (Format::Npy, Depth::Typed),
            Some("npz") => (Format::Npz, Depth::Typed),
            Some("pt") if name.starts_with("torch_legacy") => (Format::TorchLegacy, Depth::Typed),
            Some("pt") => (Format::Torch, Depth::Typed),
            Some("keras") => (Format::Keras, Depth::Typed),
            Some("skops") => (Format::Skops, Depth::Typed),
            _ if name.contains(".tar") => (Format::Tar, report.depth),
            _ if name.contains(".json") => (Format::Json, Depth::Parsed),
            _ if name.contains(".joblib") => (Format::Joblib, Depth::Typed),
            _ => (Format::Pickle, Depth::Typed),
        };
        assert_eq!((report.format, report.depth), (format, depth), "{}", path.display());
    }
}

#[test]
fn every_hostile_pickle_is_unsafe_and_says_why() {
    for (path, bytes) in corpus("hostile", 100) {
        let report = report(&bytes);
        assert_eq!(report.verdict, Verdict::Unsafe, "{}: {:?}", path.display(), report.errors);
        assert!(!report.errors.is_empty(), "{}", path.display());
        for error in &report.errors {
            assert!(error.len() < 600, "{}: {error}", path.display());
            assert!(!error.contains(char::is_control), "{}: {error:?}", path.display());
        }
    }
}

#[test]
fn every_broken_file_is_unloadable_and_says_why() {
    for (path, bytes) in corpus("broken", 60) {
        let report = report(&bytes);
        assert_eq!(report.verdict, Verdict::Unloadable, "{}: {:?}", path.display(), report.errors);
        assert!(!report.errors.is_empty(), "{}", path.display());
    }
}

#[test]
fn no_truncation_of_a_real_artifact_is_loadable() {
    for (path, bytes) in corpus("real", 50) {
        let json = path.extension().is_some_and(|e| e == "json");
        let tar = path.extension().is_some_and(|e| e == "tar");
        let end = match (json, tar) {
            (true, _) => bytes.trim_ascii_end().len(),
            // The two empty blocks that end a tar archive; it may be filled up with more.
            (_, true) => {
                let content = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
                content.next_multiple_of(512) + 1024
            }
            // Complete from here on: what follows is Python's own.
            _ if path.extension().is_some_and(|e| e == "txt") => {
                let complete = b"end of parameters";
                bytes.windows(complete.len()).position(|w| w == complete).unwrap() + 16
            }
            _ => bytes.len(),
        };
        let onnx = path.extension().is_some_and(|e| e == "onnx");
        let whole_fields = if onnx { ends_after_opsets(&bytes) } else { Vec::new() };
        // Every cut in small files; in larger ones a stride that shares no factor with a record.
        let stride = if end < 3000 { 1 } else { 7 };
        for cut in (0..end).step_by(stride).chain([end - 1]) {
            if whole_fields.contains(&cut) {
                continue;
            }
            let report = report(&bytes[..cut]);
            assert_eq!(report.verdict, Verdict::Unloadable, "{} cut at {cut}", path.display());
        }
    }
}

/// Where a Protobuf message could end after a first opset (field 8): cut there, an ONNX model is
/// whole, and what was cut off cannot be missed.
fn ends_after_opsets(bytes: &[u8]) -> Vec<usize> {
    let (mut ends, mut at, mut opset) = (Vec::new(), 0, false);
    let varint = |at: &mut usize| {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    };
    while at < bytes.len() {
        let tag = varint(&mut at);
        let value = varint(&mut at);
        at += if tag & 7 == 2 { value } else { 0 };
        opset |= tag >> 3 == 8;
        if opset {
            ends.push(at);
        }
    }
    ends
}

#[test]
fn no_hostile_pickle_becomes_loadable_by_an_appended_byte_or_prefix() {
    for (path, bytes) in corpus("hostile", 100) {
        for prefix in [&b"N0"[..], b"\x80\x04", b"(1", b"]0"] {
            let joined = [prefix, &bytes[..]].concat();
            assert_ne!(report(&joined).verdict, Verdict::Loadable, "{}", path.display());
        }
        let longer = [&bytes[..], b"\n"].concat();
        assert_ne!(report(&longer).verdict, Verdict::Loadable, "{}", path.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn flipped_bytes_never_panic(
        file in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut files = corpus("real", 50);
        files.extend(corpus("hostile", 100));
        files.extend(corpus("broken", 60));
        files.retain(|(_, bytes)| !bytes.is_empty());
        let (_, mut bytes) = file.get(&files).clone();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let report = report(&bytes);
        prop_assert_eq!(report.verdict == Verdict::Loadable, report.errors.is_empty());
    }

    #[test]
    fn random_opcodes_never_panic(body in prop::collection::vec(opcode_byte(), 0..200)) {
        report(&body);
        report(&[b"\x80\x04", &body[..], b"."].concat());
    }

    #[test]
    fn random_json_is_never_taken_when_serde_refuses_it(text in "[\\[\\]{}\",:0-9eE.+\\-\\\\ua-f ]{0,40}") {
        if scan_slice(text.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }
    }
}

fn opcode_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        4 => prop::sample::select(&b"(.012FIJKLMNQRSTUVXabcd}eghijl]opqrst)uGBC\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98"[..]),
        2 => 0_u8..4,
        1 => any::<u8>(),
    ]
}

#[test]
fn json_is_read_strictly() {
    for good in [
        "null",
        " [1, 2.5, -0, 1e3, 1E-7] \n",
        "{}",
        "[]",
        r#"{"a": {"a": {"a": 1}}}"#,
        r#"[{"a": 1}, {"a": 2}]"#,
        r#""\ud83d\ude00\u00e9\n\/""#,
        "\"é😀\"",
        "1.7976931348623157e308",
        "0.1",
        "-1",
        "[[[[]]]]",
        "123456789012345678901234567890",
        "5e-324",
        "\"\u{7f}\"",
    ] {
        assert_eq!(scan_slice(good.as_bytes()), Ok(()), "{good}");
    }
    for (bad, offset, what) in [
        (&b""[..], 0, "no document"),
        (b" \n", 2, "no document"),
        (b"{\"a\":1,\"a\":2}", 7, "duplicate key \"a\""),
        (b"{\"a\":1,\"\\u0061\":2}", 7, "duplicate key \"a\""),
        (b"[1,{\"b\":[{\"c\":1,\"c\":1}]}]", 16, "duplicate key \"c\""),
        (b"NaN", 0, "NaN"),
        (b"[Infinity]", 1, "NaN and Infinity"),
        (b"[-Infinity]", 2, "NaN and Infinity"),
        (b"1e999", 0, "infinity"),
        (b"[-1e400]", 1, "infinity"),
        (b"{} {}", 3, "after the end"),
        (b"1 2", 2, "after the end"),
        (b"\xef\xbb\xbf{}", 0, "byte order mark"),
        (b"\"\xff\"", 1, "UTF-8"),
        (b"\"\xc0\x80\"", 1, "UTF-8"),
        (b"\"\xed\xa0\x80\"", 2, "UTF-8"),
        (b"\"\xe2\x82\"", 3, "UTF-8"),
        (b"\"\\ud800\"", 7, "surrogate"),
        (b"\"\\udc00\"", 7, "surrogate"),
        (b"\"\\ud800\\u0041\"", 13, "surrogate"),
        (b"\"\\x41\"", 3, "escape"),
        (b"\"\\u12g4\"", 6, "hexadecimal"),
        (b"01", 1, "leading zero"),
        (b"-01", 2, "leading zero"),
        (b"\"a\nb\"", 2, "control character"),
        (b"1.", 2, "digit"),
        (b".5", 0, "value"),
        (b"+1", 0, "value"),
        (b"1e", 2, "digit"),
        (b"[1,]", 3, "value"),
        (b"{\"a\":1,}", 7, "key"),
        (b"{a:1}", 1, "key"),
        (b"{\"a\" 1}", 5, "':'"),
        (b"[1 2]", 3, "','"),
        (b"[1}", 2, "','"),
        (b"{\"a\":1]", 6, "','"),
        (b"tru", 3, "true"),
        (b"nul1", 3, "true"),
        (b"[1", 2, "complete"),
        (b"\"a", 2, "complete"),
        (b"{\"a\":", 5, "complete"),
    ] {
        let fault = scan_slice(bad).expect_err(&String::from_utf8_lossy(bad));
        let told = fault.to_string();
        assert!(fault.what.contains(what), "{}: {told}", bad.escape_ascii());
        assert_eq!(fault.offset, offset, "{}: {told}", bad.escape_ascii());
    }
}

#[test]
fn json_nests_to_its_limit_and_no_deeper() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert_eq!(scan_slice(&nested(512)), Ok(()));
    assert!(scan_slice(&nested(513)).unwrap_err().what.contains("deeper than 512"));
    assert!(scan_slice(&vec![b'['; 5_000_000]).unwrap_err().what.contains("deeper than 512"));
}

#[test]
fn an_untrusted_global_is_told_with_its_place_and_the_remedy() {
    let bytes = b"\x80\x02X\x08\0\0\0harmless0cos\nsystem\n.";
    assert_eq!(
        report(bytes).errors,
        [
            "untrusted global os.system at byte 16; os runs whatever it is told and is never trusted; \
          do not load this file, and have the model saved again without it"
        ]
    );
    let bytes = b"\x80\x02cours.models\nRisk\n.";
    assert_eq!(
        report(bytes).errors,
        ["untrusted global ours.models.Risk at byte 2; if this class is yours and safe, add \
          \"ours.models.Risk\" to [pickle] trusted in the policy file"]
    );
}

#[test]
fn a_danger_is_told_with_the_call_it_would_make() {
    let bytes = b"\x80\x02cos\nsystem\nX\x0c\0\0\0rm -rf / \x1b[m\x85R.";
    let finding = &report(bytes).findings[0];
    assert_eq!((finding.offset, finding.opcode.as_deref()), (Some(2), Some("GLOBAL")));
    assert_eq!(finding.global.as_deref(), Some("os.system"));
    assert_eq!(finding.would_call.as_deref(), Some("os.system(\"rm -rf / \\u{1b}[m\")"));
    let chained = b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93\x8c\x08builtins\x8c\x0a__import__\x93\x8c\x02os\x85R\x8c\x06system\x86R\x8c\x02id\x85R.";
    let calls: Vec<_> = report(chained).findings.into_iter().filter_map(|f| f.would_call).collect();
    assert_eq!(
        calls,
        [
            "builtins.__import__(\"os\")",
            "builtins.getattr(builtins.__import__(\"os\"), \"system\")(\"id\")"
        ]
    );
}

#[test]
fn an_operators_word_covers_one_exact_pair() {
    let ours = b"\x80\x02cours.models\nRisk\n)\x81}X\x01\0\0\0aK\x01sb.";
    assert_eq!(report(ours).verdict, Verdict::Unsafe);
    assert_eq!(trusting(ours, "ours.models", "Risk").verdict, Verdict::Loadable);
    assert_eq!(trusting(ours, "ours", "models.Risk").verdict, Verdict::Unsafe);
    assert_eq!(trusting(ours, "ours.models", "Ris").verdict, Verdict::Unsafe);
}

#[test]
fn no_word_of_an_operator_covers_a_dotted_name() {
    let dotted = b"\x80\x04\x8c\x07sklearn\x8c\x09os.system\x93.";
    let report = trusting(dotted, "sklearn", "os.system");
    assert_eq!(report.verdict, Verdict::Unsafe);
    assert!(report.errors[0].starts_with("dotted name \"os.system\" in module \"sklearn\""));
}

#[test]
fn a_trusted_class_itself_still_takes_no_state_and_no_items() {
    for body in [&b"}b"[..], b"NNs", b"Na", b"(N\x90"] {
        let bytes = [b"\x80\x02cours.models\nRisk\n", body, b"."].concat();
        assert_eq!(trusting(&bytes, "ours.models", "Risk").verdict, Verdict::Unsafe, "{body:?}");
    }
}

#[test]
fn danger_before_a_broken_end_is_danger_and_both_are_told() {
    let report = report(b"\x80\x02cos\nsystem\n\xff");
    assert_eq!(report.verdict, Verdict::Unsafe);
    assert!(report.errors[0].starts_with("untrusted global os.system"));
    assert_eq!(report.errors[1], "unknown opcode 0xff at byte 13");
}

#[test]
fn a_hundred_refusals_are_told_as_twenty_and_a_count() {
    let mut bytes = b"\x80\x02".to_vec();
    for i in 0..100 {
        bytes.extend(format!("cevil\nname{i}\n0").bytes());
    }
    bytes.extend(b"N.");
    let report = report(&bytes);
    assert_eq!(report.errors.len(), 21);
    assert_eq!(report.errors[20], "and 80 more");
}

#[test]
fn a_name_in_a_sentence_is_escaped_and_cut() {
    let name = format!("\u{1b}[31m\u{202e}{}", "x".repeat(5000));
    let report = report(format!("c{name}\nname\n.").as_bytes());
    let told = &report.errors[0];
    assert!(told.len() < 500 && told.contains("\\u{1b}[31m\\u{202e}"), "{told}");
}

#[test]
fn every_capability_is_narrower_than_a_call() {
    for (what, bytes) in [
        ("a named function is not called", &b"\x80\x02cnumpy\nlog1p\nK\x01\x85R."[..]),
        ("an estimator is not made with arguments", b"\x80\x02csklearn.linear_model._ridge\nRidge\nK\x01\x85\x81."),
        ("bytes come from latin1 only", b"\x80\x02c_codecs\nencode\nX\x01\0\0\0aX\x05\0\0\0rot13\x86R."),
        ("a size makes no bytearray", b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R."),
        ("a range is not spelled out", b"\x80\x02c__builtin__\nlist\nc__builtin__\nrange\nK\x00J\xff\xff\xff\x7fK\x01\x87R\x85R."),
        ("an array is made empty", b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nJ\xff\xff\xff\x7f\x85C\x01b\x87R."),
        ("a scalar is made of bytes", b"\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x01\0\0\0OK\0K\x01\x87Rcnumpy\nndarray\n\x86R."),
        ("a shared dtype takes no state", b"\x80\x02cnumpy\ndtype\nX\x02\0\0\0f8\x85R(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb."),
        ("a factory is a builtin", b"\x80\x02ccollections\ndefaultdict\ncnumpy\nlog1p\n\x85R."),
        ("an index takes no class that is not named", b"\x80\x02cpandas.core.indexes.base\n_new_Index\nK\x01}\x86R."),
        ("no special attribute is set", b"\x80\x02csklearn.linear_model._ridge\nRidge\n)\x81}X\x0c\0\0\0__setstate__Nsb."),
        ("a state is given once", b"\x80\x02csklearn.linear_model._ridge\nRidge\n)\x81}b}b."),
        ("a fraction is made of whole numbers", b"\x80\x02cfractions\nFraction\nX\x0b\0\0\x001e999999999\x85R."),
        ("an estimator is not made with keywords", b"\x80\x04csklearn.linear_model._ridge\nRidge\n)}\x92."),
        ("an estimator is not appended to", b"\x80\x02csklearn.linear_model._ridge\nRidge\n)\x81K\x01a."),
        ("the result of a call is not called", b"\x80\x02ccollections\nOrderedDict\n)R)R."),
        ("arguments are not the result of a call", b"\x80\x02ccollections\nOrderedDict\nc__builtin__\ntuple\n)RR."),
    ] {
        let report = report(bytes);
        assert_eq!(report.verdict, Verdict::Unsafe, "{what}: {:?}", report.errors);
        assert!(report.errors.iter().all(|e| !e.contains("untrusted")), "{what}: {:?}", report.errors);
    }
}

#[test]
fn python_2_names_are_translated_only_where_the_loader_does() {
    assert_eq!(report(b"\x80\x02c__builtin__\nset\n](K\x01e\x85R.").verdict, Verdict::Loadable);
    assert_eq!(report(b"\x80\x03c__builtin__\nset\n](K\x01e\x85R.").verdict, Verdict::Unsafe);
}

#[test]
fn a_huge_declared_length_costs_nothing() {
    let bytes = [&b"\x80\x04\x8e"[..], &u64::MAX.to_le_bytes()].concat();
    let report = report(&bytes);
    assert_eq!(
        report.errors,
        [
            "the pickle is truncated: it declares 18446744073709551615 bytes where 0 are left at byte 2"
        ]
    );
}

#[test]
fn a_memo_key_far_from_the_others_is_unsafe_and_costs_nothing() {
    // The C unpickler keeps a table of twice as many entries.
    assert_eq!(report(b"\x80\x02Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.").verdict, Verdict::Unsafe);
    assert_eq!(report(b"\x80\x02Nr\xff\xff\x0f\x000j\xff\xff\x0f\x00.").verdict, Verdict::Loadable);
}

#[test]
fn keys_of_one_hash_are_counted_and_no_others() {
    let number = |n: u128| [&[0x8a, 10][..], &n.to_le_bytes()[..10]].concat();
    let set = |step: u128| {
        let mut bytes = b"\x80\x04\x8f(".to_vec();
        (8..40_008).for_each(|n| bytes.extend(number(n * step)));
        bytes.extend(b"\x90.");
        report(&bytes).verdict
    };
    assert_eq!(set((1 << 61) - 1), Verdict::Unsafe);
    assert_eq!(set((1 << 61) + 1), Verdict::Loadable);
}

#[test]
fn frozensets_of_old_protocols_are_ordinary_keys() {
    let set = |step: u128| {
        let mut bytes = b"\x80\x02cbuiltins\nfrozenset\nq\x000}(".to_vec();
        for n in 8..15_008_u128 {
            let number = &(n * step).to_le_bytes()[..10];
            bytes.extend([&b"h\0](\x8a\x0a"[..], number, b"K\x01e\x85RN"].concat());
        }
        bytes.extend(b"u.");
        report(&bytes).verdict
    };
    assert_eq!(set((1 << 61) + 1), Verdict::Loadable);
    assert_eq!(set((1 << 61) - 1), Verdict::Unsafe);
}

#[test]
fn tuples_of_numbers_and_texts_are_ordinary_keys() {
    let mut bytes = b"\x80\x04}(".to_vec();
    for day in 0..20_000_u16 {
        for name in ["AAA", "B C"] {
            bytes.extend([0x8c, 3]);
            bytes.extend(name.as_bytes());
            bytes.push(b'M');
            bytes.extend(day.to_le_bytes());
            bytes.extend(b"\x86G?\xf0\0\0\0\0\0\0");
        }
    }
    bytes.extend(b"u.");
    assert_eq!(report(&bytes).verdict, Verdict::Loadable);
}

#[test]
fn shared_structure_that_python_loads_fast_is_loadable() {
    // Ten levels, each mentioned twice by the next: a thousand steps to hash, and a dict key.
    let key = [&b"\x80\x02})"[..], &b"2\x86".repeat(10), b"Ns."].concat();
    assert_eq!(report(&key).verdict, Verdict::Loadable);
    let deep =
        [b"\x80\x02".to_vec(), vec![b']'; 50_000], vec![b'a'; 49_999], b".".to_vec()].concat();
    assert_eq!(report(&deep).verdict, Verdict::Loadable);
}

#[test]
fn a_large_body_is_passed_over_and_its_neighbours_are_still_read() {
    let mut bytes = b"\x80\x04\x8e".to_vec();
    bytes.extend((3_u64 << 20).to_le_bytes());
    bytes.resize(bytes.len() + (3 << 20), b'.');
    let text = "é".repeat(400_000);
    bytes.push(b'X');
    bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    bytes.extend(text.bytes());
    let mut hostile = bytes.clone();
    bytes.extend(b"\x86.");
    assert_eq!(report(&bytes).verdict, Verdict::Loadable);
    hostile.extend(b"cos\nsystem\n.");
    assert_eq!(report(&hostile).verdict, Verdict::Unsafe);
}

#[test]
fn a_caller_can_give_up_in_the_middle() {
    let bytes = [b"\x80\x02".to_vec(), vec![b'N'; 100_000], b".".to_vec()].concat();
    let polls = std::cell::Cell::new(0);
    let keep_going = || {
        polls.set(polls.get() + 1);
        polls.get() < 5
    };
    let error =
        check(Cursor::new(&bytes), &TrustedGlobals::default(), None, &keep_going).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    assert_eq!(polls.get(), 5);
}

#[test]
fn an_artifact_that_cannot_be_read_is_an_error_and_no_verdict() {
    struct Failing;
    impl io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    impl io::Seek for Failing {
        fn seek(&mut self, _: io::SeekFrom) -> io::Result<u64> {
            Ok(100)
        }
    }
    assert!(check(Failing, &TrustedGlobals::default(), None, &|| true).is_err());
}

#[test]
fn the_report_is_plain_json() {
    let report = report(b"{}");
    assert_eq!(
        serde_json::to_value(&report).unwrap(),
        serde_json::json!({"format": "json", "verdict": "loadable", "depth": "parsed", "errors": []})
    );
}

/// Shown with a stock Python: at 5,000 copies either takes 5 GB from a file of 1 MB.
#[test]
fn what_copies_the_same_values_again_and_again_is_unsafe() {
    let body = [&b"\x80\x03(B\x40\x42\x0f\x00"[..], &[0; 1_000_000], b"q\x01"].concat();
    let list = [&b"\x80\x03(]q\x01("[..], &b"N".repeat(1_000_000), b"e"].concat();
    for (start, class, copies, verdict) in [
        (&body, "bytearray", 5_000, Verdict::Unsafe),
        (&list, "list", 5_000, Verdict::Unsafe),
        (&body, "bytearray", 5, Verdict::Loadable),
        (&list, "list", 2, Verdict::Loadable),
    ] {
        let class = format!("cbuiltins\n{class}\nq\x02");
        let bytes =
            [&start[..], class.as_bytes(), &b"h\x02h\x01\x85R".repeat(copies), b"t."].concat();
        let report = report(&bytes);
        assert_eq!(report.verdict, verdict, "{class} {copies}: {:?}", report.errors);
    }
}
