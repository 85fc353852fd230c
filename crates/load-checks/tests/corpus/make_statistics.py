#!/usr/bin/env python3
"""Writes the corpus of statistics: distributions, interpolations, results, searches and regressions.

    make_statistics.py real PYTHON SUFFIX     real artifacts of one generation of the libraries
    make_statistics.py hostile PYTHON         what abuses the entries of the allow-list they need

PYTHON is that of an environment with scipy, scikit-learn, pandas, lightgbm and (for `hostile`, and where it is there for
`real`) statsmodels. Every hostile pickle that claims to run code or to end the loader is loaded by that Python in a
process of its own, and kept only if it did. The files are fixtures: the tests never run this script.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

REAL = r'''
import collections, fractions, functools, operator, pathlib, pickle, sys, types, warnings
warnings.simplefilter("ignore")
import joblib, numpy as np, pandas as pd, scipy.interpolate as it, scipy.optimize as so, scipy.stats as st
from sklearn import feature_selection, linear_model, model_selection
out, suffix = pathlib.Path(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(7)
X = rng.normal(size=(20, 2)); y = X @ [0.5, -0.2]; a = np.arange(6.0)

def save(name, value, *protocols):
    for p in protocols:
        (out / f"{name}{suffix}_p{p}.pkl").write_bytes(pickle.dumps(value, protocol=p))

save("scipy_frozen_continuous", [st.norm(0, 1), st.loguniform(1e-3, 1), st.t(5)], 4)
save("scipy_frozen_normal", st.norm(loc=1, scale=2), 0, 2)
save("scipy_frozen_discrete", [st.randint(1, 9)], 2, 4)
save("scipy_values", st.rv_discrete(values=([1, 2], [0.5, 0.5])), 4)
save("scipy_histogram", st.rv_histogram(np.histogram(y, 3)), 4)
save("scipy_kernel_density", st.gaussian_kde(X.T), 2, 5)
save("scipy_splines", [it.RegularGridInterpolator((a, a), np.add.outer(a, a)), it.RectBivariateSpline(a, a, np.add.outer(a, a)),
    it.CubicSpline(a, a), it.BarycentricInterpolator(a, a)], 4)
save("scipy_optimum", so.minimize(lambda x: (x ** 2).sum(), [1.0, 2.0], method="L-BFGS-B"), 4)
save("scipy_tests", [st.describe(y), st.linregress(X[:, 0], y), st.ks_2samp(X[:, 0], y)], 4)
save("pandas_groups", pd.DataFrame({"a": [1.0, 2.0], "s": ["x", "y"]}).groupby("s"), 4)
save("standard_more", [fractions.Fraction(-1, 3), slice("a", "c"), types.SimpleNamespace(a=1),
    operator.itemgetter("a"), functools.partial(np.clip, a_min=0, a_max=1)], 2, 4)
save("sklearn_partial", feature_selection.SelectKBest(functools.partial(feature_selection.mutual_info_regression, random_state=0), k=1).fit(X, y), 4)
search = model_selection.RandomizedSearchCV(linear_model.Ridge(), {"alpha": st.loguniform(1e-3, 1)}, n_iter=2, cv=2).fit(X, y)
joblib.dump(search, out / f"sklearn_random_search{suffix}.joblib", compress=3)
try:
    import statsmodels.api as sm
except ImportError:
    sys.exit()
save("statsmodels_ols", sm.OLS(y, sm.add_constant(X)).fit(), 4)
import arch
save("arch_garch", arch.arch_model(pd.Series(y * 100), vol="GARCH").fit(disp="off"), 5)
save("statsmodels_gamma", sm.GLM(abs(y) + 1, X, family=sm.families.Gamma(sm.families.links.Log())).fit(), 4)
'''

HOSTILE = r'''
import pathlib, pickle, sys, warnings
warnings.simplefilter("ignore")
import scipy.stats as st
out = pathlib.Path(sys.argv[1])
MARK = "open('marker','w').write('owned')"
state = {k: v for k, v in st.norm.__reduce_ex__(2)[2].items() if k not in ("_random_state", "__doc__", "_ctor_param")}
template = state["_parse_arg_template"]

def part(value, protocol=2):
    body = pickle.dumps(value, protocol=protocol)
    return body[2 if protocol >= 2 else 0:-1]

def named(module, name):
    return f"c{module}\n{name}\n".encode()

def made(module, name):
    return named(module, name) + b")\x81"

NORM = made("scipy.stats._continuous_distns", "norm_gen")

def normal(changes, protocol=2):
    return b"\x80\x02" + NORM + part({**state, **changes}, protocol) + b"b."

def text(value):
    return part(value)

DEEP = b")" + b"\x85" * 180_000
files = {
    "distribution_code": normal({"_parse_arg_template": MARK + template}),
    "distribution_code_after_the_template": normal({"_parse_arg_template": template + MARK}),
    "distribution_code_among_shapes": normal({"_parse_arg_template": template.replace("(self,  ", f"(self, a={MARK}, ", 1)}),
    "distribution_code_as_annotation": normal({"_parse_arg_template": template.replace("loc=0", f"loc: {MARK}=0", 1)}),
    "distribution_code_as_default": normal({"_parse_arg_template": template.replace("size=None", f"size={MARK}")}),
    "distribution_code_protocol_0": normal({"_parse_arg_template": MARK + template}, 0),
    "distribution_code_twice": b"\x80\x02" + NORM + part(state) + text("_parse_arg_template") + text(MARK + template) + b"sb.",
    "distribution_state_of_pairs": b"\x80\x02" + NORM + part(list({**state, "_parse_arg_template": MARK + template}.items())) + b"b.",
    "distribution_state_of_an_ordered_dict": b"\x80\x02" + NORM + named("collections", "OrderedDict") + b")R("
        + b"".join(text(k) + part(v) for k, v in {**state, "_parse_arg_template": MARK + template}.items()) + b"ub.",
    "distribution_histogram_code": b"\x80\x02" + made("scipy.stats._continuous_distns", "rv_histogram")
        + part({**state, "_parse_arg_template": MARK + template}) + b"b.",
    "distribution_discrete_code": b"\x80\x02" + made("scipy.stats._discrete_distns", "poisson_gen")
        + part({**state, "_parse_arg_template": MARK + template}) + b"b.",
    "statsmodels_formula": b"\x80\x02" + made("statsmodels.base.data", "PandasData") + b"}("
        + text("formula") + text(f"a ~ {MARK}") + text("restore_model_spec") + b"\x88" + text("restore_design_info") + b"\x88"
        + text("frame") + part(__import__("pandas").DataFrame({"a": [1.0, 2.0]})) + b"ub.",
    "result_deep_key": b"\x80\x02}" + named("scipy.stats._stats_py", "DescribeResult") + b"(NNNNN" + DEEP + b"t\x81Ns.",
    "tuple_of_a_list_deep_key": b"\x80\x02}" + named("builtins", "tuple") + b"]" + DEEP + b"a\x85RNs.",
    "slice_deep_key": b"\x80\x02}" + named("builtins", "slice") + DEEP + b"\x85RNs.",
}
unproven = {
    "distribution_method_in_state": b"\x80\x02" + NORM + part(state) + text("_attach_argparser_methods")
        + named("collections", "OrderedDict") + b"sb.",
    "distribution_number_that_is_none": b"\x80\x02" + NORM + part(state) + text("numargs") + named("collections", "OrderedDict") + b")Rsb.",
    "distribution_remade": b"\x80\x02" + named("pandas.core.indexes.base", "_new_Index")
        + named("scipy.stats._continuous_distns", "norm_gen") + b"}\x86R.",
    "distribution_other_method": b"\x80\x04" + NORM + b"\x94" + named("builtins", "getattr") + b"h\x00" + text("fit") + b"\x86R\x86.",
    "distribution_method_of_a_state": b"\x80\x02" + NORM + b"q\x01" + part(state).replace(b"q\x01", b"q\x7f") + b"b0"
        + named("builtins", "getattr") + b"h\x01" + text("_entropy") + b"\x86R.",
    "interpolation_dotted": b"\x80\x04" + text("scipy.interpolate._interpolate") + text("interp1d.__init__.__globals__") + b"\x93.",
    "interpolation_other_attribute": b"\x80\x02" + named("builtins", "getattr") + named("scipy.interpolate._interpolate", "interp1d")
        + text("__init__") + b"\x86R.",
    "result_with_a_setstate": b"\x80\x02" + made("scipy.optimize._optimize", "OptimizeResult") + text("__setstate__")
        + named("numpy", "void") + b"sJ\xff\xff\xff\x7fb.",
    "result_with_a_state": b"\x80\x02" + made("scipy.optimize._optimize", "OptimizeResult") + b"}b.",
    "bunch_with_an_interface": b"\x80\x02" + made("sklearn.utils._bunch", "Bunch") + text("__array_interface__") + b"}s.",
    "namespace_with_a_setstate": b"\x80\x02" + named("types", "SimpleNamespace") + b"}" + text("__setstate__")
        + named("numpy", "void") + b"s\x85RJ\xff\xff\xff\x7fb.",
    "index_that_is_an_array": b"\x80\x02" + named("pandas.core.indexes.base", "_new_Index") + named("numpy", "recarray")
        + b"}" + text("shape") + b"\x8a\x05\x00\x00\x00\x00\x10\x85sX\x07\x00\x00\x00formatsX\x02\x00\x00\x00f8s\x86R.",
    "index_of_a_group": b"\x80\x02" + named("pandas.core.indexes.base", "_new_Index") + named("pandas.core.indexes.base", "Index")
        + b"}" + text("data") + b"]" + made("pandas.api.typing", "DataFrameGroupBy") + b"as\x86R.",
    "operator_range": b"\x80\x02" + made("scipy.optimize._lbfgsb_py", "LbfgsInvHessProduct") + b"}" + text("_xp")
        + named("builtins", "range") + b"\x8a\x05\x00\x00\x00\x00\x10\x85Rsb.",
    "partial_of_a_class": b"\x80\x02" + named("functools", "partial") + named("collections", "OrderedDict") + b"\x85R.",
    "partial_of_a_range": b"\x80\x02" + named("functools", "partial") + named("numpy", "array") + b"\x85R(" + named("numpy", "array")
        + named("builtins", "range") + b"\x8a\x05\x00\x00\x00\x00\x10\x85R\x85}Ntb.",
    "fraction_of_an_exponent": b"\x80\x02" + named("fractions", "Fraction") + text("1e99999999") + b"\x85R.",
}
for name, body in files.items():
    (out / f"{name}.pkl").write_bytes(body)
(out / "unproven").mkdir()
for name, body in unproven.items():
    (out / "unproven" / f"{name}.pkl").write_bytes(body)
'''

# Some functions deep, as programs load models: a formula looks there for its names.
LOAD = """
import pickle, sys, warnings
warnings.simplefilter("ignore")
def load(depth):
    return load(depth - 1) if depth else pickle.load(open(sys.argv[1], "rb"))
load(9)
"""


def has_effect(python, path):
    """Whether loading it writes the marker, or ends the loader by a signal."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run([python, "-c", LOAD, str(path)], cwd=scratch, capture_output=True, timeout=120)
        return (Path(scratch) / "marker").exists() or done.returncode < 0


def main():
    what, python = sys.argv[1], sys.argv[2]
    if what == "real":
        subprocess.run([python, "-c", REAL, str(HERE / "real"), sys.argv[3]], check=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-c", HOSTILE, folder], check=True)
        for path in sorted(Path(folder).glob("*.pkl")):
            if has_effect(python, path):
                (HERE / "hostile" / path.name).write_bytes(path.read_bytes())
            else:
                print("without effect", path.name)
        for path in sorted((Path(folder) / "unproven").glob("*.pkl")):
            (HERE / "hostile" / path.name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    main()
