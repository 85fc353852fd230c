#!/usr/bin/env python3
"""Writes the archives of the load-check corpus: NumPy's, torch's and Keras's.

    make_archives.py --venv DIR [real] [hostile] [broken]

Without names it writes all three. DIR is a throw-away environment, made with pip when it does not
exist (torch alone takes some gigabytes). Artifacts of `real/` come from the libraries themselves.
A hostile archive that runs code is kept only when the stock loader, in a process of its own,
really wrote a marker; one that is hostile by its structure is kept as it is described here.

The files are fixtures: the tests never run this script.
"""

import argparse
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = "numpy h5py torch keras".split()

# ---- real artifacts: this source runs inside the environment ---------------------------------

REAL = r'''
import io, os, pathlib, sys, zipfile
os.environ["KERAS_BACKEND"] = "torch"
import numpy as np, torch, keras
from torch import nn

out = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(7)
torch.manual_seed(7)

# NumPy
save = lambda name, array, **kw: np.save(out / f"{name}.npy", array, **kw)
save("array", rng.normal(size=(5, 3)))
save("array_fortran", np.asfortranarray(rng.normal(size=(4, 6))))
save("array_scalar", np.float32(1.5))
save("array_empty", np.zeros((0, 7)))
save("array_dates", np.array(["2024-06-28", "NaT"], dtype="M8[ns]"))
save("array_texts", np.array(["AAPL", "Zürich"]))
save("array_big_endian", np.arange(5, dtype=">i4"))
save("array_record", np.zeros(3, dtype=[("id", "S12"), ("price", "<f8", (2, 2)), ("flag", "?")]))
save("array_padded", np.zeros(3, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)))
save("array_titles", np.zeros(3, dtype=[(("the title", "a"), "i4"), ("b", "c16")]))
save("array_nested", np.zeros(2, dtype=[("in", [("x", "f4"), ("y", "f4")]), ("n", "u2", (3,))]))
save("array_unicode_field", np.zeros(2, dtype=[("größe", "f8"), ("名", "i2")]))
save("array_longdouble", np.zeros(2, dtype=np.longdouble))
save("array_objects", np.array([{"a": 1}, None, [1.5, "x"]], dtype=object))
np.savez(out / "arrays.npz", x=np.arange(6).reshape(2, 3), mean=np.float64(0.5), names=np.array(["a", "b"]))
np.savez(out / "arrays_positional.npz", np.arange(3), np.ones(2))
np.savez_compressed(out / "arrays_compressed.npz", x=np.zeros((100, 10)), y=rng.normal(size=50))
np.savez(out / "arrays_folders.npz", **{"dense/kernel:0": np.ones((2, 2)), "A": np.ones(1), "a": np.zeros(1)})
np.savez(out / "arrays_objects.npz", o=np.array([1, "x", None], dtype=object))

class Pipe(io.RawIOBase):
    """Cannot go back, so the writer leaves data descriptors."""
    def __init__(self): self.data = bytearray()
    def writable(self): return True
    def write(self, piece): self.data += bytes(piece); return len(piece)

pipe = Pipe(); np.savez_compressed(pipe, x=np.arange(40.0)); (out / "arrays_piped.npz").write_bytes(bytes(pipe.data))

# torch
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.LSTM(4, 2)

def tsave(name, value, **kw): torch.save(value, out / f"{name}.pt", **kw)
net = Net()
tsave("torch_state_dict", net.state_dict())
line = nn.Sequential(nn.Linear(3, 1)); adam = torch.optim.AdamW(line.parameters(), lr=1e-3)
plan = torch.optim.lr_scheduler.StepLR(adam, 3)
line(torch.ones(2, 3)).sum().backward(); adam.step(); plan.step()
tsave("torch_checkpoint", {"epoch": 3, "model": line.state_dict(), "optimizer": adam.state_dict(),
    "scheduler": plan.state_dict(), "loss": 0.25, "rng": torch.get_rng_state()[:64].clone(), "best": None, "history": [1.0, 0.5]})
base = torch.arange(12.0).reshape(3, 4)
tsave("torch_views", {"base": base, "column": base[:, 1], "turned": base.t(), "stepped": base[::2, 1:3], "one": base[1, 1],
    "none": base[:0], "wide": torch.ones(1, 2).expand(5, 2), "nothing": torch.empty(0), "scalar": torch.tensor(3)})
kinds = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
    torch.float32, torch.float64, torch.complex64, torch.complex128, torch.uint16, torch.uint32, torch.uint64,
    torch.float8_e4m3fn, torch.float8_e5m2]
tsave("torch_dtypes", {str(k): torch.zeros(3, dtype=k) for k in kinds} | {"dtype": torch.float16, "size": torch.Size([2, 3]), "device": torch.device("cpu")})
tsave("torch_tensor", torch.eye(2))
tsave("torch_parameter", nn.Parameter(torch.eye(2)))
named = torch.ones(2); named.factor = "momentum"
tsave("torch_tensor_with_attribute", named)
tsave("torch_numpy", {"w": torch.ones(2), "n": np.arange(3), "s": np.float64(1.5)})
tsave("torch_quantized", torch.quantize_per_tensor(torch.ones(3), 0.1, 2, torch.qint8))
tsave("torch_meta", torch.empty(3, device="meta"))
tsave("torch_storage", torch.arange(4.0).untyped_storage())
tsave("torch_protocol_4", net.state_dict(), pickle_protocol=4)
tsave("torch_module", nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.LayerNorm(3), nn.GRU(3, 2)))
tsave("torch_transformer", nn.TransformerEncoderLayer(4, 2, 8))
tsave("torch_convolution", nn.Sequential(nn.Conv1d(2, 3, 3), nn.MaxPool1d(2), nn.Flatten(), nn.Embedding(3, 2), nn.ParameterList([nn.Parameter(torch.ones(1))])))
buffer = io.BytesIO(); torch.save(net.state_dict(), buffer); (out / "torch_buffer.pt").write_bytes(buffer.getvalue())
torch.serialization.set_crc32_options(False); tsave("torch_without_checksums", torch.ones(3)); torch.serialization.set_crc32_options(True)

# Keras
L = keras.layers
model = keras.Sequential([keras.Input((3,)), L.Normalization(mean=[0.0] * 3, variance=[1.0] * 3), L.Dense(4, "relu", kernel_regularizer="l2"), L.Dropout(0.2), L.Dense(1)])
model.compile(optimizer=keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)), loss=keras.losses.Huber(), metrics=["mae", keras.metrics.AUC()])
model.fit(np.zeros((4, 3)), np.zeros((4, 1)), verbose=0)
model.save(out / "keras_sequential.keras")
inputs = keras.Input((5, 2)); x = L.Bidirectional(L.LSTM(3))(inputs); x = L.Dense(1, activation=keras.activations.gelu)(x)
keras.Model(inputs, [keras.ops.add(x, 1.0), keras.ops.exp(x)]).save(out / "keras_functional.keras")
inputs = keras.Input((4, 6)); x = L.Conv1D(3, 2)(inputs); x = L.MultiHeadAttention(2, 3)(x, x); x = L.GlobalAveragePooling1D()(x); x = L.Concatenate()([x, x])
keras.Model(inputs, L.Dense(1)(x)).save(out / "keras_attention.keras")
words = keras.Sequential([keras.Input((1,), dtype="string"), L.StringLookup(vocabulary=["momentum", "value"])]) if keras.backend.backend() == "tensorflow" else keras.Sequential([keras.Input((2,)), L.Rescaling(0.5), L.Dense(1)])
words.save(out / "keras_small.keras")
with zipfile.ZipFile(out / "keras_small.keras") as old, zipfile.ZipFile(out / "keras_packed_again.keras", "w", zipfile.ZIP_DEFLATED) as new:
    for name in old.namelist(): new.writestr(name, old.read(name))
'''

# ---- how archives are made and changed -------------------------------------------------------


class Calls:
    """Pickles as a call of `name` of `module`."""

    def __init__(self, module, name, *args):
        self.module, self.name, self.args = module, name, args

    def __reduce__(self):
        return getattr(__import__(self.module), self.name), self.args


def system(marker):
    return Calls("os", "system", f"echo > {marker}")


def packed(members, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return out.getvalue()


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def changed(members, name, data):
    return [(n, data if n == name else d) for n, d in members]


def local_offset(archive, name):
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.getinfo(name).header_offset


def central_offset(archive, name):
    at = struct.unpack("<L", archive[-6:-2])[0]
    while archive[at : at + 4] == b"PK\1\2":
        lens = struct.unpack("<3H", archive[at + 28 : at + 34])
        if archive[at + 46 : at + 46 + lens[0]] == name.encode():
            return at
        at += 46 + sum(lens)
    raise KeyError(name)


def patched(archive, at, data):
    return archive[:at] + data + archive[at + len(data) :]


def shifted(archive, at, gap):
    """The archive with bytes put between, and every offset after them corrected."""
    start = struct.unpack("<L", archive[-6:-2])[0]
    out = bytearray(archive)
    entry = start
    while out[entry : entry + 4] == b"PK\1\2":
        lens = struct.unpack("<3H", out[entry + 28 : entry + 34])
        offset = struct.unpack("<L", out[entry + 42 : entry + 46])[0]
        out[entry + 42 : entry + 46] = struct.pack("<L", offset + (len(gap) if offset >= at else 0))
        entry += 46 + sum(lens)
    out[-6:-2] = struct.pack("<L", start + len(gap))
    return bytes(out[:at]) + gap + bytes(out[at:])


def npy(payload, descr="'|O'", shape="()"):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode("latin1") + payload


def bomb(members, size):
    """Many members whose headers all point at the same packed bytes."""
    body = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = body.compress(bytes(size)) + body.flush()
    crc = zlib.crc32(bytes(size))
    name = lambda i: f"{i:04}.npy".encode()
    head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, crc, len(kernel), size, 8, 0)
    out = head + name(0) + kernel
    start = len(out)
    for i in range(members):
        out += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, crc, len(kernel), size, 8, 0, 0, 0, 0, 0, 0) + name(i)
    return out + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, members, members, len(out) - start, start, 0)


def keras_with(base, **changes):
    """A Keras model whose last layer is replaced by `layer`, or whose parts are changed."""
    config = json.loads(dict(base)["config.json"])
    if "layer" in changes:
        config["config"]["layers"][-1] = changes["layer"]
    if "activation" in changes:
        config["config"]["layers"][-1]["config"]["activation"] = changes["activation"]
    if "module" in changes:
        config["config"]["layers"][-1]["module"] = changes["module"]
    config["config"]["layers"][-1].pop("build_config", None)
    return packed(changed(base, "config.json", json.dumps(config).encode()))


# ---- hostile archives ------------------------------------------------------------------------

LAMBDA = r'''
import os, sys
os.environ["KERAS_BACKEND"] = "torch"
import keras
model = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(1.0)])
model.add(keras.layers.Lambda(eval("lambda x: (__import__('os').system('echo > " + sys.argv[2] + "'), x)[1]")))
model.save(sys.argv[1])
'''

SCRIPT = r'''
import sys, torch
class Told(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.w = torch.ones(1)
    def forward(self, x): return x
    @torch.jit.export
    def __getstate__(self): return self.w
    @torch.jit.export
    def __setstate__(self, state: torch.Tensor):
        print("the code of the archive runs"); self.w = state
torch.jit.script(Told()).save(sys.argv[1])
'''

WEIGHTS = r'''
import sys, h5py, numpy as np
with h5py.File(sys.argv[1], "w") as f:
    vars = f.create_group("layers/dense/vars")
    match sys.argv[2]:
        case "soft": vars["0"] = h5py.SoftLink("/elsewhere")
        case "external_link": vars["0"] = h5py.ExternalLink("/etc/hosts", "/x")
        case "external_file": vars.create_dataset("0", (2, 2), "f4", external=[("/etc/hosts", 0, 16)])
        case "virtual":
            layout = h5py.VirtualLayout((2, 2), "f4"); layout[:] = h5py.VirtualSource("/etc/hosts", "x", (2, 2))
            vars.create_virtual_dataset("0", layout)
'''

# How the stock loader is asked.
LOADERS = {
    "pt": "import sys, torch; torch.load(sys.argv[1], weights_only=False)",
    "npy": "import sys, numpy; numpy.load(sys.argv[1], allow_pickle=True)",
    "npz": "import sys, numpy; [*numpy.load(sys.argv[1], allow_pickle=True).values()]",
    "keras": "import os, sys; os.environ['KERAS_BACKEND'] = 'torch'; import keras; "
    "keras.models.load_model(sys.argv[1], safe_mode=False)",
}


def run(venv, source, *args):
    return subprocess.run(
        [venv / "bin/python", "-W", "ignore", "-c", source, *map(str, args)],
        capture_output=True, text=True, timeout=300, check=False,
    )


def proven(venv, kind, data, marker):
    marker.unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile(suffix="." + kind) as file:
        file.write(data)
        file.flush()
        done = run(venv, LOADERS[kind], file.name)
    return marker.exists() or "the code of the archive runs" in done.stdout


def hostile(venv, real, out):
    marker = Path("/tmp/model-registry-corpus-marker")
    state = members_of(real / "torch_state_dict.pt")
    root = "torch_state_dict/"
    evil = pickle.dumps(system(marker), 2)
    runs = {
        "torch_pickle_calls_system.pt": packed(changed(state, root + "data.pkl", evil)),
        "torch_deflated_pickle.pt": packed(changed(state, root + "data.pkl", evil), zipfile.ZIP_DEFLATED),
        "torch_inside_a_state_dict.pt": packed(changed(
            state, root + "data.pkl", pickle.dumps({"weight": 1.0, "bias": system(marker)}, 2))),
        "torch_hooks_call.pt": packed(changed(
            state, root + "data.pkl",
            b"\x80\x02ctorch._utils\n_rebuild_parameter\n(cos\nsystem\n"
            + b"X" + struct.pack("<L", len(f"echo > {marker}")) + f"echo > {marker}".encode() + b"\x85R\x88NtR.")),
        "torch_load_from_bytes.pt": packed(changed(
            state, root + "data.pkl",
            b"\x80\x03ctorch.storage\n_load_from_bytes\nB" + struct.pack("<L", len(nested := packed(changed(state, root + "data.pkl", evil)))) + nested + b"\x85R.")),
        "torch_rebuild_from_type_calls.pt": packed(changed(
            state, root + "data.pkl",
            b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nctorch\nTensor\nX"
            + struct.pack("<L", len(f"echo > {marker}")) + f"echo > {marker}".encode() + b"\x85}tR.")),
        "array_of_objects_calls_system.npy": npy(evil),
        "arrays_objects_call_system.npz": packed([("a.npy", npy(struct.pack("<d", 1), "'<f8'")), ("b.npy", npy(evil))]),
        "arrays_compressed_call_system.npz": packed([("b.npy", npy(evil))], zipfile.ZIP_DEFLATED),
    }
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "lambda.keras"
        run(venv, LAMBDA, made, marker)
        runs["keras_lambda_layer.keras"] = made.read_bytes()
        base = members_of(real / "keras_small.keras")
        code = next(
            layer["config"]["function"]
            for layer in json.loads(dict(members_of(made))["config.json"])["config"]["layers"]
            if layer["class_name"] == "Lambda"
        )
        made = Path(scratch) / "script.pt"
        # The compiler reads the source of a class from its file.
        program = Path(scratch) / "script.py"
        program.write_text(SCRIPT)
        subprocess.run([venv / "bin/python", program, made], check=True, capture_output=True)
        runs["torch_script.pt"] = made.read_bytes()
    for name, data in runs.items():
        if not proven(venv, name.rsplit(".", 1)[1], data, marker):
            print("not proven:", name)
            continue
        (out / name).write_bytes(data)
    marker.unlink(missing_ok=True)

    # Structure that readers understand differently, or that exhausts them: no marker to show.
    array = npy(struct.pack("<d", 1), "'<f8'")
    objects = npy(evil)
    two = packed([("a.npy", array), ("b.npy", array)])
    overlapping = patched(two, central_offset(two, "b.npy") + 42, struct.pack("<L", local_offset(two, "a.npy")))
    other_name = patched(packed(state), local_offset(packed(state), root + "data.pkl") + 30, b"torch_state_dict/DATA.pkl")
    other_size = patched(two, local_offset(two, "a.npy") + 18, struct.pack("<L", 64))
    other_method = patched(two, local_offset(two, "a.npy") + 8, struct.pack("<H", 8))
    with_link = io.BytesIO()
    with zipfile.ZipFile(with_link, "w") as archive:
        link = zipfile.ZipInfo("a.npy")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    vocabulary = {"module": "keras.layers", "class_name": "StringLookup",
                  "config": {"name": "s", "vocabulary": "/etc/passwd"}, "registered_name": None}
    named = lambda **parts: {"config": {"name": "x"}, "registered_name": None} | parts
    structure = {
        "keras_lambda_activation.keras": keras_with(base, layer=named(
            module="keras.layers", class_name="Activation", config={"name": "a", "activation": code})),
        "two_pickles.pt": packed([*state, (root + "data.pkl", evil)]),
        "two_pickles_by_case.pt": packed([*state, (root + "Data.pkl", evil)]),
        "headers_tell_two_names.pt": other_name,
        "headers_tell_two_sizes.npz": other_size,
        "headers_tell_two_methods.npz": other_method,
        "overlapping_members.npz": overlapping,
        "two_members_of_one_name.npz": packed([("a.npy", array), ("a.npy", objects)]),
        "bomb_flat.npz": packed([("a.npy", npy(bytes(120 << 20), "'|u1'", f"({120 << 20},)"))], zipfile.ZIP_DEFLATED),
        "bomb_overlapping.npz": bomb(500, 1 << 20),
        "member_above.npz": packed([("../a.npy", array)]),
        "member_absolute.npz": packed([("/tmp/a.npy", array)]),
        "member_backslash.npz": packed([("..\\a.npy", array)]),
        "member_link.npz": with_link.getvalue(),
        "keras_vocabulary_from_a_file.keras": keras_with(base, layer=vocabulary),
        "keras_module_of_the_system.keras": keras_with(base, layer=named(module="os", class_name="system")),
        "keras_function_of_the_system.keras": keras_with(base, activation={
            "module": "os", "class_name": "function", "config": "system", "registered_name": "system"}),
        "keras_get_file.keras": keras_with(base, activation={
            "module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file"}),
        "keras_unsafe_switch.keras": keras_with(base, layer=named(
            module="keras.config", class_name="enable_unsafe_deserialization")),
        "keras_torch_wrapper.keras": keras_with(base, layer=named(
            module="keras.layers", class_name="TorchModuleWrapper", config={"module": "UEsDBA=="})),
        "keras_dotted_class.keras": keras_with(base, layer=named(module="keras", class_name="layers.Lambda")),
        "keras_custom_class.keras": keras_with(base, layer=named(
            module="ours.layers", class_name="Alpha", registered_name="ours>Alpha")),
        "keras_hidden_in_a_list.keras": keras_with(base, activation=[[{"deep": {
            "module": "subprocess", "class_name": "function", "config": "getoutput"}}]]),
    }
    with tempfile.TemporaryDirectory() as scratch:
        for kind in ["soft", "external_file", "virtual", "external_link"]:
            made = Path(scratch) / kind
            subprocess.run([venv / "bin/python", "-c", WEIGHTS, made, kind], check=True)
            structure[f"keras_weights_{kind}.keras"] = packed(
                changed(base, "model.weights.h5", made.read_bytes()))
    for name, data in structure.items():
        (out / name).write_bytes(data)


# ---- broken archives -------------------------------------------------------------------------


def broken(real, out):
    def put(name, data):
        (out / name).write_bytes(data)

    state = members_of(real / "torch_state_dict.pt")
    root = "torch_state_dict/"
    torch = packed(state)
    data = npy(struct.pack("<3d", 1, 2, 3), "'<f8'", "(3,)")
    arrays = packed([("a.npy", data), ("b.npy", data)])
    put("archive_empty.zip", packed([]))
    put("archive_of_texts.zip", packed([("readme.txt", b"hello")]))
    put("archive_cut.npz", arrays[:-1])
    put("archive_with_prefix.npz", b"PK\3\4" + bytes(60) + arrays)
    put("archive_with_suffix.npz", arrays + b"\n")
    put("archive_with_comment.npz", arrays[:-2] + struct.pack("<H", 22) + arrays[-22:-2] + b"\0\0")
    put("archive_with_comment_told.npz", arrays[:-2] + b"\x05\0hello")
    put("archive_with_gap.npz", shifted(arrays, local_offset(arrays, "b.npy"), b"gap!"))
    put("archive_with_gap_before_directory.npz", shifted(arrays, struct.unpack("<L", arrays[-6:-2])[0], b"gap!"))
    put("archive_after_a_program.npz", shifted(arrays, 0, b"PK\3\4 and a program before it"))
    put("archive_descriptor_lies.npz", (lambda a: patched(a, a.index(b"PK\7\x08") + 4, b"\0"))((real / "arrays_piped.npz").read_bytes()))
    put("archive_damaged.npz", patched(arrays, 150, b"\xff"))
    put("archive_encrypted.npz", patched(arrays, central_offset(arrays, "a.npy") + 8, b"\1\0"))
    put("archive_bzip2.npz", packed([("a.npy", data)], zipfile.ZIP_BZIP2))
    put("archive_lzma.npz", packed([("a.npy", data)], zipfile.ZIP_LZMA))
    put("archive_damaged_deflate.npz", (lambda a: patched(a, 60, b"\xff\xff\xff"))(packed([("a.npy", data * 9)], zipfile.ZIP_DEFLATED)))
    put("archive_unknown_extra.npz", extra(b"up\x06\0\1abcde"))
    put("archive_padding_with_text.npz", extra(b"FB\x06\0hidden"))
    put("arrays_and_a_text.npz", packed([("a.npy", data), ("readme.txt", b"hello")]))
    put("arrays_member_short.npz", packed([("a.npy", data[:-1])]))
    put("array_cut.npy", data[:-1])
    put("array_longer.npy", data + b"\0")
    put("array_with_a_zip.npy", data + arrays)
    put("array_without_shape.npy", npy(b"").replace(b"shape", b"shapE"))
    put("array_header_is_code.npy", npy(bytes(8), "__import__('os').system('true')"))
    put("array_of_unknown_kind.npy", npy(bytes(8), "'<q8'"))
    put("array_huge.npy", npy(b"", "'<f8'", "(4611686018427387904, 9)"))
    put("array_huge_header.npy", b"\x93NUMPY\2\0" + struct.pack("<L", 0xFFFFFFF0))
    put("array_version_9.npy", b"\x93NUMPY\x09\0" + data[8:])
    put("array_objects_then_more.npy", npy(pickle.dumps([1], 4) + b"more"))
    put("array_duplicate_key.npy", npy(bytes(8), "'<f8', 'descr': '|O'"))
    put("torch_storage_missing.pt", packed([m for m in state if m[0] != root + "data/0"]))
    put("torch_storage_short.pt", packed(changed(state, root + "data/0", dict(state)[root + "data/0"][:-4])))
    put("torch_storage_long.pt", packed(changed(state, root + "data/0", dict(state)[root + "data/0"] + bytes(4))))
    put("torch_storage_unused.pt", packed([*state, (root + "data/999", bytes(4))]))
    put("torch_member_unknown.pt", packed([*state, (root + "extra/notes", b"hello")]))
    put("torch_other_folder.pt", packed([*state, ("elsewhere/notes", b"hello")]))
    put("torch_version_missing.pt", packed([m for m in state if m[0] != root + "version"]))
    put("torch_version_99.pt", packed(changed(state, root + "version", b"99\n")))
    put("torch_byte_order.pt", packed(changed(state, root + "byteorder", b"middle")))
    body = lambda ops: packed(changed(state, root + "data.pkl", b"\x80\x02" + ops + b"."))
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\x0ctQ"
    tensor = lambda offset, size, stride: (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K" + bytes([offset])
        + b"".join(b"(" + b"".join(b"K" + bytes([n]) for n in ns) + b"t" for ns in (size, stride)) + b"\x89NtR")
    put("torch_tensor_past_its_storage.pt", body(tensor(0, (3, 5), (4, 1))))
    put("torch_tensor_offset_past_its_storage.pt", body(tensor(12, (1,), (1,))))
    put("torch_tensor_without_strides.pt", body(tensor(0, (1, 1), (1,))))
    put("torch_persistent_text.pt", body(b"Pstorage\n"))
    put("torch_persistent_module.pt", body(b"(X\x06\0\0\0moduleNNtQ"))
    put("torch_storage_of_two_kinds.pt", body(b"(" + storage + storage.replace(b"Float", b"Double") + b"t"))
    put("torch_pickle_then_more.pt", packed(changed(state, root + "data.pkl", dict(state)[root + "data.pkl"] + b"more")))
    put("torch_damaged.pt", patched(torch, local_offset(torch, root + "data/0") + 60, b"\xff\xff"))
    keras = members_of(real / "keras_small.keras")
    config = dict(keras)["config.json"]
    put("keras_without_weights.keras", packed(keras[:2]))
    put("keras_weights_cut.keras", packed(changed(keras, "model.weights.h5", dict(keras)["model.weights.h5"][:-9])))
    put("keras_weights_longer.keras", packed(changed(keras, "model.weights.h5", dict(keras)["model.weights.h5"] + b"\0")))
    put("keras_weights_are_text.keras", packed(changed(keras, "model.weights.h5", b"hello")))
    put("keras_config_cut.keras", packed(changed(keras, "config.json", config[:-1])))
    put("keras_config_is_a_list.keras", packed(changed(keras, "config.json", b"[1]")))
    put("keras_config_twice.keras", packed(changed(keras, "config.json", config.replace(b'{"module"', b'{"module": "x", "module"', 1))))
    put("keras_config_deep.keras", packed(changed(keras, "config.json", b'{"class_name": "Sequential", "config": ' + b"[" * 400 + b"]" * 400 + b"}")))
    put("keras_with_a_program.keras", packed([*keras, ("run.py", b"print()")]))


def extra(field):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("a.npy")
        info.extra = field
        archive.writestr(info, npy(struct.pack("<d", 1), "'<f8'"))
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--venv", type=Path, required=True)
    parser.add_argument("parts", nargs="*")
    args = parser.parse_args()
    parts = args.parts or ["real", "hostile", "broken"]
    if not args.venv.exists():
        subprocess.run([sys.executable, "-m", "venv", args.venv], check=True)
        subprocess.run([args.venv / "bin/pip", "install", "-q", *PACKAGES], check=True)
    if "real" in parts:
        done = run(args.venv, REAL, HERE / "real")
        if done.returncode:
            sys.exit(done.stderr)
    if "hostile" in parts:
        hostile(args.venv, HERE / "real", HERE / "hostile")
    if "broken" in parts:
        broken(HERE / "real", HERE / "broken")


if __name__ == "__main__":
    main()
