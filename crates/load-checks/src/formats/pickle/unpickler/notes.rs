//! What is known of each value besides what it is.

use crate::formats::pickle::cost::hashing::Weight;
use crate::formats::pickle::libraries::{Library, Seen};
use crate::formats::pickle::rules::grants::{Grant, Make, Rule};

#[derive(Debug, Clone, Copy)]
pub(crate) struct TupleNote {
    pub(super) start: u32,
    /// Kept items; the tuple may be longer.
    pub(super) kept: u8,
    pub(super) whole: bool,
    pub(super) len: u32,
    pub(super) hashable: bool,
    /// It was a state, or the arguments of a call.
    pub(crate) used: bool,
    pub(super) span: Span,
    pub(super) weight: Weight,
}

/// A class or function that may be named.
pub(crate) struct GlobalNote {
    pub(crate) module: String,
    pub(crate) name: String,
    pub(crate) grant: Grant,
    /// The library that the module belongs to.
    pub(crate) library: &'static Library,
}

impl GlobalNote {
    /// Whether it is a class whose objects are made without arguments.
    pub(crate) fn is_plain(&self) -> bool {
        self.grant.make == Make::Empty
    }

    /// Likewise, or a tuple with names.
    pub(crate) fn is_plain_or_fields(&self) -> bool {
        matches!(self.grant.make, Make::Empty | Make::Ruled(Rule::Fields))
    }

    /// Whether an operator trusts it, so that the rules do not apply.
    pub(crate) fn is_trusted(&self) -> bool {
        self.grant == Grant::TRUSTED
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct InstanceNote {
    /// The class or function it came from.
    pub(crate) global: u32,
    /// It was given its state; no real pickle does so twice.
    pub(crate) built: bool,
    /// A numpy dtype that may hold references to objects.
    pub(crate) object_dtype: bool,
    /// A numpy dtype, and the bytes one item of it takes (`u64::MAX` if that is not known).
    pub(crate) dtype: Option<u64>,
    /// Its name and its state say different sizes.
    pub(crate) odd_size: bool,
    pub(crate) span: Span,
    pub(crate) weight: Weight,
    /// It stood where an array is copied out of a state.
    pub(crate) copied: bool,
    /// An array before it has its state.
    pub(crate) raw: bool,
    /// A numpy dtype of numbers or texts, whose values nobody can give one hash.
    pub(crate) simple: bool,
    /// A numpy dtype whose size is what its state says.
    pub(crate) flexible: bool,
    /// A type of Arrow, and how many buffers an array of it has.
    pub(crate) buffers: u8,
    /// A numpy dtype, and the start of the text it is named by: `f8`, `V64`.
    pub(crate) code: [u8; 3],
    /// A numpy dtype of records: tells its fields from others, with their types and places.
    pub(crate) fields: u64,
    /// The place of what is known of an array, counted from 1; 0 where nothing is.
    pub(crate) array: u32,
}

/// What was seen among the keys and values of a dict.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DictNote {
    /// Items that were put into it, the same key again included.
    pub(crate) len: u64,
    /// A key like `__setstate__`.
    pub(crate) special_key: bool,
    /// A key that is the result of a call, so that its text is not known.
    pub(crate) computed_key: bool,
    /// Numbers that it holds without spelling them out.
    pub(crate) span: Span,
    /// What its keys and values weigh.
    pub(crate) weight: Weight,
    /// A value nested so deep that it must not be hashed.
    pub(crate) deep_value: bool,
    /// It was a state before.
    pub(crate) used: bool,
    /// It was put into something else.
    pub(crate) settled: bool,
    /// What the libraries ask of the states of their classes.
    pub(crate) seen: Seen,
}

impl DictNote {
    pub(super) fn empty() -> Self {
        Self {
            len: 0,
            special_key: false,
            computed_key: false,
            span: Span::NONE,
            weight: Weight::PLAIN,
            deep_value: false,
            used: false,
            settled: false,
            seen: Seen::default(),
        }
    }
}

/// Numbers that stand in the file by their ends alone, and what holds any: made an array of, they
/// take memory that nothing in the file pays for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// `range`
    pub(crate) range: bool,
    /// A `RangeIndex` of pandas, which every ordinary frame has.
    pub(crate) index: bool,
    /// An object that calculates when its items are asked for, as a grouped frame does.
    pub(crate) lazy: bool,
}

impl Span {
    pub(crate) const NONE: Span = Span { range: false, index: false, lazy: false };

    pub(crate) fn any(self) -> bool {
        self.range || self.index || self.lazy
    }
}

impl std::ops::BitOrAssign for Span {
    fn bitor_assign(&mut self, other: Self) {
        self.range |= other.range;
        self.index |= other.index;
        self.lazy |= other.lazy;
    }
}

/// What was seen among the items of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListNote {
    /// Its items.
    pub(crate) len: u64,
    pub(crate) span: Span,
    /// It was put into something else.
    pub(crate) settled: bool,
    pub(crate) weight: Weight,
    /// Items whose hash the file can choose, where they are not counted as keys.
    pub(crate) steered: u32,
    /// Where they are: how often one of them has the hash of others.
    pub(crate) others: u64,
    /// An item that is neither `None` nor the answer of a call.
    pub(crate) plain_item: bool,
}
