//! The symbolic values of a pickle.
//!
//! A value says what kind of thing stands there, never what it holds, except where a decision needs it: short names,
//! small numbers, the items of short tuples.

/// Stands for a length or a size that is not known, and is larger than any.
pub(crate) const UNKNOWN: u64 = u64::MAX;
/// Stands for the length of a text that no bytes stand for: one of its characters is none of Latin-1.
pub(crate) const NOT_BYTES: u64 = u64::MAX - 1;
/// Bytes of a text that could still be a module or a name.
pub(crate) const MAX_NAME: usize = 255;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A number above those.
    Word(u64),
    /// A number that takes more than 64 bits; which.
    BigInt(u32),
    /// The bits of it.
    Float(u64),
    /// Text that could be a module, a name or an attribute.
    Name(Name),
    /// A text longer than any name, with its number of characters ([`UNKNOWN`] where they were not counted).
    LongText(u64),
    /// Any other text; some of it is kept to be told.
    Text(Option<Name>),
    /// The source code that a distribution of scipy is made of, proven to be scipy's own.
    Template,
    /// Bytes, with their number ([`UNKNOWN`] where it is not known).
    Bytes(u64),
    ByteArray(u64),
    /// A text or bytes that read as the model of a booster; which, and in what form.
    Model(u32, Form),
    Tuple(u32),
    List(u32),
    Dict(u32),
    /// Kept as a list.
    Set(u32),
    /// Kept as a tuple.
    FrozenSet(u32),
    /// A class or function that is allowed to be named.
    Global(u32),
    /// What calling a global answered.
    Instance(u32),
    /// A run of numbers that torch keeps outside the pickle.
    Storage(u32),
    /// `builtins.getattr`, which may only ever be called for one attribute of one class.
    Getter,
    /// Stands for something that was refused and reported; later uses are not reported again.
    /// Which it was, counted from 1; 0 if that is not kept.
    Refused(u32),
}

/// What type a booster's model has in Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Bytes,
    ByteArray,
}

impl Value {
    /// Something refused of which nothing more is kept.
    pub(crate) const REFUSED: Value = Value::Refused(0);

    pub(crate) fn is_refused(self) -> bool {
        matches!(self, Value::Refused(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) start: u32,
    pub(crate) len: u8,
}
