#!/usr/bin/env python3
"""Writes broken files that differ from a real one in one small thing, found by changing real files by the thousand.

    make_damaged.py

Each is made of a file of `real/`, and its own loader must refuse it: where that loader can be imported it is asked here.
ONNX models are changed with onnx. The files are fixtures: the tests never run this script.
"""

import gzip
import importlib
import io
import json
import lzma
import pickle
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REAL, BROKEN = HERE / "real", HERE / "broken"


def loaded(module, load):
    """Asks a loader for a path; None where it is not installed."""
    try:
        library = importlib.import_module(module)
    except ImportError:
        return None
    return lambda path: load(library, path)


def from_pickle(path):
    pickle.loads({".gz": gzip, ".xz": lzma}[path.suffix].decompress(path.read_bytes()))


def from_keras(keras, path):
    keras.saving.load_model(path)


def runtime(ort, path):
    ort.set_default_logger_severity(4)
    ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


LOADERS = {
    "arrow": loaded("pyarrow.ipc", lambda ipc, path: ipc.open_file(str(path)).read_all()),
    "json": loaded("xgboost", lambda xgboost, path: xgboost.Booster(model_file=str(path))),
    "keras": loaded("keras", from_keras),
    "onnx": loaded("onnxruntime", runtime),
    "pkl": loaded("numpy", lambda _, path: pickle.loads(path.read_bytes())),
    "txt": loaded("lightgbm", lambda lightgbm, path: lightgbm.Booster(model_file=str(path))),
    "gz": from_pickle,
    "xz": from_pickle,
}


def write(name, content):
    path = BROKEN / name
    path.write_bytes(content)
    load = LOADERS[name.rsplit(".", 1)[1]]
    if load is None:
        print(f"{name}: its loader is not here and was not asked")
        return
    try:
        load(path)
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {str(error)[:90]!r}")
    else:
        raise SystemExit(f"{name} is loaded")


def changed(name, old, new, count=-1):
    """A real file in which something stands for something else of the same kind."""
    content = (REAL / name).read_bytes()
    assert old in content, (name, old)
    return content.replace(old, new, count)


def with_bytes(name, changes):
    """A real file with other bytes at some places, counted from its end."""
    content = bytearray((REAL / name).read_bytes())
    for place, byte in changes.items():
        content[place] = byte
    return bytes(content)


def pickles():
    good = bytearray(pickle.dumps({"a": [1, 2, 3], "b": "text"}, protocol=4))
    assert good[2] == 0x95
    good[3] += 1
    write("frame_past_the_end.pkl.gz", gzip.compress(bytes(good), mtime=0))
    write("frame_past_the_end.pkl.xz", lzma.compress(bytes(good)))
    write("dtype_of_no_kind.pkl", changed("numpy_arrays_p4.pkl", b"\x8c\x02f8", b"\x8c\x02_8"))


def trees():
    write("lightgbm_control_character.txt", changed("lightgbm_linear.txt", b"[machines: ]", b"[machines: \x1d]"))
    write("lightgbm_margin_no_number.txt",
          changed("lightgbm_categorical_2.3.1.txt", b"[pred_early_stop_margin: 10]", b"[pred_early_stop_margin: nan]"))
    # The loader crashes, so it is not asked here.
    (BROKEN / "xgboost_vector_leaves_without_sums.json").write_bytes(
        changed("xgboost_vector_leaves.json", b'"sum_hessian"', b'"sum_hessiqn"'))
    write("xgboost_no_number_of_classes.json", changed("xgboost_softprob.json", b'{"num_class":"3"}', b"{}"))


def tables():
    for name, real, changes in ARROW:
        write(name, with_bytes(real, changes))


ARROW = [
    ("arrow_decimal_of_64_digits.arrow", "polars_views.arrow", {-804: 4}),
    ("arrow_buffer_between_places.arrow", "polars_views.arrow", {-3543: 4}),
    ("arrow_union_mark_beyond.arrow", "pyarrow_odd_types.arrow", {-119: 55}),
    ("arrow_union_without_marks.arrow", "pyarrow_odd_types.arrow", {-130: 0}),
    ("arrow_text_without_end.arrow", "pyarrow_lz4.arrow", {-75: 169}),
]


def graphs():
    import onnx

    def edited(name, edit):
        model = onnx.load(REAL / name)
        edit(model.graph)
        return model.SerializeToString()

    def output(kind):
        def edit(graph):
            graph.output[0].type.tensor_type.elem_type = kind
        return edit

    def attribute(op, name, value):
        def edit(graph):
            node = next(node for node in graph.node if node.op_type == op)
            del node.attribute[:]
            node.attribute.append(onnx.helper.make_attribute(name, value))
        return edit

    write("onnx_output_of_no_type.onnx", edited("skl_ridge.onnx", output(0)))
    write("onnx_output_of_wrong_type.onnx", edited("skl_ridge.onnx", output(onnx.TensorProto.DOUBLE)))
    write("onnx_label_of_wrong_type.onnx", edited("skl_logistic.onnx", output(onnx.TensorProto.STRING)))
    write("onnx_cast_to_no_type.onnx", edited("built_types.onnx", attribute("Cast", "to", 99)))
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 3]) for name in "xy")
    node = onnx.helper.make_node("Softmax", ["x"], ["y"], axis=5)
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "softmax", [x], [y]), ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)]
    )
    write("onnx_softmax_axis_beyond.onnx", model.SerializeToString())


def keras():
    made = io.BytesIO()
    with zipfile.ZipFile(REAL / "keras_sequential.keras") as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][-1]["config"] = 3
                content = json.dumps(config).encode()
            new.writestr(zipfile.ZipInfo(name), content)
    write("keras_layer_of_a_number.keras", made.getvalue())


if __name__ == "__main__":
    pickles()
    trees()
    tables()
    graphs()
    keras()
