//! Universal Binary JSON, as XGBoost writes it: lengths of 64 bits, big-endian, typed arrays.
//!
//! Reads one document to the end of the file without recursion; no length is believed before the
//! bytes are there.

use super::super::json::{MAX_DEPTH, Nesting, Scalar, Visitor};
use super::super::source::Source;
use super::super::{Halt, Job};
use super::builder::Builder;

/// Bytes of one string.
const MAX_TEXT: u64 = 16 * 1024 * 1024;
/// Bytes of a typed array that are read at once.
const PIECE: u64 = 64 * 1024;
/// Marks read between two questions whether to go on.
const POLL_EVERY: u64 = 4096;

/// An array or object that is open.
enum Open {
    Object,
    /// Ends at its bracket.
    Array,
    /// Ends after so many more elements.
    Counted(u64),
}

struct Reader<'r, 's, 'j> {
    source: &'r mut Source<'s>,
    job: &'r mut Job<'j>,
    builder: &'r mut Builder,
    open: Vec<Open>,
    nesting: Nesting,
}

/// Reads one document and tells `builder` what stands in it.
pub(super) fn visit(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    builder: &mut Builder,
) -> Result<(), Halt> {
    let mut reader = Reader { source, job, builder, open: Vec::new(), nesting: Nesting::default() };
    let mut marks = 0_u64;
    reader.value()?;
    while let Some(open) = reader.open.last_mut() {
        marks += 1;
        if marks.is_multiple_of(POLL_EVERY) {
            reader.job.poll()?;
        }
        match open {
            Open::Counted(0) => reader.close()?,
            Open::Counted(left) => {
                *left -= 1;
                reader.value()?;
            }
            Open::Array => {
                if reader.ends(b']')? {
                    reader.close()?;
                } else {
                    reader.value()?;
                }
            }
            Open::Object => {
                if reader.ends(b'}')? {
                    reader.close()?;
                } else {
                    reader.key()?;
                    reader.value()?;
                }
            }
        }
    }
    if reader.source.at_end()? {
        Ok(())
    } else {
        reader.broken("bytes after the end of the document")
    }
}

impl Reader<'_, '_, '_> {
    fn broken<T>(&mut self, what: impl std::fmt::Display) -> Result<T, Halt> {
        let place = self.source.offset();
        self.job.broken(format!("{what} at byte {place}"))
    }

    fn told(&mut self, told: Result<(), String>) -> Result<(), Halt> {
        told.or_else(|what| self.broken(what))
    }

    fn byte(&mut self) -> Result<u8, Halt> {
        match self.source.byte()? {
            Some(byte) => Ok(byte),
            None => self.broken("the document ends before it is complete"),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Halt> {
        let mut bytes = [0; N];
        if self.source.exact(&mut bytes)? {
            Ok(bytes)
        } else {
            self.broken("the document ends before it is complete")
        }
    }

    /// Whether the closing mark comes next; it is taken then.
    fn ends(&mut self, mark: u8) -> Result<bool, Halt> {
        let next = std::io::BufRead::fill_buf(self.source)?.first().copied();
        if next == Some(mark) {
            self.byte()?;
            return Ok(true);
        }
        Ok(false)
    }

    /// A length, and its mark: XGBoost knows that of 64 bits alone.
    fn length(&mut self) -> Result<u64, Halt> {
        if self.byte()? != b'L' {
            return self.broken("a length that is not of 64 bits, as XGBoost needs it,");
        }
        let length = i64::from_be_bytes(self.fixed()?);
        match u64::try_from(length) {
            Ok(length) if self.source.may_hold(length) => Ok(length),
            _ => self.broken(format!("a length of {length}, more than the file holds,")),
        }
    }

    fn string(&mut self) -> Result<Vec<u8>, Halt> {
        let length = self.length()?;
        if length > MAX_TEXT {
            return self.broken(format!("a string of more than {MAX_TEXT} bytes"));
        }
        match self.source.read_bytes(length)? {
            Some(bytes) => Ok(bytes),
            None => self.broken("the document ends before it is complete"),
        }
    }

    fn key(&mut self) -> Result<(), Halt> {
        let key = self.string()?;
        if key.len() > self.nesting.room() {
            return self.broken("keys of open objects take too many bytes");
        }
        if self.builder.wants() {
            self.builder.key(&key);
        }
        let added = self.nesting.add_key(&key);
        self.told(added)
    }

    fn close(&mut self) -> Result<(), Halt> {
        self.open.pop();
        self.nesting.close();
        let closed = self.builder.close();
        self.told(closed)
    }

    fn enter(&mut self, open: Open) -> Result<(), Halt> {
        if self.open.len() == MAX_DEPTH {
            return self.broken(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        let object = matches!(open, Open::Object);
        self.open.push(open);
        self.nesting.enter(object);
        self.builder.open(object);
        Ok(())
    }

    fn value(&mut self) -> Result<(), Halt> {
        let scalar = match self.byte()? {
            b'{' => return self.enter(Open::Object),
            b'[' => return self.array(),
            b'S' => {
                let bytes = self.string()?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return self.scalar(Scalar::Text(&text));
            }
            b'Z' => Scalar::Null,
            b'T' => Scalar::Bool(true),
            b'F' => Scalar::Bool(false),
            b'i' => Scalar::Int(i8::from_be_bytes(self.fixed()?).into()),
            b'U' => Scalar::Int(self.byte()?.into()),
            b'I' => Scalar::Int(i16::from_be_bytes(self.fixed()?).into()),
            b'l' => Scalar::Int(i32::from_be_bytes(self.fixed()?).into()),
            b'L' => Scalar::Int(i64::from_be_bytes(self.fixed()?)),
            b'd' => Scalar::Float(f32::from_be_bytes(self.fixed()?).into()),
            b'D' => Scalar::Float(f64::from_be_bytes(self.fixed()?)),
            other => {
                let mark = char::from(other).escape_default();
                return self.broken(format!("the unknown mark '{mark}' before the byte"));
            }
        };
        self.scalar(scalar)
    }

    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), Halt> {
        if !self.builder.wants() {
            return Ok(());
        }
        let told = self.builder.scalar(scalar);
        self.told(told)
    }

    fn array(&mut self) -> Result<(), Halt> {
        if self.ends(b'$')? {
            return self.typed();
        }
        if self.ends(b'#')? {
            let count = self.length()?;
            return self.enter(Open::Counted(count));
        }
        self.enter(Open::Array)
    }

    fn typed(&mut self) -> Result<(), Halt> {
        let mark = self.byte()?;
        let width = match mark {
            b'i' | b'U' => 1,
            b'I' => 2,
            b'l' | b'd' => 4,
            b'L' | b'D' => 8,
            _ => return self.broken("a typed array of a type that XGBoost does not know"),
        };
        if self.byte()? != b'#' {
            return self.broken("a typed array without a count");
        }
        let count = self.length()?;
        let Some(mut left) = count.checked_mul(width).filter(|n| self.source.may_hold(*n)) else {
            return self.broken(format!("an array of {count} numbers, more than the file holds,"));
        };
        let mut values = Vec::new();
        while left > 0 {
            self.job.poll()?;
            let piece = left.min(PIECE);
            let Some(bytes) = self.source.read_bytes(piece)? else {
                return self.broken("the document ends before it is complete");
            };
            if self.builder.wants() {
                values.extend(bytes.chunks_exact(width as usize).map(|one| number(mark, one)));
            }
            left -= piece;
        }
        if !self.builder.wants() {
            return Ok(());
        }
        let told = self.builder.typed(mark, values);
        self.told(told)
    }
}

/// One number of a typed array.
fn number(mark: u8, bytes: &[u8]) -> f64 {
    let mut wide = [0; 8];
    wide[8 - bytes.len()..].copy_from_slice(bytes);
    let bits = u64::from_be_bytes(wide);
    match mark {
        b'i' => f64::from(bits as i8),
        b'U' => f64::from(bits as u8),
        b'I' => f64::from(bits as i16),
        b'l' => f64::from(bits as i32),
        b'd' => f64::from(f32::from_bits(bits as u32)),
        b'D' => f64::from_bits(bits),
        _ => bits as i64 as f64,
    }
}
