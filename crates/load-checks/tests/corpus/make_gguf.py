#!/usr/bin/env python3
"""Writes the corpus files of GGUF: one small language model, and that model with one thing changed.

    python make_gguf.py [FOLDER]

FOLDER holds llama.cpp as shared libraries, for example `bins/linux-x64` of the npm package
`@node-llama-cpp/linux-x64`. Where it is given, every file is loaded by the library in a process of
its own, asked for one token, and the outcome compared with the folder that the file goes to.
"""

import ctypes
import glob
import os
import struct
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64 = range(13)
FORMS = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?",
         U64: "<Q", I64: "<q", F64: "<d"}
# Numbers in a block and its bytes, by type.
BLOCKS = {0: (1, 4), 1: (1, 2), 8: (32, 34), 24: (1, 1), 28: (1, 8)}


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(value)) + value


def packed(kind, value):
    if kind == TEXT:
        return text(value)
    if kind == ARRAY:
        each, values = value
        return struct.pack("<IQ", each, len(values)) + b"".join(packed(each, v) for v in values)
    return struct.pack(FORMS[kind], value)


def written(values, tensors):
    align = values.get("general.alignment", (U32, 32))[1]
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    for key, (kind, value) in values.items():
        out += text(key) + struct.pack("<I", kind) + packed(kind, value)
    data = b""
    for name, (sizes, kind) in tensors.items():
        out += text(name) + struct.pack("<I", len(sizes))
        out += b"".join(struct.pack("<Q", size) for size in sizes)
        out += struct.pack("<IQ", kind, len(data))
        count = 1
        for size in sizes:
            count *= size
        block, size = BLOCKS[kind]
        data += bytes(count // block * size)
        data += bytes(-len(data) % align)
    return out + bytes(-len(out) % align) + data


def tiny(arch="llama", width=32, layers=1, heads=2):
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x0A>", "<0x62>", "b", "u", "y", "buy", "sell"]
    count = len(tokens)
    values = {
        "general.architecture": (TEXT, arch),
        "general.name": (TEXT, "tiny"),
        f"{arch}.context_length": (U32, 64),
        f"{arch}.embedding_length": (U32, width),
        f"{arch}.block_count": (U32, layers),
        f"{arch}.feed_forward_length": (U32, width),
        f"{arch}.attention.head_count": (U32, heads),
        f"{arch}.attention.layer_norm_rms_epsilon": (F32, 1e-5),
        f"{arch}.rope.dimension_count": (U32, width // heads),
        "tokenizer.ggml.model": (TEXT, "llama"),
        "tokenizer.ggml.tokens": (ARRAY, (TEXT, tokens)),
        "tokenizer.ggml.scores": (ARRAY, (F32, [0.0] * count)),
        "tokenizer.ggml.token_type": (ARRAY, (I32, [2, 3, 3, 6, 6] + [1] * 5)),
        "tokenizer.ggml.bos_token_id": (U32, 1),
        "tokenizer.ggml.eos_token_id": (U32, 2),
        "tokenizer.chat_template": (
            TEXT, "{% for message in messages %}{{ message['role'] + ': ' + message.content }}{% endfor %}"
        ),
    }
    tensors = {
        "token_embd.weight": ([width, count], 8),
        "output_norm.weight": ([width], 0),
        "output.weight": ([width, count], 8),
    }
    for i in range(layers):
        block = {
            "attn_norm": [width], "attn_q": [width] * 2, "attn_k": [width] * 2, "attn_v": [width] * 2,
            "attn_output": [width] * 2, "ffn_norm": [width], "ffn_gate": [width] * 2,
            "ffn_down": [width] * 2, "ffn_up": [width] * 2,
        }
        for name, sizes in block.items():
            tensors[f"blk.{i}.{name}.weight"] = (sizes, 0 if len(sizes) == 1 else 8)
    return values, tensors


def changed(change, tensors=None):
    values, all_tensors = tiny()
    for of, changes in ((values, change), (all_tensors, tensors or {})):
        for key, value in changes.items():
            if value is None:
                of.pop(key)
            else:
                of[key] = value
    return written(values, all_tensors)


def numbers(kind, count, value=0):
    return (ARRAY, (kind, [value] * count))


def real():
    values, tensors = tiny()
    tokens = values["tokenizer.ggml.tokens"][1][1]
    bpe = {
        "tokenizer.ggml.model": (TEXT, "gpt2"), "tokenizer.ggml.pre": (TEXT, "qwen2"),
        "tokenizer.ggml.scores": None, "tokenizer.ggml.token_type": numbers(I32, len(tokens), 1),
        "tokenizer.ggml.merges": (ARRAY, (TEXT, ["b u", "bu y"])),
    }
    experts = {f"blk.0.ffn_{part}.weight": None for part in ("gate", "up", "down")}
    experts |= {
        "blk.0.ffn_gate_inp.weight": ([32, 4], 0), "blk.0.ffn_gate_exps.weight": ([32, 32, 4], 8),
        "blk.0.ffn_up_exps.weight": ([32, 32, 4], 8), "blk.0.ffn_down_exps.weight": ([32, 32, 4], 8),
    }
    return {
        "tiny_llama": changed({}),
        "tiny_llama_two_layers": written(*tiny(layers=2)),
        "tiny_llama_tied": changed({}, {"output.weight": None}),
        "tiny_llama_bpe": changed(bpe),
        "tiny_llama_biases": changed(
            {"llama.attention.head_count": numbers(U32, 1, 2)},
            {"blk.0.attn_q.bias": ([32], 0), "rope_freqs.weight": ([8], 0)},
        ),
        "tiny_llama_fewer_keys": changed(
            {"llama.attention.head_count_kv": (U32, 1)},
            {"blk.0.attn_k.weight": ([32, 16], 8), "blk.0.attn_v.weight": ([32, 16], 8)},
        ),
        "tiny_llama_experts": changed(
            {"llama.expert_count": (U32, 4), "llama.expert_used_count": (U32, 2)}, experts
        ),
        "tiny_llama_aligned": changed({"general.alignment": (U32, 64)}),
    }


def broken():
    values, _ = tiny()
    tokens = values["tokenizer.ggml.tokens"][1][1]
    count = len(tokens)
    of = "tokenizer.ggml."
    q = "blk.0.attn_q.weight"
    return {
        "added_token_text": changed({of + "add_bos_token": (TEXT, "yes")}),
        "architecture_is_a_list": changed({"general.architecture": (ARRAY, (TEXT, ["llama"]))}),
        "architecture_missing": changed({"general.architecture": None}),
        "architecture_unknown": changed({"general.architecture": (TEXT, "nonesuch")}),
        "blocks_more_than_there_are": changed({"llama.block_count": (U32, 2)}),
        "blocks_of_64_bits": changed({"llama.block_count": (U64, 1)}),
        "byte_token_of_two_letters": changed({of + "tokens": (ARRAY, (TEXT, tokens[:3] + ["ab"] + tokens[4:]))}),
        "context_missing": changed({"llama.context_length": None}),
        "embedding_differs": changed({"llama.embedding_length": (U32, 64), "llama.rope.dimension_count": (U32, 32)}),
        "epsilon_missing": changed({"llama.attention.layer_norm_rms_epsilon": None}),
        "epsilon_of_64_bits": changed({"llama.attention.layer_norm_rms_epsilon": (F64, 1e-5)}),
        "file_type_text": changed({"general.file_type": (TEXT, "F16")}),
        "forward_differs": changed({"llama.feed_forward_length": (U32, 64)}),
        "heads_0": changed({"llama.attention.head_count": (U32, 0)}),
        "heads_for_two_layers": changed({"llama.attention.head_count": numbers(U32, 2, 2)}),
        "heads_missing": changed({"llama.attention.head_count": None}),
        "heads_of_keys_differ": changed({"llama.attention.head_count_kv": (U32, 1)}),
        "merges_missing": changed({of + "model": (TEXT, "gpt2"), of + "token_type": None}),
        "merges_of_numbers": changed({of + "model": (TEXT, "gpt2"), of + "token_type": None, of + "merges": numbers(U8, 1)}),
        "one_of_two_parts": changed({"split.count": (U16, 2)}),
        "pre_tokenizer_unknown": changed(
            {of + "model": (TEXT, "gpt2"), of + "token_type": None, of + "pre": (TEXT, "nonesuch"),
             of + "merges": (ARRAY, (TEXT, ["b u"]))}
        ),
        "rope_dimensions_differ": changed({"llama.rope.dimension_count": (U32, 8)}),
        "scores_of_bytes": changed({of + "scores": numbers(U8, count)}),
        "scores_of_texts": changed({of + "scores": (ARRAY, (TEXT, [""] * count))}),
        "scores_short": changed({of + "scores": numbers(F32, 1)}),
        "special_token_signed": changed({of + "bos_token_id": (I32, 1)}),
        "suppressed_texts": changed({of + "suppress_tokens": (ARRAY, (TEXT, ["a"]))}),
        "suppressed_unsigned": changed({of + "suppress_tokens": numbers(U32, 1)}),
        "tensor_left_over": changed({}, {"blk.0.extra.weight": ([32], 0)}),
        "tensor_missing": changed({}, {"blk.0.ffn_up.weight": None}),
        "tensor_of_another_layer": changed({}, {"blk.1.attn_norm.weight": ([32], 0)}),
        "tensor_of_wrong_shape": changed({}, {q: ([32, 64], 8)}),
        "tokenizer_missing": changed({of + "model": None}),
        "tokenizer_unknown": changed({of + "model": (TEXT, "nonesuch")}),
        "tokens_fewer_than_embedded": changed({of + "tokens": (ARRAY, (TEXT, tokens[:-1]))}),
        "tokens_missing": changed({of + "tokens": None}),
        "tokens_of_numbers": changed({of + "tokens": numbers(U32, count)}),
        "types_short": changed({of + "token_type": numbers(I32, 5, 1)}),
        "types_unsigned": changed({of + "token_type": numbers(U32, count, 1)}),
    }


def hostile():
    """llama.cpp ends its process with each of these, but for the templates: they run commands in a plain Jinja."""
    values, _ = tiny()
    tokens = values["tokenizer.ggml.tokens"][1][1]
    template = "tokenizer.chat_template"
    return {
        "alignment_1": changed({"general.alignment": (U32, 1), "general.name": (TEXT, "tinier")}),
        "blocks_0": changed({"llama.block_count": (U32, 0)}),
        "blocks_1000": changed({"llama.block_count": (U32, 1000)}),
        "byte_tokens_in_bert": changed({"tokenizer.ggml.model": (TEXT, "bert")}),
        "epsilon_below_0": changed({"llama.attention.layer_norm_rms_epsilon": (F32, -1.0)}),
        "experts_4000": changed({"llama.expert_count": (U32, 4000), "llama.expert_used_count": (U32, 2)}),
        "experts_none_used": changed({"llama.expert_count": (U32, 4)}),
        "experts_used_beyond": changed({"llama.expert_count": (U32, 2), "llama.expert_used_count": (U32, 5)}),
        "groups_of_no_experts": changed({"llama.expert_group_count": (U32, 2)}),
        "layers_ahead_beyond": changed({"llama.nextn_predict_layers": (U32, 9)}),
        "norm_of_16_bits": changed({}, {"output_norm.weight": ([32], 1)}),
        "rope_scaling_unknown": changed({"llama.rope.scaling.type": (TEXT, "nonesuch")}),
        "tokens_alike_up_to_zero": changed(
            {"tokenizer.ggml.tokens": (ARRAY, (TEXT, tokens[:-2] + ["a\0b", "a\0c"]))}
        ),
        "tokens_twice": changed({"tokenizer.ggml.tokens": (ARRAY, (TEXT, tokens[:-1] + ["buy"]))}),
        "weights_of_bytes": changed({}, {"output.weight": ([32, len(tokens)], 24)}),
        "template_attr_filter": changed({template: (TEXT, "{{ x|attr(messages[0].content) }}")}),
        "template_dunder": changed({template: (
            TEXT, "{% for c in ().__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}"
        )}),
        "template_escaped": changed({template: (TEXT, "{{ cycler['\\x5f\\x5finit\\x5f\\x5f'] }}")}),
        "template_joined": changed({template: (TEXT, "{{ messages['__cl' ~ 'ass__'] }}")}),
        "template_named": changed({template + ".tool_use": (TEXT, "{{ cycler.__init__.__globals__.os.popen('id') }}")}),
        "template_underscores": changed(
            {template: (TEXT, "{% set u = '_' %}{{ messages[u ~ u ~ 'class' ~ u ~ u] }}")}
        ),
    }


def complaint(folder, path):
    """What llama.cpp says of a file that it does not load; empty where it loads it."""
    said, log = tempfile.mkstemp()
    loaded = outcome(folder, path, said, decode=False) == "loaded"
    text = Path(log).read_text(errors="replace")
    os.close(said)
    os.unlink(log)
    return "" if loaded else text or "nothing"


def outcome(folder, path, log=None, decode=True):
    """What llama.cpp does with a file: `loaded`, `refused`, or `ended` by a signal."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        for descriptor in (1, 2):
            os.dup2(log if log is not None else os.open(os.devnull, os.O_WRONLY), descriptor)
        os.environ["GGML_NO_BACKTRACE"] = "1"
        whole = {name: ctypes.CDLL(glob.glob(f"{folder}/lib{name}.so")[0], ctypes.RTLD_GLOBAL)
                 for name in ("ggml-base", "ggml.v*", "llama.v*")}

        class Settings(ctypes.Structure):  # larger than the library's own
            _fields_ = [("bytes", ctypes.c_ubyte * 512)]

        class Batch(ctypes.Structure):
            _fields_ = [("bytes", ctypes.c_ubyte * 56)]

        whole["ggml.v*"].ggml_backend_load_all_from_path(os.fsencode(folder))
        llama = whole["llama.v*"]
        for name, answers, takes in [
            ("llama_model_default_params", Settings, []),
            ("llama_context_default_params", Settings, []),
            ("llama_model_load_from_file", ctypes.c_void_p, [ctypes.c_char_p, Settings]),
            ("llama_init_from_model", ctypes.c_void_p, [ctypes.c_void_p, Settings]),
            ("llama_batch_get_one", Batch, [ctypes.c_void_p, ctypes.c_int32]),
            ("llama_decode", ctypes.c_int32, [ctypes.c_void_p, Batch]),
        ]:
            getattr(llama, name).restype, getattr(llama, name).argtypes = answers, takes
        model = llama.llama_model_load_from_file(os.fsencode(path), llama.llama_model_default_params())
        if not decode:
            os.write(writer, b"loaded" if model else b"refused")
            os._exit(0)
        context = model and llama.llama_init_from_model(model, llama.llama_context_default_params())
        tokens = (ctypes.c_int32 * 1)(1)
        done = context and llama.llama_decode(context, llama.llama_batch_get_one(tokens, 1)) == 0
        os.write(writer, b"loaded" if done else b"refused")
        os._exit(0)
    os.close(writer)
    said = os.read(reader, 100).decode()
    os.close(reader)
    return said if os.WIFEXITED(os.waitpid(child, 0)[1]) else "ended"


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else None
    for part, files, wanted in [
        ("real", real(), "loaded"), ("broken", broken(), "refused"), ("hostile", hostile(), "ended"),
    ]:
        for name, data in files.items():
            prefix = "" if part == "real" else "gguf_"
            path = HERE / part / f"{prefix}{name}.gguf"
            path.write_bytes(data)
            if folder:
                found = outcome(folder, path)
                if found != (wanted if not name.startswith("template_") else "loaded"):
                    print(f"{path.name}: {found}")


if __name__ == "__main__":
    main()
