#!/usr/bin/env python3
"""A checkpoint of a real model's shape with random weights: for measuring loading, memory and speed without the real one.

    python3 scripts/true_shape.py OUT [--tokenizer FOLDER]

Writes config.json and model.safetensors (bf16, 3.6 GB) of DeepSeek-R1-Distill-Qwen-1.5B, and copies tokenizer files if
they are given. Needs numpy. It speaks nonsense, at the real model's cost.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

# As published with the model.
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151643,
    "hidden_act": "silu", "hidden_size": 1536, "initializer_range": 0.02, "intermediate_size": 8960,
    "max_position_embeddings": 131072, "max_window_layers": 21, "model_type": "qwen2", "num_attention_heads": 12,
    "num_hidden_layers": 28, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 10000,
    "sliding_window": 4096, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "use_cache": True,
    "use_mrope": False, "use_sliding_window": False, "vocab_size": 151936,
}


def shapes(c):
    width, inner, vocab = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
    kv = width // c["num_attention_heads"] * c["num_key_value_heads"]
    yield "model.embed_tokens.weight", [vocab, width]
    for layer in range(c["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", [width]
        yield prefix + "post_attention_layernorm.weight", [width]
        for name, out in [("q", width), ("k", kv), ("v", kv)]:
            yield prefix + f"self_attn.{name}_proj.weight", [out, width]
            yield prefix + f"self_attn.{name}_proj.bias", [out]
        yield prefix + "self_attn.o_proj.weight", [width, width]
        yield prefix + "mlp.gate_proj.weight", [inner, width]
        yield prefix + "mlp.up_proj.weight", [inner, width]
        yield prefix + "mlp.down_proj.weight", [width, inner]
    yield "model.norm.weight", [width]
    yield "lm_head.weight", [vocab, width]


def bf16(name, shape, rng):
    """Ones for norms; else random sign and fraction at an exponent of 2^-6, about the usual 0.02."""
    count = int(np.prod(shape))
    if "norm" in name:
        return np.full(count, 0x3F80, dtype="<u2")
    bits = np.frombuffer(rng.bytes(2 * count), dtype="<u2")
    return (bits & 0x807F) | np.uint16((127 - 6) << 7)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", type=Path, help="folder with tokenizer.json (or *.assembled.json) and its config")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    for file in args.tokenizer.iterdir() if args.tokenizer else []:
        shutil.copy(file, args.out / file.name.replace(".assembled", ""))
    header, offset = {}, 0
    for name, shape in shapes(CONFIG):
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(1)
    with open(args.out / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes(CONFIG):
            bf16(name, shape, rng).tofile(file)
    print(f"{offset / 2e9:.3f} billion parameters, {offset / 1e9:.2f} GB in {args.out}")


if __name__ == "__main__":
    main()
