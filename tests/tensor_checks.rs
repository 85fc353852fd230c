//! Load checks of files of tensors and tables: safetensors, ONNX, GGUF, Parquet and Arrow.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails")]

use std::io::Cursor;

use model_registry::formats::{Depth, Format, LoadReport, TrustedGlobals, Verdict, check};

fn report(bytes: &[u8]) -> LoadReport {
    check(Cursor::new(bytes), &TrustedGlobals::default(), None, &|| true).unwrap()
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn safetensors_headers_are_held_to_every_rule_of_their_loader() {
    for (good, data) in [
        (r#"{}"#, 0),
        (r#"{"__metadata__":{"format":"pt"}}"#, 0),
        (r#"{"__metadata__":null}"#, 0),
        (r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}   "#, 24),
        (r#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#, 4),
        (r#"{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}"#, 1),
        (r#"{"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}}"#, 3),
        (r#"{"a":{"dtype":"I8","shape":[0,9],"data_offsets":[0,0]}}"#, 0),
        (
            r#"{"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
            2,
        ),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"unknown":[{}]}}"#, 1),
    ] {
        let report = report(&safetensors(good, data));
        assert_eq!(report.errors, Vec::<String>::new(), "{good}");
        assert_eq!((report.format, report.depth), (Format::Safetensors, Depth::Typed));
    }
    for (bad, data, what) in [
        (r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#, 23, "truncated"),
        (r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#, 25, "after the last"),
        (r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,20]}}"#, 20, "take 24 bytes"),
        (r#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}"#, 2, "impossible"),
        (
            r#"{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,1]}}"#,
            1,
            "impossible",
        ),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#, 2, "leave a gap"),
        (
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
            1,
            "overlap",
        ),
        (r#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[1,0]}}"#, 0, "leave a gap"),
        (
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
            1,
            "duplicate key",
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
            1,
            "duplicate key",
        ),
        (r#"{"a":{"dtype":"O","shape":[1],"data_offsets":[0,1]}}"#, 1, "unknown variant"),
        (r#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, 1, "describe"),
        (r#"{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}"#, 1, "describe"),
        (r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#, 1, "describe"),
        (r#"{"a":{"dtype":"U8","shape":[1]}}"#, 1, "data_offsets"),
        (r#"{"__metadata__":{"a":1}}"#, 0, "describe"),
        (r#"{"__metadata__":{"a":{"b":"c"}}}"#, 0, "describe"),
        (r#"{"a":3}"#, 0, "describe"),
        (r#"{} {}"#, 0, "after the end"),
        ("{}\0", 0, "strict JSON"),
    ] {
        let report = report(&safetensors(bad, data));
        assert_eq!(report.verdict, Verdict::Unloadable, "{bad}");
        assert!(report.errors[0].contains(what), "{bad}: {:?}", report.errors);
    }
}
