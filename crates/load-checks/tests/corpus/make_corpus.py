#!/usr/bin/env python3
"""Writes the load-check corpus: real artifacts, hostile pickles and broken files.

    make_corpus.py [--venv DIR] [real] [hostile] [broken] [packed]

Without names it writes the first three; `packed` writes again what is packed or of joblib, and leaves
the rest alone. Artifacts of `real/` come from the libraries themselves, in a
throw-away environment (made with pip when DIR does not exist). Every hostile pickle is assembled
by hand and then proven: a stock Python loads it in a process of its own, and the file is kept
only if that really did something, which here means writing a marker file in a scratch directory,
changing the interpreter, or being stopped by a time limit.

The files are fixtures: the tests never run this script.
"""

import argparse
import os
import pickle
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = "numpy pandas polars scipy scikit-learn lightgbm xgboost joblib lz4 cloudpickle dill".split()
LIMIT = 30_000

# ---- real artifacts: this source runs inside the environment ---------------------------------

REAL = r'''
import datetime as dt, decimal, fractions, json, pathlib, pickle, sys, uuid
from collections import Counter, OrderedDict, defaultdict, deque
from zoneinfo import ZoneInfo
import numpy as np, pandas as pd, polars as pl, scipy.sparse as sp
from sklearn import (calibration, compose, decomposition, ensemble, gaussian_process, impute, isotonic,
    linear_model, model_selection, naive_bayes, neighbors, neural_network, pipeline, preprocessing, svm, tree)
import lightgbm, xgboost

out = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(7)
X = rng.normal(size=(40, 3)); y = X @ [0.5, -0.2, 0.1]; c = (y > 0).astype(int)
factors = ["momentum", "value", "size"]

def save(name, value, *protocols):
    for p in protocols:
        suffix = "" if len(protocols) == 1 else f"_p{p}"
        (out / f"{name}{suffix}.pkl").write_bytes(pickle.dumps(value, protocol=p))

exposures = rng.normal(size=(12, 3))
save("risk_model_numpy", {
    "factors": factors, "as_of": "2024-06-28",
    "factor_covariance": np.cov(X.T), "specific_variance": rng.uniform(0.01, 0.04, 12),
    "exposures": exposures, "half_life_days": 90,
}, 4)
save("feature_transforms_sklearn", preprocessing.StandardScaler().fit(pd.DataFrame(X, columns=factors)), 5)
weights = {"model": "alpha", "as_of": "2024-06-28", "weights": {"momentum": 0.5, "value": 0.3, "size": -0.2}}
(out / "alpha_weights.json").write_text(json.dumps(weights, indent=2) + "\n")
(out / "backtest.json").write_text(json.dumps({"sharpe": 1.25, "days": list(range(200)), "note": "Zürich \U0001f4c8",
    "nested": [[{"a": None, "b": [True, False]}]], "tiny": 1e-300}))

plain = {"none": None, "bools": [True, False], "ints": [0, -1, 255, 65536, 1 << 90, -(1 << 90)], "float": 1.5,
    "text": "é\U0001f600\n", "long": "x" * 300, "bytes": b"\0\xff", "tuple": (1, 2, 3, 4), "set": {1, 2},
    "frozen": frozenset("ab"), "complex": 1 + 2j, "slice": slice(1, None), "range": range(9), "array": bytearray(b"ab")}
plain["self"] = plain
save("plain", plain, 0, 1, 2, 3, 4, 5)
save("standard", [dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc), dt.date(2024, 1, 2), dt.timedelta(3),
    decimal.Decimal("1.10"), fractions.Fraction(1, 3), uuid.UUID(int=5), pathlib.PurePosixPath("a/b"),
    OrderedDict(a=1, b=2), defaultdict(list, a=[1]), Counter("aab"), deque([1, 2], maxlen=5)], 2, 4, 5)
save("zone", dt.datetime(2024, 1, 2, tzinfo=ZoneInfo("Europe/London")), 4)

arrays = {"f8": X, "f4": X.astype("f4"), "fortran": np.asfortranarray(X), "i8": np.arange(5), "bool": X > 0,
    "text": np.array(["a", "bcd"]), "object": np.array(["a", None, 1.5], dtype=object), "date": np.array(["2024-01-02"], "M8[D]"),
    "empty": np.zeros((0, 3)), "scalar": np.float64(1.5), "record": np.zeros(2, dtype=[("a", "f8"), ("b", "i4")]),
    "masked": np.ma.array([1, 2], mask=[0, 1]), "dtype": np.dtype("f8")}
save("numpy_arrays", arrays, 0, 2, 4, 5)
save("numpy_random", [np.random.default_rng(1), np.random.RandomState(1)], 4)
frame = pd.DataFrame({"price": [1.0, None], "name": ["a", "b"], "n": [1, 2], "day": pd.to_datetime(["2024-01-02", "2024-01-03"]),
    "zoned": pd.to_datetime(["2024-01-02", "2024-01-03"], utc=True), "cat": pd.Categorical(["x", "y"]),
    "int": pd.array([1, None], dtype="Int64")}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]))
save("pandas_frame", frame, 2, 4, 5)
save("pandas_series", pd.Series(X[:, 0], index=pd.date_range("2024-01-02", periods=40, freq="B"), name="returns"), 2, 5)
save("pandas_scalars", [pd.Timestamp("2024-01-02", tz="UTC"), pd.Timedelta("1D"), pd.Period("2024-01", "M"),
    pd.Interval(0, 1), pd.NaT, pd.NA, pd.offsets.BMonthEnd()], 4)
polar = pl.DataFrame({"name": ["a", None], "price": [1.5, 2.5], "day": [dt.date(2024, 1, 2)] * 2})
save("polars_frame", polar, 2, 4, 5)
save("polars_series", polar["price"], 5)
save("scipy_sparse", [sp.csr_matrix(np.eye(4)), sp.csc_array(np.eye(4)), sp.coo_matrix(np.eye(4)), sp.dok_matrix(np.eye(2))], 2, 5)

table = pd.DataFrame(X, columns=factors).assign(sector=["tech", "bank"] * 20)
columns = compose.ColumnTransformer([("scale", preprocessing.StandardScaler(), factors), ("sector", preprocessing.OneHotEncoder(), ["sector"])])
models = {
    "sklearn_pipeline": (pipeline.make_pipeline(columns, linear_model.Ridge()), table, y),
    "sklearn_function_transformer": (preprocessing.FunctionTransformer(np.log1p, inverse_func=np.expm1), abs(X), None),
    "sklearn_logistic": (linear_model.LogisticRegression(), X, c),
    "sklearn_elastic_net_cv": (linear_model.ElasticNetCV(cv=2), X, y),
    "sklearn_sgd": (linear_model.SGDClassifier(), X, c),
    "sklearn_tree": (tree.DecisionTreeRegressor(max_depth=3), X, y),
    "sklearn_forest": (ensemble.RandomForestClassifier(n_estimators=3, max_depth=3, random_state=0), X, c),
    "sklearn_gradient_boosting": (ensemble.GradientBoostingRegressor(n_estimators=3), X, y),
    "sklearn_hist_gradient_boosting": (ensemble.HistGradientBoostingRegressor(max_iter=3), X, y),
    "sklearn_isolation_forest": (ensemble.IsolationForest(n_estimators=2, max_samples=8, random_state=0), X, None),
    "sklearn_svm": (svm.SVR(), X, y),
    "sklearn_neighbors": (neighbors.KNeighborsRegressor(algorithm="ball_tree"), X, y),
    "sklearn_network": (neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=20), X, y),
    "sklearn_gaussian_process": (gaussian_process.GaussianProcessRegressor(gaussian_process.kernels.RBF() + gaussian_process.kernels.WhiteKernel()), X, y),
    "sklearn_isotonic": (isotonic.IsotonicRegression(), X[:, 0], y),
    "sklearn_calibrated": (calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=2), X, c),
    "sklearn_pca": (decomposition.PCA(2), X, None),
    "sklearn_imputer": (impute.SimpleImputer(), X, None),
    "sklearn_grid_search": (model_selection.GridSearchCV(linear_model.Ridge(), {"alpha": [1, 2]}, cv=model_selection.TimeSeriesSplit(2), scoring="r2"), X, y),
    "lightgbm_regressor": (lightgbm.LGBMRegressor(n_estimators=2, verbose=-1, min_child_samples=5), X, y),
    "xgboost_regressor": (xgboost.XGBRegressor(n_estimators=2, max_depth=2), X, y),
    "xgboost_classifier": (xgboost.XGBClassifier(n_estimators=2, max_depth=2), X, c),
}
for name, (model, data, target) in models.items():
    model.fit(data) if target is None else model.fit(data, target)
    save(name, model, *((2, 5) if name in ("sklearn_pipeline", "sklearn_forest", "lightgbm_regressor", "xgboost_regressor") else (5,)))
models["xgboost_regressor"][0].save_model(str(out / "xgboost_model.json"))
(out / "lightgbm_dump.json").write_text(json.dumps(models["lightgbm_regressor"][0].booster_.dump_model()))
'''

# ---- assembling pickles by hand ----------------------------------------------------------------


def text(value):
    data = value.encode("utf-8", "surrogatepass")
    if len(data) < 256:
        return b"\x8c" + bytes([len(data)]) + data
    return b"X" + struct.pack("<I", len(data)) + data


def data(value):
    return b"B" + struct.pack("<I", len(value)) + value


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def stacked(module, name):
    return text(module) + text(name) + b"\x93"


def p(protocol, body):
    return bytes([0x80, protocol]) + body + b"."


#: What each hostile pickle makes the interpreter do: leave a file called `marker` behind.
SHELL = "echo owned > marker"
CODE = "open('marker','w').write('owned')"
INNER = p(2, named("os", "system") + text(SHELL) + b"\x85R")
SYSTEM = (text(SHELL) + b"\x85")
#: Loads in a thread with a small stack, as servers do.
SMALL_STACK = """
import threading
threading.stack_size(65536)
stock = pickle.loads
def in_thread(data):
    thread = threading.Thread(target=stock, args=(data,))
    thread.start(); thread.join()
pickle.loads = in_thread
"""


def attribute(obj, name):
    """`getattr(obj, name)` as opcodes."""
    return named("builtins", "getattr") + obj + text(name) + b"\x86R"


def hostile():
    """name -> (bytes, how the proof loads it)"""
    eval_ = named("builtins", "eval") + text(CODE) + b"\x85R"
    files = {}

    def add(name, body, proof="marker", setup="", after=""):
        assert name not in files, name
        files[name] = (body, proof, setup, after)

    # Calls of a dangerous name, by every opcode that calls.
    add("global_reduce", p(2, named("os", "system") + SYSTEM + b"R"))
    add("global_protocol_0", b"cos\nsystem\n(S'%s'\ntR." % SHELL.encode())
    add("global_posix", p(2, named("posix", "system") + SYSTEM + b"R"))
    add("stack_global_reduce", p(4, stacked("os", "system") + SYSTEM + b"R"))
    add("stack_global_framed", b"\x80\x04\x95" + struct.pack("<Q", len(stacked("os", "system") + SYSTEM) + 2) + stacked("os", "system") + SYSTEM + b"R.")
    add("inst", b"(S'%s'\nios\nsystem\n." % SHELL.encode())
    add("obj", p(1, b"(" + named("os", "system") + text(SHELL) + b"o"))
    add("newobj_of_refused_class", p(2, named("subprocess", "Popen") + b")\x810" + INNER[2:-1]))
    add("newobj_map", p(2, named("collections", "deque") + named("builtins", "map") + named("builtins", "eval") + b"(" + text(CODE) + b"t\x86\x81\x85R"))
    add("newobj_ex", p(4, stacked("collections", "deque") + stacked("builtins", "map") + stacked("builtins", "eval") + b"(" + text(CODE) + b"t\x86}\x92\x85R"))
    add("builtin_eval", p(2, eval_))
    add("builtin_exec", p(2, named("builtins", "exec") + text(CODE) + b"\x85R"))
    add("builtin_python_2_name", p(2, named("__builtin__", "eval") + text(CODE) + b"\x85R"))
    add("builtin_compile_exec", p(2, named("builtins", "exec") + named("builtins", "compile") + text(CODE) + text("x") + text("exec") + b"\x87R\x85R"))
    add("subprocess_run", p(4, stacked("subprocess", "run") + b"]" + b"(" + text("sh") + text("-c") + text(SHELL) + b"e\x85R"))
    add("subprocess_getoutput", p(4, stacked("subprocess", "getoutput") + SYSTEM + b"R"))
    add("pty_spawn", p(2, named("pty", "spawn") + b"](" + text("sh") + text("-c") + text(SHELL) + b"e\x85R"))
    add("runpy", p(2, named("builtins", "exec") + text("open('m.py','w').write(%r)" % CODE) + b"\x85R0" + named("runpy", "run_path") + text("m.py") + b"\x85R"))
    add("timeit", p(2, named("timeit", "timeit") + text("pass") + text(CODE) + b"\x86R"))
    add("code_interpreter", p(2, attribute(named("code", "InteractiveInterpreter") + b")R", "runcode") + named("builtins", "compile") + text(CODE) + text("x") + text("exec") + b"\x87R\x85R"))
    add("bdb_run", p(4, named("bdb", "Bdb") + b")R0" + stacked("bdb", "Bdb.run") + named("bdb", "Bdb") + b")R" + text(CODE) + b"\x86R"))
    add("profile_run", p(2, named("cProfile", "run") + text(CODE) + b"\x85R"))
    add("doctest_debug", p(2, named("doctest", "debug_script") + text(CODE) + b"\x85R"), setup="import pdb; pdb.Pdb.interaction = lambda *a: None; pdb.Pdb.set_trace = lambda *a: None; pdb.Pdb.cmdloop = lambda *a: None")
    add("importlib_import", p(2, named("builtins", "exec") + text("open('planted.py','w').write(%r)" % CODE) + b"\x85R0" + named("importlib", "import_module") + text("planted") + b"\x85R"), setup="sys.path.insert(0, '.')")
    add("webbrowser_command", p(2, attribute(named("webbrowser", "GenericBrowser") + text("touch") + b"\x85R", "open") + text("marker") + b"\x85R"), setup="import webbrowser; webbrowser.GenericBrowser.args = ['marker']")
    add("zipimport_shutil", p(2, named("shutil", "copyfile") + text(sys.executable) + text("marker") + b"\x86R"))
    add("io_open_write", p(2, named("io", "open") + text("marker") + text("w") + b"\x86R"))
    add("pathlib_write_text", p(4, named("pathlib", "Path") + text("marker") + b"\x85R0" + stacked("pathlib", "Path.write_text") + named("pathlib", "Path") + text("marker") + b"\x85R" + text("x") + b"\x86R"))

    # Hiding the name.
    add("memoised_module_and_name", p(4, text("os") + b"\x94" + b"0" + text("system") + b"\x940h\0h\x01\x93" + SYSTEM + b"R"))
    add("memo_overwritten", p(2, text("collections") + b"q\0" + b"0" + text("os") + b"q\x000h\0" + text("system") + b"\x93" + SYSTEM + b"R"))
    add("memo_far_index", p(2, text("os") + b"r\xff\xff\0\0" + b"0j\xff\xff\0\0" + text("system") + b"\x93" + SYSTEM + b"R"))
    add("memo_text_index", p(2, text("os") + b"p 1_0\n0h\x0a" + text("system") + b"\x93" + SYSTEM + b"R"))
    add("memo_nul_in_index", p(2, text("math") + b"q\x010" + text("os") + b"p1\x00zz\n0h\x01" + text("system") + b"\x93" + SYSTEM + b"R"))
    add("memoize_after_sparse_put", p(4, text("os") + b"r\x05\0\0\0" + text("system") + b"\x94" + b"00h\x05h\x01\x93" + SYSTEM + b"R"))
    add("memo_of_function", p(2, named("os", "system") + b"q\x000h\0" + SYSTEM + b"R"))
    add("dup_of_function", p(2, named("os", "system") + b"2" + SYSTEM + b"R"))
    add("name_by_unicode_escape", p(2, b"V\\u006fs\nV\\u0073ystem\n\x93" + SYSTEM + b"R"))
    add("name_by_string_escape", p(2, b"S'\\x6fs'\nS'\\163ystem'\n\x93" + SYSTEM + b"R"))
    add("name_by_short_binstring", p(2, b"U\x02osU\x06system\x93" + SYSTEM + b"R"))
    add("name_by_binstring", p(2, b"T\x02\0\0\0osT\x06\0\0\0system\x93" + SYSTEM + b"R"))
    add("name_by_binunicode8", p(4, b"\x8d" + struct.pack("<Q", 2) + b"os\x8d" + struct.pack("<Q", 6) + b"system\x93" + SYSTEM + b"R"))
    add("name_made_by_a_call", p(4, named("builtins", "str") + data(b"os") + text("ascii") + b"\x86R" + text("system") + b"\x93" + SYSTEM + b"R"))
    add("unicode_module_name", p(4, named("builtins", "exec") + text("import sys, os; sys.modules['ｏs'] = os") + b"\x85R0" + stacked("ｏs", "system") + SYSTEM + b"R"))
    add("name_not_utf8_neighbour", p(2, b"S'caf\\x65'\n0" + named("os", "system") + SYSTEM + b"R"))
    add("dotted_name_in_trusted_package", p(4, stacked("sklearn", "os.system") + SYSTEM + b"R"))
    add("dotted_builtins_of_numpy", p(4, stacked("numpy", "__builtins__.get") + text("eval") + b"\x85R" + text(CODE) + b"\x85R"))
    add("dotted_standard_library", p(4, stacked("pathlib", "os.system") + SYSTEM + b"R"))
    add("dotted_sys_modules", p(4, stacked("collections", "_sys.modules.get") + text("posix") + b"\x85R0" + stacked("uuid", "os.system") + SYSTEM + b"R"))
    add("attribute_of_trusted_module", p(4, attribute(stacked("pathlib", "os"), "system") + SYSTEM + b"R"))
    add("protocol_in_the_middle", p(2, b"N0\x80\x04" + stacked("uuid", "os.system") + SYSTEM + b"R"))
    add("extension_code", p(2, named("copyreg", "add_extension") + text("os") + text("system") + b"K\xf0\x87R0\x82\xf0" + SYSTEM + b"R"))
    add("extension_code_4", p(2, named("copyreg", "add_extension") + text("os") + text("system") + b"J\x00\x00\x01\x00\x87R0\x84\x00\x00\x01\x00" + SYSTEM + b"R"))
    add("getattr_chain", p(2, attribute(attribute(named("builtins", "__import__") + text("os.path") + b"\x85R", "path"), "os") + b"0" + attribute(named("builtins", "__import__") + text("os") + b"\x85R", "system") + SYSTEM + b"R"))
    add("getattr_of_class", p(2, attribute(attribute(named("builtins", "object"), "__subclasses__") + b")R", "__len__") + b"0" + eval_))
    add("getattr_of_zone_class", p(4, attribute(stacked("zoneinfo", "ZoneInfo"), "from_file") + stacked("io", "open") + text("marker") + text("w") + b"\x86R\x85R"))
    add("getattr_kept_for_later", p(4, stacked("collections", "defaultdict") + stacked("builtins", "getattr") + b"\x85R0" + INNER[2:-1]))
    add("operator_attrgetter", p(2, named("operator", "attrgetter") + text("system") + b"\x85R" + named("importlib", "import_module") + text("os") + b"\x85R\x85R" + SYSTEM + b"R"))
    add("operator_methodcaller", p(2, named("operator", "methodcaller") + text("system") + text(SHELL) + b"\x86R" + named("importlib", "import_module") + text("os") + b"\x85R\x85R"))

    # Calls made for the pickle by something that looks harmless.
    add("functools_partial", p(2, named("functools", "partial") + named("os", "system") + text(SHELL) + b"\x86R)R"))
    add("functools_partial_state", p(2, named("functools", "partial") + named("builtins", "len") + b"\x85R(" + named("os", "system") + text(SHELL) + b"\x85}Nt" + b"b)R"))
    add("functools_reduce", p(2, named("functools", "reduce") + named("builtins", "eval") + b"](" + text(CODE) + b"}e\x86R"))
    add("map_consumed_by_list", p(2, named("builtins", "list") + named("builtins", "map") + named("os", "system") + b"](" + text(SHELL) + b"e\x86R\x85R"))
    add("filter_consumed_by_set", p(2, named("builtins", "set") + named("builtins", "filter") + named("os", "system") + b"](" + text(SHELL) + b"e\x86R\x85R"))
    add("defaultdict_factory", p(2, named("collections", "defaultdict") + named("functools", "partial") + named("os", "system") + text(SHELL) + b"\x86R\x85R"), after="value['x']")
    add("defaultdict_breakpoint_factory", p(2, named("collections", "defaultdict") + named("builtins", "breakpoint") + b"\x85R"), setup="sys.breakpointhook = lambda: open('marker', 'w')", after="value['x']")
    add("reconstructor_of_refused_class", p(2, named("copyreg", "_reconstructor") + named("subprocess", "Popen") + named("builtins", "object") + b"N\x87R0" + INNER[2:-1]))
    add("reconstructor_calls_init", p(2, named("copyreg", "_reconstructor") + named("logging", "FileHandler") + named("logging", "FileHandler") + text("marker") + b"\x87R"))
    add("logging_file_handler", p(2, named("logging", "FileHandler") + text("marker") + b"\x85R"))
    add("logging_dict_config", p(2, named("logging.config", "dictConfig") + b"}(" + text("version") + b"K\x01" + text("formatters") + b"}" + text("f") + b"}(" + text("()") + text("subprocess.getoutput") + text("cmd") + text(SHELL) + b"usu\x85R"))
    add("ctypes_system", p(2, attribute(named("ctypes", "CDLL") + b"N\x85R", "system") + data(SHELL.encode()) + b"\x85R"))
    add("atexit_register", p(2, named("atexit", "register") + named("os", "system") + text(SHELL) + b"\x86R"))
    add("threading_timer", p(4, named("threading", "Timer") + b"K\0" + named("os", "system") + b"](" + text(SHELL) + b"e\x87R" + b"q\0" + b"0" + stacked("threading", "Timer.start") + b"h\0\x85R0" + stacked("threading", "Timer.join") + b"h\0\x85R"))
    add("signal_handler", p(2, named("signal", "signal") + b"K\x0a" + named("builtins", "breakpoint") + b"\x86R0" + named("signal", "raise_signal") + b"K\x0a\x85R"), setup="sys.breakpointhook = lambda *a: open('marker', 'w')")
    add("weakref_finalize", p(2, named("weakref", "finalize") + named("decimal", "Decimal") + named("os", "system") + text(SHELL) + b"\x87R"))
    add("types_function_code", p(2, named("types", "FunctionType") + named("builtins", "compile") + text(CODE) + text("x") + text("exec") + b"\x87R}" + text("open") + named("builtins", "open") + b"s\x86R)R"))
    add("marshal_loads_code", p(2, named("types", "FunctionType") + named("marshal", "loads") + data(__import__("marshal").dumps(compile(CODE, "x", "exec"))) + b"\x85R}" + text("open") + named("builtins", "open") + b"s\x86R)R"))

    # A pickle inside a pickle.
    add("pickle_loads", p(2, named("pickle", "loads") + data(INNER) + b"\x85R"))
    add("c_pickle_loads", p(2, named("_pickle", "loads") + data(INNER) + b"\x85R"))
    add("python_2_cpickle_loads", p(2, named("cPickle", "loads") + data(INNER) + b"\x85R"))
    plant = named("builtins", "eval") + text("open('inner','wb').write(%r)" % INNER) + b"\x85R0"
    add("numpy_load", p(4, plant + stacked("numpy", "load") + text("inner") + b"N\x88\x87R"))
    add("pandas_read_pickle", p(4, plant + stacked("pandas", "read_pickle") + text("inner") + b"\x85R"))
    add("joblib_load", p(4, plant + stacked("joblib", "load") + text("inner") + b"\x85R"))
    add("numpy_load_of_existing_file", p(4, stacked("numpy", "load") + text("inner") + b"N\x88\x87R"), setup="open('inner','wb').write(%r)" % INNER)
    add("shelve_open", p(4, attribute(named("shelve", "open") + text("inner") + b"\x85R", "__getitem__") + text("k") + b"\x85R"), setup="import dbm.dumb; d = dbm.dumb.open('inner'); d['k'] = %r; d.close(); import shelve, functools; import dbm; dbm._modules['dbm.dumb'] = dbm.dumb; dbm._defaultmod = dbm.dumb" % INNER)
    add("numpy_testing_runstring", p(4, stacked("numpy.testing._private.utils", "runstring") + text(CODE) + b"}\x86R"))
    add("numpy_f2py_myeval", p(4, stacked("numpy.f2py.crackfortran", "myeval") + text(CODE) + b"}}\x87R"))
    add("numpy_ufunc_reconstruct", p(4, stacked("numpy.core", "_ufunc_reconstruct") + text("os") + text("system") + b"\x86R" + SYSTEM + b"R"))
    add("numpy_fromfunction", p(4, stacked("numpy", "fromfunction") + stacked("os", "system") + b")\x86R"), setup="import os; os.system = lambda *a: open('marker', 'w')")
    add("random_state_constructor", p(4, stacked("numpy.random._pickle", "__generator_ctor") + text(SHELL) + stacked("os", "system") + b"\x86R"))
    add("pandas_index_of_refused_class", p(4, stacked("pandas.core.indexes.base", "_new_Index") + stacked("subprocess", "Popen") + b"}(" + text("args") + text(SHELL) + text("shell") + b"\x88u\x86R0" + INNER[2:-1]))
    add("sklearn_function_transformer", p(4, stacked("sklearn.preprocessing._function_transformer", "FunctionTransformer") + b")\x81}(" + text("func") + stacked("os", "system") + text("inverse_func") + b"N" + text("validate") + b"\x89" + text("check_inverse") + b"\x89" + text("accept_sparse") + b"\x88" + text("feature_names_out") + b"N" + text("kw_args") + b"N" + text("inv_kw_args") + b"Nub"), after="value.transform(%r)" % SHELL)
    add("tree_new_object_hook", p(4, stacked("sklearn.neighbors._ball_tree", "newObj") + stacked("types", "SimpleNamespace") + b")R}" + text("__new__") + stacked("os", "system") + b"sb\x85R"), setup="import os; os.system = lambda *a: open('marker','w')")

    # No call at all.
    add("build_on_class", p(4, stacked("collections", "UserDict") + b"N}" + text("__repr__") + stacked("builtins", "breakpoint") + b"s\x86b"), setup="sys.breakpointhook = lambda *a: open('marker', 'w')", after="value.__repr__()")
    add("build_on_allowed_class", p(4, stacked("fractions", "Fraction") + b"N}" + text("__str__") + stacked("builtins", "breakpoint") + b"s\x86b"), setup="sys.breakpointhook = lambda *a: open('marker', 'w')", after="value.__str__()")
    add("build_on_allowed_class_with_allowed_values", p(4, stacked("fractions", "Fraction") + b"N}" + text("__str__") + stacked("builtins", "dict") + b"s\x86b"), after="value.__str__ is dict and open('marker', 'w')")
    add("build_on_splitter_class", p(4, stacked("sklearn.model_selection._split", "KFold") + b"N}" + text("split") + stacked("builtins", "dict") + b"s\x86b"), after="value.split is dict and open('marker', 'w')")
    add("build_twice_with_setstate", p(4, stacked("types", "SimpleNamespace") + b")R}" + text("__setstate__") + stacked("os", "system") + b"sb" + text(SHELL) + b"b"))
    add("build_twice_on_allowed_class", p(4, stacked("dateutil.relativedelta", "relativedelta") + b")\x81}" + text("__setstate__") + stacked("numpy", "array") + b"sb](K\x01eb"), setup="import numpy; numpy.array = lambda *a: open('marker','w')")
    add("setitem_sys_modules", p(2, named("sys", "modules") + text("planted") + text("x") + b"s"), after="'planted' in sys.modules and open('marker', 'w')")
    add("setitems_module_dict", p(4, stacked("os", "__dict__") + b"(" + text("getcwd") + stacked("builtins", "breakpoint") + b"u"), setup="sys.breakpointhook = lambda *a: open('marker', 'w')", after="__import__('os').getcwd()")
    add("setitem_environment", p(2, named("os", "environ") + text("LD_PRELOAD") + text("x.so") + b"s"), after="__import__('os').environ['LD_PRELOAD'] == 'x.so' and open('marker', 'w')")
    add("append_sys_path", p(2, named("sys", "path") + text("/tmp/planted") + b"a"), after="'/tmp/planted' in sys.path and open('marker', 'w')")
    add("appends_meta_path", p(2, named("sys", "meta_path") + b"(Ne"), after="None in sys.meta_path and open('marker', 'w')")
    add("appends_module_list", p(4, stacked("keyword", "kwlist") + b"(" + text("x") + b"e"), after="'x' in __import__('keyword').kwlist and open('marker', 'w')")
    add("append_calls_attribute", p(4, stacked("types", "SimpleNamespace") + b")R}" + text("append") + stacked("os", "system") + b"sb" + text(SHELL) + b"a"))
    add("additems_calls_attribute", p(4, stacked("types", "SimpleNamespace") + b")R}" + text("add") + stacked("os", "system") + b"sb(" + text(SHELL) + b"\x90"))
    add("dtype_that_hides_objects", p(4, stacked("numpy._core.multiarray", "_reconstruct") + stacked("numpy", "ndarray") + b"K\0\x85C\x01b\x87R(K\x01K\x01\x85" + stacked("numpy", "dtype") + text("O8") + b"\x89\x88\x87R(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89" + data(b"AAAAAAAA") + b"tb"), proof="crash", after="value[0]")

    f8 = stacked("numpy", "dtype") + text("f8") + b"\x89\x88\x87R"
    far = b"(K\x03" + text("|") + b"N" + text("a") + b"\x85}" + text("a") + f8 + b"J\0\0\0\x40\x86sK\x08K\x01K\x10tb"
    record = stacked("numpy", "dtype") + text("V8") + b"\x89\x88\x87R"
    add("dtype_fields_past_the_item", p(4, record + far), proof="crash", after="import numpy; print(numpy.zeros(1, dtype=value)['a'])")
    add("dtype_changed_after_use", p(4, record + b"\x940" + stacked("numpy._core.multiarray", "_reconstruct") + stacked("numpy", "ndarray") + b"K\0\x85C\x01b\x87R(K\x01K\x01\x85h\0\x89" + data(bytes(8)) + b"tb" + b"h\0" + far + b"0"), proof="crash", after="print(value['a'])")

    # Loaders of their own, code objects, hangs.
    add("persistent_id", p(0, b"P__import__('os').system('%s')\n" % SHELL.encode()), setup="import pickle; L = type('L', (pickle.Unpickler,), {'persistent_load': lambda self, s: eval(s)}); pickle.loads = lambda b: L(__import__('io').BytesIO(b)).load()")
    add("binary_persistent_id", p(2, text("__import__('os').system('%s')" % SHELL) + b"Q"), setup="import pickle; L = type('L', (pickle.Unpickler,), {'persistent_load': lambda self, s: eval(s)}); pickle.loads = lambda b: L(__import__('io').BytesIO(b)).load()")
    add("before_a_broken_end", b"\x80\x02" + named("os", "system") + SYSTEM + b"R\xff\xff")
    add("before_a_truncated_end", b"\x80\x02" + named("os", "system") + SYSTEM + b"RX\xff\xff\xff\x7f")
    add("after_a_discarded_list", p(2, b"]0" + named("os", "system") + SYSTEM + b"R0N"))
    add("popped_after_mark", p(2, b"(" + named("os", "system") + SYSTEM + b"R1N"))
    add("int_hexadecimal", b"I0x10\n0" + INNER[2:])
    add("int_octal_python_3", b"I 0o7\n0" + INNER[2:])
    add("long_hexadecimal", b"L0x10L\n0" + INNER[2:])
    add("int_with_nul", b"I1\x00\x2e\n0" + INNER[2:])
    add("int_underscores", b"I1_0\n0" + INNER[2:])
    add("unicode_line_latin1", b"V\xe9\xff\n0" + INNER[2:])
    add("opcode_inside_a_string", p(2, b"U\x02.." + b"0" + named("os", "system") + SYSTEM + b"R"))
    add("looks_like_json", b"N0(S'{\"weights\": 1}'\n1" + INNER[2:])
    add("trusted_wrapped_call", p(4, stacked("collections", "OrderedDict") + b")R" + text("x") + INNER[2:-1] + b"s"))
    add("inside_model_state", p(4, stacked("sklearn.linear_model._base", "LinearRegression") + b")\x81}(" + text("coef_") + INNER[2:-1] + text("_sklearn_version") + text("1.9.1") + b"ub"))
    add("frame_straddled_by_c_unpickler", b"\x80\x04\x95" + struct.pack("<Q", 3) + named("os", "system") + SYSTEM + b"R.")
    tuples = b")" + b"2\x86" * 40
    add("exponential_key", p(2, b"}" + tuples + b"Ns"), proof="hang")
    add("exponential_set_item", p(4, b"\x8f(" + tuples + b"\x90"), proof="hang")
    add("exponential_through_a_list", p(2, named("builtins", "set") + b"](" + tuples + b"e\x85R"), proof="hang")
    add("deep_key", p(2, b"}" + b")" + b"\x85" * 20_000 + b"Ns"), proof="crash", setup=SMALL_STACK)
    return files


def written_by_libraries(python, folder):
    """Hostile pickles that only their own tool can write."""
    code = r"""
import sys, pathlib
out = pathlib.Path(sys.argv[1])
import cloudpickle, dill, polars as pl, joblib, pickle, io
class Run:
    def __reduce__(self): return (eval, ("open('marker','w').write('x')",))
(out / "cloudpickle_function.pkl").write_bytes(cloudpickle.dumps(lambda: open('marker', 'w')))
dill.settings['recurse'] = True
(out / "dill_function.pkl").write_bytes(dill.dumps(lambda: open('marker', 'w')))
(out / "polars_expression.pkl").write_bytes(pickle.dumps(pl.col("a").map_elements(lambda v: v)))
(out / "polars_lazy_frame.pkl").write_bytes(pickle.dumps(pl.DataFrame({"a": [1]}).lazy()))
joblib.dump([Run()], out / "joblib_reduce.pkl")
import numpy as np
joblib.dump([Run(), np.arange(3)], out / "joblib_before_array.pkl")
"""
    subprocess.run([python, "-c", code, folder], check=True)


# ---- joblib's files, and packed ones -----------------------------------------------------------

PACKED_REAL = r'''
import bz2, gzip, json, lzma, pathlib, pickle, sys, zlib
import joblib, lz4.frame, numpy as np, pandas as pd
from sklearn import ensemble, linear_model, pipeline, preprocessing
out = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(7)
X = rng.normal(size=(40, 3)); y = X @ [0.5, -0.2, 0.1]
arrays = {"f8": X, "fortran": np.asfortranarray(X), "empty": np.zeros((0, 3)), "scalar": np.array(5.0),
    "object": np.array(["a", None, {"inner": np.arange(3)}], dtype=object), "text": np.array(["a", "bcd"]),
    "record": np.zeros(2, dtype=[("a", "f8"), ("b", "i4", (2,))]), "big_endian": np.arange(5, dtype=">i4"),
    "object_record": np.array([(1, "x")], dtype=[("a", "i4"), ("b", "O")]), "date": np.array(["2024-01-02"], "M8[D]"),
    "matrix": np.matrix([[1, 2]]), "masked": np.ma.array([1, 2], mask=[0, 1]), "void": np.zeros(2, "V5")}
model = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.Ridge()).fit(X, y)
forest = ensemble.RandomForestRegressor(n_estimators=2, max_depth=2, random_state=0).fit(X, y)
joblib.dump(arrays, out / "arrays.joblib")
joblib.dump(arrays, out / "arrays_p2.joblib", protocol=2)
joblib.dump(model, out / "pipeline.joblib")
joblib.dump(forest, out / "forest.joblib")
joblib.dump(forest, out / "forest_p0.joblib", protocol=0)
for method in ("zlib", "gzip", "bz2", "lzma", "xz", "lz4"):
    joblib.dump(model, out / f"pipeline.joblib.{method}", compress=(method, 3))
plain = pickle.dumps({"weights": [0.5, 0.3], "name": "alpha"}, protocol=4)
half = len(plain) // 2
for method, pack in {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zlib": zlib.compress, "lz4": lz4.frame.compress}.items():
    (out / f"weights.pkl.{method}").write_bytes(pack(plain))
    (out / f"weights_in_two.pkl.{method}").write_bytes(pack(plain[:half]) + pack(plain[half:]))
(out / "weights.json.gz").write_bytes(gzip.compress(json.dumps({"weights": [0.5, 0.3]}).encode()))
(out / "weights_sums.pkl.lz4").write_bytes(lz4.frame.compress(plain * 1, block_checksum=True, content_checksum=True, block_linked=False))
(out / "long_linked.pkl.lz4").write_bytes(lz4.frame.compress(pickle.dumps(list(range(60000)) * 1, protocol=2)[:0] + pickle.dumps(b"ab" * 200000), block_size=lz4.frame.BLOCKSIZE_MAX64KB, block_linked=True))
(out / "weights_sha256.pkl.xz").write_bytes(lzma.compress(plain, check=lzma.CHECK_SHA256, preset=9))
(out / "best.pkl.xz").write_bytes(lzma.compress(plain, filters=[{"id": lzma.FILTER_DELTA, "dist": 1}, {"id": lzma.FILTER_LZMA2, "preset": 6}]))
import io, tarfile
def tar(name, members, format, mode="w"):
    with tarfile.open(out / name, mode, format=format) as archive:
        for member, body in members:
            info = tarfile.TarInfo(member); info.size = len(body or b"")
            if body is None: info.type = tarfile.DIRTYPE
            archive.addfile(info, io.BytesIO(body or b""))
parts = [("models", None), ("models/classifier.pkl", plain), ("models/" + "long" * 40 + ".pkl", plain), ("./card.json", b'{"a": 1}'), ("models/README", b"notes")]
tar("gnu.tar", parts, tarfile.GNU_FORMAT); tar("pax.tar", parts, tarfile.PAX_FORMAT); tar("ustar.tar.gz", parts[:2], tarfile.USTAR_FORMAT, "w:gz"); tar("pax.tar.xz", parts, tarfile.PAX_FORMAT, "w:xz")
frame = pd.DataFrame({"a": [1.0, 2.0]})
frame.to_pickle(out / "frame.pkl.gz"); frame.to_pickle(out / "frame.pkl.bz2")
'''


def framed(body):
    return b"\x95" + struct.pack("<Q", len(body)) + body


def wrapper(shape, dtype, extra=b"", alignment=b"", make=None, order="C"):
    """A joblib array's description up to its BUILD."""
    make = make or stacked("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81"
    state = text("subclass") + stacked("numpy", "ndarray") + text("shape") + shape + text("order") + text(order)
    state += text("dtype") + dtype + text("allow_mmap") + b"\x89" + extra
    return make + b"}(" + state + alignment + b"ub"


def dtype(name):
    return stacked("numpy", "dtype") + text(name) + b"\x89\x88\x87R"


#: Loads as a user of joblib does.
WITH_JOBLIB = "import joblib; pickle.loads = lambda data: joblib.load(sys.argv[1])"


#: And one of Python's gzip module.
WITH_GZIP = "import gzip; pickle.loads = lambda data: pickle.load(gzip.open(sys.argv[1]))"


def hostile_packed():
    """name with suffixes -> (bytes, how the proof loads it)"""
    import bz2, gzip, lzma, zlib
    files = {}

    def add(name, body, proof="marker", setup=WITH_JOBLIB, after=""):
        files[name] = (body, proof, setup, after)

    pickled = p(4, stacked("os", "system") + SYSTEM + b"R")
    alone = lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE)
    for method, pack in {"gz": gzip.compress, "zlib": zlib.compress, "bz2": bz2.compress, "xz": lzma.compress, "lzma": alone}.items():
        add(f"packed.pkl.{method}", pack(pickled))
    stored = struct.pack("<I", 1 << 31 | len(pickled)) + pickled + bytes(4)
    add("packed.pkl.lz4", b"\x04\x22\x4d\x18\x60\x40\x82" + stored)
    add("second_member.pkl.gz", gzip.compress(pickled[:5]) + gzip.compress(pickled[5:]), setup=WITH_GZIP)
    add("member_after_zeros.pkl.gz", gzip.compress(b"\x80\x04N0") + bytes(100) + gzip.compress(pickled), setup=WITH_GZIP)
    add("second_stream.pkl.bz2", bz2.compress(pickled[:5]) + bz2.compress(pickled[5:]))
    add("second_stream.pkl.xz", lzma.compress(pickled[:5]) + lzma.compress(pickled[5:]))
    add("wrong_sum.pkl.gz", gzip.compress(pickled)[:-8] + bytes(8), setup=WITH_GZIP)
    add("cut_after_pickle.pkl.gz", gzip.compress(pickled)[:-8])
    add("name_and_comment.pkl.gz", b"\x1f\x8b\x08\x1e" + bytes(6) + b"\x02\0PK" + b"PK\x03\x04\0" + b"weights\0" + b"\xff\xff" + gzip.compress(pickled)[10:], setup=WITH_GZIP)
    add("stored_blocks.pkl.gz", gzip.compress(pickled, compresslevel=0))

    system = stacked("os", "system") + SYSTEM + b"R"
    eight = text("f8")
    one = b"K\x01\x85"
    add("after_array.joblib", b"\x80\x02](" + wrapper(one, dtype("f8")) + bytes(8) + system + b"e.")
    add("after_padded_array.joblib", b"\x80\x02](" + wrapper(one, dtype("f8"), alignment=text("numpy_array_alignment_bytes") + b"K\x10") + b"\x03\xff\xff\xff" + b"(......." + system + b"e.")
    add("after_array_of_stops.joblib", b"\x80\x02](" + wrapper(one, dtype("f8")) + b"." * 8 + system + b"e.")
    add("in_object_array.joblib", b"\x80\x04" + wrapper(one, dtype("O8")) + p(4, system) + b".")
    add("after_object_array.joblib", b"\x80\x04](" + wrapper(one, dtype("O8")) + p(4, stacked("numpy._core.multiarray", "_reconstruct") + stacked("numpy", "ndarray") + b"K\0\x85C\x01b\x87R") + system + b"e.")
    add("own_memo_in_object_array.joblib", b"\x80\x04" + text("collections") + b"\x94" + text("OrderedDict") + b"\x9400" + wrapper(one, dtype("O8")) + p(4, text("os") + b"\x94" + text("system") + b"\x9400h\0h\x01\x93" + SYSTEM + b"R") + b".")
    add("shape_named_twice.joblib", b"\x80\x02](" + wrapper(b"K\x40\x85", dtype("f8"), extra=text("shape") + one) + bytes(8) + system + b"NNNNNNNN" * 60 + b"e.")
    add("in_dtype.joblib", b"\x80\x02" + wrapper(one, system) + bytes(8) + b".")
    add("in_shape.joblib", b"\x80\x02" + wrapper(system + b"\x85", dtype("f8")) + bytes(8) + b".")
    add("array_read_twice.joblib", b"\x80\x02](" + wrapper(one, dtype("f8"), make=stacked("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81q\x07") + bytes(8) + b"h\x07}" + text("shape") + b"K\x02\x85sb" + b"N0N0N0N0" * 2 + system + b"e.")
    add("method_in_state.joblib", b"\x80\x02" + wrapper(one, dtype("f8"), extra=text("read") + stacked("builtins", "breakpoint")) + b".", setup=WITH_JOBLIB + "; sys.breakpointhook = lambda *a: open('marker', 'w')")
    add("allowed_method_in_state.joblib", b"\x80\x02" + wrapper(one, dtype("f8"), extra=text("read") + stacked("numpy", "arange") + text("safe_get_numpy_array_alignment_bytes") + stacked("collections", "OrderedDict")) + b".", setup=WITH_JOBLIB + "; import numpy; numpy.arange = lambda *a: open('marker', 'w')")
    add("made_by_another_function.joblib", b"\x80\x02](" + wrapper(b"K\x06\x85", dtype("f8"), make=stacked("sklearn.neighbors._ball_tree", "newObj") + stacked("joblib.numpy_pickle", "NumpyArrayWrapper") + b"\x85R") + data(b"x" * 43)[:48] + system + b"e.")
    add("array_in_a_frame.joblib", b"\x80\x04](" + framed(wrapper(one, dtype("f8")) + b"\x8c\x06benign0") + b"\x8c\x06......" + system + b"e.")
    add("array_beside.joblib", b"\x80\x02" + stacked("joblib.numpy_pickle", "NDArrayWrapper") + b")\x81}(" + text("filename") + text("/proc/self/cwd/beside.npy") + text("subclass") + stacked("numpy", "ndarray") + text("allow_mmap") + b"\x89ub.", setup="open('beside.npy', 'wb').write(bytes.fromhex('%s')); " % pickled.hex() + WITH_JOBLIB)
    add("packed_object_array.joblib.zlib", zlib.compress(b"\x80\x04" + wrapper(one, dtype("O8")) + p(4, system) + b"."))

    import io, tarfile
    def tar(*members, mode="w"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode, format=tarfile.GNU_FORMAT) as archive:
            for member, body in members:
                info = tarfile.TarInfo(member)
                if isinstance(body, str):
                    info.type, info.linkname, body = tarfile.SYMTYPE, body, b""
                info.size = len(body)
                archive.addfile(info, io.BytesIO(body))
        return file.getvalue()
    good = pickle.dumps({"a": 1}, protocol=4)
    unpack = "import tarfile, pickle; stock = pickle.loads; pickle.loads = lambda data: (tarfile.open(sys.argv[1]).extractall('in', filter='fully_trusted'), %s)"
    load = unpack % "stock(open('in/model.pkl', 'rb').read())"
    add("member.tar", tar(("card.json", b"{}"), ("model.pkl", pickled)), setup=load)
    add("member.tar.gz", tar(("card.json", b"{}"), ("model.pkl", pickled), mode="w:gz"), setup=load)
    add("packed_member.tar", tar(("model.pkl", gzip.compress(pickled))), setup=unpack % "stock(__import__('gzip').open('in/model.pkl').read())")
    add("member_above.tar", tar(("model.pkl", good), ("../marker", good)), setup=unpack % "0")
    add("member_through_link.tar", tar(("link", ".."), ("link/marker", good)), setup=unpack % "0")
    add("member_absolute.tar", tar(("/proc/self/cwd/marker", good)), setup=unpack % "0")
    add("cut_after_member.tar", tar(("model.pkl", pickled))[:1024], setup=load)
    add("also_a_pickle.tar", tar(("Vmodel.json", b"\n" + pickled), ("model.pkl", good)), setup="")

    overlap = b"(K\x03" + text("|") + b"N" + text("a") + text("b") + b"\x86}(" + text("a") + stacked("numpy", "dtype") + text("O8") + b"\x89\x88\x87R" + b"K\0\x86" + text("b") + dtype("i8") + b"K\0\x86uK\x08K\x01K\x1btb"
    add("dtype_field_over_a_reference.pkl", p(4, stacked("numpy._core.multiarray", "_reconstruct") + stacked("numpy", "ndarray") + b"K\0\x85C\x01b\x87R(K\x01K\x01\x85" + stacked("numpy", "dtype") + text("V8") + b"\x89\x88\x87R" + overlap + b"\x89](NM\x39\x30\x86etb"), proof="crash", setup="", after="print(value['a'])")
    add("dataset_with_an_address.pkl", p(4, stacked("lightgbm.basic", "Dataset") + b")\x81}" + text("_handle") + b"M\x39\x30sb"), proof="crash", setup="", after="del value")
    return files


def make_packed(python, parts):
    failures = []
    if "real" in parts:
        subprocess.run([python, "-c", PACKED_REAL, HERE / "real"], check=True)
    if "hostile" in parts:
        for name, (body, proof, setup, after) in hostile_packed().items():
            path = HERE / "hostile" / name
            path.write_bytes(body)
            happened, said = prove(python, path, proof, setup, after)
            if not happened:
                failures.append(f"hostile/{name}: nothing happened: {said}")
                path.unlink()
    if "broken" in parts:
        for name, body in broken_packed().items():
            (HERE / "broken" / name).write_bytes(body)
    return failures


def broken_packed():
    import bz2, gzip, lzma, zlib
    good = pickle.dumps({"a": [1, 2, 3], "b": "text"}, protocol=4)
    alone = lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE)
    files = {}
    for method, pack in {"gz": gzip.compress, "zlib": zlib.compress, "bz2": bz2.compress, "xz": lzma.compress, "lzma": alone}.items():
        files[f"trailing.pkl.{method}"] = pack(good) + b"trailing"
        files[f"trailing_newline.pkl.{method}"] = pack(good) + b"\n"
        files[f"trailing_inside.pkl.{method}"] = pack(good + b"\n")
        files[f"packed_twice.pkl.{method}"] = pack(pack(good))
        files[f"nothing_inside.pkl.{method}"] = pack(b"")
    files["wrong_sum.pkl.gz"] = gzip.compress(good)[:-8] + bytes(4) + gzip.compress(good)[-4:]
    files["wrong_size.pkl.gz"] = gzip.compress(good)[:-4] + bytes(4)
    files["wrong_sum.pkl.zlib"] = zlib.compress(good)[:-4] + bytes(4)
    files["unknown_method.pkl.gz"] = b"\x1f\x8b\x07" + gzip.compress(good)[3:]
    files["padding_then_stream.pkl.xz"] = lzma.compress(good[:9]) + bytes(4) + lzma.compress(good[9:])
    import io, tarfile
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for member in ("a.pkl", "b.pkl"):
            info = tarfile.TarInfo(member)
            info.size = len(good)
            archive.addfile(info, io.BytesIO(good))
    tar = file.getvalue()
    hidden = bytearray(tar)
    hidden[1000] = 1
    files |= {"trailing.tar": tar + b"x", "one_end_block.tar": tar[:2560], "no_end.tar": tar[:2048], "hidden_bytes.tar": bytes(hidden),
        "wrong_sum.tar": b"b" + tar[1:], "same_name_twice.tar": tar[:1024] * 2 + bytes(10240), "empty.tar.gz": gzip.compress(bytes(10240))}
    files["broken_member.tar"] = tar[:514] + b"\xff" + tar[515:]
    one = b"K\x01\x85"
    for name, body in {
        "array_cut": wrapper(b"K\x7f\x85", dtype("f8")) + bytes(8) + b".",
        "huge_shape": wrapper(b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85", dtype("f8")) + bytes(8) + b".",
        "shape_that_wraps": wrapper(b"\x8a\x05\0\0\0\0\x01" * 2 + b"\x86", dtype("f8")) + bytes(8) + b".",
        "negative_shape": wrapper(b"J\xff\xff\xff\xff\x85", dtype("f8")) + bytes(8) + b".",
        "no_type": wrapper(one, b"N") + bytes(8) + b".",
        "empty_type": wrapper(one, dtype("V0")) + b".",
        "unknown_order": wrapper(one, dtype("f8"), order="K")[:0] + wrapper(one, dtype("f8"), extra=text("order") + b"K\x01") + b".",
        "object_array_cut": wrapper(one, dtype("O8")) + b"\x80\x04N",
        "object_array_of_text": wrapper(one, dtype("O8")) + p(4, text("x")) + b".",
        "array_in_object_array": wrapper(one, dtype("O8")) + p(4, wrapper(one, dtype("f8")) + bytes(8)) + b".",
    }.items():
        files[f"{name}.joblib"] = b"\x80\x04" + body
    return files


# ---- broken files ------------------------------------------------------------------------------


def broken():
    good = pickle.dumps({"a": [1, 2, 3], "b": "text"}, protocol=4)
    deep = 20_000
    return {
        "truncated.pkl": good[:-1],
        "truncated_in_text.pkl": b"\x80\x02X\x05\0\0\0ab",
        "truncated_in_line.pkl": b"I12",
        "only_protocol.pkl": b"\x80\x04",
        "trailing_bytes.pkl": good + b"\n",
        "second_pickle.pkl": good + good,
        "unknown_protocol.pkl": b"\x80\x06N.",
        "unknown_opcode.pkl": b"\x80\x02\xffN.",
        "huge_binbytes.pkl": b"\x80\x03B\xff\xff\xff\xffabc.",
        "huge_binbytes8.pkl": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        "huge_binunicode8.pkl": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        "huge_bytearray8.pkl": b"\x80\x05\x96\0\0\0\0\0\x01\0\0.",
        "huge_long4.pkl": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "negative_long4.pkl": b"\x80\x02\x8b\xff\xff\xff\xff.",
        "negative_binstring.pkl": b"\x80\x02T\xff\xff\xff\xff.",
        "huge_frame.pkl": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x00N.",
        "frame_in_frame.pkl": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x95\x02\0\0\0\0\0\0\0N.",
        "frame_too_short.pkl": b"\x80\x04\x95\x02\0\0\0\0\0\0\0\x8c\x03abc.",
        "empty_stack_stop.pkl": b"\x80\x02.",
        "pop_of_empty_stack.pkl": b"\x80\x020N.",
        "dup_of_empty_stack.pkl": b"\x80\x022.",
        "values_left.pkl": b"\x80\x02K\x01K\x02.",
        "mark_left.pkl": b"\x80\x02(K\x01.",
        "tuple_without_mark.pkl": b"\x80\x02t.",
        "list_without_mark.pkl": b"\x80\x02l.",
        "below_the_mark.pkl": b"\x80\x02K\x01(\x85.",
        "appends_without_list.pkl": b"\x80\x02(K\x01e.",
        "append_to_int.pkl": b"\x80\x02K\x01K\x02a.",
        "setitem_on_none.pkl": b"\x80\x02NK\x01K\x02s.",
        "odd_dict.pkl": b"\x80\x02(K\x01d.",
        "odd_setitems.pkl": b"\x80\x02}(K\x01u.",
        "unhashable_key.pkl": b"\x80\x02}]Ns.",
        "unhashable_in_tuple_key.pkl": b"\x80\x02}]\x85Ns.",
        "unhashable_set_item.pkl": b"\x80\x04\x8f(}\x90.",
        "memo_before_write.pkl": b"\x80\x02h\x05.",
        "memo_text_garbage.pkl": b"Np\xff\n.",
        "memo_negative.pkl": b"Np-1\n.",
        "call_of_int.pkl": b"\x80\x02K\x01)R.",
        "call_without_tuple.pkl": b"\x80\x02ccollections\nOrderedDict\nK\x01R.",
        "build_on_int.pkl": b"\x80\x02K\x01}b.",
        "bad_int.pkl": b"Iabc\n.",
        "bad_int_old_octal.pkl": b"L010L\n.",
        "bad_float.pkl": b"Fone\n.",
        "bad_string_quotes.pkl": b"Sabc\n.",
        "bad_unicode_escape.pkl": b"V\\u12\n.",
        "bad_utf8.pkl": b"\x80\x02X\x01\0\0\0\xff.",
        "python_2_bytes.pkl": b"\x80\x02U\x01\xe9.",
        "out_of_band_buffer.pkl": b"\x80\x05\x97.",
        "readonly_int.pkl": b"\x80\x05K\x01\x98.",
        "deep_lists_cut.pkl": b"\x80\x02" + b"]" * deep + b"a" * (deep - 2) + b".",
        "deep_marks.pkl": b"\x80\x02" + b"(" * deep + b".",
        "text_line_too_long.pkl": b"I" + b"1" * 70_000 + b"\n.",
        "empty.pkl": b"",
        "not_a_pickle.pkl": b"hello, world\n",
        "joblib_array.pkl": pickle_with_joblib_array(),
        "gzip.pkl": b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0",
        "numpy_array.npy": b"\x93NUMPY\x01\0v\0{'descr': '<f8'",
        "duplicate_key.json": b'{"a": 1, "a": 2}',
        "duplicate_key_escaped.json": b'{"a": 1, "\\u0061": 2}',
        "nan.json": b'{"a": NaN}',
        "minus_infinity.json": b"[-Infinity]",
        "overflow.json": b'{"a": 1e999}',
        "trailing.json": b"{} {}",
        "truncated.json": b'{"a": [1, 2',
        "byte_order_mark.json": b"\xef\xbb\xbf{}",
        "utf16.json": '{"a": 1}'.encode("utf-16"),
        "invalid_utf8.json": b'{"a": "\xff"}',
        "lone_surrogate.json": b'{"a": "\\ud800"}',
        "deep.json": b"[" * 600 + b"]" * 600,
        "very_deep.json": b"[" * deep,
        "control_character.json": b'{"a": "\x01"}',
        "leading_zero.json": b"[01]",
        "white_space_only.json": b" \n",
    }


def pickle_with_joblib_array():
    body = stacked("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}" + text("subclass") + b"Nsb"
    return b"\x80\x04" + body + b"\x03\0\0\0" + bytes(24) + b"."


# ---- proofs ------------------------------------------------------------------------------------

PROOF = """
import sys, pickle
{setup}
value = None
try:
    value = pickle.loads(open(sys.argv[1], 'rb').read())
except Exception as error:
    print(repr(error), file=sys.stderr)
{after}
"""


def prove(python, path, proof, setup, after):
    """Runs the file under a stock Python in a scratch directory and says what came of it."""
    with tempfile.TemporaryDirectory() as scratch:
        code = PROOF.format(setup=setup, after=after)
        env = {"PATH": os.environ["PATH"], "HOME": scratch}
        try:
            done = subprocess.run([python, "-c", code, str(path)], cwd=scratch, env=env, timeout=30 if proof != "hang" else 6, capture_output=True, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return proof == "hang", "ran into the time limit"
        said = done.stderr.decode(errors="replace").strip()[-300:]
        if proof == "crash":
            return done.returncode < 0, f"exit {done.returncode} {said}"
        return Path(scratch, "marker").exists(), f"exit {done.returncode} {said}"


def environment(folder):
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def write(folder, files):
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--venv", type=Path)
    arguments.add_argument("parts", nargs="*", default=[])
    options = arguments.parse_args()
    parts = options.parts or ["real", "hostile", "broken"]
    with tempfile.TemporaryDirectory() as scratch:
        python = environment((options.venv or Path(scratch) / "venv").absolute())
        if "real" in parts:
            write(HERE / "real", {})
            subprocess.run([python, "-c", REAL, HERE / "real"], check=True)
        if "broken" in parts:
            write(HERE / "broken", broken())
        failures = make_hostile(python) if "hostile" in parts else []
        failures += make_packed(python, ["real", "hostile", "broken"] if "packed" in parts else parts)
    for path in (HERE / "real").iterdir():
        if path.stat().st_size > LIMIT:
            failures.append(f"{path.name} is larger than {LIMIT} bytes")
    sys.exit("\n".join(failures))


def make_hostile(python):
    files = hostile()
    folder = HERE / "hostile"
    write(folder, {f"{name}.pkl": entry[0] for name, entry in files.items()})
    failures = []
    for name, (_, proof, setup, after) in files.items():
        happened, said = prove(python, folder / f"{name}.pkl", proof, setup, after)
        if not happened:
            failures.append(f"hostile/{name}: nothing happened: {said}")
            (folder / f"{name}.pkl").unlink()
    written_by_libraries(python, folder)
    return failures


if __name__ == "__main__":
    main()
