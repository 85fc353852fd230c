//! xz streams and the bare LZMA format before them.
//!
//! The dictionary a stream asks for is bounded before it is allocated.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use lzma_rust2::{LzmaReader, XzReader};

use super::super::budget::Meter;
use super::super::source::{Source, Spoiled};
use super::{Format, array, broken};

/// The largest dictionary that any preset of the tools asks for.
const MAX_DICTIONARY: u32 = 64 * 1024 * 1024;
/// The same in KiB, with what the decoder needs beside it.
const MAX_MEMORY_KIB: u32 = MAX_DICTIONARY / 1024 + 4 * 1024;
/// What each stream costs of the budget beside its bytes.
const STREAM_COST: u64 = 64 * 1024;
/// The size of a stream that ends by a mark.
const UNKNOWN_SIZE: u64 = u64::MAX;
/// liblzma takes larger sizes, and sizes of a dictionary that no tool writes, for no LZMA at all.
const MAX_SIZE: u64 = 1 << 38;

/// Keeps an error of the source itself, which a decoder would blur into one of its own.
pub(super) struct Watched<'s, 'a> {
    source: &'s mut Source<'a>,
    failure: Rc<RefCell<Option<io::Error>>>,
}

impl Read for Watched<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.source.read(out).map_err(|error| {
            let kind = error.kind();
            self.failure.replace(Some(error));
            kind.into()
        })
    }
}

/// What a decoder's error means: the source's own, an end that came too soon, or damage.
fn explain(
    error: &io::Error,
    failure: &Rc<RefCell<Option<io::Error>>>,
    packing: Format,
) -> io::Error {
    if let Some(own) = failure.borrow_mut().take() {
        return own;
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            broken(format!("the {packing} stream is truncated: the file ends within it"))
        }
        io::ErrorKind::OutOfMemory => too_large(packing),
        _ => broken(format!("the {packing} stream is damaged: {error}")),
    }
}

fn too_large(packing: Format) -> io::Error {
    Spoiled::Bomb(format!(
        "the {packing} stream asks for a dictionary of more than {} MiB",
        MAX_DICTIONARY / 1024 / 1024
    ))
    .into()
}

/// xz streams one after the other. Padding between them is refused: Python ignores what follows it.
pub(super) struct Xz<'s, 'a> {
    reader: Option<XzReader<Watched<'s, 'a>>>,
    failure: Rc<RefCell<Option<io::Error>>>,
    meter: Meter,
    begun: bool,
}

impl<'s, 'a> Xz<'s, 'a> {
    pub(super) fn new(source: &'s mut Source<'a>, meter: Meter) -> Self {
        let failure = Rc::new(RefCell::new(None));
        let input = Watched { source, failure: Rc::clone(&failure) };
        Self { reader: Some(stream(input)), failure, meter, begun: false }
    }
}

fn stream<'s, 'a>(input: Watched<'s, 'a>) -> XzReader<Watched<'s, 'a>> {
    XzReader::new_mem_limit(input, false, MAX_MEMORY_KIB)
}

impl Read for Xz<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while let Some(mut reader) = self.reader.take() {
            if !self.begun {
                self.meter.unpack(STREAM_COST)?;
                self.begun = true;
            }
            let count =
                reader.read(out).map_err(|error| explain(&error, &self.failure, Format::Xz))?;
            if count > 0 {
                self.reader = Some(reader);
                return Ok(count);
            }
            let input = reader.into_inner();
            if !input.source.at_end()? {
                self.reader = Some(stream(input));
                self.begun = false;
            }
        }
        Ok(0)
    }
}

/// One bare LZMA stream.
pub(super) enum Alone<'s, 'a> {
    Header(Option<&'s mut Source<'a>>),
    Body(Option<Box<LzmaReader<Watched<'s, 'a>>>>, Rc<RefCell<Option<io::Error>>>),
}

impl<'s, 'a> Alone<'s, 'a> {
    pub(super) fn new(source: &'s mut Source<'a>) -> Self {
        Self::Header(Some(source))
    }

    fn begin(source: &'s mut Source<'a>) -> io::Result<Self> {
        let [props] = array(source, Format::Lzma)?;
        let dictionary = u32::from_le_bytes(array(source, Format::Lzma)?);
        let size = u64::from_le_bytes(array(source, Format::Lzma)?);
        let literal_bits = props % 9 + props / 9 % 5;
        let usual = dictionary == u32::MAX
            || dictionary.is_power_of_two()
            || (dictionary.is_multiple_of(3) && (dictionary / 3).is_power_of_two());
        if props > 224 || literal_bits > 4 || !usual || (size >= MAX_SIZE && size != UNKNOWN_SIZE) {
            return Err(broken("the lzma stream begins with a header that no tool writes"));
        }
        if dictionary > MAX_DICTIONARY {
            return Err(too_large(Format::Lzma));
        }
        let failure = Rc::new(RefCell::new(None));
        let input = Watched { source, failure: Rc::clone(&failure) };
        let mut reader = LzmaReader::new_with_props(input, size, props, dictionary, None)
            .map_err(|error| explain(&error, &failure, Format::Lzma))?;
        reader.set_relaxed_end_condition(false);
        reader.set_defer_errors(true);
        Ok(Self::Body(Some(Box::new(reader)), failure))
    }
}

impl Read for Alone<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Self::Header(source) = self {
            let Some(source) = source.take() else {
                return Ok(0);
            };
            *self = Self::begin(source)?;
        }
        let Self::Body(body, failure) = self else {
            return Ok(0);
        };
        let Some(mut reader) = body.take() else {
            return Ok(0);
        };
        if out.is_empty() {
            *body = Some(reader);
            return Ok(0);
        }
        let count = reader.read(out).map_err(|error| explain(&error, failure, Format::Lzma))?;
        if count > 0 {
            *body = Some(reader);
            return Ok(count);
        }
        let (input, unused) = reader.into_parts();
        if !unused.is_empty() || !input.source.at_end()? {
            return Err(broken("bytes after the end of the lzma stream"));
        }
        Ok(0)
    }
}
