//! What pandas and polars need in a pickle, sorted by module.
//!
//! Facts about those libraries only; how they are used is decided elsewhere.
//! Arrow's arrays are buffers that pyarrow believes when they are used, as a booster's bytes are.
//! `polars.expr` and lazy frames are missing on purpose: their bytes hide a pickle of their own.

use crate::formats::pickle::rules::grants::{CALL, Entry, Fill, NAMED, PLAIN, Rule, ruled};

pub(crate) const TABLE: &[Entry] = &[
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
    ("polars.dataframe.frame", PLAIN, "DataFrame"),
    (
        "polars.datatypes.classes",
        PLAIN,
        "Array Binary Boolean Categorical Categories Date Datetime Decimal Duration Enum Field Float16 \
         Float32 Float64 Int128 Int16 Int32 Int64 Int8 List Null Object String Struct Time UInt128 UInt16 UInt32 \
         UInt64 UInt8 Unknown",
    ),
    ("polars.schema", CALL.filled(Fill::Mapping), "Schema"),
    ("polars.series.series", PLAIN, "Series"),
    (
        "pyarrow.lib",
        CALL,
        "chunked_array decimal128 duration py_buffer time32 time64 timestamp type_for_alias",
    ),
    ("pyarrow.lib", ruled(Rule::ArrowArray), "_restore_array"),
];
