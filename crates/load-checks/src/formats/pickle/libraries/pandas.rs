//! pandas: frames, indexes, extension arrays, offsets and windows.

use super::{Argument, Library, Made, is_unpickler_of, package_of};
use crate::formats::pickle::rules::arguments::MAX_STEPS;
use crate::formats::pickle::rules::grants::{CALL, Entry, NAMED, PLAIN, Rule, ruled};
use crate::formats::pickle::unpickler::arena::{Arena, GlobalNote, Span};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

pub(crate) static LIBRARY: Library = Library {
    packages: &["pandas"],
    grants: GRANTS,
    computes_items: &[
        "pandas.api.typing",
        "pandas.core.groupby.",
        "pandas.core.resample",
        "pandas.core.window.",
    ],
    lays_out_state: &["pandas"],
    takes,
    fits,
    makes,
    made,
    check_state,
    ..Library::UNKNOWN
};

/// The units of time that pandas writes, by its own numbers.
const SECONDS: i64 = 7;
const NANOSECONDS: i64 = 10;

/// What the data of an index may be called in a pickle.
const INDEX_KEYS: [&[u8]; 14] = [
    b"closed",
    b"codes",
    b"data",
    b"freq",
    b"labels",
    b"left",
    b"levels",
    b"name",
    b"names",
    b"right",
    b"sortorder",
    b"start",
    b"step",
    b"stop",
];

fn is_frame(function: &GlobalNote) -> bool {
    function.name == "BlockManager"
}

fn takes(_: &Arena, function: &GlobalNote, argument: Argument<'_>) -> bool {
    match argument {
        // Holidays, or the blocks of a frame.
        Argument::LongTuple => function.module.starts_with("pandas._libs") || is_frame(function),
        Argument::List => is_frame(function),
        Argument::Dict(_) | Argument::LongText => false,
        Argument::Object(object, class) => {
            let named = function.name.as_str();
            if class.is_plain_or_fields() {
                return class.is_plain() && named == "_unpickle_block";
            }
            match package_of(&class.module) {
                "numpy" | "joblib" => matches!(
                    named,
                    "_unpickle_block"
                        | "IntIndex"
                        | "Interval"
                        | "CustomBusinessDay"
                        | "CustomBusinessHour"
                        | "CustomBusinessMonthBegin"
                        | "CustomBusinessMonthEnd"
                ),
                "builtins" => named == "_unpickle_block" && class.name == "slice",
                // An error about anything but a type would lay out the texts in its buffers, which are not checked.
                "pyarrow" => named == "ArrowDtype" && object.buffers > 0,
                "datetime" | "dateutil" | "zoneinfo" | "pytz" | "pandas" => true,
                _ => false,
            }
        }
    }
}

/// Whether an index would be made without converting its data, which pandas never asks for in a pickle, and without
/// reading buffers of Arrow, which are not checked; an index of texts only keeps them.
fn fits(arena: &Arena, function: &GlobalNote, args: &[Value]) -> bool {
    if !function.name.starts_with("_new_") {
        return takes_so_many(arena, function, args);
    }
    if !matches!(args, [_, Value::Dict(_)]) {
        return false;
    }
    let keeps = match args.first() {
        Some(Value::Global(class)) => {
            let class = arena.global_note(*class).name.as_str();
            matches!(class, "CategoricalIndex" | "Index" | "MultiIndex")
        }
        _ => false,
    };
    let converts = args.iter().any(|arg| match arg {
        Value::Dict(id) => arena.dicts[*id as usize].seen.pandas.foreign_to_index,
        _ => false,
    });
    !converts && (keeps || !args.iter().any(|arg| arena.weight(*arg).buffers))
}

/// Whether a function takes as many arguments, of their types as far as one type alone can be meant.
fn takes_so_many(arena: &Arena, function: &GlobalNote, args: &[Value]) -> bool {
    let whole = |arg: &Value| matches!(arg, Value::Int(_) | Value::Word(_) | Value::BigInt(_));
    match function.name.as_str() {
        "_timedelta_unpickle" => {
            matches!(args, [value, Value::Int(SECONDS..=NANOSECONDS)] if whole(value))
        }
        "_unpickle_timestamp" => {
            matches!(args, [value, _, _] | [value, _, _, Value::Int(SECONDS..=NANOSECONDS)] if whole(value))
        }
        "__nat_unpickle" | "_nat_unpickle" | "ArrowDtype" => args.len() == 1,
        "PeriodDtype" => matches!(args, [] | [_]),
        "StringDtype" => match args {
            [] => true,
            [storage] | [storage, _] => {
                let known = ["python", "pyarrow", "pyarrow_numpy"];
                *storage == Value::None || known.iter().any(|known| arena.is_name(*storage, known))
            }
            _ => false,
        },
        "Interval" => match args {
            [left, right] => are_ends(*left, *right),
            [left, right, closed] => {
                let known = ["both", "left", "neither", "right"];
                are_ends(*left, *right) && known.iter().any(|known| arena.is_name(*closed, known))
            }
            _ => false,
        },
        "Period" => (1..=9).contains(&args.len()),
        "IntIndex" => matches!(args, [Value::Int(_), _] | [Value::Int(_), _, _]),
        "_unpickle_block" => args.len() == 3,
        "BlockManager" => args.len() <= 3,
        "Week" => matches!(
            args,
            [] | [Value::Int(_)]
                | [Value::Int(_), _]
                | [Value::Int(_), _, Value::None | Value::Int(0..=6)]
        ),
        "Day" | "Hour" | "Micro" | "Milli" | "Minute" | "Nano" | "Second" => {
            matches!(args, [] | [Value::Int(_)] | [Value::Int(_), _])
        }
        _ if function.module == "pandas._libs.tslibs.offsets" => {
            matches!(args, [] | [Value::Int(_), ..])
        }
        _ => true,
    }
}

/// Whether two values may be the ends of an interval.
fn are_ends(left: Value, right: Value) -> bool {
    let text = |value| matches!(value, Value::Name(_) | Value::Text(_) | Value::LongText(_));
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => left <= right,
        (Value::Float(left), Value::Float(right)) => f64::from_bits(left) <= f64::from_bits(right),
        _ => !text(left) && !text(right),
    }
}

fn makes(function: &GlobalNote, class: &GlobalNote) -> bool {
    let (named, pandas) = (class.name.as_str(), class.module.starts_with("pandas"));
    match function.name.as_str() {
        "_new_DatetimeIndex" => pandas && named == "DatetimeIndex",
        "_new_TimedeltaIndex" => pandas && named == "TimedeltaIndex",
        "_new_IntervalIndex" => pandas && named == "IntervalIndex",
        "_new_Index" => pandas && named.ends_with("Index"),
        "__pyx_unpickle_NDArrayBacked" => {
            pandas && (named.ends_with("Array") || named == "Categorical")
        }
        "__pyx_unpickle_IntervalMixin" => pandas && named.starts_with("Interval"),
        _ => is_unpickler_of(function, class),
    }
}

fn made(_: &Arena, function: &GlobalNote, _: &[Value]) -> Made {
    let name = function.name.as_str();
    let by_code = function.is_plain() && (name.ends_with("Dtype") || name == "DateOffset");
    Made {
        hashed_by_code: by_code || name == "__pyx_unpickle_IntervalMixin",
        chosen_hash: name == "Interval",
        ..Made::default()
    }
}

fn check_state(machine: &mut Machine<'_, '_, '_>, instance: u32, state: Value) -> Result<(), Halt> {
    let class = machine.arena.global_of_instance(instance);
    let odd =
        matches!(state, Value::Dict(id) if machine.arena.dicts[id as usize].seen.pandas.odd_frame);
    match class.name.as_str() {
        "DataFrame" | "Series" if odd => {
            machine
                .bad_state(instance, "sets what pandas would make an index, a name or a dict of");
        }
        "__pyx_unpickle_NDArrayBacked" if !is_pair_of_objects(&machine.arena, state) => {
            machine.bad_state(instance, "is one of which pandas would make a new array");
        }
        _ => {}
    }
    Ok(())
}

/// Whether a state is a type and an array, and perhaps more.
fn is_pair_of_objects(arena: &Arena, state: Value) -> bool {
    match state {
        Value::Tuple(id) => {
            matches!(arena.items(id), Some([Value::Instance(_), Value::Instance(_), ..]))
        }
        _ => false,
    }
}

/// What a column may be called: its hash is taken.
fn is_name_of_column(arena: &Arena, name: Value) -> bool {
    match name {
        Value::Tuple(id) => arena.items(id).is_some_and(|items| {
            items
                .iter()
                .all(|item| !matches!(item, Value::Tuple(_)) && is_name_of_column(arena, *item))
        }),
        Value::Instance(_) => !arena.weight(name).risky && arena.weight(name).steps <= MAX_STEPS,
        Value::List(_) | Value::Dict(_) | Value::Set(_) | Value::FrozenSet(_) => false,
        _ => true,
    }
}

/// Numbers that an item holds without spelling them out. The places of a block are laid out from the ends of an index.
pub(crate) fn span_of_item(arena: &Arena, key: &[u8], value: Value) -> Span {
    let mut span = arena.span_of(value);
    span.range |= span.index && key == b"mgr_locs";
    span
}

/// What the states and arguments of pandas' classes are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Items {
    /// A key that is no part of an index: as an argument of an index it would convert the data, or look up a time
    /// zone.
    pub(crate) foreign_to_index: bool,
    /// Numbers that are not spelled out, except those under the key `levels`.
    pub(crate) span_of_data: Span,
    /// An attribute that a frame sets by code.
    odd_frame: bool,
}

impl Items {
    /// Remembers an item, which holds `span`.
    pub(crate) fn note(&mut self, arena: &Arena, key: &[u8], value: Value, span: Span) {
        let zone = key == b"tz" && matches!(value, Value::None | Value::Instance(_));
        self.foreign_to_index |= !zone && !INDEX_KEYS.contains(&key);
        if key != b"levels" || arena.span_of(value).range {
            self.span_of_data |= span;
        }
        self.odd_frame |= match key {
            b"_flags" | b"attrs" => !matches!(value, Value::Dict(_)),
            b"name" => !is_name_of_column(arena, value),
            b"columns" | b"index" => true,
            _ => false,
        };
    }
}

const GRANTS: &[Entry] = &[
    ("pandas", CALL, "Interval Period PeriodDtype StringDtype"),
    ("pandas", CALL.with_state(), "ArrowDtype DateOffset"),
    (
        "pandas",
        NAMED,
        "Categorical CategoricalIndex DatetimeIndex Index IntervalIndex MultiIndex NA \
         PeriodIndex RangeIndex TimedeltaIndex",
    ),
    (
        "pandas",
        PLAIN,
        "BooleanDtype CategoricalDtype DataFrame DatetimeTZDtype Float32Dtype Float64Dtype \
         Int16Dtype Int32Dtype Int64Dtype Int8Dtype IntervalDtype Series SparseDtype \
         UInt16Dtype UInt32Dtype UInt64Dtype UInt8Dtype",
    ),
    ("pandas._libs.arrays", ruled(Rule::ClassFirst).with_state(), "__pyx_unpickle_NDArrayBacked"),
    ("pandas._libs.internals", CALL, "_unpickle_block"),
    ("pandas._libs.interval", CALL, "Interval"),
    ("pandas._libs.interval", ruled(Rule::ClassFirst).with_state(), "__pyx_unpickle_IntervalMixin"),
    ("pandas._libs.missing", NAMED, "NA"),
    ("pandas._libs.sparse", CALL, "IntIndex"),
    ("pandas._libs.tslibs.nattype", CALL, "__nat_unpickle _nat_unpickle"),
    (
        "pandas._libs.tslibs.offsets",
        CALL,
        "BQuarterBegin BQuarterEnd BYearBegin BYearEnd BusinessDay BusinessHour BusinessMonthBegin BusinessMonthEnd \
         Day CustomBusinessDay CustomBusinessHour CustomBusinessMonthBegin CustomBusinessMonthEnd \
         Easter FY5253 FY5253Quarter Hour LastWeekOfMonth Micro Milli Minute MonthBegin MonthEnd Nano QuarterBegin QuarterEnd Second \
         SemiMonthBegin SemiMonthEnd Week WeekOfMonth YearBegin YearEnd",
    ),
    ("pandas._libs.tslibs.offsets", PLAIN, "DateOffset"),
    ("pandas._libs.tslibs.period", CALL, "Period"),
    ("pandas._libs.tslibs.timedeltas", CALL, "Timedelta _timedelta_unpickle"),
    ("pandas._libs.tslibs.timestamps", CALL, "_unpickle_timestamp"),
    (
        "pandas.api.typing",
        PLAIN,
        "DataFrameGroupBy DatetimeIndexResampler Expanding ExpandingGroupby ExponentialMovingWindow \
         Rolling RollingGroupBy RollingGroupby SeriesGroupBy TimeGrouper",
    ),
    ("pandas.arrays", NAMED, "DatetimeArray IntervalArray PeriodArray StringArray TimedeltaArray"),
    (
        "pandas.arrays",
        PLAIN,
        "ArrowExtensionArray ArrowStringArray BooleanArray FloatingArray IntegerArray SparseArray",
    ),
    ("pandas.core.arrays.arrow.array", PLAIN, "ArrowExtensionArray"),
    ("pandas.core.arrays.boolean", PLAIN, "BooleanArray BooleanDtype"),
    ("pandas.core.arrays.categorical", NAMED, "Categorical"),
    ("pandas.core.arrays.datetimes", NAMED, "DatetimeArray"),
    ("pandas.core.arrays.floating", PLAIN, "Float32Dtype Float64Dtype FloatingArray"),
    (
        "pandas.core.arrays.integer",
        PLAIN,
        "Int16Dtype Int32Dtype Int64Dtype Int8Dtype IntegerArray UInt16Dtype UInt32Dtype \
         UInt64Dtype UInt8Dtype",
    ),
    ("pandas.core.arrays.interval", NAMED, "IntervalArray"),
    ("pandas.core.arrays.period", NAMED, "PeriodArray"),
    ("pandas.core.arrays.sparse.array", PLAIN, "SparseArray"),
    ("pandas.core.arrays.sparse.dtype", PLAIN, "SparseDtype"),
    ("pandas.core.arrays.string_", CALL.with_state(), "StringDtype"),
    ("pandas.core.arrays.string_", NAMED, "StringArray"),
    ("pandas.core.arrays.string_arrow", PLAIN, "ArrowStringArray ArrowStringArrayNumpySemantics"),
    ("pandas.core.arrays.timedeltas", NAMED, "TimedeltaArray"),
    ("pandas.core.dtypes.dtypes", CALL, "PeriodDtype"),
    ("pandas.core.dtypes.dtypes", CALL.with_state(), "ArrowDtype"),
    (
        "pandas.core.dtypes.dtypes",
        PLAIN,
        "CategoricalDtype DatetimeTZDtype IntervalDtype SparseDtype",
    ),
    ("pandas.core.frame", PLAIN, "DataFrame"),
    ("pandas.core.groupby.generic", ruled(Rule::Fields), "NamedAgg"),
    ("pandas.core.groupby.generic", PLAIN, "DataFrameGroupBy SeriesGroupBy"),
    ("pandas.core.groupby.grouper", PLAIN, "Grouper Grouping"),
    ("pandas.core.groupby.ops", PLAIN, "BaseGrouper BinGrouper"),
    ("pandas.core.indexes.base", NAMED, "Index"),
    ("pandas.core.indexes.base", ruled(Rule::ClassFirst), "_new_Index"),
    ("pandas.core.indexes.category", NAMED, "CategoricalIndex"),
    ("pandas.core.indexes.datetimes", NAMED, "DatetimeIndex"),
    ("pandas.core.indexes.datetimes", ruled(Rule::ClassFirst), "_new_DatetimeIndex"),
    ("pandas.core.indexes.interval", NAMED, "IntervalIndex"),
    ("pandas.core.indexes.interval", ruled(Rule::ClassFirst), "_new_IntervalIndex"),
    ("pandas.core.indexes.multi", NAMED, "MultiIndex"),
    ("pandas.core.indexes.numeric", NAMED, "Float64Index Int64Index UInt64Index"),
    ("pandas.core.indexes.period", NAMED, "PeriodIndex"),
    ("pandas.core.indexes.range", NAMED, "RangeIndex"),
    ("pandas.core.indexes.timedeltas", NAMED, "TimedeltaIndex"),
    ("pandas.core.indexes.timedeltas", ruled(Rule::ClassFirst), "_new_TimedeltaIndex"),
    ("pandas.core.internals.managers", CALL, "BlockManager"),
    ("pandas.core.internals.managers", PLAIN, "SingleBlockManager"),
    ("pandas.core.resample", PLAIN, "DatetimeIndexResampler TimeGrouper"),
    ("pandas.core.series", PLAIN, "Series"),
    ("pandas.core.window.ewm", PLAIN, "ExponentialMovingWindow"),
    ("pandas.core.window.expanding", PLAIN, "Expanding"),
    ("pandas.core.window.rolling", PLAIN, "Rolling RollingGroupby"),
    (
        "pandas.tseries.holiday",
        NAMED,
        "after_nearest_workday before_nearest_workday nearest_workday next_monday \
         next_monday_or_tuesday next_workday previous_friday previous_workday sunday_to_monday \
         weekend_to_monday",
    ),
    ("pandas.tseries.holiday", PLAIN, "Holiday USFederalHolidayCalendar"),
];
