"""Writes the corpus files of tensors and tables: safetensors, ONNX, Parquet and Arrow.

    python -m venv venv
    venv/bin/pip install numpy safetensors onnx skl2onnx onnxmltools onnxruntime pyarrow \
        polars scikit-learn pandas
    venv/bin/python tests/corpus/make_tensors.py

The real files are made by the libraries that people use; every ONNX graph among them ran once in
onnxruntime. The broken ones are refused by the stock loader, which is asked here. With
`--operators` the table of ONNX's operators is written anew, from the schemas of the library.
"""

import struct
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
REAL, HOSTILE, BROKEN = HERE / "real", HERE / "hostile", HERE / "broken"
OPERATORS = HERE.parent.parent / "src/formats/onnx/operators.txt"


def operators():
    import onnx
    from onnx import defs

    letters = {"Single": "s", "Optional": "o", "Variadic": "v"}

    def each(parameters):
        return "".join(letters[str(p.option).split(".")[-1]] for p in parameters) or "-"

    def most(count):
        return "*" if count >= 2**31 - 1 else str(count)

    lines = [
        f"# The operators of ONNX {onnx.__version__}, as its schemas register them (Apache-2.0, the ONNX project).",
        "# domain (. is ai.onnx), name, since which version; inputs, outputs: how many, and of each whether it",
        "# is single, optional or variadic; attributes with their types, ! marks one that must be there.",
    ]
    schemas = defs.get_all_schemas_with_history()
    for s in sorted(schemas, key=lambda s: (s.domain, s.name, s.since_version)):
        words = [s.domain or ".", s.name, str(s.since_version)]
        if s.deprecated:
            words.append("deprecated")
        else:
            words += [f"{s.min_input}-{most(s.max_input)}", each(s.inputs)]
            words += [f"{s.min_output}-{most(s.max_output)}", each(s.outputs)]
            words += [
                name + ("!" if a.required else ":") + a.type.name.lower()
                for name, a in sorted(s.attributes.items())
            ]
        lines.append(" ".join(words))
    OPERATORS.write_text("\n".join(lines) + "\n")


def safetensors_files():
    from safetensors.numpy import save_file

    rng = np.random.default_rng(1)
    save_file(
        {
            "alpha.weight": rng.normal(size=(8, 4)).astype(np.float32),
            "alpha.bias": np.zeros(8, np.float64),
            "mask": np.ones((3, 3), bool),
            "half": rng.normal(size=(5,)).astype(np.float16),
            "index": np.arange(7, dtype=np.int64),
            "scalar": np.array(3.5, np.float32),
            "empty": np.zeros((0, 4), np.float32),
        },
        REAL / "factor_weights.safetensors",
        metadata={"format": "np", "model": "alpha"},
    )
    save_file({}, REAL / "nothing.safetensors")


def sklearn_onnx():
    import onnx
    import onnxruntime
    from skl2onnx import to_onnx
    from sklearn.cluster import KMeans
    from sklearn.compose import ColumnTransformer
    from sklearn.decomposition import PCA
    from sklearn.ensemble import (
        GradientBoostingRegressor,
        HistGradientBoostingRegressor,
        IsolationForest,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import (
        KBinsDiscretizer,
        MinMaxScaler,
        Normalizer,
        OneHotEncoder,
        PolynomialFeatures,
        StandardScaler,
    )
    from sklearn.impute import SimpleImputer
    from sklearn.svm import SVC, SVR
    from sklearn.tree import DecisionTreeRegressor

    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    y = (x @ [1.0, -2.0, 0.5, 0.0] + 0.1 * rng.normal(size=60)).astype(np.float32)
    label = (y > 0).astype(np.int64)
    three = np.digitize(y, [-1, 1])
    models = {
        "ridge": Ridge().fit(x, y),
        "elastic_net_two_targets": make_pipeline(StandardScaler(), ElasticNet()).fit(x, np.c_[y, y]),
        "logistic": LogisticRegression().fit(x, label),
        "logistic_three": make_pipeline(StandardScaler(), LogisticRegression()).fit(x, three),
        "tree": DecisionTreeRegressor(max_depth=3).fit(x, y),
        "forest": RandomForestRegressor(5, max_depth=3, random_state=0).fit(x, y),
        "forest_classifier": RandomForestClassifier(4, max_depth=3, random_state=0).fit(x, label),
        "forest_three": RandomForestClassifier(4, max_depth=2, random_state=0).fit(x, three),
        "boosting": GradientBoostingRegressor(n_estimators=5, max_depth=2).fit(x, y),
        "hist_boosting": HistGradientBoostingRegressor(max_iter=4, max_leaf_nodes=6).fit(x, y),
        "svr": SVR().fit(x[:20], y[:20]),
        "svc": SVC(probability=True).fit(x[:20], label[:20]),
        "network": MLPRegressor(hidden_layer_sizes=(8, 4), max_iter=30).fit(x, y),
        "pca": make_pipeline(MinMaxScaler(), PCA(n_components=2), Normalizer()).fit(x),
        "neighbours": KNeighborsRegressor(n_neighbors=3).fit(x[:15], y[:15]),
        "bayes": GaussianNB().fit(x, label),
        "kmeans": KMeans(n_clusters=3, n_init=1, random_state=0).fit(x),
        "isolation": IsolationForest(n_estimators=3, max_samples=16, random_state=0).fit(x),
        "gaussian_process": GaussianProcessRegressor().fit(x[:10], y[:10]),
        "polynomial": make_pipeline(SimpleImputer(), PolynomialFeatures(2), Ridge()).fit(x, y),
        "columns": make_pipeline(
            ColumnTransformer(
                [
                    ("scale", StandardScaler(), [0, 1]),
                    ("bins", KBinsDiscretizer(3, encode="onehot-dense"), [2, 3]),
                ]
            ),
            Ridge(),
        ).fit(x, y),
    }
    for name, model in models.items():
        options = {"zipmap": False} if name == "logistic_three" else None
        try:
            onx = to_onnx(model, x[:1], options=options)
        except Exception as error:  # The converter lags behind some estimators.
            print("left out:", name, type(error).__name__)
            continue
        data = onx.SerializeToString()
        session = onnxruntime.InferenceSession(data)
        session.run(None, {session.get_inputs()[0].name: x[:3]})
        (REAL / f"skl_{name}.onnx").write_bytes(data)
    one_hot = OneHotEncoder().fit(np.array([["a"], ["b"]], dtype=object))
    from skl2onnx.common.data_types import StringTensorType

    data = to_onnx(one_hot, initial_types=[("sector", StringTensorType([None, 1]))])
    onnxruntime.InferenceSession(data.SerializeToString())
    (REAL / "skl_one_hot.onnx").write_bytes(data.SerializeToString())


def built_onnx():
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(3)

    def tensor(name, *shape, dtype=np.float32):
        return numpy_helper.from_array(rng.normal(size=shape).astype(dtype), name)

    def value(name, *shape, kind=TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, kind, list(shape))

    def save(name, graph, **more):
        more.setdefault("opset_imports", [helper.make_opsetid("", 21)])
        model = helper.make_model(graph, ir_version=10, producer_name="corpus", **more)
        onnx.checker.check_model(model, full_check=True)
        data = model.SerializeToString()
        onnxruntime.InferenceSession(data)
        (REAL / f"{name}.onnx").write_bytes(data)

    n = helper.make_node
    save(
        "built_convolution",
        helper.make_graph(
            [
                n("Conv", ["x", "w", "b"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
                n("BatchNormalization", ["c", "s", "t", "m", "v"], ["d"]),
                n("Relu", ["d"], ["e"]),
                n("MaxPool", ["e"], ["f"], kernel_shape=[2, 2], strides=[2, 2]),
                n("Flatten", ["f"], ["g"]),
                n("Gemm", ["g", "k", "l"], ["h"], transB=1),
                n("Softmax", ["h"], ["y"], axis=-1),
            ],
            "convolution",
            [value("x", "batch", 1, 8, 8)],
            [value("y", "batch", 3)],
            [tensor("w", 2, 1, 3, 3), tensor("b", 2), tensor("s", 2), tensor("t", 2), tensor("m", 2)]
            + [numpy_helper.from_array(np.ones(2, np.float32), "v"), tensor("k", 3, 32), tensor("l", 3)],
        ),
    )
    shape = numpy_helper.from_array(np.array([0, -1, 2], np.int64), "shape")
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    save(
        "built_shapes",
        helper.make_graph(
            [
                n("Reshape", ["x", "shape"], ["a"]),
                n("Transpose", ["a"], ["b"], perm=[0, 2, 1]),
                n("ReduceMean", ["b", "axes"], ["c"], keepdims=0),
                n("Unsqueeze", ["c", "axes"], ["d"]),
                n("Squeeze", ["d", "axes"], ["e"]),
                n("Concat", ["e", "e"], ["f"], axis=-1),
                n("Shape", ["f"], ["g"]),
                n("Gather", ["g", "first"], ["h"]),
                n("Cast", ["h"], ["i"], to=TensorProto.FLOAT),
                n("Add", ["f", "i"], ["j"]),
                n("Constant", [], ["k"], value_floats=[1.0, 2.0]),
                n("Greater", ["j", "i"], ["l"]),
                n("Where", ["l", "j", "i"], ["y"]),
            ],
            "shapes",
            [value("x", "batch", 6)],
            [value("y", "batch", "columns"), value("k", 2)],
            [shape, axes, numpy_helper.from_array(np.array(0, np.int64), "first")],
        ),
    )
    then = helper.make_graph([n("Mul", ["x", "two"], ["t"])], "then", [], [value("t", "n")])
    otherwise = helper.make_graph([n("Identity", ["x"], ["u"])], "else", [], [value("u", "n")])
    body = helper.make_graph(
        [n("Add", ["carried", "x"], ["next"]), n("Identity", ["keep"], ["again"])],
        "body",
        [value("i", kind=TensorProto.INT64), value("keep", kind=TensorProto.BOOL), value("carried", "n")],
        [value("again", kind=TensorProto.BOOL), value("next", "n")],
    )
    save(
        "built_loop_and_branch",
        helper.make_graph(
            [
                n("ReduceSum", ["x"], ["sum"], keepdims=0),
                n("Greater", ["sum", "two"], ["cond"]),
                n("If", ["cond"], ["a"], then_branch=then, else_branch=otherwise),
                n("Loop", ["trips", "", "a"], ["y"], body=body),
            ],
            "loop",
            [value("x", "n")],
            [value("y", "n")],
            [
                numpy_helper.from_array(np.array(2, np.float32), "two"),
                numpy_helper.from_array(np.array(3, np.int64), "trips"),
            ],
        ),
    )
    double = helper.make_function(
        "local", "Scaled", ["v"], ["w"],
        [
            helper.make_node("Constant", [], ["factor"], value_float=2.0),
            n("Mul", ["v", "factor"], ["m"]),
            n("Identity", ["m"], ["w"]),
        ],
        [helper.make_opsetid("", 21)],
    )
    save(
        "built_function",
        helper.make_graph(
            [n("Scaled", ["x"], ["z"], domain="local"), n("Scaled", ["z"], ["y"], domain="local")],
            "function", [value("x", 4)], [value("y", 4)],
        ),
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("local", 1)],
        functions=[double],
    )
    kinds = {
        "float": (TensorProto.FLOAT, [1.0, 2.0, 3.0]),
        "double": (TensorProto.DOUBLE, [1.0, 2.0, 3.0]),
        "int8": (TensorProto.INT8, [1, 2, 3]),
        "uint4": (TensorProto.UINT4, [1, 2, 3]),
        "int4": (TensorProto.INT4, [1, -2, 3]),
        "bool": (TensorProto.BOOL, [True, False, True]),
        "half": (TensorProto.FLOAT16, [1.0, 2.0, 3.0]),
        "brain": (TensorProto.BFLOAT16, [1.0, 2.0, 3.0]),
        "int64": (TensorProto.INT64, [1, 2, 3]),
        "uint64": (TensorProto.UINT64, [1, 2, 3]),
        "string": (TensorProto.STRING, ["a", "b", "c"]),
    }
    save(
        "built_types",
        helper.make_graph(
            [
                n("Identity", [name], [f"{name}_out"])
                if kind == TensorProto.STRING
                else n("Cast", [name], [f"{name}_out"], to=TensorProto.FLOAT)
                for name, (kind, _) in kinds.items()
            ],
            "types",
            [],
            [
                value(f"{name}_out", 3, kind=TensorProto.STRING if name == "string" else TensorProto.FLOAT)
                for name in kinds
            ],
            [helper.make_tensor(name, kind, [3], values) for name, (kind, values) in kinds.items()],
        ),
    )
    return value, tensor


def lightgbm_and_xgboost_onnx():
    """Tree ensembles of other libraries, where they and onnxmltools are there."""
    try:
        import lightgbm
        import xgboost
        from onnxmltools import convert_lightgbm, convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType
    except ImportError as missing:
        print("left out:", missing)
        return
    import onnxruntime

    rng = np.random.default_rng(4)
    x = rng.normal(size=(80, 4)).astype(np.float32)
    y = x[:, 0] - x[:, 1]
    for name, onx in {
        "lightgbm": convert_lightgbm(
            lightgbm.LGBMRegressor(n_estimators=4, num_leaves=6, verbose=-1).fit(x, y),
            initial_types=[("x", FloatTensorType([None, 4]))],
        ),
        "lightgbm_classifier": convert_lightgbm(
            lightgbm.LGBMClassifier(n_estimators=3, num_leaves=6, verbose=-1).fit(x, (y > 0).astype(int)),
            initial_types=[("x", FloatTensorType([None, 4]))],
        ),
        "xgboost": convert_xgboost(
            xgboost.XGBRegressor(n_estimators=4, max_depth=3).fit(x, y),
            initial_types=[("x", FloatTensorType([None, 4]))],
        ),
        "xgboost_classifier": convert_xgboost(
            xgboost.XGBClassifier(n_estimators=3, max_depth=3).fit(x, (y > 0).astype(int)),
            initial_types=[("x", FloatTensorType([None, 4]))],
        ),
    }.items():
        onnxruntime.InferenceSession(onx.SerializeToString())
        (REAL / f"trees_{name}.onnx").write_bytes(onx.SerializeToString())


def broken_onnx():
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    n = helper.make_node

    def value(name, *shape, kind=TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, kind, list(shape))

    def zeros(name, *shape, dtype=np.float32):
        return numpy_helper.from_array(np.zeros(shape, dtype), name)

    def model(nodes, inits=(), inputs=None, outputs=None, opset=21, ml=None, functions=(), **more):
        imports = [helper.make_opsetid("", opset)]
        if ml:
            imports.append(helper.make_opsetid("ai.onnx.ml", ml))
        if functions:
            imports.append(helper.make_opsetid("local", 1))
        graph = helper.make_graph(
            nodes, "g", inputs or [value("x", "n", 4)], outputs or [value("y", None)], list(inits)
        )
        return helper.make_model(
            graph, ir_version=10, producer_name="corpus", opset_imports=imports,
            functions=list(functions), **more
        )

    relu = n("Relu", ["x"], ["y"])

    def trees(**change):
        arrays = dict(
            nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0],
            nodes_values=[0.5, 0.0, 0.0], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
            nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
            target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0],
            target_weights=[1.0, 2.0], n_targets=1,
        )
        arrays.update(change)
        return model([n("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **arrays)], ml=3)

    def edited(change, of=None):
        one = of or model([relu])
        change(one)
        return one

    def external(m, location):
        tensor = m.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", location

    wrong_raw = zeros("w", 4, 4)
    wrong_raw.raw_data = wrong_raw.raw_data[:-1]
    wrong_count = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    wrong_count.float_data.append(3.0)
    twice = zeros("w", 4, 4)
    twice.float_data.extend([0.0] * 16)
    negative = zeros("w", 4)
    negative.dims[0] = -4
    product = n("MatMul", ["x", "w"], ["y"])
    broken = {
        "no_graph": edited(lambda m: m.ClearField("graph")),
        "no_opset": edited(lambda m: m.ClearField("opset_import")),
        "opset_zero": edited(lambda m: setattr(m.opset_import[0], "version", 0)),
        "opset_absurd": edited(lambda m: setattr(m.opset_import[0], "version", 1 << 40)),
        "unknown_operator": model([n("Sharpe", ["x"], ["y"])]),
        "operator_of_later_opset": model([n("Gelu", ["x"], ["y"])], opset=13),
        "operator_gone": model([n("Upsample", ["x", "w"], ["y"])], [zeros("w", 2)], opset=11),
        "domain_not_imported": model([n("Scaler", ["x"], ["y"], domain="ai.onnx.ml")]),
        "domain_of_nobody": edited(
            lambda m: m.opset_import.append(helper.make_opsetid("nobody", 1)),
            model([n("Sharpe", ["x"], ["y"], domain="nobody")]),
        ),
        "input_missing": model([n("Relu", ["nowhere"], ["y"])]),
        "out_of_order": model([n("Relu", ["a"], ["y"]), n("Relu", ["x"], ["a"])]),
        "cycle": model([n("Add", ["b", "x"], ["a"]), n("Relu", ["a"], ["b"]), n("Relu", ["a"], ["y"])]),
        "written_twice": model([relu, n("Tanh", ["x"], ["y"])]),
        "output_of_nothing": model([n("Relu", ["x"], ["z"])]),
        "too_few_inputs": model([n("Add", ["x"], ["y"])]),
        "too_many_outputs": model([n("Relu", ["x"], ["y", "z"])]),
        "unknown_attribute": model([n("Relu", ["x"], ["y"], sharpness=3)]),
        "attribute_of_wrong_type": model([n("Softmax", ["x"], ["y"], axis=1.5)]),
        "attribute_missing": model([n("Cast", ["x"], ["y"])]),
        "raw_too_short": model([product], [wrong_raw]),
        "too_many_values": model([n("Identity", ["w"], ["y"])], [wrong_count]),
        "data_twice": model([product], [twice]),
        "negative_size": model([product], [negative]),
        "no_such_type": edited(lambda m: setattr(m.graph.initializer[0], "data_type", 99), model([product], [zeros("w", 4, 4)])),
        "matmul_cannot_fit": model([product], [zeros("w", 3, 2)]),
        "gemm_cannot_fit": model([n("Gemm", ["x", "w"], ["y"], transB=1)], [zeros("w", 2, 3)]),
        "add_cannot_fit": model([n("Add", ["x", "w"], ["y"])], [zeros("w", 3)]),
        "add_of_two_types": model([n("Add", ["x", "w"], ["y"])], [zeros("w", 4, dtype=np.float64)]),
        "reshape_cannot_fit": model(
            [n("Reshape", ["w", "s"], ["y"])],
            [zeros("w", 5), numpy_helper.from_array(np.array([2, -1], np.int64), "s")],
        ),
        "concat_cannot_fit": model([n("Concat", ["v", "w"], ["y"], axis=0)], [zeros("v", 2, 3), zeros("w", 2, 4)]),
        "conv_channels_differ": model(
            [n("Conv", ["x", "w"], ["y"])], [zeros("w", 2, 3, 1, 1)], inputs=[value("x", 1, 2, 5, 5)]
        ),
        "transpose_order_wrong": model([n("Transpose", ["x"], ["y"], perm=[0, 0])]),
        "squeeze_of_four": model(
            [n("Squeeze", ["x", "s"], ["y"])], [numpy_helper.from_array(np.array([1], np.int64), "s")]
        ),
        "chained_shapes_cannot_fit": model(
            [n("MatMul", ["x", "v"], ["a"]), n("Relu", ["a"], ["b"]), n("MatMul", ["b", "w"], ["y"])],
            [zeros("v", 4, 8), zeros("w", 7, 1)],
        ),
        "tree_arrays_of_two_lengths": trees(nodes_values=[0.5, 0.0]),
        "tree_unknown_mode": trees(nodes_modes=["BRANCH_LEQ", "LEAF", "TWIG"]),
        "tree_node_twice": trees(nodes_nodeids=[0, 1, 1]),
        "tree_child_missing": trees(nodes_falsenodeids=[7, 0, 0]),
        "tree_leaf_missing": trees(target_nodeids=[1, 9]),
        "tree_target_beyond": trees(target_ids=[0, 4]),
        "external_beside": edited(
            lambda m: external(m, "weights.bin"), model([product], [zeros("w", 4, 4)])
        ),
    }

    for name, one in broken.items():
        data = one.SerializeToString()
        taken = []
        for loader, load in {
            "onnx": lambda: onnx.checker.check_model(data, full_check=True),
            "onnxruntime": lambda: onnxruntime.InferenceSession(data),
        }.items():
            try:
                load()
                taken.append(loader)
            except Exception:
                pass
        if taken:
            print(f"{name}: taken by {', '.join(taken)}")
        assert taken != ["onnx", "onnxruntime"], name
        (BROKEN / f"onnx_{name}.onnx").write_bytes(data)
    whole = model([relu]).SerializeToString()
    (BROKEN / "onnx_two_models.onnx").write_bytes(whole + whole)
    (BROKEN / "onnx_trailing_byte.onnx").write_bytes(whole + b"\0")

    for name, location in {
        "onnx_external_absolute": "/etc/passwd",
        "onnx_external_parent": "../../secrets/key",
        "onnx_external_inner_parent": "a/../../key",
    }.items():
        one = model([product], [zeros("w", 4, 4)])
        external(one, location)
        (HOSTILE / f"{name}.onnx").write_bytes(one.SerializeToString())
    (HOSTILE / "onnx_tree_circle.onnx").write_bytes(
        trees(
            nodes_modes=["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"], nodes_truenodeids=[1, 0, 0],
            nodes_falsenodeids=[2, 0, 0],
        ).SerializeToString()
    )

    def calls(i):
        inner = f"f{i - 1}" if i else "Relu"
        domain = "local" if i else ""
        nodes = [n(inner, ["v"], ["m"], domain=domain), n(inner, ["m"], ["w"], domain=domain)]
        imports = [helper.make_opsetid("", 21), helper.make_opsetid("local", 1)]
        return helper.make_function("local", f"f{i}", ["v"], ["w"], nodes, imports)

    laughs = [calls(i) for i in range(40)]
    (HOSTILE / "onnx_functions_expand.onnx").write_bytes(
        model([n("f39", ["x"], ["y"], domain="local")], functions=laughs).SerializeToString()
    )
    circle = helper.make_function(
        "local", "f", ["v"], ["w"], [n("f", ["v"], ["w"], domain="local")], [helper.make_opsetid("local", 1)]
    )
    (HOSTILE / "onnx_function_calls_itself.onnx").write_bytes(
        model([n("f", ["x"], ["y"], domain="local")], functions=[circle]).SerializeToString()
    )


def tables():
    import datetime
    import decimal

    import polars
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet as pq

    day = datetime.date(2024, 1, 2)
    table = pa.table(
        {
            "date": pa.array([day, None, day], pa.date32()),
            "time": pa.array([datetime.datetime(2024, 1, 2, 3)] * 3, pa.timestamp("us", "UTC")),
            "alpha": pa.array([0.5, None, -1.0]),
            "half": pa.array(np.array([1, 2, 3], np.float16)),
            "rank": pa.array([1, 2, 3], pa.int16()),
            "ticker": ["SPY", None, "QQQ"],
            "sector": pa.array(["a", "b", "a"]).dictionary_encode(),
            "flag": [True, False, None],
            "weights": [[1.0, 2.0], None, []],
            "pair": pa.array([[1, 2], [3, 4], None], pa.list_(pa.int32(), 2)),
            "factor": [{"name": "value", "score": 1.5}, {"name": None, "score": None}, None],
            "map": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
            "price": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("3.00")]),
            "raw": pa.array([b"ab", b"cd", None], pa.binary(2)),
            "large": pa.array(["x", "y", None], pa.large_string()),
        }
    )
    nothing = pa.table({"none": pa.nulls(3), "alpha": [1.0, 2.0, 3.0]})
    for codec in ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]:
        if pa.Codec.is_available(codec if codec != "none" else "gzip"):
            part = table if codec in ("none", "zstd") else table.select(["alpha", "ticker", "weights"])
            pq.write_table(part, REAL / f"pyarrow_{codec}.parquet", compression=codec)
    pq.write_table(
        table.drop(["half"]), REAL / "pyarrow_v2_pages.parquet", data_page_version="2.0",
        row_group_size=2, use_dictionary=False, write_page_index=True, write_page_checksum=True,
    )
    pq.write_table(nothing, REAL / "pyarrow_nulls.parquet")
    pq.write_table(table.slice(0, 0).select(["alpha"]), REAL / "pyarrow_no_rows.parquet")
    pq.write_table(
        pa.table({"x": np.arange(3000.0), "y": np.arange(3000) % 7}), REAL / "pyarrow_pages.parquet",
        data_page_size=1024, column_encoding={"x": "BYTE_STREAM_SPLIT", "y": "DELTA_BINARY_PACKED"},
        use_dictionary=False, row_group_size=2000, compression="zstd",
    )
    frame = polars.from_arrow(table.drop(["map", "raw"]))
    frame.write_parquet(REAL / "polars.parquet")
    frame.drop("half").write_ipc(REAL / "polars.arrow", compression="zstd")
    frame.drop("half").write_ipc(REAL / "polars_views.arrow", compat_level=polars.CompatLevel.newest())

    union = pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()),
        [pa.array(["a", "b"]), pa.array([5])],
    )
    sparse = pa.UnionArray.from_sparse(
        pa.array([0, 1, 0], pa.int8()), [pa.array(["a", "b", "c"]), pa.array([5, 6, 7])]
    )
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([1.0, 2.0]))
    odd = pa.table({"union": union, "sparse": sparse, "runs": runs, "none": pa.nulls(3),
                    "views": pa.array(["a", "b" * 20, None], pa.string_view())})
    for name, one, compression in [
        ("pyarrow", table, None), ("pyarrow_zstd", table, "zstd"), ("pyarrow_lz4", table, "lz4"),
        ("pyarrow_odd_types", odd, None), ("pyarrow_no_rows", table.slice(0, 0), None),
    ]:
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with pa.ipc.new_file(REAL / f"{name}.arrow", one.schema, options=options) as writer:
            writer.write_table(one)
            if one is not odd:
                writer.write_table(one.slice(1))
    pa.feather.write_feather(table, REAL / "pyarrow.feather")

    pa.feather.write_feather(table.select(["alpha", "ticker"]), BROKEN / "feather_1.feather", version=1)
    with pa.ipc.new_stream(BROKEN / "arrow_stream.arrow", table.schema) as writer:
        writer.write_table(table)
    whole = (REAL / "pyarrow_none.parquet").read_bytes()
    (BROKEN / "parquet_encrypted_footer.parquet").write_bytes(b"PARE" + whole[4:-4] + b"PARE")
    (BROKEN / "parquet_trailing_byte.parquet").write_bytes(whole + b"\0")
    (BROKEN / "parquet_footer_too_long.parquet").write_bytes(
        whole[:-8] + struct.pack("<I", len(whole)) + b"PAR1"
    )
    arrow = (REAL / "pyarrow.arrow").read_bytes()
    (BROKEN / "arrow_trailing_byte.arrow").write_bytes(arrow + b"\0")
    (BROKEN / "arrow_footer_too_long.arrow").write_bytes(
        arrow[:-10] + struct.pack("<I", len(arrow)) + b"ARROW1"
    )


def main():
    if "--operators" in sys.argv:
        operators()
        return
    safetensors_files()
    sklearn_onnx()
    built_onnx()
    lightgbm_and_xgboost_onnx()
    broken_onnx()
    tables()


if __name__ == "__main__":
    main()
