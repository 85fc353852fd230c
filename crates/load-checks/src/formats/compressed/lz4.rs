//! LZ4 frames: blocks behind a small header, with xxHash32 checksums.
//!
//! The frame is read here, so that an end in the middle of one is never taken for its end; the
//! blocks are unpacked by `lz4_flex`. Frames one after the other are one stream, as Python's
//! `lz4.frame` reads them.

use std::hash::Hasher;
use std::io::{self, Read};

use lz4_flex::block::decompress_into_with_dict;
use twox_hash::XxHash32;

use super::super::budget::Meter;
use super::super::source::Source;
use super::{Format, array, broken, truncated};

const MAGIC: u32 = 0x184d_2204;
/// What later blocks of a frame may refer back to.
const HISTORY: usize = 64 * 1024;
/// What each frame costs of the budget beside its bytes.
const FRAME_COST: u64 = 4 * 1024;

const VERSION: u8 = 0b0100_0000;
const VERSION_MASK: u8 = 0b1100_0000;
const INDEPENDENT: u8 = 0b0010_0000;
const BLOCK_SUMS: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_SUM: u8 = 0b0000_0100;
const RESERVED: u8 = 0b0000_0010;
const DICTIONARY: u8 = 0b0000_0001;
/// In a block's length: the block is stored as it is.
const STORED: u32 = 1 << 31;

struct Frame {
    flags: u8,
    max_block: usize,
    size: Option<u64>,
    made: u64,
    sum: XxHash32,
}

pub(super) struct Frames<'s, 'a> {
    source: &'s mut Source<'a>,
    meter: Meter,
    frame: Option<Frame>,
    packed: Vec<u8>,
    /// The current block, unpacked, and how much of it was handed out.
    block: Vec<u8>,
    given: usize,
    history: Vec<u8>,
}

impl<'s, 'a> Frames<'s, 'a> {
    pub(super) fn new(source: &'s mut Source<'a>, meter: Meter) -> Self {
        Self {
            source,
            meter,
            frame: None,
            packed: Vec::new(),
            block: Vec::new(),
            given: 0,
            history: Vec::new(),
        }
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        array(self.source, Format::Lz4)
    }

    fn damaged(&self, what: &str) -> io::Error {
        broken(format!("the lz4 stream is damaged before byte {}: {what}", self.source.offset()))
    }

    fn begin(&mut self) -> io::Result<Frame> {
        self.meter.unpack(FRAME_COST)?;
        if u32::from_le_bytes(self.array()?) != MAGIC {
            return Err(self.damaged("what follows the frame is no further one"));
        }
        let mut header = self.array::<2>()?.to_vec();
        let (flags, sizes) = (header[0], header[1]);
        if flags & (VERSION_MASK | RESERVED) != VERSION || sizes & !0b0111_0000 != 0 {
            return Err(self.damaged("a frame of an unknown version"));
        }
        if flags & DICTIONARY != 0 {
            return Err(broken("the lz4 frame needs a dictionary that is not in the file"));
        }
        let max_block = match sizes >> 4 {
            size @ 4..=7 => 1 << (8 + 2 * u32::from(size)),
            _ => return Err(self.damaged("an unknown block size")),
        };
        let mut size = None;
        if flags & CONTENT_SIZE != 0 {
            let bytes = self.array::<8>()?;
            header.extend(bytes);
            size = Some(u64::from_le_bytes(bytes));
        }
        let [sum] = self.array()?;
        if u32::from(sum) != XxHash32::oneshot(0, &header) >> 8 & 0xff {
            return Err(self.damaged("the checksum of the frame's header does not match"));
        }
        self.history.clear();
        Ok(Frame { flags, max_block, size, made: 0, sum: XxHash32::with_seed(0) })
    }

    /// Unpacks the next block; false at the end of the frame, whose own sums are then checked.
    fn next_block(&mut self, frame: &mut Frame) -> io::Result<bool> {
        let header = u32::from_le_bytes(self.array()?);
        if header == 0 {
            if frame.size.is_some_and(|size| size != frame.made) {
                return Err(self.damaged("the content is not as long as the frame says"));
            }
            if frame.flags & CONTENT_SUM != 0 {
                let sum = u32::from_le_bytes(self.array()?);
                if u64::from(sum) != frame.sum.finish() {
                    return Err(self.damaged("the content's checksum does not match"));
                }
            }
            return Ok(false);
        }
        let len = header & !STORED;
        match usize::try_from(len) {
            Ok(len) if len <= frame.max_block => {}
            _ => return Err(self.damaged("a block longer than the frame's blocks may be")),
        }
        match self.source.read_bytes(u64::from(len))? {
            Some(bytes) => self.packed = bytes,
            None => return Err(truncated(self.source, Format::Lz4)),
        }
        if frame.flags & BLOCK_SUMS != 0 {
            let sum = u32::from_le_bytes(self.array()?);
            if sum != XxHash32::oneshot(0, &self.packed) {
                return Err(self.damaged("a block's checksum does not match"));
            }
        }
        self.given = 0;
        if header & STORED != 0 {
            self.block.clone_from(&self.packed);
        } else {
            self.block.resize(frame.max_block, 0);
            match decompress_into_with_dict(&self.packed, &mut self.block, &self.history) {
                Ok(made) => self.block.truncate(made),
                Err(error) => {
                    self.block.clear();
                    return Err(self.damaged(&error.to_string()));
                }
            }
        }
        frame.made += self.block.len() as u64;
        if frame.flags & CONTENT_SUM != 0 {
            frame.sum.write(&self.block);
        }
        if frame.flags & INDEPENDENT == 0 {
            self.remember();
        }
        Ok(true)
    }

    fn remember(&mut self) {
        let kept = HISTORY.saturating_sub(self.block.len()).min(self.history.len());
        self.history.drain(..self.history.len() - kept);
        self.history.extend_from_slice(&self.block[self.block.len().saturating_sub(HISTORY)..]);
    }
}

impl Read for Frames<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while self.given == self.block.len() {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None if self.source.at_end()? => return Ok(0),
                None => self.begin()?,
            };
            if self.next_block(&mut frame)? {
                self.frame = Some(frame);
            }
        }
        let count = out.len().min(self.block.len() - self.given);
        out[..count].copy_from_slice(&self.block[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}
