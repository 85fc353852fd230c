//! Load checks of archives: NumPy's, torch's and Keras's, and arrays on their own.
//!
//! The corpus holds real, hostile and broken ones (`make_archives.py` beside it); here stand the
//! rules that need an archive changed byte by byte, and the sentences an operator reads.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails")]

use std::fs;
use std::io::Cursor;
use std::path::Path;

use flate2::Crc;
use load_checks::{Format, LoadReport, TrustedGlobals, Verdict, check};

fn real(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/real");
    fs::read(folder.join(name)).unwrap()
}

fn report(bytes: &[u8]) -> LoadReport {
    check(Cursor::new(bytes), &TrustedGlobals::default(), None, &|| true).unwrap()
}

fn trusting(bytes: &[u8], module: &str, name: &str) -> LoadReport {
    let trusted = TrustedGlobals::new([(module.to_owned(), name.to_owned())]);
    check(Cursor::new(bytes), &trusted, None, &|| true).unwrap()
}

fn u16_of(n: usize) -> [u8; 2] {
    u16::try_from(n).unwrap().to_le_bytes()
}

fn u32_of(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap().to_le_bytes()
}

/// An archive of stored members, as the simplest writer leaves it.
fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in members {
        let mut crc = Crc::new();
        crc.update(data);
        let common = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 33, 0][..],
            &crc.sum().to_le_bytes(),
            &u32_of(data.len()),
            &u32_of(data.len()),
            &u16_of(name.len()),
            &[0, 0],
        ]
        .concat();
        let header = u32_of(out.len());
        directory.extend([b"PK\x01\x02", &[20, 0][..], &common, &[0; 10], &header].concat());
        directory.extend(name.bytes());
        out.extend([b"PK\x03\x04", &common[..], name.as_bytes(), data].concat());
    }
    let (start, count) = (u32_of(out.len()), u16_of(members.len()));
    out.extend(&directory);
    out.extend(
        [b"PK\x05\x06\0\0\0\0", &count[..], &count, &u32_of(directory.len()), &start, &[0, 0]]
            .concat(),
    );
    out
}

fn array() -> Vec<u8> {
    real("array.npy")
}

/// A torch archive around a pickle that names one storage of four floats.
fn torch(pickle: &[u8]) -> Vec<u8> {
    let pickle = [b"\x80\x02", pickle, b"."].concat();
    archive(&[
        ("m/data.pkl", &pickle),
        ("m/byteorder", b"little"),
        ("m/data/0", &[0; 16]),
        ("m/version", b"3\n"),
    ])
}

const STORAGE: &[u8] =
    b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ";

#[test]
fn a_plain_archive_is_read_and_one_that_is_no_model_is_refused_by_name() {
    assert_eq!(report(&archive(&[("a.npy", &array())])).verdict, Verdict::Loadable);
    assert_eq!(report(&torch(STORAGE)).verdict, Verdict::Loadable);
    let other = report(&archive(&[("model.json", b"{}")]));
    assert_eq!((other.format, other.verdict), (Format::Zip, Verdict::Unloadable));
    assert!(other.errors[0].contains("is no model"), "{:?}", other.errors);
}

#[test]
fn no_changed_byte_of_a_checked_member_goes_unnoticed() {
    for name in [
        "arrays.npz",
        "arrays_compressed.npz",
        "arrays_piped.npz",
        "torch_tensor.pt",
        "keras_small.keras",
    ] {
        let bytes = real(name);
        let stride = bytes.len() / 1500 + 1;
        for at in (0..bytes.len()).step_by(stride) {
            for flip in [1, 0x80] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                let report = report(&changed);
                if report.verdict == Verdict::Loadable {
                    assert!(tells_nothing(&bytes, at), "{name}: byte {at} is not looked at");
                }
            }
        }
    }
}

/// Bytes of a header that no reader of models looks at: versions, times, attributes, and the
/// rest of the last packed byte.
fn tells_nothing(bytes: &[u8], at: usize) -> bool {
    let within = |signature: &[u8], fields: &[(usize, usize)]| {
        let start = bytes[..=at].windows(signature.len()).rposition(|window| window == signature);
        start.is_some_and(|start| {
            fields.iter().any(|field| (field.0..field.1).contains(&(at - start)))
        })
    };
    // Deflate ends within a byte; what is left of that byte is nothing.
    let last_packed = bytes[at + 1..].starts_with(b"PK");
    last_packed
        || within(b"PK\x03\x04", &[(4, 6), (10, 14)])
        // A size that is left for after the data may as well be told.
        || within(b"PK\x03\x04\0\0\x08\x08", &[(18, 26)])
        || within(b"PK\x01\x02", &[(4, 8), (12, 16), (36, 42)])
        || within(b"PK\x06\x06", &[(12, 16)])
        || within(b"PK\x06\x07", &[(16, 20)])
}

#[test]
fn an_array_in_an_archive_is_checked_as_one_on_its_own() {
    let mut longer = array();
    longer.push(0);
    for (name, bytes) in
        [("a.npy", longer), ("b.npy", array()[..20].to_vec()), ("c.npy", b"PK".to_vec())]
    {
        let report = report(&archive(&[("good.npy", &array()), (name, &bytes)]));
        assert_eq!(report.verdict, Verdict::Unloadable);
        assert!(report.errors[0].starts_with(&format!("{name}: ")), "{:?}", report.errors);
    }
}

#[test]
fn danger_in_a_later_member_is_told_though_an_earlier_one_is_broken() {
    let evil = fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/corpus/hostile/array_of_objects_calls_system.npy"),
    )
    .unwrap();
    let report = report(&archive(&[("a.npy", b"broken"), ("b.npy", &evil)]));
    assert_eq!(report.verdict, Verdict::Unsafe);
    assert_eq!(report.findings.len(), 2);
    assert_eq!(report.findings[0].member.as_deref(), Some("b.npy"));
}

#[test]
fn a_persistent_id_names_a_storage_in_torch_archives_alone() {
    let plain = [b"\x80\x02", STORAGE, b"."].concat();
    assert_eq!(report(&plain).verdict, Verdict::Unsafe);
    assert_eq!(report(&torch(b"K\x01Q")).verdict, Verdict::Unloadable);
}

#[test]
fn torch_functions_take_only_what_torch_gives_them() {
    let tensor =
        |ops: &[u8]| [&b"ctorch._utils\n_rebuild_tensor_v2\n("[..], STORAGE, ops, b"tR"].concat();
    let whole = tensor(b"K\x00K\x04\x85K\x01\x85\x89N");
    assert_eq!(report(&torch(&whole)).verdict, Verdict::Loadable);
    let parameter =
        |data: &[u8]| [&b"ctorch._utils\n_rebuild_parameter\n("[..], data, b"\x88NtR"].concat();
    assert_eq!(report(&torch(&parameter(&whole))).verdict, Verdict::Loadable);
    for (what, ops) in [
        (
            "a tensor over no storage",
            b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))\x89NtR".to_vec(),
        ),
        ("a stride that is no number", tensor(b"K\x00K\x04\x85N\x85\x89N")),
        ("a parameter of a plain value", parameter(b"K\x01")),
        (
            "a typed tensor by another function",
            b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch\ndevice\nctorch\nTensor\n)NtR"
                .to_vec(),
        ),
        (
            "a module made with arguments",
            b"ctorch.nn.modules.linear\nLinear\nK\x01\x85\x81".to_vec(),
        ),
        ("a module that is called", b"ctorch.nn.modules.linear\nLinear\n)R".to_vec()),
    ] {
        let both = [STORAGE, b"0", &ops[..]].concat();
        let report = report(&torch(&both));
        assert_eq!(report.verdict, Verdict::Unsafe, "{what}: {:?}", report.errors);
    }
}

#[test]
fn a_class_of_ones_own_in_a_torch_pickle_needs_an_operators_word() {
    let ours = [STORAGE, b"0cours.models\nAlpha\n)\x81}b"].concat();
    assert_eq!(report(&torch(&ours)).verdict, Verdict::Unsafe);
    let trusted = trusting(&torch(&ours), "ours.models", "Alpha");
    assert_eq!(trusted.verdict, Verdict::Loadable, "{:?}", trusted.errors);
    assert!(trusted.notes[0].contains("weights_only=False"), "{:?}", trusted.notes);
}

#[test]
fn what_a_loader_must_be_told_is_noted() {
    for (name, told) in [
        ("torch_module.pt", "weights_only=False"),
        ("torch_numpy.pt", "weights_only=False"),
        ("torch_without_checksums.pt", "without checksums"),
        ("array_objects.npy", "allow_pickle=True"),
        ("arrays_objects.npz", "allow_pickle=True"),
    ] {
        let report = report(&real(name));
        assert_eq!(report.verdict, Verdict::Loadable);
        assert!(report.notes.iter().any(|note| note.contains(told)), "{name}: {:?}", report.notes);
    }
    assert_eq!(report(&real("torch_state_dict.pt")).notes, Vec::<String>::new());
}

fn keras(config: &str) -> Vec<u8> {
    let small = real("keras_small.keras");
    // The weights are the last member of what Keras writes, in one piece.
    let start = small.windows(8).position(|window| window == b"\x89HDF\r\n\x1a\n").unwrap();
    let len = u64::from_le_bytes(small[start + 40..start + 48].try_into().unwrap());
    let weights = &small[start..start + usize::try_from(len).unwrap()];
    archive(&[
        ("metadata.json", b"{}"),
        ("config.json", config.as_bytes()),
        ("model.weights.h5", weights),
    ])
}

#[test]
fn every_object_of_a_keras_configuration_is_kerass_own() {
    let model = |layer: &str| {
        keras(&format!(
            r#"{{"class_name": "Sequential", "module": "keras", "config": {{"layers": [{layer}]}}}}"#
        ))
    };
    let plain = r#"{"class_name": "Dense", "module": "keras.layers", "config": {"units": 1}, "registered_name": null}"#;
    assert_eq!(report(&model(plain)).verdict, Verdict::Loadable);
    for layer in [
        r#"{"class_name": "Lambda", "module": "keras.layers", "config": {}}"#,
        r#"{"class_name": "Dense", "module": "os", "config": {}}"#,
        r#"{"class_name": "Dense", "module": "kerasx.layers", "config": {}}"#,
        r#"{"class_name": "Dense", "module": "keras.layers", "registered_name": "ours>Dense", "config": {}}"#,
        r#"{"class_name": "function", "module": "builtins", "config": "eval"}"#,
        r#"{"class_name": "function", "module": "shutil", "config": "relu"}"#,
        r#"{"a": [{"b": {"class_name": "__lambda__", "config": {"value": "e"}}}]}"#,
        r#"{"class_name": "__typespec__", "module": "tf", "spec_name": "x", "config": []}"#,
        r#"{"class_name": "TextVectorization", "module": "keras.layers", "config": {"vocabulary": "/etc/passwd"}}"#,
        r#"{"class_name": "\u004cambda", "module": "keras.layers", "config": {}}"#,
    ] {
        let report = report(&model(layer));
        assert_eq!(report.verdict, Verdict::Unsafe, "{layer}: {:?}", report.errors);
    }
    let ours = model(
        r#"{"class_name": "Alpha", "module": "ours", "registered_name": "ours>Alpha", "config": {}}"#,
    );
    assert_eq!(report(&ours).verdict, Verdict::Unsafe);
    assert_eq!(trusting(&ours, "ours", "Alpha").verdict, Verdict::Loadable);
    assert_eq!(report(&keras("{}")).verdict, Verdict::Unloadable);
}

#[test]
fn a_class_of_ones_own_is_told_with_a_remedy_that_works() {
    let model = |module: &str, registered: &str| {
        keras(&format!(
            r#"{{"class_name": "Sequential", "module": "keras", "config": {{"layers": [
                {{"class_name": "Scale", "module": {module}, "registered_name": {registered}, "config": {{}}}}]}}}}"#
        ))
    };
    for (module, registered, place) in [
        ("null", "\"desk>Scale\"", "desk"),
        ("null", "\"Custom>Scale\"", "Custom"),
        ("\"libs.layers\"", "\"desk>Scale\"", "libs.layers"),
        ("\"libs.layers\"", "\"Scale\"", "libs.layers"),
    ] {
        let bytes = model(module, registered);
        let told = report(&bytes).errors[0].clone();
        let remedy = format!("add \"{place}.Scale\" to [pickle] trusted");
        assert!(told.contains(&remedy), "{told}");
        assert_eq!(trusting(&bytes, place, "Scale").verdict, Verdict::Loadable, "{told}");
    }
    // What the policy file cannot name or never takes is not told as a remedy.
    for (module, registered) in [
        ("null", "\"Scale\""),
        ("null", "null"),
        ("null", "\"our desk>Scale\""),
        ("null", "\"9desk>Scale\""),
        ("\"os\"", "null"),
        ("\"keras.layers\"", "\"Scale\""),
    ] {
        let report = report(&model(module, registered));
        assert_eq!(report.verdict, Verdict::Unsafe);
        assert!(!report.errors[0].contains("[pickle] trusted"), "{:?}", report.errors);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/hostile");
    let given = fs::read(folder.join("keras_registered_by_package.keras")).unwrap();
    assert_eq!(trusting(&given, "desk", "Scale").errors, Vec::<String>::new());
}

#[test]
fn changed_weights_of_a_keras_model_never_panic() {
    let config = r#"{"class_name": "Sequential", "module": "keras", "config": {}}"#;
    let bytes = keras(config);
    let start = bytes.windows(8).position(|window| window == b"\x89HDF\r\n\x1a\n").unwrap();
    let end = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    for at in (start..end).step_by(3) {
        for value in [0, 1, 0x7f, 0xff] {
            let mut members = bytes[start..end].to_vec();
            members[at - start] = value;
            let whole = archive(&[
                ("metadata.json", b"{}"),
                ("config.json", config.as_bytes()),
                ("model.weights.h5", &members),
            ]);
            report(&whole);
        }
    }
}

#[test]
fn a_caller_can_give_up_within_a_large_member() {
    let data = vec![0; 64 << 20];
    let header =
        b"\x93NUMPY\x01\0v\0{'descr': '|u1', 'fortran_order': False, 'shape': (67108864,), }";
    let header = [&header[..], &[b' '; 128][..128 - header.len() - 1], b"\n"].concat();
    let array = [header, data].concat();
    let bytes = archive(&[("a.npy", &array), ("b.npy", &array)]);
    let polls = std::cell::Cell::new(0);
    let keep_going = || {
        polls.set(polls.get() + 1);
        polls.get() < 5
    };
    let error =
        check(Cursor::new(&bytes), &TrustedGlobals::default(), None, &keep_going).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Interrupted);
}
