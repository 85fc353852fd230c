#!/usr/bin/env python3
"""Writes torch's sparse tensors to the corpus, and some whose parts do not fit together.

    PYTHON make_torch_sparse.py

PYTHON is that of an environment with torch (2.15 was used). The hostile files are real ones in whose pickle one length was
changed: torch loads them without a word where it is told to trust them, and reads and writes beyond their values when
they are used. The files are fixtures: the tests never run this script.
"""

import io
import warnings
import zipfile
from pathlib import Path

import torch

warnings.simplefilter("ignore")
HERE = Path(__file__).resolve().parent
DENSE = torch.eye(4)
SPARSE = {
    "coo": DENSE.to_sparse(),
    "csr": DENSE.to_sparse_csr(),
    "csc": DENSE.to_sparse_csc(),
    "bsr": DENSE.to_sparse_bsr((2, 2)),
    "bsc": DENSE.to_sparse_bsc((2, 2)),
}


def changed(path, old, new):
    """The archive with one run of bytes of its pickle changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w") as target:
        for info in source.infolist():
            body = source.read(info)
            if info.filename.endswith("data.pkl"):
                at = body.rindex(old)
                body = body[:at] + new + body[at + len(old) :]
            target.writestr(info, body)
    return out.getvalue()


def main():
    for name, tensor in SPARSE.items():
        torch.save({"weight": tensor, "bias": DENSE[0]}, HERE / "real" / f"torch_sparse_{name}.pt")
    torch.save({"weight": SPARSE["coo"].coalesce()}, HERE / "real" / "torch_sparse_coalesced.pt")
    lengths = b"K\x04K\x04\x86"
    for name, new in {"csr": b"K\x05K\x04\x86", "bsr": b"K\x06K\x04\x86"}.items():
        path = HERE / "real" / f"torch_sparse_{name}.pt"
        (HERE / "hostile" / f"torch_sparse_{name}_lengths.pt").write_bytes(changed(path, lengths, new))


if __name__ == "__main__":
    main()
