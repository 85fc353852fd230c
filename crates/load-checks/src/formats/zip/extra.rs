//! Extra fields of zip headers: large sizes, padding, and times that change nothing.
//!
//! Only the kinds that writers of models leave are let through, because others give a member
//! another name, or hide bytes. Knows nothing of members.

/// Stands in a header for a value that is too large for it.
const SATURATED: u64 = 0xffff_ffff;
const ZIP64: u16 = 0x0001;
/// `FB`: torch pads each header so that the data stands aligned.
const PADDING: u16 = 0x4246;
const PADDED_WITH: u8 = b'Z';
/// NTFS times, extended times, and Unix owners as Info-ZIP writes them.
const HARMLESS: [u16; 4] = [0x000a, 0x5455, 0x5855, 0x7875];

/// Sizes and place of a member, whose large values stand in the zip64 field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) size: u64,
    pub(super) packed: u64,
    /// Only central headers tell it.
    pub(super) header: Option<u64>,
    /// They are told after the data, and stand here as zeros.
    pub(super) later: bool,
}

impl Sizes {
    pub(super) fn new(size: u32, packed: u32, header: Option<u32>) -> Self {
        Self {
            size: size.into(),
            packed: packed.into(),
            header: header.map(u64::from),
            later: false,
        }
    }
}

/// Reads the extra fields of one header and takes large sizes from them.
pub(super) fn read(mut bytes: &[u8], sizes: &mut Sizes) -> Result<(), &'static str> {
    let mut seen_zip64 = false;
    while !bytes.is_empty() {
        let (kind, body, rest) = field(bytes).ok_or("an extra field is truncated")?;
        match kind {
            ZIP64 if seen_zip64 => return Err("two zip64 fields"),
            ZIP64 => {
                seen_zip64 = true;
                large(body, sizes)?;
            }
            PADDING if body.iter().all(|b| *b == PADDED_WITH) => {}
            PADDING => return Err("padding that holds something"),
            kind if HARMLESS.contains(&kind) => {}
            _ => return Err("an extra field of unknown meaning"),
        }
        bytes = rest;
    }
    let missing = |value: u64| value == SATURATED;
    if !seen_zip64
        && (missing(sizes.size) || missing(sizes.packed) || sizes.header.is_some_and(missing))
    {
        return Err("a large size without a zip64 field");
    }
    Ok(())
}

fn field(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (kind, rest) = bytes.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let (body, rest) = rest.split_at_checked(u16::from_le_bytes(*len).into())?;
    Some((u16::from_le_bytes(*kind), body, rest))
}

/// The zip64 field holds exactly the values that stand saturated in the header, in this order.
fn large(mut body: &[u8], sizes: &mut Sizes) -> Result<(), &'static str> {
    // torch tells here what is large, though it leaves the header's own sizes at zero: the sizes,
    // the header's own place, or both.
    if sizes.later && matches!(body.len(), 8 | 16 | 24) {
        let mut words = body.chunks_exact(8).filter_map(|word| word.try_into().ok());
        let mut next = || words.next().map(u64::from_le_bytes);
        if body.len() > 8 {
            if [sizes.size, sizes.packed].iter().any(|size| ![0, SATURATED].contains(size)) {
                return Err("a zip64 field with more values than the header needs");
            }
            (sizes.size, sizes.packed) = (next().unwrap_or(0), next().unwrap_or(0));
        }
        sizes.header = next();
        return Ok(());
    }
    let values = [Some(&mut sizes.size), Some(&mut sizes.packed), sizes.header.as_mut()];
    for value in values.into_iter().flatten().filter(|value| **value == SATURATED) {
        let (large, rest) = body.split_first_chunk().ok_or("a zip64 field is truncated")?;
        *value = u64::from_le_bytes(*large);
        body = rest;
    }
    if body.is_empty() {
        Ok(())
    } else {
        Err("a zip64 field with more values than the header needs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Sizes = Sizes { size: 3, packed: 3, header: Some(0), later: false };

    #[test]
    fn large_values_come_from_the_zip64_field_and_only_there() {
        let mut sizes = Sizes::new(u32::MAX, 7, Some(u32::MAX));
        let body = [&5_000_000_000_u64.to_le_bytes()[..], &9_u64.to_le_bytes()].concat();
        let bytes = [&b"\x01\0\x10\0"[..], &body].concat();
        assert_eq!(read(&bytes, &mut sizes), Ok(()));
        assert_eq!(sizes, Sizes { size: 5_000_000_000, packed: 7, header: Some(9), later: false });
        assert!(read(b"", &mut Sizes::new(u32::MAX, 7, None)).is_err());
        assert!(read(&bytes, &mut NONE.clone()).is_err());
        assert!(read(&bytes[..11], &mut Sizes::new(u32::MAX, 7, None)).is_err());
    }

    #[test]
    fn sizes_told_after_the_data_may_be_told_in_advance() {
        let mut sizes = Sizes { later: true, ..Sizes::new(0, 0, None) };
        let body = [4_400_000_000_u64.to_le_bytes(), [0; 8]].concat();
        let bytes = [&b"\x01\0\x10\0"[..], &body].concat();
        assert_eq!(read(&bytes, &mut sizes), Ok(()));
        assert_eq!((sizes.size, sizes.packed), (4_400_000_000, 0));
        assert!(read(&bytes, &mut Sizes::new(0, 0, None)).is_err());
        let mut place = Sizes { later: true, ..Sizes::new(0, 0, None) };
        assert_eq!(read(b"\x01\0\x08\0\x07\0\0\0\x01\0\0\0", &mut place), Ok(()));
        assert_eq!(place, Sizes { size: 0, packed: 0, header: Some((1 << 32) + 7), later: true });
    }

    #[test]
    fn padding_is_padding_and_unknown_fields_are_refused() {
        assert_eq!(read(b"FB\x02\0ZZ", &mut NONE.clone()), Ok(()));
        assert_eq!(read(b"UT\x05\0\x03abcd", &mut NONE.clone()), Ok(()));
        assert!(read(b"FB\x02\0Z.", &mut NONE.clone()).is_err());
        // Info-ZIP's second name of a member.
        assert!(read(b"\x75\x70\x02\0\x01a", &mut NONE.clone()).is_err());
        assert!(read(b"UT\x05\0\x03abc", &mut NONE.clone()).is_err());
        assert!(read(b"UT", &mut NONE.clone()).is_err());
    }
}
