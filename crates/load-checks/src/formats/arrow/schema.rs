//! What an Arrow schema says of the buffers of every batch.

use std::collections::HashMap;

use super::super::extension;
use super::super::report::quoted;
use super::flat::{Bad, Table};

/// Lists within structures within lists.
const MAX_DEPTH: usize = 64;
/// Dictionaries whose values are of other dictionaries.
const MAX_DICTIONARIES: usize = 16;
/// Columns with their children. A schema can name one of its parts in many places, so that a
/// short one could spell out endless columns.
const MAX_FIELDS: usize = 200_000;

/// What is wrong, in words.
pub(super) type Wrong = String;

impl From<Bad> for Wrong {
    fn from(_: Bad) -> Self {
        "something in its metadata points outside of them, or is cut".to_owned()
    }
}

/// The layout of one column or of a part of one, in the order of the nodes of a batch.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) layout: Layout,
    /// It is no part of another, so it has a value for every row.
    pub(super) column: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Layout {
    /// No buffers at all.
    Null,
    /// Validity, and values of so many bits.
    Fixed(u64),
    /// Validity and offsets of so many bits; with a buffer of bytes, or a child.
    Offsets(u64, bool),
    /// Validity, views of 16 bytes, and any number of buffers.
    Views,
    /// Validity, offsets and sizes of so many bits.
    ListViews(u64),
    /// Validity alone.
    Validity,
    /// Types, and offsets if dense.
    Union { dense: bool },
    /// The children tell all.
    RunEnds,
}

impl Layout {
    /// The buffers of a node; views have more.
    pub(super) fn buffers(self, union_validity: bool) -> usize {
        match self {
            Layout::Null | Layout::RunEnds => 0,
            Layout::Validity => 1,
            Layout::Fixed(_) | Layout::Offsets(_, false) | Layout::Views => 2,
            Layout::Offsets(_, true) | Layout::ListViews(_) => 3,
            Layout::Union { dense } => 1 + usize::from(dense) + usize::from(union_validity),
        }
    }
}

pub(super) struct Schema {
    pub(super) nodes: Vec<Node>,
    /// Of each dictionary the nodes of its values.
    pub(super) dictionaries: HashMap<i64, Vec<Node>>,
    /// The first column or part whose extension type is dangerous to load.
    pub(super) danger: Option<String>,
    /// Columns and parts read so far.
    fields: usize,
    /// Dictionaries that are open: values of one may be of another.
    nesting: usize,
}

impl Schema {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, Wrong> {
        if table.i16(0)? != 0 {
            return Err("the table is for big-endian machines".to_owned());
        }
        let properties = table.properties(2)?;
        let mut schema = Self {
            nodes: Vec::new(),
            dictionaries: HashMap::new(),
            danger: refused_among(&properties),
            fields: 0,
            nesting: 0,
        };
        let mut nodes = Vec::new();
        for field in table.tables(1)? {
            schema.field(field?, &mut nodes)?;
        }
        schema.nodes = nodes;
        Ok(schema)
    }

    /// A column with its children, depth first.
    fn field(&mut self, field: Table<'_>, into: &mut Vec<Node>) -> Result<(), Wrong> {
        let mut open = vec![(field, 1)];
        let mut dictionaries = Vec::new();
        while let Some((field, depth)) = open.pop() {
            self.fields += 1;
            if depth > MAX_DEPTH || self.fields > MAX_FIELDS {
                return Err("the schema has columns beyond any measure".to_owned());
            }
            let column = depth == 1 && self.nesting == 0;
            let name = quoted(&String::from_utf8_lossy(field.text(0)?));
            self.extension(&field, &name)?;
            let (layout, children) = layout(&field, &name)?;
            if let Some(dictionary) = field.table(4)? {
                let bits = match dictionary.table(1)? {
                    Some(index) => index.i32(0)?.unwrap_or(0),
                    None => 32,
                };
                let Some(bits @ (8 | 16 | 32 | 64)) = u64::try_from(bits).ok() else {
                    return Err(format!("the dictionary of \"{name}\" has indices of {bits} bits"));
                };
                into.push(Node { name, layout: Layout::Fixed(bits), column });
                dictionaries.push((dictionary.i64(0)?, field, layout));
                continue;
            }
            into.push(Node { name: name.clone(), layout, column });
            let mut count = 0;
            for child in field.tables(5)?.rev() {
                open.push((child?, depth + 1));
                count += 1;
            }
            if children.is_some_and(|children| children != count) {
                return Err(format!("\"{name}\" has {count} children"));
            }
        }
        for (id, field, layout) in dictionaries {
            self.dictionary(id, field, layout)?;
        }
        Ok(())
    }

    /// What a field says of itself. Of a key that stands twice, any may be the one that is read.
    fn extension(&mut self, field: &Table<'_>, column: &str) -> Result<(), Wrong> {
        let properties = field.properties(6)?;
        let of =
            |key| properties.iter().filter(move |(one, _)| *one == key).map(|(_, value)| *value);
        let mut metadata: Vec<_> = of(extension::METADATA).collect();
        if metadata.is_empty() {
            metadata.push(b"");
        }
        let mut pairs =
            of(extension::NAME).flat_map(|name| metadata.iter().map(move |value| (name, *value)));
        let refused = pairs
            .find_map(|(name, metadata)| extension::refused(name, metadata))
            .or_else(|| refused_among(&properties));
        if let (None, Some(why)) = (&self.danger, refused) {
            self.danger = Some(format!("column \"{column}\": {why}"));
        }
        Ok(())
    }

    /// The values of a dictionary are laid out as the column would be without it.
    fn dictionary(&mut self, id: i64, field: Table<'_>, layout: Layout) -> Result<(), Wrong> {
        if self.dictionaries.contains_key(&id) {
            return Ok(());
        }
        let name = quoted(&String::from_utf8_lossy(field.text(0)?));
        let mut nodes = vec![Node { name, layout, column: true }];
        self.dictionaries.insert(id, Vec::new());
        if self.nesting == MAX_DICTIONARIES {
            return Err("the schema has dictionaries of dictionaries beyond any measure".to_owned());
        }
        self.nesting += 1;
        for child in field.tables(5)? {
            self.field(child?, &mut nodes)?;
        }
        self.nesting -= 1;
        self.dictionaries.insert(id, nodes);
        Ok(())
    }
}

/// The first property that is dangerous to load.
pub(super) fn refused_among(properties: &[(&[u8], &[u8])]) -> Option<String> {
    properties.iter().find_map(|(key, value)| extension::refused_property(key, value))
}

/// How values of a type are laid out, and how many children it must have.
fn layout(field: &Table<'_>, name: &str) -> Result<(Layout, Option<usize>), Wrong> {
    let kind = field.u8(2)?;
    let about = field.table(3)?;
    let int = |number| about.map_or(Ok(None), |about| about.i32(number));
    let short = |number| about.map_or(Ok(0), |about| about.i16(number));
    let unknown = || format!("\"{name}\" has no type {kind} that is known");
    let bits = |bits: Option<i32>, known: &[i32]| {
        let bits = bits.filter(|bits| known.contains(bits)).ok_or_else(unknown)?;
        Ok::<_, Wrong>(Layout::Fixed(u64::from(bits.unsigned_abs())))
    };
    Ok(match kind {
        1 => (Layout::Null, Some(0)),
        // Polars has integers of 128 bits, which Arrow's format does not name.
        2 => (bits(int(0)?, &[8, 16, 32, 64, 128])?, Some(0)),
        3 => match short(0)? {
            precision @ 0..=2 => (bits(Some(16 << precision), &[16, 32, 64])?, Some(0)),
            _ => return Err(unknown()),
        },
        4 | 5 => (Layout::Offsets(32, true), Some(0)),
        19 | 20 => (Layout::Offsets(64, true), Some(0)),
        6 => (Layout::Fixed(1), Some(0)),
        7 => {
            let width = int(2)?.unwrap_or(128);
            let most = match width {
                32 => 9,
                64 => 18,
                128 => 38,
                _ => 76,
            };
            let digits = int(0)?.unwrap_or(0);
            if !(1..=most).contains(&digits) {
                return Err(format!("\"{name}\" has decimals of {digits} digits in {width} bits"));
            }
            (bits(Some(width), &[32, 64, 128, 256])?, Some(0))
        }
        // Dates count milliseconds where they do not say days.
        8 => {
            let days = about.map_or(Ok(false), |about| about.is(0, 0))?;
            (Layout::Fixed(if days { 32 } else { 64 }), Some(0))
        }
        9 => (bits(Some(int(1)?.unwrap_or(32)), &[32, 64])?, Some(0)),
        10 => {
            // The time zone.
            about.map_or(Ok(&[][..]), |about| about.text(1))?;
            (Layout::Fixed(64), Some(0))
        }
        18 => (Layout::Fixed(64), Some(0)),
        11 => match short(0)? {
            unit @ 0..=2 => (bits(Some(32 << unit), &[32, 64, 128])?, Some(0)),
            _ => return Err(unknown()),
        },
        12 | 17 => (Layout::Offsets(32, false), Some(1)),
        21 => (Layout::Offsets(64, false), Some(1)),
        13 => (Layout::Validity, None),
        14 => {
            // The marks of its children, where they are not simply counted.
            let marks = about.map_or(Ok(&[][..]), |about| about.structs::<4>(1))?;
            let mark = |mark: &[u8; 4]| (0..128).contains(&i32::from_le_bytes(*mark));
            if !marks.iter().all(mark) {
                return Err(format!("\"{name}\" marks its children by numbers that are no bytes"));
            }
            let children = int(1)?.map(|_| marks.len());
            (Layout::Union { dense: short(0)? == 1 }, children)
        }
        15 => match int(0)?.unwrap_or(0) {
            width @ 0.. => (Layout::Fixed(u64::from(width.unsigned_abs()) * 8), Some(0)),
            _ => return Err(unknown()),
        },
        16 => (Layout::Validity, Some(1)),
        22 => (Layout::RunEnds, Some(2)),
        23 | 24 => (Layout::Views, Some(0)),
        25 => (Layout::ListViews(32), Some(1)),
        26 => (Layout::ListViews(64), Some(1)),
        _ => return Err(unknown()),
    })
}
