#!/usr/bin/env python3
"""Writes the corpus of states and arguments: what compiled classes and arrays are given, and models of rarer classes.

    make_states.py real PYTHON       models that their libraries wrote
    make_states.py forged PYTHON     states and arguments that no library writes

PYTHON is that of an environment with numpy 2.4, pandas 3.1, scikit-learn 1.9, arch 8.0, statsmodels 0.15, hmmlearn 0.3
and ml_dtypes 0.6. Every forged pickle is loaded by that Python in a process of its own, and kept only if the loader
crashes or refuses it. The files are fixtures: the tests never run this script.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

REAL = r'''
import pathlib, pickle, sys, warnings
warnings.simplefilter("ignore")
import ml_dtypes, numpy as np, pandas as pd, statsmodels.api as sm, statsmodels.tsa.api as tsa
from arch.univariate import (APARCH, EGARCH, EWMAVariance, FIGARCH, HARCH, ConstantMean, MIDASHyperbolic, RiskMetrics2006)
from hmmlearn import vhmm
from sklearn import linear_model, model_selection, neighbors, tree
out = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(7)
X = rng.normal(size=(24, 2)); y = X @ [0.5, -0.2]; groups = np.arange(24) % 4; exog = sm.add_constant(X)
counts = rng.poisson(2, 24); returns = rng.normal(size=60)
series = np.cumsum(rng.normal(size=36))

def save(name, value, protocol=4):
    (out / f"{name}.pkl").write_bytes(pickle.dumps(value, protocol=protocol))

for name, volatility in dict(aparch=APARCH(), egarch=EGARCH(), figarch=FIGARCH(truncation=20), harch=HARCH([1, 5]),
        midas=MIDASHyperbolic(10), ewma=EWMAVariance(0.94), riskmetrics=RiskMetrics2006()).items():
    model = ConstantMean(returns); model.volatility = volatility
    save(f"arch_{name}", model.fit(disp="off"), 5)
save("statsmodels_hac", sm.OLS(y, exog).fit(cov_type="HAC", cov_kwds={"maxlags": 2}))
save("statsmodels_negative_binomial", sm.NegativeBinomial(counts, exog).fit(disp=0))
save("statsmodels_mixed", sm.MixedLM(y, exog, groups=groups).fit())
save("statsmodels_gee", sm.GEE(y, exog, groups=groups).fit())
save("statsmodels_phreg", sm.PHReg(abs(y), X, status=groups > 0).fit())
save("statsmodels_stl", tsa.STL(series, period=6).fit())
save("statsmodels_vecm", tsa.VECM(np.c_[series, rng.normal(size=36)], k_ar_diff=1).fit())
save("statsmodels_ardl", tsa.ARDL(series, 1, rng.normal(size=(36, 1)), 1).fit())
save("hmmlearn_variational", vhmm.VariationalGaussianHMM(2).fit(X))
save("sklearn_search_over_splits", model_selection.GridSearchCV(linear_model.Ridge(), {"alpha": [1, 2]},
    cv=[(np.arange(12), np.arange(12, 24)), (np.arange(12, 24), np.arange(12))]).fit(X, y))
save("sklearn_weighted_neighbours", neighbors.KernelDensity().fit(X, sample_weight=abs(y) + 1))
save("sklearn_tree_of_two_outputs", tree.DecisionTreeRegressor(max_depth=2).fit(X, np.c_[y, -y]), 2)
save("numpy_ml_dtypes", [np.zeros(3, dtype=t) for t in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.int4)], 5)
'''

FORGED = r'''
import pathlib, pickle, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd
from arch.univariate import recursions
from numpy._core.multiarray import _reconstruct, scalar
from numpy._core.numeric import _frombuffer
from pandas._libs.interval import Interval
from pandas._libs.tslibs.timedeltas import _timedelta_unpickle
from pandas.core.indexes.base import _new_Index
from sklearn.metrics import DistanceMetric
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree import DecisionTreeRegressor
out = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(7)
X = rng.normal(size=(24, 2))

class Made:
    def __init__(self, *reduced):
        self.reduced = reduced
    def __reduce__(self):
        return self.reduced

def save(part, name, *reduced):
    (out / part).mkdir(exist_ok=True)
    (out / part / f"{name}.pkl").write_bytes(pickle.dumps(Made(*reduced), protocol=4))

for kind, name in ((KDTree, "kdtree"), (BallTree, "balltree")):
    make, args, state = kind(X).__reduce__()
    save("hostile", f"sklearn_{name}_empty_state", make, args, ())
    save("hostile", f"sklearn_{name}_state_without_weights", make, args, state[:12])
    save("hostile", f"sklearn_{name}_rows_are_no_array", make, args, (5,) + state[1:])
make, args, state = DistanceMetric.get_metric("euclidean").__reduce__()
save("hostile", "sklearn_distance_short_state", make, args, state[:1])
make, args, state = DecisionTreeRegressor(max_depth=2).fit(X, X[:, 0]).tree_.__reduce__()
save("hostile", "sklearn_tree_of_a_billion_outputs", make, args[:2] + (10**9,), state)
save("hostile", "sklearn_tree_of_no_classes", make, (args[0], None, args[2]), state)
save("hostile", "sklearn_tree_partial_state", make, args, {"nodes": state["nodes"], "values": state["values"]})
other = state["nodes"].astype([(n, "f8" if n == "left_child" else state["nodes"].dtype[n]) for n in state["nodes"].dtype.names])
save("hostile", "sklearn_tree_nodes_of_another_type", make, args, {**state, "nodes": other})
save("hostile", "sklearn_tree_values_of_fewer_nodes", make, args, {**state, "values": state["values"][:1]})
make, args, *_ = recursions.GARCHUpdater(1, 0, 1, 2.0).__reduce__()
save("hostile", "arch_garch_empty_state", make, args[:2] + ((),))
save("hostile", "arch_garch_short_state_built", make, args[:2] + (None,), (1.0,))
for name, updater in dict(egarch=recursions.EGARCHUpdater(1, 1, 1), harch=recursions.HARCHUpdater(np.array([1, 5], "i4")),
        ewma=recursions.EWMAUpdater(None), midas=recursions.MIDASUpdater(5, False),
        figarch=recursions.FIGARCHUpdater(1, 1, 2.0, 10),
        riskmetrics=recursions.RiskMetrics2006Updater(3, np.ones(3), np.ones(3))).items():
    make, args, state = updater.__reduce__()
    save("hostile", f"arch_{name}_short_state", make, args, state[:-1])
save("hostile", "arch_midas_of_a_billion_lags", recursions.MIDASUpdater, (10**9, False),
    recursions.MIDASUpdater(5, False).__reduce__()[2])
save("hostile", "pandas_timedelta_without_arguments", _timedelta_unpickle, ())
save("hostile", "pandas_index_without_data", _new_Index, (pd.Index,))
save("hostile", "pandas_interval_of_four_arguments", Interval, (0, 1, "right", 1))
save("hostile", "pandas_interval_backwards", Interval, (2, 1, "right"))
save("hostile", "numpy_buffer_of_another_shape", _frombuffer, (bytes(24), np.dtype("i8"), (2, 4), "C"))
save("hostile", "numpy_scalar_of_too_few_bytes", scalar, (np.dtype("f8"), b"x"))
f8 = np.dtype("f8")
for name, state in dict(
    array_state_is_a_number=5,
    array_without_a_type=(1, (3,), None, False, bytes(24)),
    array_of_too_few_bytes=(1, (3,), f8, False, bytes(23)),
    array_of_too_many_bytes=(1, (3,), f8, False, bytes(25)),
    array_of_a_short_text=(1, (3,), f8, False, "x" * 23),
    array_of_wide_characters=(1, (1,), f8, False, "\u20ac" * 8),
    array_of_objects_as_bytes=(1, (1,), np.dtype("O"), False, bytes(8)),
    array_of_numbers_as_a_list=(1, (1,), f8, False, [1.0]),
    array_state_of_version_9=(9, (3,), f8, False, bytes(24)),
    array_state_of_six=(1, (3,), f8, False, bytes(24), 1),
).items():
    save("broken", name, _reconstruct, (np.ndarray, (0,), b"b"), state)
save("broken", "dtype_state_of_version_9", np.dtype, ("f8", False, True), (9, "<", None, None, None, -1, -1, 0))
'''

LOAD = r'''
import pickle, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
pickle.load(open(sys.argv[1], "rb"))
'''


def run(python, source, *arguments):
    return subprocess.run([python, "-W", "ignore", "-c", source, *map(str, arguments)], capture_output=True, timeout=600)


def main():
    what, python = sys.argv[1:]
    if what == "real":
        run(python, REAL, HERE / "real").check_returncode()
        return
    with tempfile.TemporaryDirectory() as scratch:
        made = run(python, FORGED, scratch)
        made.check_returncode()
        for path in sorted(Path(scratch).glob("*/*.pkl")):
            loaded = run(python, LOAD, path)
            if loaded.returncode == 0:
                sys.exit(f"{path.name} loads")
            (HERE / path.parent.name / path.name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    main()
