//! What Python's standard library and the time zone packages need in a pickle, sorted by module.
//!
//! Facts about those libraries only; how they are used is decided elsewhere.
//! `getattr`, `operator` and `functools.partial` are missing on purpose: each reaches anything. The one
//! use of `getattr` that time zones need is written out where calls are decided.

use crate::formats::pickle::rules::grants::{CALL, Entry, Fill, NAMED, PLAIN, Rule, ruled};

pub(crate) const TABLE: &[Entry] = &[
    ("_codecs", ruled(Rule::Encode), "encode"),
    ("builtins", CALL, "complex"),
    ("builtins", NAMED, "Ellipsis NotImplemented bool float int str"),
    ("builtins", PLAIN, "object"),
    ("builtins", ruled(Rule::Elements), "bytearray bytes dict frozenset list set tuple"),
    ("builtins", ruled(Rule::Ends), "slice"),
    ("builtins", ruled(Rule::Integers), "range"),
    ("collections", ruled(Rule::Elements).filled(Fill::Mapping), "Counter"),
    // torch hangs the versions of its layers on the dict of their weights.
    ("collections", ruled(Rule::Elements).filled(Fill::Mapping).with_state(), "OrderedDict"),
    ("collections", ruled(Rule::Elements).filled(Fill::Sequence), "deque"),
    ("collections", ruled(Rule::Factory).filled(Fill::Mapping), "defaultdict"),
    ("copyreg", ruled(Rule::NewObject), "__newobj__"),
    ("copyreg", ruled(Rule::Reconstructor), "_reconstructor"),
    ("datetime", CALL, "date datetime time timedelta timezone"),
    ("dateutil.relativedelta", PLAIN, "relativedelta"),
    ("dateutil.tz._tzfile", NAMED, "tzfile"),
    ("dateutil.tz._tzfile", ruled(Rule::ClassFirst), "_unpickle"),
    ("dateutil.tz.tz", CALL, "tzutc"),
    ("decimal", CALL, "Decimal"),
    ("fractions", ruled(Rule::Ratio), "Fraction"),
    ("pathlib", CALL, "PosixPath PurePosixPath PureWindowsPath WindowsPath"),
    ("pathlib._local", CALL, "PosixPath PurePosixPath PureWindowsPath WindowsPath"),
    ("pytz", CALL, "FixedOffset _UTC _p"),
    ("uuid", PLAIN, "UUID"),
    ("zoneinfo", NAMED, "ZoneInfo"),
];
