//! Tells the format of a file by its first bytes.
//!
//! The rest of the file may still not be of that format. File names are not looked at, because a name is only what the
//! uploader says.

use crate::report::Format;

/// Safetensors' own loader refuses headers above this many bytes.
const SAFETENSORS_HEADER_MAX: u64 = 100_000_000;

const MAGICS: &[(&[u8], Format)] = &[
    (b"\x1f\x8b", Format::Gzip),
    (b"\xfd7zXZ\0", Format::Xz),
    (b"\x5d\0\0", Format::Lzma),
    (b"\x04\x22\x4d\x18", Format::Lz4),
    (b"\x28\xb5\x2f\xfd", Format::Zstd),
    (b"PK\x03\x04", Format::Zip),
    (b"PK\x05\x06", Format::Zip),
    (b"\x93NUMPY", Format::Npy),
    (b"GGUF", Format::Gguf),
    (b"PAR1", Format::Parquet),
    (b"PARE", Format::Parquet),
    (b"ARROW1\0\0", Format::Arrow),
    (b"FEA1", Format::Arrow),
    (b"\xff\xff\xff\xff", Format::Arrow),
    (b"\x89HDF\r\n\x1a\n", Format::Hdf5),
    (b"tree\n", Format::LightgbmText),
    (b"tree\r\n", Format::LightgbmText),
];

/// Opcodes that can stand first in a pickle without a PROTO opcode (protocols 0 and 1, and
/// whatever a hand can assemble).
const PICKLE_FIRST: &[u8] =
    b"(]})NIJKLMFGSTUVXBCcPi.\x82\x83\x84\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x95\x96\x97";

/// The format of what begins so. `len` is `None` of an unpacked stream, whose length is not known yet.
pub(super) fn format_of(head: &[u8], len: Option<u64>) -> Format {
    // The length of a short header can begin as a packed stream does, and then no such stream goes on with it.
    if is_safetensors(head, len) && head.get(2..8) == Some(&[0; 6]) {
        return Format::Safetensors;
    }
    if let Some((_, format)) = MAGICS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return *format;
    }
    if is_bzip2(head) {
        return Format::Bzip2;
    }
    if is_zlib(head) {
        return Format::Zlib;
    }
    if is_safetensors(head, len) {
        return Format::Safetensors;
    }
    if is_onnx(head, len) {
        return Format::Onnx;
    }
    if is_ubjson(head) {
        return Format::Ubjson;
    }
    if head.get(257..262) == Some(b"ustar") {
        return Format::Tar;
    }
    if is_torch_legacy(head) {
        return Format::TorchLegacy;
    }
    match head.first() {
        Some(0x80) => Format::Pickle,
        Some(first) if PICKLE_FIRST.contains(first) => Format::Pickle,
        _ if looks_like_json(head) => Format::Json,
        _ => Format::Unknown,
    }
}

fn is_bzip2(head: &[u8]) -> bool {
    const BLOCK: &[u8] = b"1AY&SY";
    const EMPTY: &[u8] = b"\x17rE8P\x90";
    head.len() >= 10
        && head.starts_with(b"BZh")
        && (b'1'..=b'9').contains(&head[3])
        && (head[4..].starts_with(BLOCK) || head[4..].starts_with(EMPTY))
}

fn is_zlib(head: &[u8]) -> bool {
    head.len() > 1 && head[0] == 0x78 && (0x7800 + u32::from(head[1])).is_multiple_of(31)
}

fn is_safetensors(head: &[u8], len: Option<u64>) -> bool {
    let Some((size, rest)) = head.split_first_chunk::<8>() else {
        return false;
    };
    let size = u64::from_le_bytes(*size);
    rest.first() == Some(&b'{')
        && (2..=SAFETENSORS_HEADER_MAX).contains(&size)
        && len.is_none_or(|len| size <= len.saturating_sub(8))
}

/// Whether these are the first bytes of an ONNX model: its version, then one of the few fields that
/// serializers write next. There is no magic.
fn is_onnx(head: &[u8], len: Option<u64>) -> bool {
    let [0x08, 1..=40, tag, rest @ ..] = head else {
        return false;
    };
    let mut length = 0_u64;
    let mut read = 0;
    for (i, byte) in rest.iter().take(9).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            read = i + 1;
            break;
        }
    }
    let fits = read > 0 && len.is_none_or(|len| length <= len.saturating_sub(3 + read as u64));
    let text = rest.get(read..).unwrap_or_default();
    let text = text.get(..usize::try_from(length).unwrap_or(usize::MAX)).unwrap_or(text);
    match tag {
        // The producer, its version, the domain, the text about it.
        0x12 | 0x1a | 0x22 | 0x32 => {
            fits && text.iter().all(|byte| *byte >= 0x20 || b"\t\r\n".contains(byte))
        }
        0x28 => read > 0,
        0x3a | 0x42 => fits,
        _ => false,
    }
}

/// The number that torch's old format begins with, as a pickle of its own, with or without a frame.
fn is_torch_legacy(head: &[u8]) -> bool {
    const NUMBER: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let framed = |rest: &[u8]| {
        rest.first() == Some(&0x95)
            && rest[1..].get(8..).is_some_and(|rest| rest.starts_with(NUMBER))
    };
    match head {
        [0x80, _, rest @ ..] => rest.starts_with(NUMBER) || framed(rest),
        _ => false,
    }
}

/// After `{`, JSON goes on with white space, a quote or `}`; UBJSON with a type or count mark.
fn is_ubjson(head: &[u8]) -> bool {
    head.len() > 1 && head[0] == b'{' && b"iUIlL$#".contains(&head[1])
}

fn looks_like_json(head: &[u8]) -> bool {
    const BOM: &[u8] = b"\xef\xbb\xbf";
    if head.starts_with(BOM) {
        return true;
    }
    let first = head.iter().find(|b| !b" \t\r\n".contains(b));
    first.is_none_or(|b| b"{[\"-0123456789tfn".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        for (head, format) in [
            (&b"\x80\x04K\x01."[..], Format::Pickle),
            (b"(dp0\n.", Format::Pickle),
            (b"]q\0.", Format::Pickle),
            (b"\x5d\0\0\x80\0", Format::Lzma),
            (b"  \n{\"a\": 1}", Format::Json),
            (b"{\"a\": 1}", Format::Json),
            (b"{}", Format::Json),
            (b"{L\0\0\0\0\0\0\0\x07learner", Format::Ubjson),
            (b"\x78\x9c\x01\x02", Format::Zlib),
            (b"\x08\0\0\0\0\0\0\0{\"a\":{}}", Format::Safetensors),
            (b"BZh91AY&SY\0", Format::Bzip2),
            (b"tree\nversion=v4\n", Format::LightgbmText),
            (b"true", Format::Json),
            (b"\x08\x07\x12\x04", Format::Unknown),
            (b"hello", Format::Unknown),
        ] {
            assert_eq!(format_of(head, Some(head.len() as u64)), format, "{head:?}");
        }
    }
}
