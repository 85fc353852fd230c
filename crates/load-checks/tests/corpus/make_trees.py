#!/usr/bin/env python3
"""Writes the corpus of tree ensembles: LightGBM's text, XGBoost's JSON and Universal Binary JSON.

    make_trees.py [--venv DIR]

Real models come from the libraries themselves, in a throw-away environment (made with pip when
DIR does not exist), those of older versions from packages installed beside it. Beside each model
that can be run, `samples/` gets rows of features and what the library answers to them. Broken
models are real ones with a part changed; each is loaded and asked by its own library in a process
of its own, and the outcome is printed: most kill the process.

The files are fixtures: the tests never run this script.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = "numpy pandas scipy scikit-learn lightgbm xgboost".split()
OLDER = ["xgboost==1.7.6", "xgboost==2.1.4", "lightgbm==2.3.1", "lightgbm==3.3.5"]

REAL = r'''
import pathlib, sys, warnings
import numpy as np, pandas as pd, lightgbm as lgb, xgboost as xgb
warnings.filterwarnings("ignore")
out = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(7)
N = 200
X = rng.normal(size=(N, 4)); X[rng.random((N, 4)) < 0.1] = np.nan
y = np.nan_to_num(X) @ [0.5, -0.2, 0.1, 0.0]; c = (y > 0).astype(int); m = np.digitize(y, [-.3, .3])
frame = pd.DataFrame(np.nan_to_num(X), columns=["momentum", "value", "size", "mean_rev"])
frame["sector"] = pd.Categorical(rng.choice(list("abcdefgh"), N))
by_sector = y + frame["sector"].cat.codes.to_numpy() * 0.3

def light(name, params, label, data=X, rounds=3, **kw):
    params = {"verbosity": -1, "num_leaves": 5, "min_data_in_leaf": 5, "num_threads": 1, **params}
    model = lgb.train(params, lgb.Dataset(data, label, **kw), rounds)
    model.save_model(out / f"lightgbm_{name}.txt")
    return model

light("regression", {"objective": "regression"}, y)
light("binary", {"objective": "binary"}, c)
light("multiclass", {"objective": "multiclass", "num_class": 3}, m, rounds=2)
light("multiclassova", {"objective": "multiclassova", "num_class": 3}, m, rounds=2)
light("forest", {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": .7}, c)
light("dart", {"objective": "regression", "boosting": "dart", "drop_rate": .5}, y)
light("linear", {"objective": "regression", "linear_tree": True}, np.nan_to_num(y * y))
light("poisson", {"objective": "poisson"}, np.abs(y))
light("zero_missing", {"objective": "regression", "zero_as_missing": True}, y)
light("single_leaf", {"objective": "regression", "min_data_in_leaf": 500}, y)
light("rank", {"objective": "lambdarank"}, m, X, group=[50] * 4)
light("categorical", {"objective": "regression", "min_data_per_group": 5, "cat_smooth": 1,
    "monotone_constraints": [1, 0, 0, 0, 0]}, by_sector, frame)
light("no_rounds", {"objective": "regression"}, y, rounds=1).save_model(
    out / "lightgbm_no_rounds.txt", start_iteration=1, num_iteration=1)

def xg(name, params, label, data=X, rounds=3, formats=("json", "ubj"), **kw):
    matrix = xgb.DMatrix(data, label, nthread=1, **kw)
    model = xgb.train({"nthread": 1, "max_depth": 2, **params}, matrix, rounds)
    for f in formats:
        model.save_model(out / f"xgboost_{name}.{f}")

xg("regression", {}, y)
xg("binary", {"objective": "binary:logistic"}, c)
xg("softprob", {"objective": "multi:softprob", "num_class": 3}, m, rounds=2, formats=("json",))
xg("softmax", {"objective": "multi:softmax", "num_class": 3}, m, rounds=2, formats=("ubj",))
xg("dart", {"booster": "dart", "rate_drop": .5, "one_drop": 1}, y)
xg("linear", {"booster": "gblinear"}, np.nan_to_num(y), np.nan_to_num(X))
xg("forest", {"num_parallel_tree": 3, "subsample": .6}, y, rounds=2, formats=("ubj",))
xg("poisson", {"objective": "count:poisson"}, np.abs(y), formats=("json",))
xg("rank", {"objective": "rank:ndcg"}, m, formats=("json",), qid=np.repeat(np.arange(4), 50))
xg("categorical", {"max_cat_to_onehot": 3}, by_sector, frame, enable_categorical=True)
xg("vector_leaves", {"multi_strategy": "multi_output_tree"}, np.c_[y, -y])
xg("two_targets", {}, np.c_[y, -y], formats=("json",))
xg("quantile", {"objective": "reg:quantileerror", "quantile_alpha": [.1, .9]}, y, formats=("json",))
xg("no_rounds", {}, y, rounds=0)
xg("pruned", {"max_depth": 4, "tree_method": "exact", "gamma": .5}, y, rounds=2)
best = xgb.XGBRegressor(n_estimators=2, max_depth=2, early_stopping_rounds=2)
best.fit(X, y, eval_set=[(X, y)], verbose=False); best.save_model(out / "xgboost_sklearn.json")
'''

OLD = r'''
import sys, warnings
import numpy as np
warnings.filterwarnings("ignore")
for name, kind in {"bool": bool, "int": int, "float": float, "object": object, "str": str}.items():
    if name not in np.__dict__: setattr(np, name, kind)
library, version, out = sys.argv[1:]
rng = np.random.default_rng(7)
X = rng.normal(size=(200, 4)); X[:, 3] = rng.integers(0, 9, 200); y = X @ [0.5, -0.2, 0.1, 0] + X[:, 3] % 3
if library == "xgboost":
    import xgboost as xgb
    for name, params in [("regression", {}), ("pruned", {"tree_method": "exact", "gamma": 2, "max_depth": 3}), ("dart", {"booster": "dart"})]:
        model = xgb.train({"max_depth": 2, "nthread": 1, **params}, xgb.DMatrix(X, y), 2)
        for f in ("json", "ubj"): model.save_model(f"{out}/xgboost_{name}_{version}.{f}")
else:
    import lightgbm as lgb
    for name, params in [("categorical", {"min_data_per_group": 5, "cat_smooth": 1}), ("single_leaf", {"min_data_in_leaf": 500})]:
        data = lgb.Dataset(X, y, categorical_feature=[3])
        lgb.train({"verbosity": -1, "num_leaves": 5, **params}, data, 2).save_model(f"{out}/lightgbm_{name}_{version}.txt")
'''

ASK = r'''
import json, pathlib, sys, warnings
import numpy as np
warnings.filterwarnings("ignore")
def answers(path, rows):
    categories = 8 if "categorical" in path else 0
    if path.endswith(".txt"):
        import lightgbm as lgb
        model = lgb.Booster(model_file=path); width = model.num_feature()
    else:
        import xgboost as xgb
        model = xgb.Booster({"nthread": 1}); model.load_model(path); width = model.num_features()
    rng = np.random.default_rng(3)
    X = rng.normal(size=(rows, width)); X[rng.random(X.shape) < .1] = 0
    if categories: X[:, -1] = rng.integers(0, categories, rows)
    if path.endswith(".txt"): P = model.predict(X, num_threads=1)
    else: P = model.predict(xgb.DMatrix(X, feature_names=model.feature_names, feature_types=model.feature_types,
        enable_categorical=True, nthread=1))
    return X, np.asarray(P, dtype=float).reshape(rows, -1)
for path in sys.argv[2:]:
    X, P = answers(path, 20)
    if sys.argv[1] != "-":
        name = pathlib.Path(path).name
        text = json.dumps({"input": np.round(X, 6).tolist(), "expected": P.tolist()})
        (pathlib.Path(sys.argv[1]) / f"{name}.sample").write_text(text)
'''


def first(pattern, replacement):
    def change(data):
        changed = re.sub(pattern, replacement, data, count=1, flags=re.S | re.M)
        assert changed != data, pattern
        return changed
    return change


# name, the real model it is made of, what is changed
BROKEN = [
    ("lightgbm_wrong_tree_size.txt", "lightgbm_regression.txt", first(rb"tree_sizes=(\d)", lambda m: b"tree_sizes=9")),
    ("lightgbm_tree_size_into_blank_line.txt", "lightgbm_regression.txt", first(rb"leaf_count=", b"leaf_count=0")),
    ("lightgbm_cycle.txt", "lightgbm_regression.txt", first(rb"left_child=\S+", b"left_child=0")),
    ("lightgbm_child_beyond.txt", "lightgbm_regression.txt", first(rb"left_child=\S", b"left_child=9")),
    ("lightgbm_feature_beyond.txt", "lightgbm_regression.txt", first(rb"split_feature=\S", b"split_feature=9")),
    ("lightgbm_few_thresholds.txt", "lightgbm_regression.txt", first(rb"threshold=(\S+) ", rb"threshold=\1_")),
    ("lightgbm_set_beyond.txt", "lightgbm_categorical.txt", first(rb"threshold=0", b"threshold=7")),
    ("lightgbm_boundary_beyond.txt", "lightgbm_categorical.txt", first(rb"cat_boundaries=0 1", b"cat_boundaries=0 9")),
    ("lightgbm_unknown_objective.txt", "lightgbm_regression.txt", first(rb"objective=regression", b"objective=regressive")),
    ("lightgbm_no_trees_a_round.txt", "lightgbm_regression.txt", first(rb"iteration=1", b"iteration=0")),
    ("lightgbm_few_names.txt", "lightgbm_regression.txt", first(rb"max_feature_idx=3", b"max_feature_idx=4")),
    ("lightgbm_parameter_no_number.txt", "lightgbm_regression.txt", first(rb"\[cat_l2: 10\]", b"[cat_l2: ten]")),
    ("lightgbm_pandas_no_json.txt", "lightgbm_regression.txt", first(rb"pandas_categorical:null", b"pandas_categorical:nul")),
    ("lightgbm_crlf.txt", "lightgbm_regression.txt", lambda d: d.replace(b"\n", b"\r\n")),
    ("lightgbm_nul.txt", "lightgbm_regression.txt", first(rb"label_index", b"label\0index")),
    ("lightgbm_trailing.txt", "lightgbm_regression.txt", lambda d: d + b"PK\3\4 and more\n"),
    ("lightgbm_cut.txt", "lightgbm_regression.txt", lambda d: d[:1800]),
    ("xgboost_cycle.json", "xgboost_regression.json", first(rb'"left_children":\[1,3', b'"left_children":[1,0')),
    ("xgboost_child_beyond.json", "xgboost_regression.json", first(rb'"left_children":\[1,3', b'"left_children":[1,99999')),
    ("xgboost_parent_beyond.json", "xgboost_regression.json", first(rb'"parents":\[2147483647,0', b'"parents":[2147483647,77777777')),
    ("xgboost_feature_beyond.json", "xgboost_regression.json", first(rb'"split_indices":\[0', b'"split_indices":[99999999')),
    ("xgboost_short_array.json", "xgboost_regression.json", first(rb'"split_conditions":\[[^,]+,', b'"split_conditions":[')),
    ("xgboost_whole_weights.json", "xgboost_regression.json", first(rb'"base_weights":\[[^,]+,', b'"base_weights":[1,')),
    ("xgboost_same_id.json", "xgboost_regression.json", first(rb'"id":1', b'"id":0')),
    ("xgboost_wrong_num_trees.json", "xgboost_regression.json", first(rb'"num_trees":"3"', b'"num_trees":"2"')),
    ("xgboost_unknown_objective.json", "xgboost_regression.json", first(rb"reg:squarederror", b"reg:rounderror")),
    ("xgboost_base_score.json", "xgboost_regression.json", first(rb'"base_score":"[^"]+"', b'"base_score":"half"')),
    ("xgboost_no_attributes.json", "xgboost_regression.json", first(rb'"attributes":{},', b"")),
    ("xgboost_number_for_text.json", "xgboost_regression.json", first(rb'"num_feature":"4","num_target"', b'"num_feature":4,"num_target"')),
    ("xgboost_duplicate_key.json", "xgboost_regression.json", first(rb'"version"', b'"version":[1,0,0],"version"')),
    ("xgboost_huge_category.json", "xgboost_categorical.json", first(rb'"categories":\[0,', b'"categories":[2000000000,')),
    ("xgboost_wrong_group.json", "xgboost_softprob.json", first(rb'"tree_info":\[0', b'"tree_info":[5')),
    ("xgboost_few_weights.json", "xgboost_linear.json", first(rb'"weights":\[[^,]+,', b'"weights":[')),
    ("xgboost_few_dropped.json", "xgboost_dart.json", first(rb'"weight_drop":\[[^,]+,', b'"weight_drop":[')),
    ("xgboost_huge_array.ubj", "xgboost_regression.ubj", first(rb"\[\$d#L\0\0\0\0", b"[$d#L\0\0\0\1")),
    ("xgboost_huge_count.ubj", "xgboost_regression.ubj", first(rb"\[#L\0\0\0\0\0\0", b"[#L\0\xff\0\0\0\0")),
    ("xgboost_negative_length.ubj", "xgboost_regression.ubj", first(rb"{L\0", b"{L\xff")),
    ("xgboost_unknown_mark.ubj", "xgboost_regression.ubj", first(rb"\[\$d", b"[$q")),
    ("xgboost_cut.ubj", "xgboost_regression.ubj", lambda d: d[:-1]),
    ("xgboost_trailing.ubj", "xgboost_regression.ubj", lambda d: d + b"}"),
    ("no_model.ubj", "xgboost_regression.ubj", lambda d: b"{L\0\0\0\0\0\0\0\1ai\1}"),
]



def main():
    options = argparse.ArgumentParser()
    options.add_argument("--venv", type=Path, default=Path("/tmp/trees-venv"))
    venv = options.parse_args().venv
    if not venv.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "-q", *PACKAGES], check=True)
    python, real = venv / "bin/python", HERE / "real"
    subprocess.run([python, "-c", REAL, real], check=True)
    for package in OLDER:
        folder = venv / "older" / package
        if not folder.exists():
            subprocess.run([venv / "bin/pip", "install", "-q", "--no-deps", "--target", folder, package], check=True)
        env = {**os.environ, "PYTHONPATH": str(folder)}
        subprocess.run([python, "-c", OLD, *package.split("=="), real], check=True, env=env, capture_output=True)
    models = sorted(p for p in real.iterdir() if p.suffix in (".txt", ".ubj") or p.name.startswith("xgboost_") and p.suffix == ".json")
    samples = HERE / "samples"
    samples.mkdir(exist_ok=True)
    subprocess.run([python, "-c", ASK, samples, *models], check=True)
    for name, source, change in BROKEN:
        path = HERE / "broken" / name
        path.write_bytes(change((real / source).read_bytes()))
        try:
            done = subprocess.run([python, "-c", ASK, "-", path], capture_output=True, timeout=30).returncode
        except subprocess.TimeoutExpired:
            done = "never ends"
        print(f"{name}: {done}")
    (HERE / "broken" / "deep.ubj").write_bytes(b"{L" + (1).to_bytes(8, "big") + b"a" + b"[" * 20_000)
    # A memory bomb: each node's set takes two megabytes, and each is some bytes in the file.
    bomb = json.loads((real / "xgboost_categorical.json").read_text())
    tree = bomb["learner"]["gradient_booster"]["model"]["trees"][0]

    count = 400
    for _ in range(count):
        node = len(tree["parents"])
        parent = tree["left_children"].index(-1)
        tree["left_children"][parent], tree["right_children"][parent] = node, node + 1
        for key in ("left_children", "right_children"):
            tree[key] += [-1, -1]
        tree["parents"] += [parent, parent]
        tree["split_type"][parent] = 1
        for key, value in [("base_weights", .5), ("loss_changes", .5), ("split_conditions", .5), ("sum_hessian", .5),
                           ("default_left", 0), ("split_indices", 0), ("split_type", 0)]:
            tree[key] += [value, value]
    tree["tree_param"]["num_nodes"] = str(len(tree["parents"]))
    nodes = [i for i, kind in enumerate(tree["split_type"]) if kind == 1]
    tree["categories_nodes"] = nodes
    tree["categories"] = [16_777_215] * len(nodes)
    tree["categories_segments"] = list(range(len(nodes)))
    tree["categories_sizes"] = [1] * len(nodes)
    (HERE / "broken" / "xgboost_category_bomb.json").write_text(json.dumps(bomb, separators=(",", ":")))


if __name__ == "__main__":
    main()
