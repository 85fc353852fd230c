//! NumPy's dtypes, as `numpy.save` describes them in an array's header.
//!
//! Knows sizes, and whether an item holds references to Python objects. Only the forms that numpy
//! writes are read; `numpy.dtype` would take many more spellings.

use std::collections::HashSet;

use super::MAX_DIMENSIONS;
use super::literal::Literal;

/// Bytes numpy allows an item.
const MAX_SIZE: u64 = i32::MAX as u64;

/// Time units that a date may be counted in.
const UNITS: [&str; 14] =
    ["generic", "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dtype {
    pub(super) size: u64,
    /// Items are Python objects, which are written as a pickle.
    pub(super) objects: bool,
}

/// Reads a dtype: a name or a list of fields. A pair of a dtype and a shape is none: numpy writes it for no
/// array, and cannot put the array that it reads by one into the array's shape.
pub(super) fn parse(descr: &Literal) -> Result<Dtype, String> {
    let dtype = match descr {
        Literal::Text(name) => named(name),
        Literal::List(fields) => Some(record(fields)?),
        _ => None,
    };
    dtype.filter(|dtype| dtype.size <= MAX_SIZE).ok_or_else(|| {
        format!(
            "{} is no dtype that numpy writes",
            super::super::report::quoted(&format!("{descr:?}"))
        )
    })
}

/// The name of a dtype, or those of its fields.
pub(super) fn names(descr: &Literal) -> Vec<String> {
    match descr {
        Literal::Text(name) => vec![name.clone()],
        Literal::List(fields) => fields
            .iter()
            .filter_map(|field| match field {
                Literal::Tuple(parts) => parts.first(),
                _ => None,
            })
            .filter_map(|name| match name {
                // Padding has no name.
                Literal::Text(name) if !name.is_empty() => Some(name.clone()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn named(name: &str) -> Option<Dtype> {
    let rest = name.strip_prefix(['<', '>', '|', '='])?;
    let kind = rest.chars().next().filter(char::is_ascii)?;
    let rest = &rest[1..];
    if matches!(kind, 'M' | 'm') {
        let unit = rest.strip_prefix('8')?;
        return (unit.is_empty() || is_unit(unit)).then_some(Dtype { size: 8, objects: false });
    }
    if kind == 'O' {
        return rest.is_empty().then_some(Dtype { size: 8, objects: true });
    }
    let plain = rest.len() <= 10 && rest.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = rest.parse().ok().filter(|_| plain)?;
    let size = match (kind, number) {
        // Machines of 32 bits have numbers of 12 and 24 bytes, which no other can read.
        ('b', 1) | ('i' | 'u', 1 | 2 | 4 | 8) | ('f', 2 | 4 | 8 | 16) => number,
        ('c', 8 | 16 | 32) | ('S' | 'V', _) => number,
        ('U', _) => number * 4,
        _ => return None,
    };
    Some(Dtype { size, objects: false })
}

/// `[ns]`, `[25s]`
fn is_unit(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.is_some_and(|inner| {
        let unit = inner.trim_start_matches(|c: char| c.is_ascii_digit());
        inner.len() - unit.len() < 10 && UNITS.contains(&unit)
    })
}

/// `[(name, dtype), (name, dtype, shape), ((title, name), dtype), ('', padding)]`
fn record(fields: &[Literal]) -> Result<Dtype, String> {
    let mut names = HashSet::new();
    let mut whole = Dtype { size: 0, objects: false };
    for field in fields {
        let Literal::Tuple(parts) = field else {
            return Err("a field of the dtype is no tuple".to_owned());
        };
        let (name, dtype) = match parts.as_slice() {
            [name, dtype] => (name, Some(parse(dtype)?)),
            [name, dtype, shape] => (name, times(parse(dtype)?, shape)),
            _ => return Err("a field of the dtype is no pair".to_owned()),
        };
        let dtype = dtype.ok_or("a field of the dtype has no shape that numpy writes")?;
        let padding = matches!((name, &parts[1]), (Literal::Text(name), Literal::Text(kind))
            if name.is_empty() && kind.starts_with("|V"));
        let fresh = match name {
            _ if padding => true,
            Literal::Text(name) => !name.is_empty() && names.insert(name),
            Literal::Tuple(pair) => match pair.as_slice() {
                [Literal::Text(title), Literal::Text(name)] => {
                    !name.is_empty() && names.insert(name) && names.insert(title)
                }
                _ => false,
            },
            _ => false,
        };
        if !fresh {
            return Err("a field of the dtype has no name of its own".to_owned());
        }
        whole.size = whole.size.saturating_add(dtype.size);
        whole.objects |= dtype.objects;
    }
    if names.is_empty() { Err("a dtype without fields".to_owned()) } else { Ok(whole) }
}

/// A sub-array: `base` as often as `shape` says.
fn times(base: Dtype, shape: &Literal) -> Option<Dtype> {
    let Literal::Tuple(lengths) = shape else {
        return None;
    };
    if lengths.len() > MAX_DIMENSIONS {
        return None;
    }
    // To numpy, a text without a length takes the shape for one.
    let mut size = Some(base.size).filter(|size| *size > 0)?;
    for length in lengths {
        let Literal::Int(length) = length else {
            return None;
        };
        size = size.checked_mul(u64::try_from(*length).ok()?)?;
    }
    Some(Dtype { size, ..base })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_sizes_that_numpy_gives_them() {
        for (name, size) in [
            ("<f8", 8),
            ("|b1", 1),
            ("|u1", 1),
            ("<c16", 16),
            ("<f16", 16),
            ("|S0", 0),
            ("<U7", 28),
            ("|V12", 12),
            ("<m8[25s]", 8),
            ("<M8", 8),
            ("|O", 8),
        ] {
            let dtype = named(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((dtype.size, dtype.objects), (size, name == "|O"), "{name}");
        }
        for name in [
            "f8",
            "<f",
            "<f3",
            "<x8",
            "<M8[xs]",
            "<M8[s",
            "<",
            "",
            "|O8",
            "<f12",
            "<c24",
            "<U-1",
            "<U+1",
            "<é8",
            "|S99999999999",
        ] {
            assert_eq!(named(name), None, "{name}");
        }
        assert!(parse(&Literal::Text("|S3000000000".to_owned())).is_err());
    }
}
