//! The metadata at the end of a Parquet file, and whether they agree with each other and the file.

use super::super::Halt;
use super::super::extension;
use super::super::report::quoted;
use super::thrift::{Kind, Struct, Thrift};

/// Groups within groups in a schema.
const MAX_DEPTH: usize = 128;
/// Bytes of a column's name.
const MAX_NAME: u64 = 64 * 1024;
/// Bytes of a property of the file.
const MAX_VALUE: u64 = 64 * 1024 * 1024;
/// The property under which Arrow's writers keep their schema.
const ARROW_SCHEMA: &[u8] = b"ARROW:schema";
/// What all names of a file may take.
const MAX_NAMES: usize = 64 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Footer {
    schema: Vec<Element>,
    rows: Option<i64>,
    has_groups: bool,
    pub(super) groups: Vec<Group>,
    /// The schema that Arrow's writers keep, as they write it.
    pub(super) arrow_schema: Option<Vec<u8>>,
    /// The first property that is dangerous to load.
    pub(super) danger: Option<String>,
    /// Names are kept for the schema and for sentences; together they are bounded.
    names: usize,
}

#[derive(Default)]
struct Element {
    kind: Option<i64>,
    length: Option<i64>,
    repetition: i64,
    children: i64,
    name: String,
}

#[derive(Default)]
pub(super) struct Group {
    pub(super) columns: Vec<Column>,
    rows: Option<i64>,
}

#[derive(Default)]
pub(super) struct Column {
    /// The last part of its path.
    pub(super) name: String,
    pub(super) values: i64,
    kind: Option<i64>,
    codec: Option<i64>,
    parts: usize,
    packed: Option<i64>,
    data: Option<i64>,
    dictionary: Option<i64>,
    elsewhere: bool,
    encrypted: bool,
    bad_encoding: bool,
}

impl Column {
    /// The first byte of its pages; a chunk without values may have a dictionary alone.
    pub(super) fn start(&self) -> u64 {
        let given = [self.data, self.dictionary].into_iter().flatten().filter(|at| *at > 0);
        given.min().unwrap_or(0).unsigned_abs()
    }

    pub(super) fn end(&self) -> u64 {
        self.start().saturating_add(self.packed.unwrap_or(0).max(0).unsigned_abs())
    }
}

/// A leaf of the schema.
struct Leaf {
    kind: Option<i64>,
    depth: usize,
    /// Its values are as many as the rows.
    flat: bool,
    element: usize,
}

pub(super) fn is_encoding(number: i64) -> bool {
    matches!(number, 0 | 2..=9)
}

impl Footer {
    pub(super) fn read(thrift: &mut Thrift<'_, '_>) -> Result<Self, Halt> {
        let mut footer = Self::default();
        let mut within = Struct::default();
        while let Some((number, kind)) = thrift.field(&mut within)? {
            match (number, kind) {
                (2, Kind::List) => thrift.structs(|thrift| footer.element(thrift))?,
                (3, Kind::Int) => footer.rows = Some(thrift.int()?),
                (4, Kind::List) => {
                    footer.has_groups = true;
                    thrift.structs(|thrift| footer.group(thrift))?;
                }
                (5, Kind::List) => thrift.structs(|thrift| footer.property(thrift))?,
                _ => thrift.pass(kind)?,
            }
        }
        Ok(footer)
    }

    /// A key and its value, of which one is of interest.
    fn property(&mut self, thrift: &mut Thrift<'_, '_>) -> Result<(), Halt> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let mut within = Struct::default();
        while let Some((number, kind)) = thrift.field(&mut within)? {
            match (number, kind) {
                (1, Kind::Binary) => key = thrift.bytes(MAX_VALUE)?,
                (2, Kind::Binary) => value = thrift.bytes(MAX_VALUE)?,
                _ => thrift.pass(kind)?,
            }
        }
        if key != ARROW_SCHEMA {
            self.danger = self.danger.take().or_else(|| extension::refused_property(&key, &value));
        } else if self.arrow_schema.replace(value).is_some() {
            return thrift.fault("a second ARROW:schema");
        }
        Ok(())
    }

    fn name(&mut self, thrift: &mut Thrift<'_, '_>) -> Result<String, Halt> {
        let name = thrift.bytes(MAX_NAME)?;
        self.names += name.len();
        if self.names > MAX_NAMES {
            return thrift.fault("names of columns beyond any measure");
        }
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    fn element(&mut self, thrift: &mut Thrift<'_, '_>) -> Result<(), Halt> {
        let mut element = Element::default();
        let mut within = Struct::default();
        while let Some((number, kind)) = thrift.field(&mut within)? {
            match (number, kind) {
                (1, Kind::Int) => element.kind = Some(thrift.int()?),
                (2, Kind::Int) => element.length = Some(thrift.int()?),
                (3, Kind::Int) => element.repetition = thrift.int()?,
                (4, Kind::Binary) => element.name = self.name(thrift)?,
                (5, Kind::Int) => element.children = thrift.int()?,
                _ => thrift.pass(kind)?,
            }
        }
        self.schema.push(element);
        Ok(())
    }

    fn group(&mut self, thrift: &mut Thrift<'_, '_>) -> Result<(), Halt> {
        let mut group = Group::default();
        let mut within = Struct::default();
        while let Some((number, kind)) = thrift.field(&mut within)? {
            match (number, kind) {
                (1, Kind::List) => thrift.structs(|thrift| {
                    group.columns.push(self.column(thrift)?);
                    Ok(())
                })?,
                (3, Kind::Int) => group.rows = Some(thrift.int()?),
                _ => thrift.pass(kind)?,
            }
        }
        self.groups.push(group);
        Ok(())
    }

    fn column(&mut self, thrift: &mut Thrift<'_, '_>) -> Result<Column, Halt> {
        let mut column = Column::default();
        let mut within = Struct::default();
        while let Some((number, kind)) = thrift.field(&mut within)? {
            match (number, kind) {
                (1, Kind::Binary) => {
                    column.elsewhere = !thrift.bytes(MAX_NAME)?.is_empty();
                }
                (3, Kind::Struct) => self.about(thrift, &mut column)?,
                (8 | 9, _) => {
                    column.encrypted = true;
                    thrift.pass(kind)?;
                }
                _ => thrift.pass(kind)?,
            }
        }
        Ok(column)
    }

    fn about(&mut self, thrift: &mut Thrift<'_, '_>, column: &mut Column) -> Result<(), Halt> {
        let mut within = Struct::default();
        let mut values = None;
        while let Some((number, kind)) = thrift.field(&mut within)? {
            match (number, kind) {
                (1, Kind::Int) => column.kind = Some(thrift.int()?),
                (2, Kind::List) => {
                    let (count, kind) = thrift.list()?;
                    for _ in 0..count {
                        match kind {
                            Kind::Int => column.bad_encoding |= !is_encoding(thrift.int()?),
                            _ => return thrift.fault("encodings that are no numbers"),
                        }
                    }
                }
                (3, Kind::List) => {
                    let (count, kind) = thrift.list()?;
                    for _ in 0..count {
                        match kind {
                            Kind::Binary => column.name = self.name(thrift)?,
                            _ => return thrift.fault("a path that is no names"),
                        }
                        column.parts += 1;
                    }
                }
                (4, Kind::Int) => column.codec = Some(thrift.int()?),
                (5, Kind::Int) => values = Some(thrift.int()?),
                (7, Kind::Int) => column.packed = Some(thrift.int()?),
                (9, Kind::Int) => column.data = Some(thrift.int()?),
                (11, Kind::Int) => column.dictionary = Some(thrift.int()?),
                _ => thrift.pass(kind)?,
            }
        }
        column.values = values.unwrap_or(-1);
        Ok(())
    }

    /// Holds schema, groups and chunks against each other; the chunks end before `end`.
    pub(super) fn consistent(&self, end: u64) -> Result<(), String> {
        let leaves = self.leaves()?;
        let Some(rows @ 0..) = self.rows else {
            return Err("the footer says no number of rows".to_owned());
        };
        if !self.has_groups {
            return Err("the footer has no list of row groups".to_owned());
        }
        let mut ranges = Vec::new();
        let mut sum = 0_i64;
        for (i, group) in self.groups.iter().enumerate() {
            let Some(rows @ 0..) = group.rows else {
                return Err(format!("row group {i} says no number of rows"));
            };
            sum = sum.saturating_add(rows);
            if group.columns.len() != leaves.len() {
                let (held, needed) = (group.columns.len(), leaves.len());
                return Err(format!("row group {i} has {held} columns; the schema has {needed}"));
            }
            for (column, leaf) in group.columns.iter().zip(&leaves) {
                self.fits(column, leaf, rows, end).map_err(|what| {
                    format!("column \"{}\" of row group {i} {what}", quoted(&column.name))
                })?;
                ranges.push((column.start(), column.end()));
            }
        }
        if sum != rows {
            return Err(format!("the row groups have {sum} rows together; {rows} are declared"));
        }
        ranges.sort_unstable();
        match ranges.array_windows().find(|[a, b]| a.1 > b.0) {
            Some([_, b]) => Err(format!("two columns overlap at byte {}", b.0)),
            None => Ok(()),
        }
    }

    fn fits(&self, column: &Column, leaf: &Leaf, rows: i64, end: u64) -> Result<(), String> {
        if column.elsewhere {
            return Err("is kept in another file; a version is one file".to_owned());
        }
        if column.encrypted {
            return Err("is encrypted; no key is asked for here".to_owned());
        }
        let name = self.schema.get(leaf.element).map_or("", |element| &element.name);
        if column.kind != leaf.kind || column.parts != leaf.depth || column.name != name {
            return Err("is not the one of the schema in its place".to_owned());
        }
        if !matches!(column.codec, Some(0..=7)) || column.bad_encoding {
            return Err("is packed in a way that is not known".to_owned());
        }
        if column.values < 0 || (leaf.flat && column.values != rows) {
            return Err(format!("has {} values for {rows} rows", column.values));
        }
        let empty = column.values == 0 && column.packed == Some(0);
        let said = matches!((column.data, column.packed), (Some(0..), Some(0..)));
        if !said || !(empty || column.start() >= 4) || column.end() > end {
            return Err(format!(
                "stands in bytes {} to {}, where the file has none for it",
                column.start(),
                column.end()
            ));
        }
        Ok(())
    }

    /// The leaves of the schema, which stands depth first.
    fn leaves(&self) -> Result<Vec<Leaf>, String> {
        let Some((root, elements)) = self.schema.split_first() else {
            return Err("the footer has no schema".to_owned());
        };
        let mut leaves = Vec::new();
        // Of every open group how many children are missing, and whether it repeats.
        let mut open = vec![(root.children, false)];
        for (i, element) in elements.iter().enumerate() {
            while open.last().is_some_and(|(left, _)| *left == 0) {
                open.pop();
            }
            let Some((left, repeats)) = open.last_mut() else {
                return Err("the schema has more columns than it says".to_owned());
            };
            *left -= 1;
            let repeats = *repeats || element.repetition == 2;
            let name = quoted(&element.name);
            if !(0..=2).contains(&element.repetition) || element.children < 0 {
                return Err(format!("\"{name}\" in the schema is damaged"));
            }
            let Some(kind) = element.kind.filter(|_| element.children == 0) else {
                open.push((element.children, repeats));
                if open.len() > MAX_DEPTH {
                    return Err(format!("groups in the schema, more than {MAX_DEPTH} deep"));
                }
                continue;
            };
            if !(0..=7).contains(&kind) || (kind == 7 && element.length.is_none_or(|n| n < 0)) {
                return Err(format!("\"{name}\" in the schema has no type {kind}"));
            }
            let (depth, flat) = (open.len(), !repeats);
            leaves.push(Leaf { kind: Some(kind), depth, flat, element: i + 1 });
        }
        if open.iter().any(|(left, _)| *left != 0) {
            return Err("the schema has fewer columns than it says".to_owned());
        }
        Ok(leaves)
    }
}
