//! GGUF: named values, a table of tensors, and the tensors' bytes, each at a multiple of an alignment.
//!
//! Reads as llama.cpp does: versions 2 and 3 in little-endian order, tensors one after the other
//! without a gap. No memory is taken for a declared number. The container is read here; `model`,
//! `tensors`, `tokenizer` and `template` check what is in it.

mod model;
mod template;
mod tensors;
mod tokenizer;
mod values;

use std::collections::HashSet;

use super::report::{Depth, quoted};
use super::source::Source;
use super::{Halt, Job};
use values::{List, Value, Values};

/// Bytes of a key, by the format's description.
const MAX_KEY: u64 = 65_535;
/// A tensor's name has fewer bytes, a terminating zero included.
const MAX_NAME: u64 = 63;
const MAX_DIMENSIONS: u32 = 4;
const ALIGNMENT: &[u8] = b"general.alignment";
const DEFAULT_ALIGNMENT: u64 = 32;
/// llama.cpp ends its process where the tensors are aligned to less.
const LEAST_ALIGNMENT: u64 = 8;
/// Bytes of all chat templates; real ones have some ten thousand.
const MAX_TEMPLATES: u64 = 1024 * 1024;
/// Bytes of the tokens of a vocabulary; the largest real ones take some 5 million.
const MAX_TOKEN_BYTES: u64 = 128 * 1024 * 1024;
/// Tokens of a vocabulary; the largest real ones have 300,000.
const MAX_TOKENS: u64 = 8 * 1024 * 1024;
/// Numbers of an array that holds one for each layer.
const MAX_LAYERS: u64 = 1024;
/// Values or tensors between two questions whether to go on.
const POLL_EVERY: u64 = 1024;

/// Numbers in a block and its bytes, by type; (0, 0) where a type is gone.
#[rustfmt::skip]
const TYPES: [(u64, u64); 42] = [
    (1, 4), (1, 2), (32, 18), (32, 20), (0, 0), (0, 0), (32, 22),
    (32, 24), (32, 34), (32, 40), (256, 84), (256, 110), (256, 144), (256, 176),
    (256, 210), (256, 292), (256, 66), (256, 74), (256, 98), (256, 50), (32, 18),
    (256, 110), (256, 82), (256, 136), (1, 1), (1, 2), (1, 4), (1, 8),
    (1, 8), (256, 56), (1, 2), (0, 0), (0, 0), (0, 0), (256, 54),
    (256, 66), (0, 0), (0, 0), (0, 0), (32, 17), (64, 36), (128, 18),
];

struct Tensor {
    name: String,
    kind: u32,
    /// As many as it was declared with.
    sizes: Vec<u64>,
    offset: u64,
    bytes: u64,
}

pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let mut reader = Reader {
        source,
        job,
        alignment: DEFAULT_ALIGNMENT,
        values: Values::default(),
        template_bytes: 0,
    };
    reader.number::<4>("its magic")?;
    match reader.number::<4>("its version")? {
        2 | 3 => {}
        1 => {
            return reader
                .job
                .broken("GGUF version 1 is read by no loader any more; convert the model anew");
        }
        version if version.is_multiple_of(1 << 16) => {
            return reader
                .job
                .broken("the file is for big-endian machines; convert it for little-endian ones");
        }
        version => return reader.job.broken(format!("there is no GGUF version {version}")),
    }
    let tensors = reader.number::<8>("the number of tensors")?;
    let values = reader.number::<8>("the number of values")?;
    reader.values(values)?;
    let tensors = reader.tensors(tensors)?;
    reader.data(&tensors)?;
    let values = reader.values;
    template::check(&values, job);
    model::check(&values, &tensors, job)
}

struct Reader<'r, 's, 'j> {
    source: &'r mut Source<'s>,
    job: &'r mut Job<'j>,
    alignment: u64,
    values: Values,
    template_bytes: u64,
}

impl Reader<'_, '_, '_> {
    fn truncated<T>(&mut self, what: &str) -> Result<T, Halt> {
        let at = self.source.offset();
        self.job.broken(format!("the file is truncated: {what} cannot be read at byte {at}"))
    }

    fn number<const N: usize>(&mut self, what: &str) -> Result<u64, Halt> {
        let mut bytes = [0; 8];
        if self.source.exact(&mut bytes[..N])? {
            Ok(u64::from_le_bytes(bytes))
        } else {
            self.truncated(what)
        }
    }

    fn small<const N: usize>(&mut self, what: &str) -> Result<u32, Halt> {
        // At most four bytes are asked for.
        Ok(u32::try_from(self.number::<N>(what)?).unwrap_or(u32::MAX))
    }

    fn skip(&mut self, count: u64, what: &str) -> Result<(), Halt> {
        if self.source.skip(count)? { Ok(()) } else { self.truncated(what) }
    }

    fn text(&mut self, most: u64, what: &str) -> Result<Vec<u8>, Halt> {
        let at = self.source.offset();
        let length = self.number::<8>(what)?;
        if length > most {
            return self.job.broken(format!(
                "{what} of {length} bytes at byte {at}; it may have {most} (or the file is damaged)"
            ));
        }
        match self.source.read_bytes(length)? {
            Some(bytes) => Ok(bytes),
            None => self.truncated(what),
        }
    }

    fn values(&mut self, count: u64) -> Result<(), Halt> {
        for i in 0..count {
            if i.is_multiple_of(POLL_EVERY) {
                self.job.poll()?;
            }
            let at = self.source.offset();
            let key = self.text(MAX_KEY, "a key")?;
            let name = quoted(&String::from_utf8_lossy(&key));
            if key.is_empty() {
                return self.job.broken(format!("a value without a key at byte {at}"));
            }
            let kind = self.small::<4>("the type of a value")?;
            let value = if key == ALIGNMENT {
                self.alignment(kind)?
            } else if kind == 9 {
                self.array(&key, &name)?
            } else {
                self.value(kind, &key, &name)?
            };
            if !self.values.insert(key, value) {
                return self
                    .job
                    .broken(format!("the key \"{name}\" is there twice, again at byte {at}"));
            }
        }
        Ok(())
    }

    fn alignment(&mut self, kind: u32) -> Result<Value, Halt> {
        let value = if kind == 4 { self.number::<4>("general.alignment")? } else { 0 };
        if !value.is_power_of_two() {
            return self.job.broken("general.alignment must be a power of two, as a 32-bit number");
        }
        if value < LEAST_ALIGNMENT {
            self.job.danger(format!(
                "general.alignment is {value}; llama.cpp ends its process where it is below {LEAST_ALIGNMENT}"
            ));
        }
        self.alignment = value;
        Ok(Value::Number { kind, bits: value })
    }

    fn value(&mut self, kind: u32, key: &[u8], name: &str) -> Result<Value, Halt> {
        match size_of_kind(kind) {
            Some(size) => {
                let mut bytes = [0; 8];
                if self.source.exact(&mut bytes[..size as usize])? {
                    return Ok(Value::Number { kind, bits: u64::from_le_bytes(bytes) });
                }
                self.truncated("a value")
            }
            None if kind == 8 => {
                let wanted = values::is_read(key);
                Ok(Value::Text(self.string(wanted, values::is_template(key), name)?))
            }
            None => {
                let at = self.source.offset();
                self.job
                    .broken(format!("the value of \"{name}\" has no type {kind}, before byte {at}"))
            }
        }
    }

    /// A string, kept where it is wanted.
    fn string(&mut self, wanted: bool, template: bool, name: &str) -> Result<String, Halt> {
        if !wanted {
            let length = self.number::<8>("a string")?;
            self.skip(length, "a string")?;
            return Ok(String::new());
        }
        let bytes = self.text(MAX_TEMPLATES, &format!("\"{name}\""))?;
        if template {
            self.template_bytes += bytes.len() as u64;
            if self.template_bytes > MAX_TEMPLATES {
                return self.job.broken(format!(
                    "the chat templates have more than {MAX_TEMPLATES} bytes; that many are not read"
                ));
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn array(&mut self, key: &[u8], name: &str) -> Result<Value, Halt> {
        let kind = self.small::<4>("the type of an array")?;
        let count = self.number::<8>("the length of an array")?;
        let mut list = List { kind, count, ..List::default() };
        let Some(size) = size_of_kind(kind) else {
            self.strings(&mut list, key, name)?;
            return Ok(Value::List(list));
        };
        if count <= MAX_LAYERS || (values::is_token_types(key) && count <= MAX_TOKENS) {
            for i in 0..count {
                if i.is_multiple_of(POLL_EVERY) {
                    self.job.poll()?;
                }
                let mut bytes = [0; 8];
                if !self.source.exact(&mut bytes[..size as usize])? {
                    return self.truncated("an array");
                }
                list.numbers.push(u64::from_le_bytes(bytes));
            }
            return Ok(Value::List(list));
        }
        match count.checked_mul(size) {
            Some(bytes) => self.skip(bytes, "an array")?,
            None => self.truncated("an array")?,
        }
        Ok(Value::List(list))
    }

    fn strings(&mut self, list: &mut List, key: &[u8], name: &str) -> Result<(), Halt> {
        let (kind, count) = (list.kind, list.count);
        let tokens = kind == 8 && values::is_tokens(key);
        let template = kind == 8 && values::is_template(key);
        if tokens && count > MAX_TOKENS {
            return self.job.broken(format!("{count} tokens; {MAX_TOKENS} at most are read"));
        }
        for i in 0..count {
            if i.is_multiple_of(POLL_EVERY) {
                self.job.poll()?;
            }
            if tokens {
                let token = self.text(MAX_TOKEN_BYTES, "a token")?;
                if !list.texts.add(&token, MAX_TOKEN_BYTES) {
                    return self
                        .job
                        .broken(format!("tokens of more than {MAX_TOKEN_BYTES} bytes together"));
                }
            } else if template {
                let text = self.string(true, true, name)?;
                list.texts.add(text.as_bytes(), MAX_TEMPLATES);
            } else {
                // An array within an array is read by no loader; `value` refuses it with the others.
                self.value(kind, b"", name)?;
            }
        }
        if kind != 8 && count == 0 {
            self.value(kind, b"", name)?;
        }
        Ok(())
    }

    fn tensors(&mut self, count: u64) -> Result<Vec<Tensor>, Halt> {
        let mut tensors = Vec::new();
        let mut seen = HashSet::new();
        for i in 0..count {
            if i.is_multiple_of(POLL_EVERY) {
                self.job.poll()?;
            }
            let at = self.source.offset();
            let name = self.text(MAX_NAME, "a tensor's name")?;
            let name = String::from_utf8_lossy(&name).into_owned();
            let dimensions = self.small::<4>("the rank of a tensor")?;
            if dimensions > MAX_DIMENSIONS {
                let name = quoted(&name);
                return self.job.broken(format!(
                    "tensor \"{name}\" at byte {at} has {dimensions} dimensions; it may have {MAX_DIMENSIONS}"
                ));
            }
            let mut sizes = [1_u64; MAX_DIMENSIONS as usize];
            for size in sizes.iter_mut().take(dimensions as usize) {
                *size = self.number::<8>("the shape of a tensor")?;
            }
            let kind = self.small::<4>("the type of a tensor")?;
            let offset = self.number::<8>("the offset of a tensor")?;
            let Some(bytes) = bytes_of(kind, &sizes) else {
                let name = quoted(&name);
                return self.job.broken(format!(
                    "tensor \"{name}\" at byte {at}: type {kind} and shape {sizes:?} are impossible together"
                ));
            };
            if !seen.insert(name.clone()) {
                let name = quoted(&name);
                return self
                    .job
                    .broken(format!("tensor \"{name}\" is there twice, again at byte {at}"));
            }
            let rank = (dimensions as usize).max(1);
            tensors.push(Tensor { name, kind, sizes: sizes[..rank].to_vec(), offset, bytes });
        }
        Ok(tensors)
    }

    fn data(&mut self, tensors: &[Tensor]) -> Result<(), Halt> {
        let mut expected = 0_u64;
        if tensors.is_empty() && self.source.at_end()? {
            return Ok(());
        }
        self.padding(tensors.is_empty())?;
        for (i, tensor) in tensors.iter().enumerate() {
            let name = quoted(&tensor.name);
            if tensor.offset != expected {
                let offset = tensor.offset;
                return self.job.broken(format!(
                    "tensor \"{name}\" is said to stand {offset} bytes into the data; {expected} was expected"
                ));
            }
            if !self.source.skip(tensor.bytes)? {
                return self.truncated(&format!("tensor \"{name}\" of {} bytes", tensor.bytes));
            }
            let padded = tensor.bytes.checked_next_multiple_of(self.alignment);
            expected = padded.and_then(|bytes| expected.checked_add(bytes)).unwrap_or(u64::MAX);
            self.padding(i + 1 == tensors.len())?;
        }
        if !self.source.at_end()? {
            let at = self.source.offset();
            return self.job.broken(format!("bytes after the last tensor, from byte {at}"));
        }
        Ok(())
    }

    /// Zeroes up to the next multiple of the alignment; after the last tensor they may be missing.
    fn padding(&mut self, last: bool) -> Result<(), Halt> {
        let at = self.source.offset();
        if last && self.source.at_end()? {
            return Ok(());
        }
        let count = at.checked_next_multiple_of(self.alignment).unwrap_or(u64::MAX) - at;
        let mut zero = true;
        let whole = self.source.stream(count, |bytes| {
            zero &= bytes.iter().all(|byte| *byte == 0);
            Ok(())
        })?;
        if !zero {
            return self
                .job
                .broken(format!("bytes other than zero between tensors, after byte {at}"));
        }
        if whole { Ok(()) } else { self.truncated("the padding of a tensor") }
    }
}

/// Bytes of a value that is no string and no array.
fn size_of_kind(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// The bytes of a tensor, where its type exists and its rows are whole blocks.
fn bytes_of(kind: u32, sizes: &[u64; 4]) -> Option<u64> {
    let (block, bytes) = *TYPES.get(usize::try_from(kind).ok()?)?;
    if block == 0 || !sizes[0].is_multiple_of(block) {
        return None;
    }
    let count = sizes.iter().try_fold(1_u64, |count, size| count.checked_mul(*size))?;
    // Loaders count in signed numbers.
    let bytes = (count / block).checked_mul(bytes)?;
    i64::try_from(count).ok().and(i64::try_from(bytes).ok()).map(i64::unsigned_abs)
}
