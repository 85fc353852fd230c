#!/usr/bin/env python3
"""Writes hostile pickles that call nothing, and still end the process that loads them.

    make_exhausting.py PYTHON [TORCH] [-- NAME...]

PYTHON is an interpreter with numpy, pandas, pyarrow, polars, scipy, scikit-learn, joblib, lightgbm, xgboost and
dateutil, TORCH one with torch. Each file is loaded by it in a process of its own with four gigabytes of memory,
and kept only if that process died, ran out of memory, did not end, or opened a file that the pickle names; a file
for joblib, if `pickle.load` ran the command in it. With names, only those files are written.

The files are fixtures: the tests never run this script.
"""

import gzip
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOAD = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
import gzip, os, pickle
sys.addaudithook(lambda event, args: event == "open" and args[0] == "/proc/sys/kernel/hostname" and os._exit(98))
try:
    with (gzip.open if sys.argv[1].endswith(".gz") else open)(sys.argv[1], "rb") as file:
        pickle.load(file)
except MemoryError:
    sys.exit(99)
except Exception as error:
    print(error)
"""
#: Run inside the environment: what the libraries themselves write.
MODELS = """
import sys, numpy as np, lightgbm, xgboost
rng = np.random.default_rng(7)
X = rng.normal(size=(60, 3)); y = X @ [0.5, -0.2, 0.1]
light = lightgbm.train(dict(verbose=-1, num_leaves=4), lightgbm.Dataset(X, y), 2)
boost = xgboost.train(dict(max_depth=2), xgboost.DMatrix(X, y), 2)
open("light", "w").write(light.model_to_string())
open("boost", "wb").write(bytes(boost.__getstate__()["handle"]))
"""
#: Arrow believes the offsets of texts; an index made of objects follows them while it is loaded.
FORGED = """
import pickle, pandas as pd, pyarrow as pa
from pandas.core.indexes.base import _new_Index
array = pa.array(["aa", "bb", "cc"], pa.large_string())
restore, (parts,) = array.__reduce__()
offsets = bytes(8) + (2**40).to_bytes(8, "little") * 3
class Forged:
    def __reduce__(self):
        return restore, (parts[:4] + ([None, pa.py_buffer(offsets), parts[4][2]],) + parts[5:],)
texts = pd.array(["aa", "bb", "cc"], dtype="string[pyarrow]")
class Texts:
    def __reduce__(self):
        return copyreg._reconstructor, (type(texts), object, None), texts.__getstate__() | {"_pa_array": Forged()}
class Index:
    def __reduce__(self):
        return _new_Index, (pd.Index, {"data": Texts(), "name": None, "dtype": "object"})
import copyreg
open("forged", "wb").write(pickle.dumps(Index(), 4))
class Periods:
    def __reduce__(self):
        return _new_Index, (pd.PeriodIndex, {"data": Texts(), "name": None, "freq": "D"})
open("periods", "wb").write(pickle.dumps(Periods(), 4))
import numpy as np
made, args, _ = pd.Categorical(["a"]).__reduce__()
class Categories:
    def __reduce__(self):
        return made, args, {"_categories": Texts(), "_ordered": False, "_codes": np.zeros(3, "i1")}
open("categories", "wb").write(pickle.dumps(Categories(), 4))
import io, polars as pl
packed = io.BytesIO()
pl.DataFrame({"a": pl.zeros(800_000_000, eager=True, dtype=pl.Int64)}).write_ipc_stream(packed, compression="zstd")
open("zeros", "wb").write(packed.getvalue())
"""


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return b"X" + struct.pack("<I", len(value)) + value


def number(value):
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def p(body):
    return b"\x80\x05" + body + b"."


RANGE = named("builtins", "range") + number(0) + number(10**10) + b"K\x01\x87R"
INDEX = "pandas.core.indexes.base"


def index(kind, state, module=INDEX):
    """`_new_Index(kind, state)`, its class found in `module`."""
    return named(INDEX, "_new_Index") + named(module, kind) + b"}(" + state + b"u\x86R"


RANGE_INDEX = index("RangeIndex", text("start") + b"K\0" + text("stop") + number(10**10) + text("step") + b"K\x01", "pandas.core.indexes.range")
EMPTY = index("RangeIndex", text("start") + b"K\0" + text("stop") + b"K\x01" + text("step") + b"K\x01", "pandas.core.indexes.range")


def ranges():
    codes = text("levels") + b"](" + EMPTY + b"e" + text("sortorder") + b"N" + text("names") + b"](Ne"
    return {
        "index_of_a_range.pkl": p(index("Index", text("data") + RANGE + text("dtype") + text("float64"))),
        "index_of_an_index.pkl": p(index("Index", text("data") + RANGE_INDEX + text("dtype") + text("float64"))),
        "index_with_codes.pkl": p(index("MultiIndex", codes + text("codes") + b"](" + RANGE_INDEX + b"e", "pandas.core.indexes.multi")),
        # The list is in the state before the range is in the list.
        "index_filled_late.pkl": p(b"]q\x010" + named(INDEX, "_new_Index") + named("pandas.core.indexes.multi", "MultiIndex") + b"}(" + codes + text("codes") + b"h\x01u" + b"h\x01" + RANGE_INDEX + b"a0\x86R"),
    }


PRIME = 2**61 - 1
LEVELS = 60


def long(value):
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def get(at):
    return b"h" + bytes([at])


def put(at):
    return b"q" + bytes([at]) + b"0"


def chain(level, start=0):
    """Values of which each holds the one before twice; the last is at `start + LEVELS`."""
    values = b"K\x01" + put(start)
    for at in range(start, start + LEVELS):
        values += level(get(at)) + put(at + 1)
    return values


def hashes():
    """Keys that take long to hash, or to be told from one another."""
    crowd = b"".join(long(k * PRIME) for k in range(8, 40_008))
    shared = b"(" + b"K\x01" * 15 + b"t" + put(0)
    for at in range(2):
        shared += b"(" + get(at) * 15 + b"t" + put(at + 1)
    number = b"\x8b" + struct.pack("<i", 400_000) + b"\x55" * 400_000 + put(0)
    level = lambda of: b"(" + of + b"K\0\x86" + of + b"K\x01\x86\x91"
    called = lambda of: named("builtins", "tuple") + b"](" + of * 2 + b"e\x85R"
    fields = "years months days leapdays hours minutes seconds microseconds year month day hour minute second microsecond weekday".split()
    delta = lambda of: named("dateutil.relativedelta", "relativedelta") + b")\x81}(" + b"".join(text(k) + of for k in fields) + b"ub"
    schema = lambda of: named("polars.datatypes.classes", "Struct") + b")\x81}(" + text("fields") + b"](" + of * 2 + b"eub"
    uuid = lambda of: named("uuid", "UUID") + b")\x81}" + text("int") + of * 2 + b"\x86sb"
    key = lambda level: p(chain(level) + b"}" + get(LEVELS) + b"Ns")
    return {
        "numbers_of_one_hash.pkl.gz": p(b"\x8f(" + crowd + b"\x90"),
        "numbers_of_one_hash_in_a_list.pkl.gz": p(named("builtins", "set") + b"](" + crowd + b"e\x85R"),
        "tuples_hashed_again.pkl.gz": p(shared + b"\x8f(" + get(2) * 3_000_000 + b"\x90"),
        "long_number_hashed_again.pkl.gz": p(number + b"\x8f(" + get(0) * 300_000 + b"\x90"),
        "exponential_comparison.pkl": p(chain(level) + chain(level, 100) + b"\x8f(" + get(LEVELS) + get(100 + LEVELS) + b"\x90"),
        "exponential_called_tuple.pkl": key(called),
        "exponential_hash_of_dates.pkl": key(delta),
        "exponential_hash_of_types.pkl": key(schema),
        "exponential_hash_of_uuids.pkl": key(uuid),
    }


def texts():
    """What would be laid out as a text, each holding the one before twice."""
    lists = chain(lambda of: b"](" + of * 2 + b"e")
    ridge = named("sklearn.linear_model._ridge", "Ridge") + b")\x81}" + text("_sklearn_version") + get(LEVELS) + b"sb"
    array = named("numpy.ma.core", "_mareconstruct") + named("numpy.ma", "MaskedArray") + named("numpy", "ndarray") + b"K\0\x85C\x01b\x94tR"
    masked = array.replace(named("numpy.ma", "MaskedArray"), b"(" + named("numpy.ma", "MaskedArray")).replace(b"\x94", b"")
    state = b"(K\x01K\x01\x85" + float64() + b"\x89C\x08\0\0\0\0\0\0\0\0C\x01\0" + get(LEVELS) + b"tb"
    return {
        "told_version.pkl": p(lists + ridge),
        "told_type.pkl": p(lists + named("pandas", "ArrowDtype") + get(LEVELS) + b"\x85R"),
        "pattern_in_a_text.pkl.gz": p(named("pandas", "PeriodDtype") + text("1" * 300_000) + b"\x85R"),
        "told_fill_value.pkl": p(lists + masked + state),
    }


def float64():
    return named("numpy", "dtype") + text("f8") + b"\x89\x88\x87R(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"


def amounts():
    """Small files that ask for much."""
    large = b"\x8b" + struct.pack("<i", 1_000_000) + b"\x55" * 1_000_000
    decimal = named("decimal", "Decimal") + text("1E999999999") + b"\x85R"
    integer = named("numpy", "dtype") + text("i8") + b"\x89\x88\x87R"
    record = record_type([("a", OBJECT, 0), ("b", integer, 8)])
    objects = ARRAY + b"(K\x01K\x01\x85" + record + b"\x89](K\x01" + decimal + b"\x86etb"
    nones = b"](" + b"N" * 400_000 + b"e"
    arrays = nones + put(3) + b"(K\x01" + b"J" + struct.pack("<i", 400_000) + b"\x85" + OBJECT + b"\x89" + get(3) + b"t" + put(4) + b"(" + (ARRAY + get(4) + b"b") * 2000 + b"l"
    digits = text("9" * 400_000) + put(0) + named("decimal", "Decimal") + put(1) + b"(" + (get(1) + get(0) + b"\x85R") * 60_000 + b"l"
    generators = named("numpy.random._pickle", "__randomstate_ctor") + put(0) + b"(" + (get(0) + b")R") * 250_000 + b"l"
    return {
        "memo_key_far_away.pkl": p(b"Nr" + struct.pack("<I", 2**30)),
        "decimal_of_a_long_number.pkl.gz": p(named("decimal", "Decimal") + large + b"\x85R"),
        "decimal_laid_out.pkl": p(objects),
        "arrays_of_one_list.pkl.gz": p(arrays),
        "decimals_of_one_text.pkl.gz": p(digits),
        "generators.pkl.gz": p(generators),
    }


ARRAY = named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\0\x85C\x01b\x87R"
OBJECT = named("numpy", "dtype") + text("O8") + b"\x89\x88\x87R(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"


def record_type(fields, names=None):
    size = 8 * len(fields)
    names = b"(" + b"".join(text(name) for name in names or [name for name, _, _ in fields]) + b"t"
    held = b"}(" + b"".join(text(name) + kind + b"K" + bytes([at]) + b"\x86" for name, kind, at in fields) + b"u"
    return named("numpy", "dtype") + text(f"V{size}") + b"\x89\x88\x87R(K\x03" + text("|") + b"N" + names + held + b"K" + bytes([size]) + b"K\x01K\x1btb"


def forged_arrays():
    """Arrays and types that numpy, Arrow and pandas believe."""
    names = record_type([("a", OBJECT, 0), ("b", OBJECT, 8)], ["a", "zz"])
    texts = named("numpy", "dtype") + text("S4") + b"\x89\x88\x87R(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    scalar = named("numpy._core.multiarray", "scalar") + texts + b"B" + struct.pack("<I", 400_000) + b"a" * 400_000 + b"\x86R"
    depth = 30_000
    nested = (ARRAY + b"(K\x01K\x01\x85h\0\x89]") * depth + b"N" + b"atb" * depth
    called = named("builtins", "list") + b"]K\x01a\x85R"
    arrow = named("pyarrow.lib", "_restore_array") + b"(" + named("pyarrow.lib", "type_for_alias") + text("string") + b"\x85RK\x03K\0K\0]]Nt\x85R"
    row = lambda *numbers: b"B" + struct.pack("<I", 4 * len(numbers)) + struct.pack(f"<{len(numbers)}i", *numbers)
    integers = named("numpy", "dtype") + text("i4") + b"\x89\x88\x87R(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    column = lambda *numbers: ARRAY + b"(K\x01K" + bytes([len(numbers)]) + b"\x85" + integers + b"\x89" + row(*numbers) + b"tb"
    sparse = b"}(" + text("_shape") + b"K\x03K\x03\x86" + text("indptr") + column(0, 10**9, 2 * 10**9, 2 * 10**9) + text("indices") + column(0, 0, 0) + text("data") + column(0, 0, 0) + b"u"
    matrix = named("scipy.sparse._csr", "csr_matrix") + b")\x81" + sparse + b"}" + text("shape") + b"K\x09K\x01\x86s\x86b"
    slices = named("builtins", "slice") + b"K\0J" + struct.pack("<i", 10**9) + b"K\x01\x87RK\0\x86"
    keys = named("scipy.sparse._dok", "dok_matrix") + b")\x81}(" + text("_shape") + b"J" + struct.pack("<i", 10**9) + b"K\x01\x86" + text("dtype") + float64() + text("_dict") + b"}u" + b"b" + slices + b"K\x01s"
    return {
        "fields_not_there.pkl": p(ARRAY + b"(K\x01K\x01\x85" + names + b"\x89](K\x01K\x02\x86etb"),
        "scalar_of_negative_size.pkl.gz": p(scalar),
        "nested_arrays.pkl.gz": p(OBJECT + put(0) + nested),
        "objects_missing_from_a_call.pkl": p(ARRAY + b"(K\x01M\xe8\x03\x85" + OBJECT + b"\x89" + called + b"tb"),
        "arrow_without_buffers.pkl": p(arrow),
        "sparse_shape_set.pkl": p(matrix),
        "sparse_filled_later.pkl": p(keys),
    }


def tables(zeros):
    frame = named("polars.dataframe.frame", "DataFrame") + b")\x81B" + struct.pack("<I", len(zeros)) + zeros + b"b"
    return {"polars_packed.pkl.gz": p(frame)}


def zones():
    """A time zone's name may be the path of a file."""
    state = text("data") + ARRAY + b"(K\x01K\x01\x85" + float64().replace(b"f8", b"i8") + b"\x89C\x08\0\0\0\0\0\0\0\0tb" + text("tz") + text("dateutil//proc/sys/kernel/hostname") + text("freq") + b"N" + text("name") + b"N"
    index = named("pandas.core.indexes.datetimes", "_new_DatetimeIndex") + named("pandas.core.indexes.datetimes", "DatetimeIndex") + b"}(" + state + b"u\x86R"
    return {"zone_from_a_file.pkl": p(index)}


def layers():
    state = text("_all_weights") + b"]]K\x01aa" + text("num_layers") + b"J\xff\xff\xff\x7f" + text("bidirectional") + b"\x89" + text("bias") + b"\x88"
    state += b"".join(text(name) + b"}" for name in ["_parameters", "_buffers", "_modules"])
    return {"torch_layers.pkl": p(named("torch.nn.modules.rnn", "LSTM") + b")\x81}(" + state + b"ub")}


def arrays():
    """An array of a thousand objects, with one."""
    array = named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\0\x85C\x01b\x87R"
    dtype = named("numpy", "dtype") + text("O8") + b"\x89\x88\x87R(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
    return {"objects_missing.pkl": p(array + b"(K\x01M\xe8\x03\x85" + dtype + b"\x89](K\x01etb")}


def boosters(light, boost):
    def lightgbm(model, made=named("lightgbm.basic", "Booster") + b")\x81"):
        return p(made + b"}(" + text("params") + b"}" + text("_handle") + text(model) + b"ub")

    def xgboost(body):
        return p(named("xgboost.core", "Booster") + b")\x81}(" + text("handle") + body + b"ub")

    def whole(model):
        return b"\x96" + struct.pack("<Q", len(model)) + model

    def latin(model):
        return named("builtins", "bytearray") + text(model.decode("latin-1")) + text("latin-1") + b"\x86R"

    sizes = light.replace("tree_sizes=", "tree_sizes=9")
    at = boost.index(b"\x7f\xff\xff\xff\0\0\0\0", boost.index(b"parents")) + 4
    wild = boost[:at] + struct.pack(">i", 77777777) + boost[at + 4 :]
    escaped = sizes.replace("\\", "\\u005c").replace("\n", "\\u000a").encode()
    return {
        "booster_wrong_sizes.pkl": lightgbm(sizes),
        "booster_wrong_sizes_escaped.pkl": lightgbm("").replace(text(""), b"V" + escaped + b"\n"),
        "booster_wrong_sizes_called.pkl": lightgbm("").replace(text(""), named("numpy._core.multiarray", "scalar") + named("numpy", "dtype") + text(f"U{len(sizes)}") + b"\x89\x88\x87R" + b"(K\x03" + text("<") + b"NNN" + b"J" + struct.pack("<i", 4 * len(sizes)) + b"K\x04K\x08tb" + b"B" + struct.pack("<I", 4 * len(sizes)) + sizes.encode("utf-32-le") + b"\x86R"),
        "booster_made_by_another.pkl": lightgbm(sizes, named("sklearn.neighbors._ball_tree", "newObj") + named("lightgbm.basic", "Booster") + b"\x85R"),
        "booster_wild_parent.pkl": xgboost(whole(wild)),
        "booster_wild_parent_as_text.pkl": xgboost(latin(wild)),
    }


def joblib():
    """An array without padding, of whose bytes each is an opcode."""
    code = b"0" + named("posix", "system") + text("echo owned > marker") + b"\x85R."
    dtype = named("numpy", "dtype") + text("u1") + b"\x89\x88\x87R(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    state = text("subclass") + named("numpy", "ndarray") + text("shape") + b"K" + bytes([len(code)]) + b"\x85" + text("order") + text("C") + text("dtype") + dtype + text("allow_mmap") + b"\x88"
    array = named("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}(" + state + b"ub"
    return {"array_of_opcodes.joblib": b"\x80\x03" + array + code + b"."}


def unseen():
    """Objects where a library takes a dict, a number or an array, and parts of a call nested deep."""
    endless = named("builtins", "range") + b"\x8a\x05\x00\x00\x00\x00\x10\x85R"
    deep = b")" + b"\x85" * 180_000
    # Ten lists, each ten times in the next, at number 9.
    shared = b"](" + b"K\0" * 10 + b"eq\0" + b"".join(b"0](" + (b"h" + bytes([k - 1])) * 10 + b"eq" + bytes([k]) for k in range(1, 10)) + b"0"
    made = lambda module, name: named(module, name) + b")\x81"
    state = lambda **items: b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"
    array = lambda shape, size: (named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\0\x85" + text("b") + b"\x87R(K\x01" + shape
        + named("numpy", "dtype") + text("i1") + b"\x89\x88\x87R\x89T" + struct.pack("<i", size) + bytes(size) + b"tb")
    column, row = array(b"M\xff\xffK\x01\x86", 65535), array(b"K\x01M\xff\xff\x86", 65535)
    add = named("numpy", "add")
    partial = named("functools", "partial") + add + b"\x85R(" + add + column + row + b"\x86}Ntb"
    space = named("types", "SimpleNamespace") + b")R" + state(keys=partial) + b"b"
    eig = lambda part: named("numpy.linalg._linalg", "EigResult") + part + part + b"\x86\x81"
    poly = made("numpy", "poly1d") + state(coeffs=b"h\x09") + b"b"
    bags = made("sklearn.ensemble._bagging", "BaggingRegressor") + state(estimators_=endless) + b"b"
    double = named("numpy", "dtype") + text("f8") + b"\x89\x88\x87R"
    masked = lambda fill: (named("numpy.ma.core", "_mareconstruct") + b"(" + named("numpy.ma.core", "MaskedArray") + named("numpy", "ndarray") + b"K\0\x85"
        + text("b") + b"tR(K\x01K\x01\x85" + double + b"\x89C\x08" + bytes(8) + b"C\x01\0" + fill + b"tb")
    frame = state(_mgr=b"N", _typ=text("dataframe"), _metadata=b"]")
    isotonic = lambda part: made("sklearn.isotonic", "IsotonicRegression") + state(X_thresholds_=part, y_thresholds_=part, out_of_bounds=text("nan")) + b"b"
    spline = state(y=named("types", "SimpleNamespace") + b")R" + state(shape=b"K\x02K\x02\x86") + b"b", _y_axis=b"K\x01", axis=b"K\x01", _y=b"N", bounds_error=b"\x89", x=b"K\x01")
    slots = named("collections", "OrderedDict") + b")R" + text("fill_value") + endless + b"s"
    fourier = made("statsmodels.tsa.deterministic", "Fourier") + state(_period=deep, _order=b"K\x01") + b"b"
    new_index = named("pandas.core.indexes.base", "_new_Index") + named("pandas.core.indexes.range", "RangeIndex")
    files = {
        "state_that_is_an_object": made("statsmodels.tsa.ar_model", "AutoRegResultsWrapper") + space + b"b",
        "frame_flags_of_an_object": made("pandas.core.frame", "DataFrame") + frame + text("_flags") + space + b"sb",
        "frame_attributes_of_an_object": made("pandas.core.frame", "DataFrame") + frame + text("attrs") + space + b"sb",
        "series_deep_name": made("pandas.core.series", "Series") + frame + text("name") + deep + b"sb",
        "index_deep_name": new_index + state(start=b"K\0", stop=b"K\x05", step=b"K\x01", name=deep) + b"\x86R",
        "interpolation_slots_of_a_range": made("scipy.interpolate._interpolate", "interp1d") + spline + state(fill_value=endless) + b"\x86b",
        "interpolation_slots_of_an_ordered_dict": made("scipy.interpolate._interpolate", "interp1d") + spline + slots + b"\x86b",
        "key_of_a_deterministic_term": b"}" + fourier + b"Ns",
        "sparse_index_of_a_result": shared + named("pandas._libs.sparse", "IntIndex") + b"K\x05" + eig(b"h\x09") + b"\x86R",
        "sparse_index_of_a_late_range": b"]q\x01" + b"0" + eig(b"h\x01") + b"q\x020h\x01" + endless + b"a0" + named("pandas._libs.sparse", "IntIndex") + b"K\x05h\x02\x86R",
        "masked_filled_with_a_result": shared + masked(eig(b"h\x09")),
        "masked_filled_with_an_ensemble": masked(bags),
        "block_placed_by_a_polynomial": shared + named("pandas._libs.internals", "_unpickle_block") + array(b"K\x01K\x01\x86", 1) + poly + b"K\x02\x87R",
        "isotonic_of_a_range": isotonic(endless),
        "isotonic_of_lists": shared + isotonic(b"h\x09"),
        "isotonic_of_a_polynomial": shared + isotonic(poly),
        "counter_deep_item": named("collections", "Counter") + b"]" + deep + b"a\x85R",
        "set_deep_item": named("builtins", "set") + b"]" + deep + b"a\x85R",
        "ordered_dict_deep_late_item": b"]q\x010]q\x02h\x01a0h\x01(" + deep + b"Ne0" + named("collections", "OrderedDict") + b"h\x02\x85R",
        "result_deep_keyword": b"}" + named("scipy.stats._stats_py", "DescribeResult") + b")" + state(nobs=deep, **dict.fromkeys("minmax mean variance skewness kurtosis".split(), b"N")) + b"\x92Ns",
        "schema_deep_type": named("polars.schema", "Schema") + state(a=deep) + b"\x85R",
        "schema_deep_item": named("polars.schema", "Schema") + b")R" + text("a") + deep + b"s",
    }
    return {f"unseen_{name}.pkl": b"\x80\x04" + body + b"." for name, body in files.items()}


def happened(python, path, scratch):
    try:
        done = subprocess.run([python, "-c", LOAD, path], cwd=scratch, timeout=15, capture_output=True)
    except subprocess.TimeoutExpired:
        return True, "did not end"
    marker = Path(scratch, "marker").exists()
    said = (done.stdout + done.stderr).decode(errors="replace").strip()[-300:]
    return marker or done.returncode in (98, 99) or done.returncode < 0, f"exit {done.returncode} {said}"


def main():
    paths, _, only = " ".join(sys.argv[1:]).partition(" -- ")
    python, *torch = map(os.path.abspath, paths.split())
    failures = []
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([python, "-c", MODELS], cwd=scratch, check=True)
        subprocess.run([python, "-c", FORGED], cwd=scratch, check=True)
        forged = {"index_of_forged_texts.pkl": Path(scratch, "forged").read_bytes()}
        index = {"index_of_forged_texts.pkl": forged["index_of_forged_texts.pkl"], "categories_of_forged_texts.pkl": Path(scratch, "categories").read_bytes(), "periods_of_forged_texts.pkl": Path(scratch, "periods").read_bytes()}
        zeros = Path(scratch, "zeros").read_bytes()
        light, boost = Path(scratch, "light").read_text(), Path(scratch, "boost").read_bytes()
    files = ranges() | arrays() | index | boosters(light, boost) | joblib() | hashes() | texts() | amounts()
    files |= unseen() | forged_arrays() | tables(zeros) | zones() | (layers() if torch else {})
    for name, content in files.items():
        if only and name not in only.split():
            continue
        path = HERE / "hostile" / name
        path.write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
        with tempfile.TemporaryDirectory() as scratch:
            proven, said = happened(torch[0] if name.startswith("torch") else python, path, scratch)
        print(name, said)
        if not proven:
            failures.append(f"hostile/{name}: nothing happened: {said}")
            path.unlink()
    sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
