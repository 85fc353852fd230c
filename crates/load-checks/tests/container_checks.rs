//! Load checks of tar archives and skops files, and of what is hidden in other formats.
//!
//! The corpus holds real, hostile and broken ones (`make_containers.py` beside it); here stand the rules that need an
//! archive put together, and the sentences an operator reads.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails")]

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use load_checks::{Depth, Format, LoadReport, TrustedGlobals, Verdict, check};

fn corpus(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)).unwrap()
}

fn report(bytes: &[u8]) -> LoadReport {
    check(Cursor::new(bytes), &TrustedGlobals::default(), None, &|| true).unwrap()
}

fn trusting(bytes: &[u8], module: &str, name: &str) -> LoadReport {
    let trusted = TrustedGlobals::new([(module.to_owned(), name.to_owned())]);
    check(Cursor::new(bytes), &trusted, None, &|| true).unwrap()
}

fn header(name: &str, size: usize, kind: u8) -> [u8; 512] {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, data) in members {
        out.extend(header(name, data.len(), b'0'));
        out.extend(*data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.extend([0; 1024]);
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A model that loads, to stand beside what a test is about.
const GOOD: &[u8] = b"\x80\x04}.";

fn beside(data: &[u8]) -> [LoadReport; 2] {
    let bytes = tar(&[("model.pkl", GOOD), ("member", data)]);
    [report(&bytes), report(&gzip(&bytes))]
}

#[test]
fn a_member_that_is_text_or_an_image_is_passed_over_with_a_note() {
    for data in [
        &b"# Alpha\n\nTrained on prices; *important*!\n"[..],
        b"[![build](b.svg)](x)\n",
        b"{{ template }}\n",
        b"close,volume\n1.5,100\n",
        b"(see below)\n",
        b"import joblib\n\nif a != b:\n    pass\n",
        b"#!/bin/sh\n[ ! -f x ] || exit\n",
        b"Portfolio model of 2024\n",
        "naïve – ünïcode\n".as_bytes(),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"GIF89a\x01\0\x01\0",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        b"target: x\nunits: [1, 2]\n",
        b"defaults:\n  - _self_\n",
    ] {
        for report in beside(data) {
            let told = data.escape_ascii();
            assert_eq!(report.verdict, Verdict::Loadable, "{told}: {:?}", report.errors);
            assert!(report.notes[0].contains("member is"), "{told}: {:?}", report.notes);
        }
    }
}

#[test]
fn a_member_that_is_not_proven_to_be_harmless_is_no_part_of_a_loadable_archive() {
    for (data, verdict) in [
        (&b"\0\x01\x02\x03"[..], Verdict::Unloadable),
        (b"\x7fELF\x02\x01\x01", Verdict::Unloadable),
        (b"text\0", Verdict::Unloadable),
        (b"\xff\xfea\0:\0", Verdict::Unloadable),
        (b"]\0\x01\0\x80\0\0", Verdict::Unloadable),
        (b"count\n1\n2\n", Verdict::Unsafe),
        (b"Nr\xff\xff\xff\xff.", Verdict::Unsafe),
        (b"ZF0x10               x\x9c\x03\0", Verdict::Unsafe),
        (b"ZF10                 x\x9c\x03\0", Verdict::Unsafe),
        (b"a: !new:os.system\n", Verdict::Unsafe),
        (b"{a: !!python/name:os.system }", Verdict::Unsafe),
        (b"model:\n  class_path: os.system\n", Verdict::Unsafe),
        (b"loader_module: evil\n", Verdict::Unsafe),
        (b"{\"_target_\": os.system}", Verdict::Unsafe),
        (b"a: ${eval:1+1}\n", Verdict::Unsafe),
        (b"{\"a\": \"${eval:1+1}\"}", Verdict::Unsafe),
        (b"{\"a\": [{\"_target_\": \"os.system\"}]}", Verdict::Unsafe),
        (b"{\"a\": {\"py/object\": \"os.system\"}}", Verdict::Unsafe),
    ] {
        for report in beside(data) {
            let told = data.escape_ascii();
            assert_eq!(report.verdict, verdict, "{told}: {:?}", report.errors);
            assert!(report.errors[0].starts_with("member: "), "{told}: {:?}", report.errors);
        }
    }
}

#[test]
fn a_class_that_a_configuration_names_loads_once_an_operator_trusts_it() {
    let yaml = tar(&[("model.pkl", GOOD), ("c.yaml", b"a:\n  _target_: ours.models.Risk\n")]);
    let json = tar(&[("model.pkl", GOOD), ("c.json", br#"{"_target_": "ours.models.Risk"}"#)]);
    for bytes in [yaml, json] {
        let refused = report(&bytes);
        assert_eq!(refused.verdict, Verdict::Unsafe);
        assert!(refused.errors[0].contains("add \"ours.models.Risk\" to [pickle] trusted"));
        assert_eq!(trusting(&bytes, "ours.models", "Risk").verdict, Verdict::Loadable);
        assert_eq!(trusting(&bytes, "ours.models", "Ris").verdict, Verdict::Unsafe);
    }
    let system = tar(&[("model.pkl", GOOD), ("c.yaml", b"_target_: os.system\n")]);
    assert_eq!(trusting(&system, "os", "system").verdict, Verdict::Unsafe);
    assert!(!report(&system).errors[0].contains("[pickle] trusted"));
}

#[test]
fn a_member_of_any_format_loads_in_an_archive_as_it_does_alone() {
    for name in [
        "arrays.npz",
        "array.npy",
        "keras_small.keras",
        "torch_state_dict.pt",
        "pyarrow.arrow",
        "pyarrow_snappy.parquet",
        "factor_weights.safetensors",
        "ridge.skops",
        "arrays.joblib",
    ] {
        let model = corpus(&format!("real/{name}"));
        let bytes = tar(&[("README", b"notes"), ("model", &model)]);
        for whole in [bytes.clone(), gzip(&bytes)] {
            let report = report(&whole);
            assert_eq!(report.verdict, Verdict::Loadable, "{name}: {:?}", report.errors);
            assert_eq!(report.format, Format::Tar, "{name}");
        }
        let cut = tar(&[("model", &model[..model.len() - 8])]);
        assert_eq!(report(&cut).verdict, Verdict::Unloadable, "{name} is cut");
    }
}

#[test]
fn names_and_sizes_that_two_readers_understand_differently_are_refused() {
    let folder = [&header("a/", 512, 0)[..], &[0; 512], &[0; 1024]].concat();
    assert_eq!(report(&folder).verdict, Verdict::Unsafe);
    let pax = |record: &str| {
        let record = record.to_owned();
        let mut out = header("x", record.len(), b'x').to_vec();
        out.extend(record.bytes());
        out.resize(out.len().next_multiple_of(512), 0);
        out
    };
    let twice = [pax("10 path=a\n"), pax("10 path=b\n"), tar(&[("c", GOOD)])].concat();
    assert_eq!(report(&twice).verdict, Verdict::Unloadable);
    let once = [pax("10 path=a\n"), tar(&[("c", GOOD)])].concat();
    assert_eq!(report(&once).verdict, Verdict::Loadable);
    let zip = format!("{} comment=PK\x05\x06{}\n", 34, "\0".repeat(18));
    assert_eq!(zip.len(), 34);
    let hidden = [pax(&zip), tar(&[("c", GOOD)])].concat();
    assert_eq!(report(&hidden).verdict, Verdict::Unloadable);
}

/// Tensors of bytes, behind a header that also holds a text.
fn tensors(length_ends_in: u8, note: &str, data: &[u8]) -> Vec<u8> {
    let header = format!(
        r#"{{"__metadata__":{{"a":"{note}"}},"w":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#,
        data.len()
    );
    let mut header = header.into_bytes();
    while header.len() % 256 != usize::from(length_ends_in) {
        header.push(b' ');
    }
    [&(header.len() as u64).to_le_bytes()[..], &header, data].concat()
}

#[test]
fn tensors_whose_header_is_a_pickle_too_are_unsafe() {
    // `B`, the low byte of the header's length, takes the other bytes for the length of a text.
    let text = |text: &str| format!("q\u{8c}!{text:a<33}");
    let name = text("multiprocessing.popen_spawn_posix") + &text("spawn") + "q\u{93}";
    for at in 0..64 {
        let bytes = tensors(b'B', &format!("{}{name}{}", "x".repeat(at), "y".repeat(20_000)), b"");
        let skipped = 5 + usize::from(bytes[1]);
        if bytes[skipped..].starts_with(b"q\xc2\x8c") {
            assert_eq!(report(&bytes).verdict, Verdict::Unsafe);
            return;
        }
    }
    panic!("no header leads into its text");
}

#[test]
fn plain_tensors_of_any_length_of_header_are_no_pickle() {
    for low in 0..=255 {
        let report = report(&tensors(low, "Alpha of 2024", &[7; 9]));
        assert_eq!(report.verdict, Verdict::Loadable, "{low}: {:?}", report.errors);
    }
}

#[test]
fn a_hidden_file_is_told_by_its_kind() {
    for (name, told) in [
        ("broken/zip_in.safetensors", "a zip archive is hidden"),
        ("broken/zip_in.pkl.gz", "a zip archive is hidden"),
        ("broken/hdf5_at_1024.npy", "an HDF5 file is hidden"),
        ("broken/hdf5_at_1024.pkl.gz", "an HDF5 file is hidden"),
        ("broken/tar_in.npy", "a tar archive is hidden"),
        ("broken/member_with_a_zip.tar", "a zip archive is hidden"),
    ] {
        let report = report(&corpus(name));
        assert!(report.errors[0].contains(told), "{name}: {:?}", report.errors);
    }
}

#[test]
fn skops_types_are_exact_names_that_an_operator_can_trust() {
    let bytes = corpus("real/ridge.skops");
    let ours = replaced(&bytes, b"sklearn.linear_model._ridge", b"our_own.linear_model._ridge");
    let refused = report(&ours);
    assert_eq!((refused.format, refused.verdict), (Format::Skops, Verdict::Unsafe));
    assert!(
        refused.errors[0].contains("add \"our_own.linear_model._ridge.Ridge\" to [pickle] trusted"),
        "{:?}",
        refused.errors
    );
    let trusted = trusting(&ours, "our_own.linear_model._ridge", "Ridge");
    assert_eq!((trusted.verdict, trusted.depth), (Verdict::Loadable, Depth::Typed));
    assert_eq!(trusting(&ours, "our_own.linear_model._ridge", "Rid").verdict, Verdict::Unsafe);
    let system = replaced(&bytes, b"sklearn.linear_model._ridge", b"os.path.linear_model._ridge");
    let trusted = trusting(&system, "os.path.linear_model._ridge", "Ridge");
    assert_eq!(trusted.verdict, Verdict::Unsafe, "{:?}", trusted.errors);
}

/// The archive with a text replaced by another of its length, and the checksums made anew.
fn replaced(archive: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = archive.to_vec();
    for at in 0..out.len() - from.len() {
        if out[at..].starts_with(from) {
            out[at..at + to.len()].copy_from_slice(to);
        }
    }
    // Of each central header: where its member stands, whose bytes are stored.
    let centrals: Vec<_> =
        (0..out.len() - 4).filter(|at| out[*at..].starts_with(b"PK\x01\x02")).collect();
    for central in centrals {
        let number = |at: usize, width: usize| {
            out[at..at + width].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let (size, local) = (number(central + 24, 4), number(central + 42, 4));
        let data = local + 30 + number(local + 26, 2) + number(local + 28, 2);
        let mut crc = flate2::Crc::new();
        crc.update(&out[data..data + size]);
        let sum = crc.sum().to_le_bytes();
        out[central + 16..central + 20].copy_from_slice(&sum);
        out[local + 14..local + 18].copy_from_slice(&sum);
    }
    out
}

#[test]
fn an_extension_type_is_refused_by_what_it_holds_and_never_by_its_name() {
    for name in ["hostile/extension_pickle.arrow", "hostile/extension_pickle_nested.arrow"] {
        let report = report(&corpus(name));
        assert!(report.errors[0].contains("no text"), "{name}: {:?}", report.errors);
    }
    for name in ["hostile/extension_base64.parquet", "hostile/ray_data_arrow_tensor.parquet"] {
        let report = report(&corpus(name));
        assert!(report.errors[0].contains("extension type"), "{name}: {:?}", report.errors);
    }
    assert_eq!(report(&corpus("real/pyarrow_extensions.parquet")).verdict, Verdict::Loadable);
}
