"""Makes the corpus of containers: tar archives and what stands in them, skops files, files hidden in others, Arrow's
extension types.

    python -m venv venv
    venv/bin/pip install numpy scipy scikit-learn pandas joblib skops pyarrow polars hydra-core==1.3.2
    venv/bin/python make_containers.py

A hostile file is kept only if its stock loader did what the file was made for: `RUNS` has the loaders. What cannot be
shown that way (a crash of one release, what skops itself refuses) is written all the same.
"""

import base64, gzip, io, json, os, pickle, struct, subprocess, sys, tarfile, tempfile, warnings, zipfile, zlib
from pathlib import Path

warnings.simplefilter("ignore")
HERE = Path(__file__).parent
REAL, HOSTILE, BROKEN = HERE / "real", HERE / "hostile", HERE / "broken"
SHELL = "echo > marker"


class Evil:
    def __reduce__(self):
        return os.system, (SHELL,)


def text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


CALL = text("posix") + text("system") + b"\x93" + text(SHELL) + b"\x85R"
GOOD = pickle.dumps({"a": 1}, 4)


def frame(body, length=None):
    return b"\x95" + struct.pack("<Q", len(body) if length is None else length) + body


def tar(*members, mode="w", format=tarfile.GNU_FORMAT):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=format) as archive:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return file.getvalue()


def packed(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, body in members:
            archive.writestr(zipfile.ZipInfo(name), body)
    return file.getvalue()


CARD = ("metadata.json", b'{"name": "alpha", "version": 3}')
PNG = base64.b64decode(
    b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

# ---- what a tar archive must not pass over ---------------------------------------------------

PICKLES = {
    "frame_short": frame(text("xxxx") + b"0" + CALL + b".", 3),
    "frame_nested": frame(frame(CALL + b".")[:9] + CALL + b"."),
    "frame_of_a_told_protocol": b"\x80\x04" + frame(CALL + b".", 3),
    "no_protocol": CALL + b".",
    "memo_first": b"N\x940" + CALL + b".",
    "buffer_of_bytes_first": b"\x96" + struct.pack("<Q", 2) + b"ab0" + CALL + b".",
    "long_first": b"\x8a\x01\x050" + CALL + b".",
    "text_in_protocol_0": b"(S'" + SHELL.encode() + b"'\nios\nsystem\n.",
    "protocol_told_late": b"]0\x80\x04" + CALL + b".",
    "protocol_of_no_pickle": b"]0" + CALL + b"\xff",
    "byte_argument_first": b"K\x0a0" + CALL + b".",
    "binary_text_first": b"X\x03\0\0\0{}\n0" + CALL + b".",
}
PACKED = {"old_joblib": b"ZF" + hex(len(CALL) + 1).ljust(19).encode() + zlib.compress(CALL + b".")}
CONFIGS = {
    "hydra": f"target: x\npreprocessor:\n  _target_: os.system\n  command: {SHELL}\n",
    "hydra_flow": "{preprocessor: {_target_: os.system, command: '%s'}}\n" % SHELL,
    "hydra_json": json.dumps({"preprocessor": {"_target_": "os.system", "command": SHELL}}),
    "hydra_json_escaped": '{"preprocessor": {"\\u005ftarget_": "os.system", "command": "%s"}}' % SHELL,
    "hydra_quoted": 'preprocessor:\n  "\\x5ftarget_": os.system\n  command: %s\n' % SHELL,
    "hydra_folded": 'preprocessor:\n  ? "_tar\\\n    get_"\n  : os.system\n  ? command\n  : %s\n' % SHELL,
    "hydra_alias": "a: &k _target_\npreprocessor:\n  *k : os.system\n  command: %s\n" % SHELL,
    "hydra_next_line": "preprocessor:\n  _target_:\n    os.system\n  command: %s\n" % SHELL,
    "hydra_interpolated": "a: os.system\npreprocessor:\n  _target_: ${a}\n  command: %s\n" % SHELL,
    "yaml_tag": "a: !!python/object/apply:os.system ['%s']\n" % SHELL,
    "yaml_tag_escaped": "a: !!pyth%%6fn/object/apply:os.system ['%s']\n" % SHELL,
    "yaml_tag_verbatim": "a: !<tag:yaml.org,2002:python/object/apply:os.system> ['%s']\n" % SHELL,
    "yaml_tag_renamed": "%%TAG ! tag:yaml.org,2002:python/\n---\na: !object/apply:os.system ['%s']\n" % SHELL,
    "yaml_tag_after_an_anchor": "a: &x !!python/object/apply:os.system ['%s']\n" % SHELL,
    "yaml_tag_after_a_comment": "# c\r!!python/object/apply:os.system ['%s']\n" % SHELL,
}

UNPACK = "import sys, tarfile; tarfile.open(sys.argv[1]).extractall('in', filter='data'); "
RUNS = {
    "pickle": UNPACK + "import pickle; pickle.load(open('in/model.pkl', 'rb'))",
    "joblib": UNPACK + "import joblib; joblib.load('in/model.pkl')",
    "hydra": UNPACK + "from omegaconf import OmegaConf; from hydra.utils import instantiate; "
    "c = OmegaConf.load('in/model_config.yaml'); OmegaConf.resolve(c); instantiate(c.preprocessor)",
    "yaml": UNPACK + "import yaml; yaml.unsafe_load(open('in/model_config.yaml', 'rb'))",
    "skops": "import sys, skops.io as s; s.load(sys.argv[1], trusted=s.get_untrusted_types(file=sys.argv[1]))",
    "arrow": "import sys, pyarrow as pa, cloudpickle; "
    "T = type('T', (pa.ExtensionType,), {'__init__': lambda s: pa.ExtensionType.__init__(s, pa.int64(), 'ours.type'), "
    "'__arrow_ext_serialize__': lambda s: b'', '__arrow_ext_deserialize__': classmethod(lambda c, t, b: (cloudpickle.loads(b), c())[1])}); "
    "pa.register_extension_type(T()); pa.ipc.open_file(sys.argv[1]).read_all()",
}


def runs(kind, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", RUNS[kind], path], cwd=folder, capture_output=True, timeout=120)
        return (Path(folder) / "marker").exists() or done.returncode < 0, done.stderr.decode()[-200:]


def keep(name, kind, data):
    happened, said = runs(kind, data)
    if happened:
        (HOSTILE / name).write_bytes(data)
    else:
        print("not proven:", name, said.splitlines()[-1:])


def hostile_archives():
    for name, body in PICKLES.items():
        keep(f"member_{name}.tar", "pickle", tar(CARD, ("model.pkl", body)))
    for name, body in PACKED.items():
        keep(f"member_{name}.tar", "joblib", tar(CARD, ("model.pkl", body)))
    for name, body in CONFIGS.items():
        data = tar(("model_config.yaml", body.encode()), ("model.pkl", GOOD))
        keep(f"member_{name}.tar", name.split("_")[0], data)
    # The oldest archives mark a folder by its name alone; what follows is the next header to some readers.
    folder = tarfile.TarInfo("a/")
    folder.type, folder.size = tarfile.AREGTYPE, 1024
    inner = tar(("model.pkl", pickle.dumps(Evil())))
    data = folder.tobuf(tarfile.USTAR_FORMAT) + inner[:1024] + tar(("card.json", b"{}"))
    keep("member_in_a_folder.tar", "pickle", data)


# ---- skops -----------------------------------------------------------------------------------


def skops_parts(obj):
    import skops.io as sio

    with zipfile.ZipFile(io.BytesIO(sio.dumps(obj))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(parts.pop("schema.json")), parts


def skops(schema, parts):
    return packed([*parts.items(), ("schema.json", json.dumps(schema).encode())])


def node(loader, module, name, **more):
    return {"__class__": name, "__module__": module, "__loader__": loader} | more


def plain(value):
    return node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True)


def items(loader, name, *values):
    return node(loader, "builtins", name, content=list(values))


def mapping(types, **content):
    kinds = items("ListNode", "list", *types)
    return node("DictNode", "builtins", "dict", content=content, key_types=kinds)


def document(root, protocol=2):
    return root | {"protocol": protocol, "_skops_version": "0.16.0"}


STR = node("TypeNode", "builtins", "str")
COMMAND = [plain("sh"), plain("-c"), plain(SHELL)]


def hostile_skops():
    import numpy as np
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    run = items("TupleNode", "tuple", plain(SHELL))
    array = io.BytesIO()
    np.save(array, np.array(["sh", "-c", SHELL]))
    file = {"1.npy": array.getvalue()}
    for name, root, parts in [
        ("constructor", node("ConstructorFromReduceNode", "os", "system", content=run), {}),
        ("list", node("ListNode", "subprocess", "check_output", content=COMMAND), {}),
        ("set", node("SetNode", "subprocess", "check_output", content=COMMAND), {}),
        ("dict", node("DictNode", "code", "interact", content={}, key_types=items("ListNode", "list")), {}),
        ("key", mapping([node("TypeNode", "os", "system")], **{SHELL: plain(1)}), {}),
        ("scalar", node("NdArrayNode", "subprocess", "check_output", type="numpy", file="1.npy"), file),
        ("loss", node("LossNode", "os", "system", content=mapping([]), __reduce__={"args": run}), {}),
        ("random_state", node("RandomStateNode", "builtins", "breakpoint", content=plain(1)), {}),
        ("import", node("FunctionNode", "marked", "f"), {}),
        ("old_function", document(node("FunctionNode", "numpy", "log", content={"module_path": "marked", "function": "f"}), 0), {}),
    ]:
        data = skops(root if "protocol" in root else document(root), parts)
        # Some run a debugger or a module of the folder they are in.
        if name in ("import", "old_function", "dict", "random_state"):
            (HOSTILE / f"skops_{name}.skops").write_bytes(data)
        else:
            keep(f"skops_{name}.skops", "skops", data)
    scaler, parts = skops_parts(StandardScaler())
    tree, tree_parts = skops_parts(DecisionTreeClassifier(random_state=0).fit([[0.0], [1.0]], [0, 1]))
    near, near_parts = skops_parts(NearestNeighbors(algorithm="kd_tree").fit([[0.0], [1.0]]))
    random, random_parts = skops_parts(np.random.default_rng(0))
    held = lambda whole: whole["content"]["content"]["tree_"]
    near_tree = lambda whole: whole["content"]["content"]["_tree"]["content"]

    def changed(whole, change):
        whole = json.loads(json.dumps(whole))
        change(whole)
        return whole

    believed = {
        "method": (document(node("MethodNode", scaler["__module__"], "StandardScaler", content={"func": "__reduce_ex__", "obj": scaler})), parts),
        "methodcaller": (document(node("OperatorFuncNode", "operator", "methodcaller", attrs=run)), {}),
        "operator_of_another_module": (document(node("OperatorFuncNode", "sklearn.base", "attrgetter", attrs=run)), {}),
        "partial": (document(node("PartialNode", "functools", "partial", content={
            "func": node("FunctionNode", "os", "system"), "args": run, "kwds": mapping([]), "namespace": plain(None)})), {}),
        "factory": (document(node("DefaultDictNode", "collections", "defaultdict", content={
            "main": mapping([]), "default_factory": node("TypeNode", "builtins", "breakpoint")})), {}),
        "named_tuple": (document(node("TupleNode", "ours", "Pair", content=[plain(1)])), {}),
        "object_of_a_process": (document(node("ObjectNode", "subprocess", "Popen", content=mapping([]))), {}),
        "object_with_a_name_of_dots": (document(node("ObjectNode", "sklearn", "base.os.system")), {}),
        "builtin_eval": (document(node("TypeNode", "builtins", "eval")), {}),
        "bit_generator": (json.loads(json.dumps(random).replace('\\"PCG64\\"', '\\"seed\\"')), random_parts),
        "two_of_one_id": (document(items("ListNode", "list", plain(1) | {"__id__": 7}, node("TypeNode", "builtins", "int", __id__=7))), {}),
        "tree_of_many_outputs": (changed(tree, lambda w: held(w)["__reduce__"]["args"]["content"][2].update(content="1000000000")), tree_parts),
        "tree_of_many_nodes": (changed(tree, lambda w: held(w)["content"]["content"]["node_count"].update(content="1000000")), tree_parts),
        "neighbours_of_no_state": (changed(near, lambda w: near_tree(w).update(content=[])), near_parts),
        "metric_of_no_state": (changed(near, lambda w: near_tree(w)["content"][11]["content"].update(content=[])), near_parts),
        "neighbours_of_another_metric": (changed(near, lambda w: near_tree(w)["content"].__setitem__(11, plain(1))), near_parts),
    }
    for name, made in believed.items():
        (HOSTILE / f"skops_{name}.skops").write_bytes(skops(*made))


def real_skops():
    import functools

    import numpy as np
    import scipy.sparse
    import skops.io as sio
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    rng = np.random.default_rng(0)
    x = rng.random((20, 3))
    y = (x[:, 0] > 0.5).astype(int)
    for name, model in {
        "ridge": Ridge().fit(x, x[:, 1]),
        "pipeline": make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression()).fit(x, y),
        "columns": make_column_transformer((StandardScaler(), [0, 1]), (OneHotEncoder(), [2])).fit(x.round()),
        "forest": RandomForestClassifier(3, random_state=0).fit(x, y),
        "boosting": HistGradientBoostingRegressor(max_iter=2).fit(x, x[:, 1]),
        "neighbours": KNeighborsClassifier(algorithm="kd_tree").fit(x, y),
        "search": GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=TimeSeriesSplit(2)).fit(x, x[:, 1]),
        "values": {
            "a": [1, 2.5, None, True, "x"], "t": (1, (2,)), "s": {1, 2}, "slice": slice(1, None), "b": b"abc",
            1: np.array([1, "a", None], dtype=object), 2.5: np.ma.array([1, 2], mask=[0, 1]), "f": np.float32(2),
            "partial": functools.partial(np.clip, a_min=0, a_max=1), "sparse": scipy.sparse.csr_matrix(np.eye(3)),
            "random": np.random.default_rng(0), "old": np.random.RandomState(0), "type": np.dtype("f8"),
        },
    }.items():
        sio.dump(model, REAL / f"{name}.skops")


def broken_skops():
    import numpy as np
    from sklearn.linear_model import Ridge

    schema, parts = skops_parts(Ridge().fit([[0.0], [1.0]], [0, 1]))
    objects = io.BytesIO()
    np.save(objects, np.array([1, None], dtype=object))
    name = next(iter(parts))
    text_of = json.dumps(schema)
    deep = node("ListNode", "builtins", "list", content=[])
    for case, data in {
        "array_missing": skops(schema, {key: body for key, body in parts.items() if key != name}),
        "array_of_objects": skops(schema, parts | {name: objects.getvalue()}),
        "array_unused": skops(schema, parts | {"9.npy": parts[name]}),
        "member_of_no_kind": skops(schema, parts | {"run.py": b"print()"}),
        "no_protocol": skops({key: value for key, value in schema.items() if key != "protocol"}, parts),
        "protocol_3": skops(schema | {"protocol": 3}, parts),
        "unknown_loader": packed([*parts.items(), ("schema.json", text_of.replace("DictNode", "MapNode").encode())]),
        "no_loader": packed([*parts.items(), ("schema.json", text_of.replace("__loader__", "__load__").encode())]),
        "schema_cut": packed([*parts.items(), ("schema.json", text_of[:-1].encode())]),
        "key_of_no_number": skops(document(mapping([node("TypeNode", "builtins", "int")], x=plain(1))), {}),
        "too_few_key_types": skops(document(mapping([], x=plain(1))), {}),
        "no_json": skops(document(plain(1) | {"content": "{"}), {}),
        "cached": skops(document(items("ListNode", "list", node("CachedNode", "builtins", "str", __id__=3))), {}),
        "id_of_a_text": skops(document(deep | {"__id__": "7"}), {}),
    }.items():
        (BROKEN / f"skops_{case}.skops").write_bytes(data)


# ---- archives that load ----------------------------------------------------------------------


def real_archives():
    import joblib
    import numpy as np
    import polars
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sklearn.linear_model import Ridge

    model = Ridge().fit(np.eye(3), [1.0, 2.0, 3.0])
    dumped, npz, parquet = io.BytesIO(), io.BytesIO(), io.BytesIO()
    joblib.dump(model, dumped)
    np.savez(npz, weights=np.arange(3.0))
    pq.write_table(pa.table({"x": [1, 2]}), parquet)
    own = lambda name: (REAL / name).read_bytes()
    papers = [
        ("README.md", b"[![build](b.svg)](x)\n\n# Alpha\n\nThe model is *important*!\n"),
        ("code/inference.py", b"import joblib\n\n\ndef model_fn(model_dir):\n    return joblib.load(f'{model_dir}/model.joblib')\n"),
        ("code/requirements.txt", b"scikit-learn==1.9.1\n"),
        ("data/sample.csv", b"close,volume\n1.5,100\n"),
        ("plot.png", PNG),
        ("config.yaml", "target: close price\nunits: [1, 2]\nname: !!str alpha\nnote: naïve\n".encode()),
        ("MLmodel", b"flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.skops\n"),
    ]
    sagemaker = [("model.joblib", dumped.getvalue()), *papers]
    for name, members, mode in [
        ("sagemaker.tar.gz", sagemaker, "w:gz"),
        ("sagemaker.tar", sagemaker, "w"),
        ("arrays_in.tar", [("weights.npz", npz.getvalue()), CARD], "w"),
        ("table_in.tar", [("features.parquet", parquet.getvalue())], "w"),
        ("arrow_in.tar.gz", [("features.arrow", own("pyarrow_no_rows.arrow"))], "w:gz"),
        ("torch_in.tar", [("model_config.yaml", b"a: 1\n"), ("model_weights.ckpt", own("torch_tensor.pt"))], "w"),
        ("skops_in.tar.gz", [("model.skops", own("ridge.skops")), *papers[-1:]], "w:gz"),
    ]:
        (REAL / name).write_bytes(tar(*members, mode=mode))
    polars.DataFrame({
        "i": polars.Series([1, -2, None], dtype=polars.Int128), "u": polars.Series([1, 2, None], dtype=polars.UInt128),
        "d": polars.Series(["1.5", None, "2"]).cast(polars.Decimal(38, 2)), "a": polars.Series([[1, 2], [3, 4], None], dtype=polars.Array(polars.Int64, 2)),
        "e": polars.Series(["a", "b", None], dtype=polars.Enum(["a", "b"])),
    }).write_ipc(REAL / "polars_128_bits.arrow")
    known = {
        "tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8).reshape(2, 2, 2)),
        "uuid": pa.array([b"a" * 16] * 2, pa.uuid()),
        "json": pa.array(["{}", "[1]"], pa.json_(pa.string())),
        "flag": pa.array([1, 0], pa.int8()).cast(pa.bool8()),
    }
    table = pa.table(known)
    with pa.ipc.new_file(REAL / "pyarrow_extensions.arrow", table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, REAL / "pyarrow_extensions.parquet")


def broken_archives():
    for name, data in {
        "member_of_no_kind.tar": tar(("model.pkl", GOOD), ("blob.bin", bytes(range(256)))),
        "member_packed_by_another_dictionary.tar": tar(("model.pkl", GOOD), ("m", b"\x5d\0\1\0\x80" + bytes(40))),
        "member_in_utf16.tar": tar(("model.pkl", GOOD), ("model_config.yaml", "a: 1\n".encode("utf-16"))),
        "papers_alone.tar": tar(("README", b"notes")),
        "two_names.tar": tar(("a" * 120, GOOD), format=tarfile.PAX_FORMAT)[:1024] + tar(("b" * 120, GOOD)),
        "zip_in_a_comment.tar": pax_comment(),
        "text_with_a_control_character.tar": tar(("model.pkl", GOOD), ("README", b"a\x1b[2J")),
    }.items():
        (BROKEN / name).write_bytes(data)


def pax_comment():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("model.pkl")
        info.size, info.pax_headers = len(GOOD), {"comment": "PK\5\6" + "\0" * 18}
        archive.addfile(info, io.BytesIO(GOOD))
    return file.getvalue()


# ---- files hidden in others ------------------------------------------------------------------


def hidden():
    inner = packed([("config.json", b"{}"), ("metadata.json", b"{}"), ("model.weights.h5", b"x")])
    commented = inner[:-2] + struct.pack("<H", 0xFFFF)
    header = lambda size: b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }" % size
    npy = lambda data, room=118: b"\x93NUMPY\1\0" + struct.pack("<H", room) + header(len(data)).ljust(room - 1) + b"\n" + data
    tensors = lambda data: (lambda head: struct.pack("<Q", len(head)) + head + data)(
        json.dumps({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode())
    superblock = b"\x89HDF\r\n\x1a\n" + bytes(88)
    files = {
        "zip_in.npy": npy(inner), "zip_in_the_middle.npy": npy(bytes(9) + inner + bytes(300)),
        "zip_with_a_long_comment.npy": npy(commented + bytes(0xFFFF)),
        "zip_in.safetensors": tensors(inner), "zip_in.pkl": pickle.dumps(inner, 4), "zip_in.pkl.gz": gzip.compress(pickle.dumps(inner, 4)),
        "zip_in_a_gzip_comment.pkl.gz": b"\x1f\x8b\x08\x04" + bytes(6) + struct.pack("<H", len(inner)) + inner + gzip.compress(GOOD)[10:],
        "hdf5_at_512.npy": npy(superblock, 502), "hdf5_at_1024.npy": npy(superblock, 1014), "hdf5_at_512.pkl": pickle.dumps(bytes(496) + superblock, 4),
        "hdf5_at_2048.npy": npy(superblock, 2038), "hdf5_at_1024.pkl.gz": gzip.compress(pickle.dumps(bytes(1008) + superblock, 4)),
        "tar_in.npy": tar_in_npy(npy), "member_with_a_zip.tar": tar(("model.npy", npy(inner))),
    }
    for name, data in files.items():
        (BROKEN / name).write_bytes(data)


def tar_in_npy(npy):
    data = bytearray(npy(b"", 502) + tar(("pickle", GOOD))[512:])
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


# ---- Arrow's extension types -----------------------------------------------------------------


def extension_types():
    import pyarrow as pa
    import pyarrow.parquet as pq

    class Type(pa.ExtensionType):
        def __init__(self, name, metadata):
            self.metadata = metadata
            super().__init__(pa.int64(), name)

        def __arrow_ext_serialize__(self):
            return self.metadata

        @classmethod
        def __arrow_ext_deserialize__(cls, storage, metadata):
            return cls("x", metadata)

    made, old = pickle.dumps(Evil(), 4), pickle.dumps(Evil(), 0)
    metadata = {
        "pickle": made, "pickle_in_text": old, "base64": base64.b64encode(made), "hexadecimal": made.hex().encode(),
        "json_latin": json.dumps({"type": made.decode("latin1")}).encode(), "json_base64": json.dumps([base64.b64encode(made).decode()]).encode(),
        "packed": base64.b64encode(zlib.compress(made)), "jsonpickle": b'{"py/reduce": [{"py/function": "posix.system"}]}',
    }
    for name, value in metadata.items():
        array = pa.ExtensionArray.from_storage(Type("ours.type", value), pa.array([1, 2]))
        for nested in (False, True):
            column = pa.StructArray.from_arrays([array], ["part"]) if nested else array
            table = pa.table({"c": column})
            path = HOSTILE / f"extension_{name}{'_nested' if nested else ''}.arrow"
            with pa.ipc.new_file(path, table.schema) as writer:
                writer.write_table(table)
            if name in ("pickle", "pickle_in_text") and not nested:
                happened, said = runs("arrow", path.read_bytes())
                if not happened:
                    print("not proven:", path.name, said)
        pq.write_table(pa.table({"c": array}), HOSTILE / f"extension_{name}.parquet")


def main():
    for part in sys.argv[1:] or ["real", "hostile", "broken"]:
        if part == "real":
            real_skops()
            real_archives()
        if part == "hostile":
            hostile_archives()
            hostile_skops()
            extension_types()
        if part == "broken":
            broken_skops()
            broken_archives()
            hidden()


if __name__ == "__main__":
    main()
