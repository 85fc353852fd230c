#!/usr/bin/env python3
"""Writes hostile pickles that call nothing, and still end the process that loads them.

    make_exhausting.py PYTHON

PYTHON is an interpreter with numpy, pandas, pyarrow, scikit-learn, joblib, lightgbm and xgboost. Each file is
loaded by it in a process of its own with four gigabytes of memory, and kept only if that process
died, ran out of memory, or did not end; a file for joblib, if `pickle.load` ran the command in it.

The files are fixtures: the tests never run this script.
"""

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
import pickle
try:
    pickle.load(open(sys.argv[1], "rb"))
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


def arrays():
    """An array of a thousand objects, with one."""
    array = named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\0\x85C\x01b\x87R"
    dtype = named("numpy", "dtype") + text("O8") + b"\x89\x88\x87R(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
    return {"objects_missing.pkl": p(array + b"(K\x01M\xe8\x03\x85" + dtype + b"\x89](K\x01etb")}


def boosters(light, boost):
    def lightgbm(model):
        return p(named("lightgbm.basic", "Booster") + b")\x81}(" + text("params") + b"}" + text("_handle") + text(model) + b"ub")

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


def happened(python, path, scratch):
    try:
        done = subprocess.run([python, "-c", LOAD, path], cwd=scratch, timeout=15, capture_output=True)
    except subprocess.TimeoutExpired:
        return True, "did not end"
    marker = Path(scratch, "marker").exists()
    said = (done.stdout + done.stderr).decode(errors="replace").strip()[-300:]
    return marker or done.returncode == 99 or done.returncode < 0, f"exit {done.returncode} {said}"


def main():
    python = os.path.abspath(sys.argv[1])
    failures = []
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([python, "-c", MODELS], cwd=scratch, check=True)
        subprocess.run([python, "-c", FORGED], cwd=scratch, check=True)
        forged = {"index_of_forged_texts.pkl": Path(scratch, "forged").read_bytes()}
        light, boost = Path(scratch, "light").read_text(), Path(scratch, "boost").read_bytes()
    for name, content in (ranges() | arrays() | forged | boosters(light, boost) | joblib()).items():
        path = HERE / "hostile" / name
        path.write_bytes(content)
        with tempfile.TemporaryDirectory() as scratch:
            proven, said = happened(python, path, scratch)
        print(name, said)
        if not proven:
            failures.append(f"hostile/{name}: nothing happened: {said}")
            path.unlink()
    sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
