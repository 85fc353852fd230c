#!/usr/bin/env python3
"""Writes Keras models whose configuration does not fit Keras's layers or the weights beside it.

    KERAS_BACKEND=numpy python make_keras_rules.py

Needs keras, jax (Keras's numpy backend does) and h5py. Every real model is loaded by Keras; every
other one is one of them with a part changed, and Keras refuses it, which is asked here.
"""

import io
import json
import os
import resource
import zipfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "numpy")
import h5py
import keras
import numpy as np

HERE = Path(__file__).resolve().parent
L = keras.layers


def models():
    given, other = L.Input((3,)), L.Input((2,))
    left, right = L.Dense(4)(given), L.Dense(5)(other)
    joined = L.Dense(2)(L.Concatenate()([right, left]))
    words = L.Input((5,))
    embedded = L.Embedding(7, 4)(words)
    shared = L.Dense(4)
    inner = keras.Sequential([L.Input((4,)), L.Dense(3), L.Dense(2)])
    outer = L.Input((4,))
    return {
        "dense": keras.Sequential([L.Input((4,)), L.Dense(8, activation="relu"), L.Dense(1)]),
        "recurrent": keras.Sequential(
            [L.Input((6, 4)), L.LSTM(3, return_sequences=True), L.GRU(2), L.Dense(1, use_bias=False)]
        ),
        "images": keras.Sequential(
            [L.Input((6, 6, 2)), L.Conv2D(4, 3, groups=2), L.BatchNormalization(), L.LayerNormalization(), L.Flatten()]
        ),
        "two_inputs": keras.Model([other, given], [L.Dense(7)(joined), left]),
        "words": keras.Model(words, L.GRU(2, reset_after=False)(shared(shared(embedded)))),
        "model_in_a_model": keras.Model(outer, L.Dense(1)(inner(outer))),
        "not_built": keras.Sequential([L.Dense(3), L.Dense(2)]),
    }


def parts(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def joined(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


def configured(data, change):
    members = parts(data)
    config = json.loads(members["config.json"])
    change(config["config"]["layers"])
    members["config.json"] = json.dumps(config).encode()
    return joined(members)


def weighted(data, change):
    members = parts(data)
    out = io.BytesIO(members["model.weights.h5"])
    with h5py.File(out, "a") as file:
        change(file)
    with h5py.File(io.BytesIO(out.getvalue()), "r") as file:
        fresh = io.BytesIO()
        with h5py.File(fresh, "w") as copy:
            for name in file:
                file.copy(name, copy)
    members["model.weights.h5"] = fresh.getvalue()
    return joined(members)


def put(layer, **values):
    def change(layers):
        layers[layer]["config"].update(values)

    return change


def reshaped(path, shape):
    def change(file):
        del file[path]
        file.create_dataset(path, data=np.zeros(shape, "f4"))

    return change


def broken(real):
    dense, recurrent, images = (real[name] for name in ("dense", "recurrent", "images"))
    constant = {"module": "keras.initializers", "class_name": "Constant", "config": {"value": "x"}, "registered_name": None}
    return {
        "activation_unknown": configured(dense, put(1, activation="nonesuch")),
        "argument_unknown": configured(dense, put(1, nonesuch=3)),
        "bias_missing": weighted(dense, lambda file: file.__delitem__("layers/dense/vars/1")),
        "bias_not_used": configured(dense, put(1, use_bias=False)),
        "channels_differ": weighted(images, reshaped("layers/conv2d/vars/0", (3, 3, 2, 4))),
        "constant_is_text": configured(dense, put(1, kernel_initializer=constant)),
        "constraint_unknown": configured(dense, put(1, kernel_constraint="nonesuch")),
        "filters_0": configured(images, put(1, filters=0)),
        "filters_differ": configured(images, put(1, filters=6)),
        "gates_differ": weighted(recurrent, reshaped("layers/gru/cell/vars/0", (3, 8))),
        "initializer_unknown": configured(dense, put(1, kernel_initializer="nonesuch")),
        "inner_units_differ": configured(
            real["model_in_a_model"], lambda layers: put(1, units=9)(layers[1]["config"]["layers"])
        ),
        "kernel_of_wrong_shape": weighted(dense, reshaped("layers/dense/vars/0", (4, 9))),
        "layer_without_weights": weighted(dense, lambda file: file["layers"].__delitem__("dense_1")),
        "momentum_is_text": configured(images, put(2, momentum="x")),
        "recurrent_activation_unknown": configured(recurrent, put(1, recurrent_activation="nonesuch")),
        "regularizer_unknown": configured(dense, put(1, kernel_regularizer="nonesuch")),
        "scale_not_used": configured(images, put(2, scale=False)),
        "units_0": configured(dense, put(1, units=0)),
        "units_below_0": configured(dense, put(1, units=-4)),
        "units_differ": configured(dense, put(1, units=9)),
        "units_of_a_cell_differ": configured(recurrent, put(1, units=5)),
        "units_text": configured(dense, put(1, units="8")),
        "vocabulary_differs": configured(real["words"], put(1, input_dim=9)),
        "weights_missing": weighted(dense, lambda file: file.__delitem__("layers")),
    }


class Scale(L.Layer):
    """Registered by a package and no module: its name is `desk>Scale`."""

    def __init__(self, k=2.0, **more):
        super().__init__(**more)
        self.k = k

    def call(self, inputs):
        return inputs * self.k

    def get_config(self):
        return super().get_config() | {"k": self.k}


def hostile(real):
    config = json.loads(parts(real["dense"])["config.json"])["config"]["layers"][1]
    scale = {"module": None, "class_name": "Scale", "registered_name": "desk>Scale", "build_config": config["build_config"],
             "config": {"name": "scale", "trainable": True, "dtype": "float32", "k": 2.0}}
    return {
        "registered_by_package": configured(real["dense"], lambda layers: layers.insert(1, scale)),
        "units_huge": configured(real["dense"], put(1, units=10**10)),
        "vocabulary_huge": configured(real["words"], put(1, input_dim=10**11)),
        "filters_huge": configured(real["images"], put(1, filters=4 * 10**10)),
    }


def loads(data, path=Path("/tmp/asked.keras")):
    path.write_bytes(data)
    try:
        keras.models.load_model(path)
        return True
    except Exception:
        return False
    finally:
        path.unlink()


def main():
    real = {}
    for name, model in models().items():
        path = HERE / "real" / f"keras_{name}.keras"
        model.save(path)
        real[name] = path.read_bytes()
        assert loads(real[name]), name
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    registered = hostile(real)["registered_by_package"]
    with keras.utils.CustomObjectScope({"desk>Scale": Scale}):
        assert loads(registered)
    for part, files in (("broken", broken(real)), ("hostile", hostile(real))):
        for name, data in files.items():
            if loads(data):
                print(f"{name}: taken by Keras")
            (HERE / part / f"keras_{name}.keras").write_bytes(data)


if __name__ == "__main__":
    main()
