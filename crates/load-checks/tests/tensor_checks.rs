//! Load checks of files of tensors and tables: safetensors, ONNX, GGUF, Parquet and Arrow.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails")]

use std::io::Cursor;

use load_checks::{Depth, Format, LoadReport, TrustedGlobals, Verdict, check};

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

/// A file that is a part of a model: of such one, the container alone is looked at.
fn gguf(version: u32, tensors: u64, values: u64, rest: &[u8]) -> Vec<u8> {
    let part = [&text("general.architecture")[..], &8_u32.to_le_bytes(), &text("clip")].concat();
    let counts = [tensors.to_le_bytes(), values.wrapping_add(1).to_le_bytes()].concat();
    [b"GGUF", &version.to_le_bytes()[..], &counts, &part, rest].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn tensor(name: &str, sizes: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    let rank = u32::try_from(sizes.len() / 8).unwrap().to_le_bytes();
    [&text(name)[..], &rank, &sizes, &kind.to_le_bytes(), &offset.to_le_bytes()].concat()
}

/// A file of these tensors and so many bytes of zeroes behind their table.
fn of_tensors(tensors: &[Vec<u8>], data: usize) -> Vec<u8> {
    let mut file = gguf(3, tensors.len() as u64, 0, &tensors.concat());
    file.resize(file.len().next_multiple_of(32) + data, 0);
    file
}

#[test]
fn gguf_tensors_stand_where_their_loader_looks_for_them() {
    for good in [
        gguf(3, 0, 0, b""),
        of_tensors(&[tensor("a", &[3], 0, 0)], 12),
        of_tensors(&[tensor("a", &[3], 0, 0)], 32),
        of_tensors(&[tensor("a", &[32, 2], 8, 0), tensor("b", &[1], 24, 96)], 97),
    ] {
        let report = report(&good);
        assert_eq!(report.errors, Vec::<String>::new());
        assert_eq!((report.format, report.depth), (Format::Gguf, Depth::Parsed));
    }
    let key = |key: &str, kind: u32, value: &[u8]| {
        gguf(3, 0, 1, &[&text(key)[..], &kind.to_le_bytes(), value].concat())
    };
    let array = [&9_u32.to_le_bytes()[..], &1_u64.to_le_bytes(), &[0; 12]].concat();
    for (bad, what) in [
        (gguf(1, 0, 0, b""), "version 1"),
        (gguf(9, 0, 0, b""), "no GGUF version 9"),
        (gguf(3 << 24, 0, 0, b""), "big-endian"),
        (gguf(3, 1, 0, b""), "truncated"),
        (gguf(3, u64::MAX, u64::MAX - 1, b""), "truncated"),
        (of_tensors(&[tensor("a", &[3], 0, 0)], 11), "truncated"),
        (of_tensors(&[tensor("a", &[3], 0, 0)], 33), "after the last tensor"),
        (of_tensors(&[tensor("a", &[3], 0, 32)], 64), "0 was expected"),
        (of_tensors(&[tensor("a", &[3], 0, 0), tensor("b", &[3], 0, 0)], 64), "32 was expected"),
        (of_tensors(&[tensor("a", &[3], 0, 0), tensor("a", &[3], 0, 32)], 64), "there twice"),
        (of_tensors(&[tensor("a", &[31], 8, 0)], 64), "impossible"),
        (of_tensors(&[tensor("a", &[1], 4, 0)], 64), "impossible"),
        (of_tensors(&[tensor("a", &[1], 99, 0)], 64), "impossible"),
        (of_tensors(&[tensor("a", &[1 << 40, 1 << 40], 0, 0)], 64), "impossible"),
        (of_tensors(&[tensor("a", &[1; 5], 0, 0)], 64), "5 dimensions"),
        (of_tensors(&[tensor(&"a".repeat(64), &[1], 0, 0)], 64), "name of 64 bytes"),
        (key("k", 13, b""), "no type 13"),
        (key("k", 9, &array), "no type 9"),
        (key("k", 8, &u64::MAX.to_le_bytes()), "truncated"),
        (key("", 0, b"x"), "without a key"),
        (key("general.alignment", 4, &33_u32.to_le_bytes()), "power of two"),
        (key("general.alignment", 10, &32_u64.to_le_bytes()), "power of two"),
    ] {
        let report = report(&bad);
        assert_eq!(report.verdict, Verdict::Unloadable, "{what}");
        assert!(report.errors[0].contains(what), "{what}: {:?}", report.errors);
    }
}

#[test]
fn a_large_file_of_tensors_is_not_read_to_be_checked() {
    struct Sparse {
        head: Cursor<Vec<u8>>,
        len: u64,
        read: u64,
    }
    impl std::io::Read for Sparse {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let at = self.head.position();
            let count = out.len().min(usize::try_from(self.len.saturating_sub(at)).unwrap());
            out[..count].fill(0);
            let held = self.head.get_ref().get(usize::try_from(at).unwrap()..).unwrap_or_default();
            let known = held.len().min(count);
            out[..known].copy_from_slice(&held[..known]);
            self.head.set_position(at + count as u64);
            self.read += count as u64;
            assert!(self.read < 16 << 20, "the tensors are read");
            Ok(count)
        }
    }
    impl std::io::Seek for Sparse {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            match to {
                std::io::SeekFrom::End(ahead) => {
                    self.head.set_position(self.len.saturating_add_signed(ahead));
                    Ok(self.head.position())
                }
                other => self.head.seek(other),
            }
        }
    }
    let header = r#"{"a":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4294967296]}}"#;
    let head = safetensors(header, 0);
    let len = head.len() as u64 + (4 << 30);
    let file = Sparse { head: Cursor::new(head), len, read: 0 };
    let report = check(file, &TrustedGlobals::default(), None, &|| true).unwrap();
    assert_eq!(report.errors, Vec::<String>::new());
}
