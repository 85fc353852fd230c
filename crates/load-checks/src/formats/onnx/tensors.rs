//! Whether a tensor holds what its shape and type say.

use super::super::Job;
use super::super::report::quoted;
use super::model::{Names, Sparse, Tensor};

pub(super) const FLOAT: i64 = 1;
pub(super) const INT32: i64 = 6;
pub(super) const INT64: i64 = 7;
pub(super) const STRING: i64 = 8;
pub(super) const BOOL: i64 = 9;

/// The types there are, in bits; 0 of strings.
fn bits(data_type: i64) -> Option<u64> {
    Some(match data_type {
        STRING => 0,
        2 | 3 | BOOL | 17..=20 | 24 => 8,
        4 | 5 | 10 | 16 => 16,
        FLOAT | INT32 | 12 => 32,
        INT64 | 11 | 13 | 14 => 64,
        15 => 128,
        21..=23 => 4,
        25 | 26 => 2,
        27 | 28 => 6,
        _ => return None,
    })
}

/// Whether this is the number of a type.
pub(super) fn is_type(data_type: i64) -> bool {
    bits(data_type).is_some()
}

/// The elements of a shape.
fn count(dims: &[i64]) -> Option<u64> {
    dims.iter().try_fold(1_u64, |count, dim| count.checked_mul(u64::try_from(*dim).ok()?))
}

impl Tensor {
    /// The numbers it holds, where they may be a shape or axes.
    pub(super) fn as_ints(&self) -> Option<Vec<i64>> {
        let wanted = usize::try_from(count(&self.dims)?).ok()?;
        let raw = &self.small_raw;
        let ints: Vec<i64> = match (self.data_type, self.raw) {
            (INT64, Some(_)) => {
                raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
            }
            (INT32, Some(_)) => {
                raw.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes).into()).collect()
            }
            (2 | 9, Some(_)) => raw.iter().map(|byte| i64::from(*byte)).collect(),
            (3, Some(_)) => raw.iter().map(|byte| i64::from(byte.cast_signed())).collect(),
            (4, Some(_)) => {
                raw.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes).into()).collect()
            }
            (5, Some(_)) => {
                raw.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes).into()).collect()
            }
            (12, Some(_)) => {
                raw.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes).into()).collect()
            }
            (2..=5 | INT32 | INT64, None) => self.small_ints.clone(),
            _ => return None,
        };
        (ints.len() == wanted && !self.external).then_some(ints)
    }

    /// The numbers it holds, where they may be scales.
    pub(super) fn as_floats(&self) -> Option<Vec<f32>> {
        let wanted = usize::try_from(count(&self.dims)?).ok()?;
        let floats = match (self.data_type, self.raw) {
            (FLOAT, Some(_)) => {
                let raw = self.small_raw.as_chunks().0.iter();
                raw.map(|bytes| f32::from_le_bytes(*bytes)).collect()
            }
            (FLOAT, None) => self.small_floats.clone(),
            _ => return None,
        };
        (floats.len() == wanted && !self.external).then_some(floats)
    }
}

/// Writes down what is wrong with a tensor.
pub(super) fn check(tensor: &Tensor, what: &str, names: &Names, job: &mut Job<'_>) {
    let name = || quoted(names.get(tensor.name));
    if let Some(fault) = fault(tensor) {
        let name = name();
        job.findings.add(
            super::super::Finding::fault(format!(
                "{what} \"{name}\" at byte {}: {fault}",
                tensor.at
            ))
            .at(tensor.at),
        );
    }
    if !tensor.external {
        return;
    }
    let name = name();
    let location = tensor.location.as_deref().unwrap_or_default();
    let told = quoted(location);
    if is_plain(location) {
        job.findings.broken(format!(
            "tensor \"{name}\" is kept in a second file, \"{told}\"; a version is one file: save the model with its tensors inside"
        ));
    } else {
        job.danger(format!(
            "tensor \"{name}\" would be read from \"{told}\", outside the model's folder"
        ));
    }
}

/// A name of a file beside the model, on every system.
fn is_plain(location: &str) -> bool {
    !location.contains(['\\', ':', '\0'])
        && !location.starts_with('/')
        && !location.is_empty()
        && location.split('/').all(|part| part != "..")
}

fn fault(tensor: &Tensor) -> Option<String> {
    let Some(bits) = bits(tensor.data_type) else {
        return Some(format!("there is no data type {}", tensor.data_type));
    };
    let Some(elements) = count(&tensor.dims) else {
        return Some(format!("its shape {} is impossible", shape(&tensor.dims)));
    };
    if tensor.segment {
        return Some("tensors in segments are read by no loader".to_owned());
    }
    if tensor.external {
        return None;
    }
    let lists = [
        ("float_data", tensor.floats, matches!(tensor.data_type, FLOAT | 14)),
        ("int32_data", tensor.int32s, matches!(tensor.data_type, 2..=6 | BOOL | 10 | 16..=28)),
        ("string_data", tensor.strings, tensor.data_type == STRING),
        ("int64_data", tensor.int64s, tensor.data_type == INT64),
        ("double_data", tensor.doubles, matches!(tensor.data_type, 11 | 15)),
        ("uint64_data", tensor.uint64s, matches!(tensor.data_type, 12 | 13)),
    ];
    let filled: Vec<_> = lists.iter().filter(|(_, count, _)| *count > 0).collect();
    let type_name = tensor.data_type;
    let (held, needed, unit) = match (tensor.raw, &filled[..]) {
        (Some(_), [_, ..]) | (None, [_, _, ..]) => {
            return Some("its data are given more than once".to_owned());
        }
        (Some(_), []) if tensor.data_type == STRING => {
            return Some("strings cannot be given as raw data".to_owned());
        }
        (Some(raw), []) => (raw, elements.checked_mul(bits).map(|bits| bits.div_ceil(8)), "bytes"),
        (None, []) => (0, elements.checked_mul(1), "values"),
        (None, [(list, _, false)]) => {
            return Some(format!("data of type {type_name} do not stand in {list}"));
        }
        (None, [(_, count, true)]) => (*count, entries(tensor.data_type, elements), "values"),
    };
    (needed != Some(held)).then(|| {
        let needed = needed.map_or("an impossible number".to_owned(), |needed| needed.to_string());
        let dims = shape(&tensor.dims);
        format!("it holds {held} {unit}; its shape {dims} and type {type_name} need {needed}")
    })
}

/// The entries of the typed list that so many elements take.
fn entries(data_type: i64, elements: u64) -> Option<u64> {
    match data_type {
        14 | 15 => elements.checked_mul(2),
        21..=23 => Some(elements.div_ceil(2)),
        25 | 26 => Some(elements.div_ceil(4)),
        _ => Some(elements),
    }
}

/// A shape as it is written, cut where it is long.
pub(super) fn shape(dims: &[i64]) -> String {
    let shown: Vec<_> = dims.iter().take(8).map(ToString::to_string).collect();
    let more = if dims.len() > 8 { ", …" } else { "" };
    format!("[{}{more}]", shown.join(", "))
}

/// Writes down what is wrong with a sparse tensor.
pub(super) fn check_sparse(sparse: &Sparse, names: &Names, job: &mut Job<'_>) {
    let (Some(values), Some(indices)) = (&sparse.values, &sparse.indices) else {
        job.findings
            .broken(format!("a sparse tensor without values or indices at byte {}", sparse.at));
        return;
    };
    check(values, "values of a sparse tensor", names, job);
    check(indices, "indices of a sparse tensor", names, job);
    let rank = i64::try_from(sparse.dims.len()).unwrap_or(i64::MAX);
    let fits = match (&values.dims[..], &indices.dims[..]) {
        ([count], [indexed]) => count == indexed,
        ([count], [indexed, each]) => count == indexed && *each == rank,
        _ => false,
    };
    let dims = count(&sparse.dims).filter(|_| rank > 0);
    if !fits || dims.is_none() || indices.data_type != INT64 {
        job.findings.broken(format!(
            "the values and indices of the sparse tensor at byte {} do not fit together",
            sparse.at
        ));
    }
}
