#!/usr/bin/env python3
"""Writes checkpoints of torch's old format into the load-check corpus.

    make_torch_legacy.py

Runs under a Python with torch (made with 2.x, CPU). Every hostile file is kept only if `torch.load`
leaves a marker behind. The files are fixtures: the tests never run this script.
"""

import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
OLD = {"_use_new_zipfile_serialization": False}
MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
VERSION = b"\x80\x02M\xe9\x03."
EMPTY = b"\x80\x02}."
NO_KEYS = b"\x80\x02]."
PAYLOAD = b"cos\nsystem\nX\x13\0\0\0echo owned > marker\x85R"
PROOF = "import sys, torch\ntry: torch.load(sys.argv[1], weights_only=False)\nexcept Exception as e: print(repr(e))"


def real():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    tensors = {"weights": torch.arange(6.0).reshape(2, 3).t(), "half": torch.ones(3, dtype=torch.float16),
        "ints": torch.arange(4), "view": torch.arange(9.0)[2:5], "step": 7}
    for name, value, extra in [("state_dict", net.state_dict(), {}), ("tensors", tensors, {}), ("module", net, {}),
            ("p4", net.state_dict(), {"pickle_protocol": 4}), ("no_tensor", {"lr": 0.1}, {})]:
        torch.save(value, HERE / f"real/torch_legacy_{name}.pt", **OLD, **extra)


def broken():
    good = (HERE / "real/torch_legacy_tensors.pt").read_bytes()
    storage = b"\x80\x02X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0aX\x03\0\0\0cpuK\x02Nt.".replace(b"X\x07", b"(X\x07", 1)[:-1] + b"Q."
    keys = b"\x80\x02]X\x01\0\0\0aa."
    head = MAGIC + VERSION + EMPTY
    return {
        "trailing": good + b"\n", "cut": good[:-1], "only_number": MAGIC,
        "version": good.replace(VERSION, b"\x80\x02M\xea\x03.", 1),
        "wrong_count": head + storage + keys + struct.pack("<q", 3) + bytes(12),
        "missing_storage": head + storage + NO_KEYS,
        "unknown_storage": head + EMPTY + keys + struct.pack("<q", 1) + bytes(4),
        "key_twice": head + storage + b"\x80\x02](X\x01\0\0\0aX\x01\0\0\0ae." + (struct.pack("<q", 2) + bytes(8)) * 2,
        "keys_no_list": head + storage + EMPTY,
        "huge_storage": head + storage.replace(b"K\x02N", b"\x8a\x08" + b"\xff" * 7 + b"\x7fN") + keys + b"\xff" * 7 + b"\x7f",
        "foreign_persistent_id": head + b"\x80\x02K\x01Q." + NO_KEYS,
    }


def hostile():
    head = MAGIC + VERSION
    bad = b"\x80\x02" + PAYLOAD + b"."
    return {
        "version": MAGIC + b"\x80\x02" + PAYLOAD + b"0M\xe9\x03." + EMPTY + EMPTY + NO_KEYS,
        "system": head + bad + EMPTY + NO_KEYS,
        "object": head + EMPTY + bad + NO_KEYS,
        "keys": head + EMPTY + EMPTY + b"\x80\x02" + PAYLOAD + b"0].",
        "persistent_id": head + EMPTY + b"\x80\x02(X\x07\0\0\0storage" + PAYLOAD + b"tQ." + NO_KEYS,
        "module_id": head + EMPTY + b"\x80\x02(X\x06\0\0\0modulecos\nsystem\nNNtQX\x13\0\0\0echo owned > marker\x85R." + NO_KEYS,
    }


def main():
    real()
    for name, body in broken().items():
        (HERE / f"broken/torch_legacy_{name}.pt").write_bytes(body)
    failures = []
    for name, body in hostile().items():
        path = HERE / f"hostile/torch_legacy_{name}.pt"
        path.write_bytes(body)
        with tempfile.TemporaryDirectory() as scratch:
            done = subprocess.run([sys.executable, "-c", PROOF, path], cwd=scratch, capture_output=True, text=True)
            if not Path(scratch, "marker").exists():
                failures.append(f"{name}: nothing happened: {done.stdout}{done.stderr[-300:]}")
                path.unlink()
    sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
