#!/usr/bin/env python3
"""Writes ONNX graphs whose attributes or constants no runtime takes.

    python make_onnx_rules.py

Needs onnx and onnxruntime. Each graph is loaded by onnxruntime in a process of its own: it refuses
the broken ones, and its process ends with the hostile ones.
"""

import os
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64


def value(name, *shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, list(shape))


def tensor(name, values, kind=np.float32):
    return numpy_helper.from_array(np.array(values, kind), name)


def model(op, attributes=None, constants=(), inputs=("a",), shapes=((1, 4, 8, 8),), kind=FLOAT, opset=13,
          domain="", outputs=1, made=None):
    """One node over inputs and constants. Where it has no input, what it makes is added to one."""
    names = [name for name in inputs] + [constant.name for constant in constants]
    made = made or kind
    out = [f"o{i}" for i in range(outputs)]
    nodes = [helper.make_node(op, names, out, domain=domain, **(attributes or {}))]
    given = [value(name, *shape, kind=kind) for name, shape in zip(inputs, shapes)]
    if not inputs:
        nodes.append(helper.make_node("Add", [out[0], "a"], ["sum"]))
        given, out = [value("a", 1, kind=made)], ["sum"]
    graph = helper.make_graph(
        nodes, "g", given, [helper.make_tensor_value_info(name, made, None) for name in out], list(constants)
    )
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, ir_version=10, opset_imports=imports).SerializeToString()


def broken():
    shape = lambda *sizes: (tensor("s", sizes, np.int64),)
    whole = lambda a, b, kind=np.int32: (tensor("y", [a], kind), tensor("z", [b], kind))
    kernel = (tensor("w", np.ones((4, 4, 3, 3))),)
    lstm = (tensor("w", np.ones((1, 16, 3))), tensor("r", np.ones((1, 16, 4))))
    steps = {"inputs": ("a",), "shapes": ((2, 1, 3),), "constants": lstm}
    none = {"inputs": ()}
    cases = {
        "bit_shift_upwards": model("BitShift", {"direction": "UP"}, whole(1, 2, np.uint32), (), made=TensorProto.UINT32),
        "clip_of_two_types": model("Clip", constants=(tensor("k", 0, np.int64),), shapes=((2, 3),)),
        "constant_of_shape_below_0": model("ConstantOfShape", constants=shape(-7), **none),
        "constant_of_shape_of_int32": model("ConstantOfShape", constants=(tensor("s", [2], np.int32),), **none),
        "constant_of_two_values": model("ConstantOfShape", {"value": tensor("v", [1, 2])}, shape(2), **none),
        "conv_dilation_0": model("Conv", {"dilations": [0, 1]}, kernel),
        "conv_kernel_of_one": model("Conv", {"kernel_shape": [3]}, kernel),
        "conv_padded_below_0": model("Conv", {"pads": [-1, 0, 0, 0]}, kernel),
        "conv_stride_0": model("Conv", {"strides": [0, 1]}, kernel),
        "conv_transpose_group_0": model("ConvTranspose", {"group": 0}, kernel),
        "conv_transpose_group_3": model("ConvTranspose", {"group": 3}, kernel),
        "conv_transpose_output_below_0": model("ConvTranspose", {"output_padding": [-1, 0]}, kernel),
        "conv_unknown_padding": model("Conv", {"auto_pad": "FOO"}, kernel),
        "depth_to_space_0": model("DepthToSpace", {"blocksize": 0}),
        "depth_to_space_unknown": model("DepthToSpace", {"blocksize": 2, "mode": "X"}),
        "divided_by_0": model("Div", constants=whole(4, 0), made=INT32, **none),
        "divided_by_0_of_8_bits": model("Div", constants=whole(4, 0, np.int8), made=TensorProto.INT8, **none),
        "einsum_ellipses_differ": model("Einsum", {"equation": "...ii,...->...i"}, (), ("a", "b"), ((2, 3), (3,))),
        "einsum_label_of_nothing": model("Einsum", {"equation": "ij->ijk"}, shapes=((2, 3),)),
        "einsum_letters_too_many": model("Einsum", {"equation": "ijk->ij"}, shapes=((2, 3),)),
        "einsum_no_letter": model("Einsum", {"equation": "i1->i"}, shapes=((2, 3),)),
        "einsum_one_operand": model("Einsum", {"equation": "ij,jk->ik"}, shapes=((2, 3),)),
        "expand_cannot_fit": model("Expand", constants=(tensor("x", [1, 2]), *shape(3)), **none),
        "gather_nd_batch_beyond": model("GatherND", {"batch_dims": 5}, (tensor("k", [[1]], np.int64),), shapes=((2, 3),)),
        "gemm_6_of_a_number": model("Gemm", {"transB": 1}, (), ("a", "b", "c"), ((2, 1), (), (2,)), opset=6),
        "grid_sample_unknown": model(
            "GridSample", {"mode": "foo"}, (tensor("g", np.ones((1, 2, 2, 2))),), opset=16
        ),
        "hann_window_0": model("HannWindow", constants=(tensor("s", 0, np.int64),), opset=17, **none),
        "lrn_size_even": model("LRN", {"size": 2}),
        "lstm_hidden_0": model("LSTM", {"hidden_size": 0}, **steps),
        "lstm_hidden_missing": model("LSTM", {}, **steps),
        "lstm_sideways": model("LSTM", {"hidden_size": 4, "direction": "sideways"}, **steps),
        "lp_normalization_3": model("LpNormalization", {"p": 3}),
        "max_pool_kernel_0": model("MaxPool", {"kernel_shape": [0, 2]}),
        "max_pool_order": model("MaxPool", {"kernel_shape": [2, 2], "storage_order": 5}),
        "max_pool_padded_too_far": model("MaxPool", {"kernel_shape": [2, 2], "pads": [3, 0, 0, 0]}),
        "max_roi_pool_0": model("MaxRoiPool", {"pooled_shape": [0, 0]}, (tensor("r", np.ones((1, 5))),)),
        "modulo_0": model("Mod", constants=whole(4, 0), made=INT32, **none),
        "of_contrib": model("BertTokenizer", domain="ai.onnx.contrib"),
        "of_microsoft_unknown": model("Nonesuch", domain="com.microsoft"),
        "of_pytorch": model("ATen", domain="org.pytorch.aten"),
        "one_hot_below_0": model(
            "OneHot", constants=(tensor("k", -3, np.int64), tensor("v", [0, 1])), shapes=((2,),), kind=INT64, made=FLOAT
        ),
        "one_hot_of_three": model(
            "OneHot", constants=(tensor("k", 3, np.int64), tensor("v", [0, 1, 2])), shapes=((2,),), kind=INT64, made=FLOAT
        ),
        "pad_of_three": model("Pad", constants=(tensor("x", [1, 2]), *shape(1, 1, 1)), **none),
        "pad_unknown": model("Pad", {"mode": "foo"}, shape(1, 1), shapes=((2,),)),
        "random_below_0": model("RandomNormal", {"shape": [-1]}, (), ()),
        "resize_scale_0": model("Resize", constants=(tensor("", []), tensor("s", [1, 1, 0, 1]))),
        "resize_unknown": model("Resize", {"mode": "foo"}, (tensor("r", []), tensor("s", [1, 1, 2, 2]))),
        "reverse_one_axis": model(
            "ReverseSequence", {"batch_axis": 1, "time_axis": 1}, (tensor("k", [1, 1], np.int64),), shapes=((2, 2),)
        ),
        "roi_align_unknown": model(
            "RoiAlign", {"mode": "foo"}, (tensor("k", np.ones((1, 4))), tensor("v", [0], np.int64))
        ),
        "slice_step_0": model(
            "Slice", constants=[tensor(n, v, k) for n, v, k in [("x", [1, 2], np.float32), ("b", [0], np.int64),
                                ("e", [2], np.int64), ("ax", [0], np.int64), ("st", [0], np.int64)]], **none
        ),
        "split_18_of_nothing": model("Split", outputs=2, opset=18),
        "split_cannot_fit": model("Split", {"axis": 1}, shape(2, 3), outputs=2),
        "subtracted_to_0": None,
        "tile_below_0": model("Tile", constants=(tensor("x", [1]), *shape(-5)), **none),
        "tile_of_two": model("Tile", constants=(tensor("x", [1]), *shape(1, 2)), **none),
        "top_k_beyond": model("TopK", constants=(tensor("k", [9], np.int64),), outputs=2),
        "upsample_scale_below_1": model("Upsample", constants=(tensor("s", [1, 1, -1, 1]),), opset=9),
        "upsample_two_scales": model("Upsample", constants=(tensor("s", [1, 1]),), opset=9),
    }
    node = helper.make_node
    folded = helper.make_graph(
        [node("Sub", ["z", "z"], ["w"]), node("Div", ["z", "w"], ["t"]), node("Add", ["t", "a"], ["o"])], "g",
        [value("a", 1, kind=INT32)], [value("o", 1, kind=INT32)], [tensor("z", [3], np.int32)],
    )
    opset = [helper.make_opsetid("", 14)]
    cases["subtracted_to_0"] = helper.make_model(folded, ir_version=10, opset_imports=opset).SerializeToString()
    return cases


def hostile():
    least = lambda kind, dtype: model(
        "Div", constants=(tensor("y", [np.iinfo(dtype).min], dtype), tensor("z", [-1], dtype)), inputs=(), made=kind
    )
    return {
        "least_number_by_minus_1": least(INT32, np.int32),
        "least_long_number_by_minus_1": least(INT64, np.int64),
        "function_of_python": model("PyOp", domain="ai.onnx.contrib"),
    }


def outcome(data):
    onnxruntime.set_default_logger_severity(4)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            onnxruntime.InferenceSession(data)
        except Exception:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return "ended" if os.WIFSIGNALED(status) else "refused" if status else "loaded"


def main():
    for part, cases in (("broken", broken()), ("hostile", hostile())):
        for name, data in cases.items():
            (HERE / part / f"onnx_{name}.onnx").write_bytes(data)
            found = outcome(data)
            # What calls Python is refused where its library is not there.
            if found != ("refused" if part == "broken" or name == "function_of_python" else "ended"):
                print(f"{name}: {found}")


if __name__ == "__main__":
    main()
