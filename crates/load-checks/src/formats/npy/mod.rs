//! NumPy's own file of one array.
//!
//! The header is a Python literal (`literal` reads it), its dtype is taken as `numpy.save` writes
//! it (`dtype`), and the bytes that follow must be exactly the array's. An array of Python objects
//! is a pickle and goes through the pickle machine.

mod dtype;
mod literal;

use super::report::Depth;
use super::source::Source;
use super::{Halt, Job, pickle};
use literal::Literal;

const MAGIC: [u8; 6] = *b"\x93NUMPY";
/// `numpy.load` refuses longer headers unless it is told to trust the file.
const MAX_HEADER: u64 = 10_000;
/// What numpy can count: the bytes of an array fit a signed integer.
const MAX_BYTES: u64 = i64::MAX as u64;
/// Dimensions an array can have.
const MAX_DIMENSIONS: usize = 64;

/// Reads one array to the end of its file.
pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let header = match header(source)? {
        Ok(header) => header,
        Err(what) => return job.broken(what),
    };
    if header.dtype.objects {
        job.findings.note("an array of Python objects: numpy.load needs allow_pickle=True for it");
        return pickle::check(source, job);
    }
    data(source, job, header.bytes)?;
    Ok(Depth::Typed)
}

/// What an array is, to those who hold it against others.
#[derive(Debug, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<u64>,
    /// The name of its type, or those of its fields.
    pub(super) names: Vec<String>,
}

/// The same, for a loader that takes no objects.
pub(super) fn check_plain(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Array, Halt> {
    let header = match header(source)? {
        Ok(header) => header,
        Err(what) => return job.broken(what),
    };
    if header.dtype.objects {
        return job.broken("an array of Python objects, which is not loaded here");
    }
    data(source, job, header.bytes)?;
    Ok(Array { shape: header.shape, names: header.names })
}

fn data(source: &mut Source<'_>, job: &mut Job<'_>, bytes: u64) -> Result<(), Halt> {
    if let Some(left) = source.left().filter(|left| *left != bytes) {
        return job.broken(format!(
            "the array takes {bytes} bytes where {left} follow its header: the file is {}",
            if left < bytes { "truncated" } else { "no single array" }
        ));
    }
    if !source.skip(bytes)? {
        return job.broken("the file ends before its array does");
    }
    if !source.at_end()? {
        return job.broken("trailing bytes after the array");
    }
    Ok(())
}

struct Header {
    dtype: dtype::Dtype,
    bytes: u64,
    shape: Vec<u64>,
    names: Vec<String>,
}

/// The header, or why numpy would refuse it.
fn header(source: &mut Source<'_>) -> Result<Result<Header, String>, Halt> {
    let mut start = [0; 8];
    if !source.exact(&mut start)? {
        return Ok(Err("the file ends within its header".to_owned()));
    }
    let [magic @ .., major, minor] = start;
    if magic != MAGIC {
        return Ok(Err("no NumPy array: it does not begin as one".to_owned()));
    }
    let (mut short, mut long) = ([0; 2], [0; 4]);
    let whole = match (major, minor) {
        (1, 0) => source.exact(&mut short)?,
        (2 | 3, 0) => source.exact(&mut long)?,
        _ => return Ok(Err(format!("unknown version {major}.{minor} of NumPy's format"))),
    };
    let len = match major {
        1 => u64::from(u16::from_le_bytes(short)),
        _ => u64::from(u32::from_le_bytes(long)),
    };
    if whole && len > MAX_HEADER {
        return Ok(Err(format!("a header of {len} bytes; numpy.load takes {MAX_HEADER} at most")));
    }
    let Some(text) = source.read_bytes(len)?.filter(|_| whole) else {
        return Ok(Err("the file ends within its header".to_owned()));
    };
    // Versions 1 and 2 are Latin-1, whose bytes are the first characters of Unicode.
    let text = match major {
        3 => String::from_utf8(text).map_err(|_| "a header that is not UTF-8".to_owned()),
        _ => Ok(text.into_iter().map(char::from).collect()),
    };
    Ok(text.and_then(|text| described(&text, major)).map_err(|what| format!("the header: {what}")))
}

fn described(text: &str, major: u8) -> Result<Header, String> {
    let Literal::Dict(entries) = literal::parse(text, major < 3)? else {
        return Err("it is no dict".to_owned());
    };
    let (mut descr, mut order, mut shape) = (None, None, None);
    for (key, value) in entries {
        let place = match &key {
            Literal::Text(key) if key == "descr" => &mut descr,
            Literal::Text(key) if key == "fortran_order" => &mut order,
            Literal::Text(key) if key == "shape" => &mut shape,
            _ => return Err("a key besides descr, fortran_order and shape".to_owned()),
        };
        if place.replace(value).is_some() {
            return Err("a key that stands twice".to_owned());
        }
    }
    let (Some(descr), Some(order), Some(shape)) = (descr, order, shape) else {
        return Err("descr, fortran_order or shape is missing".to_owned());
    };
    if !matches!(order, Literal::Bool(_)) {
        return Err("fortran_order is neither True nor False".to_owned());
    }
    let dtype = dtype::parse(&descr)?;
    let (count, shape) = items(&shape)?;
    let bytes = count
        .checked_mul(dtype.size)
        .filter(|bytes| *bytes <= MAX_BYTES)
        .ok_or("an array larger than any memory")?;
    Ok(Header { dtype, bytes, shape, names: dtype::names(&descr) })
}

/// Items of an array of this shape, and its lengths.
fn items(shape: &Literal) -> Result<(u64, Vec<u64>), String> {
    let Literal::Tuple(lengths) = shape else {
        return Err("the shape is no tuple".to_owned());
    };
    if lengths.len() > MAX_DIMENSIONS {
        return Err(format!("more than {MAX_DIMENSIONS} dimensions"));
    }
    let mut count = 1_u64;
    let mut empty = false;
    let mut found = Vec::with_capacity(lengths.len());
    for length in lengths {
        let Literal::Int(length) = length else {
            return Err("the shape is not made of numbers".to_owned());
        };
        let length = u64::try_from(*length).map_err(|_| "a negative length".to_owned())?;
        empty |= length == 0;
        found.push(length);
        // numpy overflows on what an empty array would hold if it were not empty.
        count = count
            .checked_mul(length.max(1))
            .filter(|count| *count <= MAX_BYTES)
            .ok_or("an array larger than any memory")?;
    }
    Ok((if empty { 0 } else { count }, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(header: &str) -> Result<u64, String> {
        described(header, 1).map(|header| header.bytes)
    }

    #[test]
    fn a_header_says_how_many_bytes_follow() {
        for (header, expected) in [
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }", 24),
            ("{'descr': '<f8', 'fortran_order': True, 'shape': (), }", 8),
            ("{'shape': (2, 3), 'descr': '|b1', 'fortran_order': False}   \n", 6),
            ("{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }", 24),
            ("{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (2,), }", 16),
            (
                "{'descr': [('a', '<i4'), ('b', '|S5', (2, 3))], 'fortran_order': False, 'shape': (2,), }",
                68,
            ),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 1000000), }", 0),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3L,), }", 24),
        ] {
            assert_eq!(bytes(header), Ok(expected), "{header}");
        }
    }

    #[test]
    fn what_numpy_cannot_read_is_refused() {
        for header in [
            "{'descr': '<f8', 'fortran_order': False}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'x': 1}",
            "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (3,)}",
            "{'descr': '<f8', 'fortran_order': 0, 'shape': (3,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': 3}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4611686018427387904, 4)}",
            "{'descr': '<f7', 'fortran_order': False, 'shape': (3,)}",
            "{'descr': 'eval', 'fortran_order': False, 'shape': (3,)}",
            "{'descr': ('<f4', (3,)), 'fortran_order': False, 'shape': (2,), }",
            "{'descr': [('a', ('<f4', (3,)))], 'fortran_order': False, 'shape': (2,), }",
            "{'descr': [('a', '<f4', 3)], 'fortran_order': False, 'shape': (2,), }",
            "{'descr': [], 'fortran_order': False, 'shape': (3,)}",
            "{'descr': [('a', '<i4'), ('a', '<i4')], 'fortran_order': False, 'shape': (3,)}",
            "('descr', '<f8')",
            "__import__('os').system('id')",
        ] {
            assert!(bytes(header).is_err(), "{header}");
        }
        // Only Python 2 wrote `3L`, and never version 3.
        let late = "{'descr': '<f8', 'fortran_order': False, 'shape': (3L,), }";
        assert!(described(late, 3).is_err());
    }
}
