//! FlatBuffers, read with every offset held against the bytes.
//!
//! Knows tables, vectors and strings; must not know any message. Answers `None` for what is not
//! there and [`Bad`] for what points outside.

/// Something points outside of the bytes.
#[derive(Debug)]
pub(super) struct Bad;

pub(super) type Flat<T> = Result<T, Bad>;

#[derive(Clone, Copy)]
pub(super) struct Table<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Where its list of fields stands, and how many bytes that has.
    fields: usize,
    fields_len: usize,
}

fn read<const N: usize>(bytes: &[u8], at: usize) -> Flat<[u8; N]> {
    let end = at.checked_add(N).ok_or(Bad)?;
    bytes.get(at..end).and_then(|found| found.try_into().ok()).ok_or(Bad)
}

fn length(bytes: &[u8], at: usize) -> Flat<usize> {
    usize::try_from(u32::from_le_bytes(read(bytes, at)?)).map_err(|_| Bad)
}

/// Where an offset that stands at `at` points to.
fn follow(bytes: &[u8], at: usize) -> Flat<usize> {
    let to = at.checked_add(length(bytes, at)?).ok_or(Bad)?;
    if to > at && to < bytes.len() { Ok(to) } else { Err(Bad) }
}

impl<'b> Table<'b> {
    pub(super) fn root(bytes: &'b [u8]) -> Flat<Self> {
        Self::at(bytes, follow(bytes, 0)?)
    }

    fn at(bytes: &'b [u8], at: usize) -> Flat<Self> {
        let back = i64::from(i32::from_le_bytes(read(bytes, at)?));
        let fields = i64::try_from(at).ok().and_then(|at| at.checked_sub(back)).ok_or(Bad)?;
        let fields = usize::try_from(fields).map_err(|_| Bad)?;
        let fields_len = usize::from(u16::from_le_bytes(read(bytes, fields)?));
        // As Arrow's own verifier has it, within the metadata.
        if !at.is_multiple_of(4) || !fields.is_multiple_of(2) || !fields_len.is_multiple_of(2) {
            return Err(Bad);
        }
        if fields_len < 4 || fields.checked_add(fields_len).is_none_or(|end| end > bytes.len()) {
            return Err(Bad);
        }
        Ok(Self { bytes, at, fields, fields_len })
    }

    fn field(&self, number: usize) -> Flat<Option<usize>> {
        let entry = 4 + 2 * number;
        if entry + 2 > self.fields_len {
            return Ok(None);
        }
        match u16::from_le_bytes(read(self.bytes, self.fields + entry)?) {
            0 => Ok(None),
            offset => Ok(Some(self.at + usize::from(offset))),
        }
    }

    pub(super) fn u8(&self, number: usize) -> Flat<u8> {
        Ok(match self.field(number)? {
            Some(at) => read::<1>(self.bytes, at)?[0],
            None => 0,
        })
    }

    pub(super) fn i16(&self, number: usize) -> Flat<i16> {
        Ok(match self.field(number)? {
            Some(at) => i16::from_le_bytes(read(self.bytes, at)?),
            None => 0,
        })
    }

    /// Whether a short number is there and is this.
    pub(super) fn is(&self, number: usize, value: i16) -> Flat<bool> {
        Ok(self.field(number)?.is_some() && self.i16(number)? == value)
    }

    pub(super) fn i32(&self, number: usize) -> Flat<Option<i32>> {
        self.field(number)?.map(|at| Ok(i32::from_le_bytes(read(self.bytes, at)?))).transpose()
    }

    pub(super) fn i64(&self, number: usize) -> Flat<i64> {
        Ok(match self.field(number)? {
            Some(at) => i64::from_le_bytes(read(self.bytes, at)?),
            None => 0,
        })
    }

    pub(super) fn table(&self, number: usize) -> Flat<Option<Self>> {
        self.field(number)?.map(|at| Self::at(self.bytes, follow(self.bytes, at)?)).transpose()
    }

    /// A vector of items of `size` bytes each; empty where it is not there.
    fn vector(&self, number: usize, size: usize) -> Flat<(usize, &'b [u8])> {
        let Some(at) = self.field(number)? else {
            return Ok((0, &[]));
        };
        let at = follow(self.bytes, at)?;
        let count = length(self.bytes, at)?;
        let start = at + 4;
        let end = count.checked_mul(size).and_then(|len| start.checked_add(len)).ok_or(Bad)?;
        self.bytes.get(start..end).map(|items| (start, items)).ok_or(Bad)
    }

    /// A text, after which a zero must stand.
    pub(super) fn text(&self, number: usize) -> Flat<&'b [u8]> {
        let (start, text) = self.vector(number, 1)?;
        if self.field(number)?.is_some() && self.bytes.get(start + text.len()) != Some(&0) {
            return Err(Bad);
        }
        Ok(text)
    }

    /// Pairs of texts; they must be texts.
    pub(super) fn properties(&self, number: usize) -> Flat<Vec<(&'b [u8], &'b [u8])>> {
        self.tables(number)?
            .map(|pair| pair.and_then(|pair| Ok((pair.text(0)?, pair.text(1)?))))
            .collect()
    }

    /// Structures of `N` bytes each.
    pub(super) fn structs<const N: usize>(&self, number: usize) -> Flat<&'b [[u8; N]]> {
        Ok(self.vector(number, N)?.1.as_chunks().0)
    }

    pub(super) fn tables(
        &self,
        number: usize,
    ) -> Flat<impl DoubleEndedIterator<Item = Flat<Self>>> {
        let bytes = self.bytes;
        let (start, items) = self.vector(number, 4)?;
        let places = (start..start + items.len()).step_by(4);
        Ok(places.map(move |at| Self::at(bytes, follow(bytes, at)?)))
    }
}

/// Two numbers of 64 bits, as the structures of Arrow's messages have them.
pub(super) fn pair(bytes: &[u8; 16]) -> (i64, i64) {
    let (first, second) = bytes.split_at(8);
    (number(first), number(second))
}

pub(super) fn number(bytes: &[u8]) -> i64 {
    bytes.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}
