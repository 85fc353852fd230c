#!/usr/bin/env python3
"""Writes src/formats/gguf/tensors.txt: what llama.cpp asks of the tensors of each architecture.

    python make_gguf_tables.py FOLDER

FOLDER is that of make_gguf.py. For each architecture below, the library is given a model without
tensors, whose sizes are all different numbers. It names a value or tensor that it misses, or the
shape that it expects; that is added, and it is asked again, until it loads the model. Then it is
given every other tensor that gguf knows, to see which may be there, and each value is left out
once, to see which must be there. A size is written as the letter of the value that it equals.

Left out are architectures whose layers are not alike: two layers do not show what they need.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import gguf

import make_gguf as g

OUT = Path(__file__).resolve().parent.parent.parent / "src/formats/gguf/tensors.txt"
ARCHITECTURES = """
    llama qwen2 qwen3 qwen2vl qwen3vl qwen2moe qwen3moe qwen3vlmoe gemma gemma2 gemma3 phi2 phi3 phimoe gpt2 falcon
    starcoder starcoder2 mistral3 granite granitemoe olmo olmo2 olmoe stablelm mpt bloom gptneox gpt-oss command-r
    cohere2 internlm2 minicpm exaone smollm3 glm4 qwen baichuan chatglm orion xverse codeshell refact arcee bert
    nomic-bert seed_oss dream llada ernie4_5 nemotron jais plm dbrx hunyuan-dense hunyuan-moe pangu-embedded llama-embed
""".split()
WIDTH, FORWARD, HEADS, PAIRS, KEY, CONTEXT, TOKENS = 208, 352, 4, 2, 24, 72, 330
EXPERTS, USED, EXPERT_FORWARD, SHARED_FORWARD = 8, 2, 112, 144
FLOATS = ["epsilon", "scale", "softcap", "bias", "clamp", "freq", "factor", "multiplier"]


def values(arch, experts, value):
    numbers = {
        "context_length": CONTEXT, "embedding_length": WIDTH, "block_count": 2, "feed_forward_length": FORWARD,
        "attention.head_count": HEADS, "attention.head_count_kv": PAIRS, "attention.key_length": KEY,
        "attention.value_length": value, "rope.dimension_count": KEY,
    }
    if experts:
        numbers |= {
            "expert_count": EXPERTS, "expert_used_count": USED, "expert_feed_forward_length": EXPERT_FORWARD,
            "expert_shared_feed_forward_length": SHARED_FORWARD,
        }
    made = {"general.architecture": (g.TEXT, arch)}
    made |= {f"{arch}.{key}": (g.U32, number) for key, number in numbers.items()}
    for key in ("layer_norm_rms_epsilon", "layer_norm_epsilon"):
        made[f"{arch}.attention.{key}"] = (g.F32, 1e-5)
    made["tokenizer.ggml.model"] = (g.TEXT, "llama")
    made["tokenizer.ggml.tokens"] = (g.ARRAY, (g.TEXT, ["<unk>"] + [f"t{i}" for i in range(TOKENS - 1)]))
    return made


def asked(folder, known, tensors):
    """What the library says of a model; empty where it loads it."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(g.written(known, tensors))
        file.flush()
        return g.complaint(folder, file.name)


def guess(key, kind=None):
    if kind:
        given = {"f32": (g.F32, 1.0), "u32": (g.U32, 1), "bool": (g.BOOL, True), "str": (g.TEXT, "a")}
        return given.get(kind, (g.ARRAY, (g.I32, [1] * 4)))
    return (g.F32, 1.0) if any(word in key for word in FLOATS) else (g.U32, 1)


def needed(folder, arch, experts, value):
    known, tensors = values(arch, experts, value), {}
    for _ in range(150):
        said = asked(folder, known, tensors)
        if not said:
            return known, tensors
        if found := re.search(r"key not found in model: (\S+)", said):
            if found[1] in known:
                return None
            known[found[1]] = guess(found[1])
        elif found := re.search(r"key (\S+) has wrong type \S+ but expected type (\S+)", said):
            known[found[1]] = guess(found[1], found[2])
        elif found := re.search(r"tensor '([^']+)' not found", said):
            tensors[found[1]] = ([3], 0)
        elif found := re.search(r"tensor '([^']+)' has wrong shape; expected ([\d, ]+), got", said):
            sizes = [int(size) for size in found[2].replace(" ", "").split(",")]
            if 0 in sizes or tensors[found[1]][0] == sizes:
                return None
            tensors[found[1]] = (sizes, 0)
        else:
            return None
    return None


def optional(folder, known, tensors):
    names = {gguf.TENSOR_NAMES[one] for all_of in gguf.MODEL_TENSORS.values() for one in all_of}
    all_tensors, found_sizes = dict(tensors), {}
    for name in sorted(names):
        for end in ("weight", "bias"):
            all_tensors.setdefault(f"{name.format(bid=0)}.{end}", ([3], 0))
    for _ in range(100):
        said = asked(folder, known, all_tensors)
        found = re.search(r"tensor '([^']+)' has wrong shape; expected ([\d, ]+), got", said)
        if not found:
            break
        sizes = [int(size) for size in found[2].replace(" ", "").split(",")]
        if 0 in sizes or all_tensors[found[1]][0] == sizes:
            break
        all_tensors[found[1]] = (sizes, 0)
        found_sizes[found[1]] = sizes
    return found_sizes


def letter(size, value):
    q, k, v = HEADS * KEY, PAIRS * KEY, PAIRS * value
    letters = {
        "E": WIDTH, "N": TOKENS, "F": FORWARD, "FF": 2 * FORWARD, "Q": q, "K": k, "V": v, "O": HEADS * value, "H": KEY,
        "W": value, "HALF": KEY // 2, "QKV": q + k + v, "EKK": WIDTH + 2 * k, "EEE": 3 * WIDTH, "C": CONTEXT,
        "X": EXPERTS, "D": EXPERT_FORWARD, "A": HEADS,
    }
    if value == KEY:
        letters = {name: number for name, number in letters.items() if name not in "OWV"}
    fitting = [name for name, number in letters.items() if number == size]
    return fitting[0] if len(fitting) == 1 else str(size) if not fitting and size < 4 else "?"


def words(folder, arch, experts):
    for value in (40, KEY):  # some architectures have keys and values of one size only
        if found := needed(folder, arch, experts, value):
            break
    else:
        return None
    known, tensors = found
    keys = [
        key.removeprefix(f"{arch}.") for key in known
        if key.startswith(f"{arch}.")
        and key.count(".") > 1
        and f"key not found in model: {key}\n" in asked(folder, {k: v for k, v in known.items() if k != key}, tensors) + "\n"
    ]
    shapes = {}
    for mark, some in (("!", {name: sizes for name, (sizes, _) in tensors.items()}), ("?", optional(folder, known, tensors))):
        for name, sizes in some.items():
            if name.startswith("blk.1."):
                continue
            if name.startswith("blk.0.") and mark == "!" and name.replace("blk.0.", "blk.1.") not in some:
                mark = "?"
            shown = [letter(size, value) for size in sizes]
            if "shexp" in name:  # shared experts may be none
                mark, shown = "?", ["?"] * len(sizes)
            shapes[name.replace("blk.0.", "blk.*.")] = (mark, shown)
    joined = shapes.get("blk.*.attn_qkv.weight")
    for part in "qkv":
        name = f"blk.*.attn_{part}.weight"
        if not joined or (name not in shapes and joined[0] == "!"):
            continue
        shapes.setdefault(name, ("?", ["E", "?"]))
        shapes.setdefault(f"blk.*.attn_{part}.bias", ("?", shapes[name][1][-1:]))
    return [f"@{key}" for key in keys] + [f"{mark}{name}={','.join(shown)}" for name, (mark, shown) in shapes.items()]


def main():
    folder = sys.argv[1]
    lines = [
        "# What llama.cpp (the build of node-llama-cpp 3.22.1) asks of the tensors of each architecture, as make_gguf_tables.py",
        "# found out from the library. Architecture; dense, experts, or any; then the values and tensors.",
    ]
    for arch in sorted(ARCHITECTURES):
        dense, experts = (words(folder, arch, experts) for experts in (False, True))
        if dense and dense == experts:
            lines.append(" ".join([arch, "any", *dense]))
        else:
            lines += [" ".join([arch, name, *all_words])
                      for name, all_words in (("dense", dense), ("experts", experts)) if all_words]
    OUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
