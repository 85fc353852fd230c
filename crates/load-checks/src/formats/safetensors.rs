//! Safetensors: a length, a JSON header, and the tensors' bytes without a gap.
//!
//! Reads the header alone; of the tensors only the file's length matters, so a large file costs
//! no more than a small one. The rules are those of the format's own crate, which is not used
//! because it wants the tensors in memory and takes the last of two tensors of one name.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::json::{self, ScanError};
use super::report::{Depth, quoted};
use super::source::Source;
use super::{Halt, Job};

/// The loader's own limit. Checking the largest header takes 300 MB at most: its text and, of
/// every tensor, the name and two numbers.
const HEADER_MAX: u64 = 100_000_000;
const METADATA: &str = "__metadata__";

pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let mut size = [0; 8];
    if !source.exact(&mut size)? {
        return job.broken("the file ends within the length of its header");
    }
    let size = u64::from_le_bytes(size);
    if size > HEADER_MAX {
        return job.broken(format!(
            "the header declares {size} bytes; no loader reads more than {HEADER_MAX}"
        ));
    }
    let Some(text) = source.read_bytes(size)? else {
        return job.broken(format!("the file ends within its header of {size} bytes"));
    };
    match json::scan(&mut &text[..], job.keep_going) {
        Ok(()) => {}
        Err(ScanError::Fault(fault)) => {
            let at = fault.offset.saturating_add(8);
            return job
                .broken(format!("the header is no strict JSON: {} at byte {at}", fault.what));
        }
        Err(ScanError::Io(error)) => return Err(error.into()),
    }
    let mut tensors = match serde_json::from_slice::<Header>(&text) {
        Ok(header) => header.0,
        Err(error) => {
            let told = quoted(&error.to_string());
            return job.broken(format!("the header does not describe tensors: {told}"));
        }
    };
    drop(text);
    tensors.sort_unstable_by_key(|tensor| (tensor.start, tensor.end));
    let mut end = 0;
    for tensor in &tensors {
        tensor.follows(end).or_else(|what| job.broken(what))?;
        end = tensor.end;
    }
    data(source, job, end)
}

/// The tensors' bytes end where the file does.
fn data(source: &mut Source<'_>, job: &mut Job<'_>, end: u64) -> Result<Depth, Halt> {
    if !source.skip(end)? {
        return job.broken(match source.left() {
            Some(left) => format!(
                "the file is truncated: the tensors take {end} bytes and {left} are left after the header"
            ),
            None => format!("the file ends within the {end} bytes of the tensors"),
        });
    }
    if !source.at_end()? {
        return job.broken(format!("bytes after the last tensor, from byte {}", source.offset()));
    }
    Ok(Depth::Typed)
}

struct Tensor {
    name: String,
    start: u64,
    end: u64,
    /// Bytes of its shape and type; `None` where the number overflows or is not whole.
    size: Option<u64>,
}

impl Tensor {
    fn follows(&self, end: u64) -> Result<(), String> {
        let Self { start, end: stop, .. } = *self;
        let name = quoted(&self.name);
        if start != end {
            let how = if start < end { "overlap another tensor" } else { "leave a gap" };
            return Err(format!(
                "the bytes {start} to {stop} of tensor \"{name}\" {how}; {end} was expected next"
            ));
        }
        let held = stop.checked_sub(start);
        if held.is_none() || held != self.size {
            let needed =
                self.size.map_or("an impossible number of".to_owned(), |size| size.to_string());
            return Err(format!(
                "tensor \"{name}\" stands in bytes {start} to {stop}; its shape and type take {needed} bytes"
            ));
        }
        Ok(())
    }
}

struct Header(Vec<Tensor>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        map.next_value::<Option<Texts>>()?;
                        continue;
                    }
                    let about: About = map.next_value()?;
                    let (start, end) = about.data_offsets;
                    let size = about.shape.0.and_then(|count| about.dtype.bytes(count));
                    tensors.push(Tensor { name, start, end, size });
                }
                Ok(Header(tensors))
            }
        }
        from.deserialize_map(Reader)
    }
}

#[derive(serde::Deserialize)]
struct About {
    dtype: Dtype,
    shape: Count,
    data_offsets: (u64, u64),
}

/// The elements of a shape; `None` where their number overflows.
struct Count(Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a shape")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                let mut count = Some(1_u64);
                while let Some(size) = seq.next_element::<u64>()? {
                    count = count.and_then(|count| count.checked_mul(size));
                }
                Ok(Count(count))
            }
        }
        from.deserialize_seq(Reader)
    }
}

/// An object of strings, of which nothing is kept.
struct Texts;

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings in __metadata__")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                while map.next_key::<IgnoredAny>()?.is_some() {
                    map.next_value::<String>()?;
                }
                Ok(Texts)
            }
        }
        from.deserialize_map(Reader)
    }
}

/// The types of the crate's release 0.8.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[expect(
    non_camel_case_types,
    clippy::upper_case_acronyms,
    reason = "the names are those in the files"
)]
enum Dtype {
    BOOL,
    F4,
    F6_E2M3,
    F6_E3M2,
    U8,
    I8,
    F8_E5M2,
    F8_E4M3,
    F8_E8M0,
    F8_E4M3FNUZ,
    F8_E5M2FNUZ,
    I16,
    U16,
    F16,
    BF16,
    I32,
    U32,
    F32,
    C64,
    F64,
    I64,
    U64,
}

impl Dtype {
    fn bits(self) -> u64 {
        match self {
            Dtype::F4 => 4,
            Dtype::F6_E2M3 | Dtype::F6_E3M2 => 6,
            Dtype::BOOL
            | Dtype::U8
            | Dtype::I8
            | Dtype::F8_E5M2
            | Dtype::F8_E4M3
            | Dtype::F8_E8M0
            | Dtype::F8_E4M3FNUZ
            | Dtype::F8_E5M2FNUZ => 8,
            Dtype::I16 | Dtype::U16 | Dtype::F16 | Dtype::BF16 => 16,
            Dtype::I32 | Dtype::U32 | Dtype::F32 => 32,
            Dtype::C64 | Dtype::F64 | Dtype::I64 | Dtype::U64 => 64,
        }
    }

    fn bytes(self, count: u64) -> Option<u64> {
        let bits = count.checked_mul(self.bits())?;
        bits.is_multiple_of(8).then_some(bits / 8)
    }
}
