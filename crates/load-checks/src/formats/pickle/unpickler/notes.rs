//! What is remembered of each value.

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
    /// It was used as a state, or as the arguments of a call.
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
    /// It has its state; no real pickle gives one twice.
    pub(crate) built: bool,
    /// A numpy dtype that may hold references to objects.
    pub(crate) object_dtype: bool,
    /// Set for a numpy dtype: the bytes of one item (`u64::MAX` if that is not known).
    pub(crate) dtype: Option<u64>,
    /// Set for a numpy dtype whose name and state give different sizes.
    pub(crate) odd_size: bool,
    pub(crate) span: Span,
    pub(crate) weight: Weight,
    /// It was an attribute that is copied out of a state.
    pub(crate) copied: bool,
    /// Set for an array that has no state yet.
    pub(crate) raw: bool,
    /// Set for a numpy dtype of numbers or texts, whose hashes a file cannot choose.
    pub(crate) simple: bool,
    /// Set for a numpy dtype whose state sets its size.
    pub(crate) flexible: bool,
    /// Set for a type of Arrow: the number of buffers of an array of it.
    pub(crate) buffers: u8,
    /// Set for a numpy dtype: the start of its name, such as `f8` or `V64`.
    pub(crate) code: [u8; 3],
    /// Set for a numpy dtype of records: a fingerprint of its fields' names, types and offsets.
    pub(crate) fields: u64,
    /// Set for an array of known type and shape: its number in the arena, counted from 1.
    pub(crate) array: u32,
}

/// What is remembered of a dict.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DictNote {
    /// Items put into it; a repeated key counts again.
    pub(crate) len: u64,
    /// A key like `__setstate__`.
    pub(crate) special_key: bool,
    /// A key that is the result of a call, so that its text is not known.
    pub(crate) computed_key: bool,
    /// The unexpanded numbers in it.
    pub(crate) span: Span,
    /// The cost of hashing and freeing its keys and values.
    pub(crate) weight: Weight,
    /// A value nested so deep that it must not be hashed.
    pub(crate) deep_value: bool,
    /// It was used as a state.
    pub(crate) used: bool,
    /// It was put into something else.
    pub(crate) settled: bool,
    /// What the libraries need to know to judge it as a state.
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

/// Unexpanded numbers: a range is stored by its ends alone. Expanded into an array, it takes memory out of proportion to
/// the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// `range`
    pub(crate) range: bool,
    /// A `RangeIndex` of pandas, which every ordinary frame has.
    pub(crate) index: bool,
    /// An object that computes its items on request, as a grouped frame does.
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

/// What is remembered of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListNote {
    /// The number of its items.
    pub(crate) len: u64,
    pub(crate) span: Span,
    /// It was put into something else.
    pub(crate) settled: bool,
    pub(crate) weight: Weight,
    /// Items whose hash the file can choose, unless they were counted as keys.
    pub(crate) steered: u32,
    /// Collisions among the hashes of those that were.
    pub(crate) others: u64,
    /// An item that is neither `None` nor the result of a call.
    pub(crate) plain_item: bool,
}
