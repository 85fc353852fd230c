#!/usr/bin/env python3
"""Writes XGBoost models with one parameter or array that XGBoost does not take.

    python make_xgboost_parameters.py

Needs xgboost. Each file is a real one of the corpus with one part changed, and is loaded and asked
by XGBoost in a process of its own: it refuses, or its process ends.
"""

import copy
import json
import os
from pathlib import Path

import numpy as np
import xgboost

HERE = Path(__file__).resolve().parent
GONE = object()


def changes():
    model, loss = ("learner_model_param",), ("objective", "reg_loss_param")
    rank = ("objective", "lambdarank_param")
    tree = ("gradient_booster", "model", "trees", 0)
    return {
        "base_score_of_two": ("binary", (*model, "base_score"), "2"),
        "base_score_then_blank": ("regression", (*model, "base_score"), "1 "),
        "bias_norm_below_0": ("rank", (*rank, "lambdarank_bias_norm"), "-1"),
        "boost_from_average_no_number": ("binary", (*model, "boost_from_average"), "x"),
        "dart_around_nothing": ("dart", ("gradient_booster", "gbtree", "name"), "x"),
        "delta_step_endless": ("poisson", ("objective", "poisson_regression_param", "max_delta_step"), "1e400"),
        "no_booster": ("binary", ("gradient_booster",), GONE),
        "no_targets": ("softprob", (*model, "num_target"), "0"),
        "pair_method_unknown": ("rank", (*rank, "lambdarank_pair_method"), "x"),
        "pairs_none": ("rank", (*rank, "lambdarank_num_pair_per_sample"), "0"),
        "poisson_without_parameters": ("poisson", ("objective", "poisson_regression_param"), GONE),
        "positive_weight_a_number": ("binary", (*loss, "scale_pos_weight"), 7),
        "positive_weight_below_0": ("binary", (*loss, "scale_pos_weight"), "-1"),
        "positive_weight_empty": ("binary", (*loss, "scale_pos_weight"), ""),
        "quantile_beyond_1": ("quantile", ("objective", "quantile_loss_param", "quantile_alpha"), "2"),
        "quantiles_none": ("quantile", ("objective", "quantile_loss_param", "quantile_alpha"), "[]"),
        "softprob_no_classes": ("softprob", ("objective", "softmax_multiclass_param", "num_class"), "0"),
        "unbiased_no_switch": ("rank", (*rank, "lambdarank_unbiased"), "2"),
        "vector_leaves_without_weights": ("vector_leaves", (*tree, "leaf_weights"), GONE),
    }


def taken(path):
    child = os.fork()
    if child == 0:
        for descriptor in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        try:
            booster = xgboost.Booster({"nthread": 1})
            booster.load_model(path)
            booster.predict(xgboost.DMatrix(np.zeros((2, booster.num_features())), nthread=1))
        except Exception:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def main():
    for name, (of, path, value) in changes().items():
        document = copy.deepcopy(json.loads((HERE / "real" / f"xgboost_{of}.json").read_text()))
        part = document["learner"]
        for key in path[:-1]:
            part = part[key]
        if value is GONE:
            del part[path[-1]]
        else:
            part[path[-1]] = value
        out = HERE / "broken" / f"xgboost_{name}.json"
        out.write_text(json.dumps(document, separators=(",", ":")))
        if taken(out):
            print(f"{name}: taken by XGBoost")


if __name__ == "__main__":
    main()
