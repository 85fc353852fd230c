//! gzip, zlib and bzip2: streams one after the other, unpacked as if they were one.
//!
//! Follows Python's `gzip`, `zlib` and `bz2` modules and joblib, which all read on with the next
//! stream. Checksums and sizes at the end of each are checked.

use std::io::{self, BufRead, Read};

use flate2::{Crc, Decompress, FlushDecompress};

use super::super::budget::Meter;
use super::super::source::Source;
use super::{Format, array, broken, skip_zeros, truncated};

/// What each gzip or zlib stream costs of the budget beside its bytes, and each bzip2 stream, whose
/// tables are larger: so a file of empty streams ends.
const INFLATE_COST: u64 = 4 * 1024;
const BUNZIP_COST: u64 = 64 * 1024;

/// gzip's flags that say what its header holds.
const FLAG_HEADER_CRC: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;

enum Codec {
    Inflate(Box<Decompress>),
    Bunzip(Box<bzip2::Decompress>),
}

/// What one step of a codec did.
struct Step {
    taken: usize,
    made: usize,
    ended: bool,
}

impl Codec {
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, String> {
        let (before, after, ended) = match self {
            Codec::Inflate(codec) => {
                let before = (codec.total_in(), codec.total_out());
                let status = codec
                    .decompress(input, out, FlushDecompress::None)
                    .map_err(|error| error.to_string())?;
                let ended = status == flate2::Status::StreamEnd;
                (before, (codec.total_in(), codec.total_out()), ended)
            }
            Codec::Bunzip(codec) => {
                let before = (codec.total_in(), codec.total_out());
                let status = codec.decompress(input, out).map_err(|error| error.to_string())?;
                let ended = status == bzip2::Status::StreamEnd;
                (before, (codec.total_in(), codec.total_out()), ended)
            }
        };
        let count = |from: u64, to: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(0);
        Ok(Step { taken: count(before.0, after.0), made: count(before.1, after.1), ended })
    }
}

enum State {
    Between,
    Inside(Codec),
    Trailer,
}

pub(super) struct Members<'s, 'a> {
    source: &'s mut Source<'a>,
    packing: Format,
    meter: Meter,
    state: State,
    /// Streams begun.
    begun: u64,
    /// Where the current one began.
    start: u64,
    /// gzip's own checksum and size of what it holds.
    crc: Crc,
}

impl<'s, 'a> Members<'s, 'a> {
    pub(super) fn gzip(source: &'s mut Source<'a>, meter: Meter) -> Self {
        Self::new(source, Format::Gzip, meter)
    }

    pub(super) fn zlib(source: &'s mut Source<'a>, meter: Meter) -> Self {
        Self::new(source, Format::Zlib, meter)
    }

    pub(super) fn bzip2(source: &'s mut Source<'a>, meter: Meter) -> Self {
        Self::new(source, Format::Bzip2, meter)
    }

    fn new(source: &'s mut Source<'a>, packing: Format, meter: Meter) -> Self {
        let state = State::Between;
        Self { source, packing, meter, state, begun: 0, start: 0, crc: Crc::new() }
    }

    /// Begins the next stream; `None` at the end of the file.
    fn begin(&mut self) -> io::Result<Option<Codec>> {
        // gzip files may be padded, as tapes were.
        let gzip = self.packing == Format::Gzip;
        let more = if gzip && self.begun > 0 {
            skip_zeros(self.source)?
        } else {
            !self.source.at_end()?
        };
        if !more {
            return Ok(None);
        }
        self.start = self.source.offset();
        self.meter.unpack(if self.packing == Format::Bzip2 {
            BUNZIP_COST
        } else {
            INFLATE_COST
        })?;
        let codec = match self.packing {
            Format::Bzip2 => Codec::Bunzip(Box::new(bzip2::Decompress::new(false))),
            Format::Zlib => Codec::Inflate(Box::new(Decompress::new(true))),
            _ => {
                self.gzip_header()?;
                Codec::Inflate(Box::new(Decompress::new(false)))
            }
        };
        self.begun += 1;
        self.crc.reset();
        Ok(Some(codec))
    }

    fn gzip_header(&mut self) -> io::Result<()> {
        let [first, second, method, flags, ..] = array::<10>(self.source, self.packing)?;
        if [first, second] != [0x1f, 0x8b] {
            return Err(self.no_stream());
        }
        if method != 8 {
            return Err(broken(format!("the gzip stream uses the unknown method {method}")));
        }
        if flags & FLAG_EXTRA != 0 {
            let len = u16::from_le_bytes(array(self.source, self.packing)?);
            if !self.source.skip(u64::from(len))? {
                return Err(truncated(self.source, self.packing));
            }
        }
        for flag in [FLAG_NAME, FLAG_COMMENT] {
            while flags & flag != 0 && array::<1>(self.source, self.packing)? != [0] {}
        }
        if flags & FLAG_HEADER_CRC != 0 {
            // Python reads it and looks no further.
            array::<2>(self.source, self.packing)?;
        }
        Ok(())
    }

    fn gzip_trailer(&mut self) -> io::Result<()> {
        let sum = u32::from_le_bytes(array(self.source, self.packing)?);
        let len = u32::from_le_bytes(array(self.source, self.packing)?);
        if sum != self.crc.sum() || len != self.crc.amount() {
            return Err(broken(format!(
                "the gzip stream is damaged: the checksum at byte {} does not match its content",
                self.source.offset() - 8
            )));
        }
        Ok(())
    }

    /// What follows the first stream is none.
    fn no_stream(&self) -> io::Error {
        broken(format!(
            "bytes at {} after the end of the {} stream that are no further one",
            self.start, self.packing
        ))
    }

    fn damaged(&self, why: &str) -> io::Error {
        if self.begun > 1 && self.source.offset() == self.start {
            return self.no_stream();
        }
        broken(format!(
            "the {} stream is damaged before byte {}: {why}",
            self.packing,
            self.source.offset()
        ))
    }
}

impl Read for Members<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match &mut self.state {
                State::Between => match self.begin()? {
                    Some(codec) => self.state = State::Inside(codec),
                    None => return Ok(0),
                },
                State::Trailer => {
                    if self.packing == Format::Gzip {
                        self.gzip_trailer()?;
                    }
                    self.state = State::Between;
                }
                State::Inside(codec) => {
                    let input = self.source.fill_buf()?;
                    let cut_off = input.is_empty();
                    let step = match codec.step(input, out) {
                        Ok(step) => step,
                        Err(why) => return Err(self.damaged(&why)),
                    };
                    self.source.consume(step.taken);
                    self.crc.update(&out[..step.made]);
                    if step.ended {
                        self.state = State::Trailer;
                    }
                    if step.made > 0 {
                        return Ok(step.made);
                    }
                    if !step.ended && step.taken == 0 {
                        return Err(if cut_off {
                            truncated(self.source, self.packing)
                        } else {
                            self.damaged("it goes nowhere")
                        });
                    }
                }
            }
        }
    }
}
