//! Extension types of Arrow, in Arrow's own files and in the schema that Parquet keeps.
//!
//! A library registers a type by its name and makes it from the metadata that the file holds. Some
//! unpickle it: `arrow.py_extension_type`, Ray's tensors. So metadata must be text, plain or JSON, and
//! none that holds a pickle in another writing; the name of a type decides only where its values are
//! pickles.

use std::io::Read;

use flate2::bufread::{GzDecoder, ZlibDecoder};

use super::json::{self, Scalar, Visitor};
use super::naming;
use super::report::quoted;
use super::source::Source;

pub(super) const NAME: &[u8] = b"ARROW:extension:name";
pub(super) const METADATA: &[u8] = b"ARROW:extension:metadata";

/// Parts of the names of types whose metadata or values are pickles, in small letters.
const PICKLES: [&str; 4] = ["pickle", "py_extension_type", "python_object", "pyobject"];
/// How streams begin that are not unpacked here.
const PACKED: [&[u8]; 2] = [b"BZh", b"\xfd7zXZ\0"];
/// Bytes that a text may unpack to.
const MAX_UNPACKED: u64 = 1024 * 1024;
/// Letters of numbers in hexadecimal digits that are looked at as bytes.
const MIN_HEX: usize = 8;

/// Why a type is not taken; `None` where it is.
pub(super) fn refused(name: &[u8], metadata: &[u8]) -> Option<String> {
    let name = String::from_utf8_lossy(name);
    let small = name.to_lowercase();
    let why = if PICKLES.iter().any(|part| small.contains(part)) {
        "is kept as pickles, which its library would unpickle"
    } else if !is_text(metadata) {
        "has metadata that are no text: its library may unpickle them"
    } else if holds_pickle(metadata) {
        "has metadata that hold a pickle, which its library may unpickle"
    } else {
        return None;
    };
    let name = quoted(&name);
    Some(format!("the extension type \"{name}\" {why}; save the column as a plain type"))
}

/// What is wrong with a property of a table or column, under whatever key it stands: Spark unpickles what it finds
/// under one of its own.
pub(super) fn refused_property(key: &[u8], value: &[u8]) -> Option<String> {
    let key = quoted(&String::from_utf8_lossy(key));
    (names(value) || holds_pickle(value)).then(|| {
        format!("the property \"{key}\" holds a pickle, which a library may unpickle; save the table without it")
    })
}

fn is_text(metadata: &[u8]) -> bool {
    let plain = |c: char| !c.is_control() || "\t\n\r".contains(c);
    std::str::from_utf8(metadata).is_ok_and(|text| text.chars().all(plain))
}

fn holds_pickle(metadata: &[u8]) -> bool {
    let text = String::from_utf8_lossy(metadata);
    let mut texts = Texts { pickle: is_pickle(&text) || text.contains("\"py/"), wants: true };
    if json::visit(&mut &metadata[..], &|| true, &mut texts).is_err() {
        texts.wants = false;
    }
    texts.pickle
}

/// The strings and keys of a JSON document.
struct Texts {
    pickle: bool,
    wants: bool,
}

impl Visitor for Texts {
    fn wants(&self) -> bool {
        self.wants
    }

    fn open(&mut self, _: bool) {}

    fn key(&mut self, key: &[u8]) {
        self.pickle |= is_pickle(&String::from_utf8_lossy(key));
    }

    fn close(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), String> {
        if let Scalar::Text(text) = scalar {
            self.pickle |= is_pickle(text);
        }
        Ok(())
    }
}

/// Whether a text is a pickle as it stands, or its bytes written as Latin-1, Base64 or hexadecimal, packed or not.
fn is_pickle(text: &str) -> bool {
    let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    let written = [Some(text.as_bytes().to_vec()), latin, base64(text), hexadecimal(text)];
    written.into_iter().flatten().any(|bytes| {
        PACKED.iter().any(|magic| bytes.starts_with(magic))
            || names(&bytes)
            || unpacked(&bytes).is_some_and(|bytes| names(&bytes))
    })
}

/// What a zlib or gzip stream begins with.
fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let read = match bytes {
        [0x78, _, ..] => ZlibDecoder::new(bytes).take(MAX_UNPACKED).read_to_end(&mut out),
        [0x1f, 0x8b, ..] => GzDecoder::new(bytes).take(MAX_UNPACKED).read_to_end(&mut out),
        _ => return None,
    };
    // What comes before damage is looked at all the same.
    read.map_or_else(|_| !out.is_empty(), |count| count > 0).then_some(out)
}

fn names(bytes: &[u8]) -> bool {
    let reached = Source::unpacked(bytes, Some(bytes.len() as u64))
        .and_then(|mut source| naming::reached(&mut source, 0, &|| true));
    // Bytes in memory cannot fail to be read; were that ever false, refusing is the safe answer.
    !matches!(reached, Ok(None))
}

/// What Base64 stands for, in either alphabet; `None` where it is none.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let digits = text.trim_end_matches('=');
    if digits.is_empty() || digits.len() % 4 == 1 || text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::new());
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    Some(out)
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len() < MIN_HEX || !digits.len().is_multiple_of(2) {
        return None;
    }
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_property_that_spark_would_unpickle_is_refused_and_digests_are_not() {
        let udt = |class: &str| {
            format!(r#"{{"type":"udt","pyClass":"ours.Udt","serializedClass":"{class}"}}"#)
        };
        let key = b"org.apache.spark.sql.parquet.row.metadata";
        let pickle = udt("gASVLQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOU");
        assert!(refused_property(key, pickle.as_bytes()).is_some());
        for value in [
            udt("").as_str(),
            "80049c",
            "8004a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e",
            "789ca1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e",
            "{\"columns\": [\"close\"]}",
        ] {
            assert_eq!(refused_property(b"digest", value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn metadata_in_text_or_json_is_taken() {
        for (name, metadata) in [
            ("arrow.uuid", ""),
            ("arrow.json", "{}"),
            ("arrow.bool8", ""),
            ("arrow.fixed_shape_tensor", r#"{"shape":[2,2],"dim_names":["x","y"]}"#),
            ("arrow.opaque", r#"{"type_name":"geometry","vendor_name":"PostGIS"}"#),
            ("pandas.period", r#"{"freq": "D"}"#),
            ("pandas.interval", r#"{"subtype": "int64", "closed": "right"}"#),
            ("datasets.features.features.Array2DExtensionType", "[[2, 2], \"float32\"]"),
            ("geoarrow.point", r#"{"crs":"OGC:CRS84","crs_type":"authority_code"}"#),
            ("ours.amount", "currency=EUR"),
        ] {
            assert_eq!(refused(name.as_bytes(), metadata.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn metadata_that_hold_a_pickle_in_any_writing_are_refused() {
        for metadata in [
            &b"\x80\x05\x95\x2d\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93."[..],
            b"cposix\nsystem\n(S'id'\ntR.",
            b"gASVLQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOU",
            b"Y3Bvc2l4CnN5c3RlbQooUydpZCcKdFIu",
            b"63706f7369780a73797374656d0a2853276964270a74522e",
            b"{\"type\": \"gASVLQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOU\"}",
            b"{\"type\": \"cposix\\nsystem\\n(S'id'\\ntR.\"}",
            b"[\"\\u0080\\u0004\\u008c\\u0005posix\\u008c\\u0006system\\u0093.\"]",
            b"{\"py/reduce\": [{\"py/function\": \"posix.system\"}]}",
            b"\0\x01\x02",
        ] {
            assert!(refused(b"ours.type", metadata).is_some(), "{}", metadata.escape_ascii());
        }
        let made = b"cposix\nsystem\n(S'id'\ntR.";
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(made).unwrap();
        let hexadecimal: String =
            packed.finish().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(refused(b"ours.type", hexadecimal.as_bytes()).is_some());
        for name in ["arrow.py_extension_type", "ray.data.arrow_pickled_object"] {
            assert!(refused(name.as_bytes(), b"").is_some(), "{name}");
        }
    }
}
