#!/usr/bin/env python3
"""The same random weights as a model folder and as GGUF files, so that engines can be timed on one checkpoint.

    checkpoint.py SHAPE OUT [--quantize PATH/TO/llama-quantize]

SHAPE is one of those below, OUT a folder: it gets config.json and model.safetensors in bf16, and model-bf16.gguf, model-f16.gguf and, with
llama-quantize, model-q8_0.gguf and model-q4_k_m.gguf. Needs numpy, gguf and safetensors.
"""

import argparse
import json
import subprocess
from pathlib import Path

import gguf
import numpy as np

COMMON = {"hidden_act": "silu", "torch_dtype": "bfloat16", "use_sliding_window": False, "tie_word_embeddings": True,
          "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "vocab_size": 151936, "bos_token_id": 151643,
          "eos_token_id": 151645, "max_position_embeddings": 32768}
# As published with the models.
SHAPES = {
    "qwen2.5-0.5b": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 896,
                     "intermediate_size": 4864, "num_attention_heads": 14, "num_hidden_layers": 24,
                     "num_key_value_heads": 2},
    "qwen3-0.6b": {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 1024,
                   "intermediate_size": 3072, "num_attention_heads": 16, "num_hidden_layers": 28,
                   "num_key_value_heads": 8, "head_dim": 128, "attention_bias": False},
}
THEIRS = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
          "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
          "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
          "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def tensors(c):
    """Names and shapes of all weights."""
    width, inner, heads = c["hidden_size"], c["intermediate_size"], c["num_attention_heads"]
    dim = c.get("head_dim", width // heads)
    q, kv = heads * dim, c["num_key_value_heads"] * dim
    yield "model.embed_tokens.weight", [c["vocab_size"], width]
    for layer in range(c["num_hidden_layers"]):
        for name, shape in [("input_layernorm", [width]), ("post_attention_layernorm", [width]),
                            ("self_attn.q_proj", [q, width]), ("self_attn.k_proj", [kv, width]),
                            ("self_attn.v_proj", [kv, width]), ("self_attn.o_proj", [width, q]),
                            ("mlp.gate_proj", [inner, width]), ("mlp.up_proj", [inner, width]),
                            ("mlp.down_proj", [width, inner])]:
            yield f"model.layers.{layer}.{name}.weight", shape
            if c["model_type"] == "qwen2" and name[-6:] in ("q_proj", "k_proj", "v_proj"):
                yield f"model.layers.{layer}.{name}.bias", shape[:1]
        if c["model_type"] == "qwen3":
            yield f"model.layers.{layer}.self_attn.q_norm.weight", [dim]
            yield f"model.layers.{layer}.self_attn.k_norm.weight", [dim]
    yield "model.norm.weight", [width]


def theirs(name):
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in whole:
        return whole[name]
    _, _, layer, rest = name.split(".", 3)
    part, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{THEIRS[part]}.{kind}"


def draw(name, shape, rng):
    """Ones for norms; else normal numbers of the usual size, cut to bf16, as the bits of a float32."""
    if "norm" in name:
        return np.ones(shape, "<f4")
    numbers = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
    return (numbers.view("<u4") & np.uint32(0xFFFF0000)).view("<f4")


def write_folder(c, weights, out):
    (out / "config.json").write_text(json.dumps(c, indent=1))
    header, offset = {}, 0
    for name, numbers in weights.items():
        header[name] = {"dtype": "BF16", "shape": list(numbers.shape), "data_offsets": [offset, offset + 2 * numbers.size]}
        offset += 2 * numbers.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(out / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for numbers in weights.values():
            file.write((numbers.view("<u4") >> 16).astype("<u2").tobytes())


def write_gguf(c, weights, path, kind):
    writer = gguf.GGUFWriter(path, c["model_type"])
    dim = c.get("head_dim", c["hidden_size"] // c["num_attention_heads"])
    writer.add_block_count(c["num_hidden_layers"])
    writer.add_context_length(c["max_position_embeddings"])
    writer.add_embedding_length(c["hidden_size"])
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count(c["num_attention_heads"])
    writer.add_head_count_kv(c["num_key_value_heads"])
    writer.add_key_length(dim)
    writer.add_value_length(dim)
    writer.add_layer_norm_rms_eps(c["rms_norm_eps"])
    writer.add_rope_freq_base(c["rope_theta"])
    writer.add_vocab_size(c["vocab_size"])
    writer.add_tokenizer_model("none")
    writer.add_file_type({"bf16": 32, "f16": 1}[kind])
    for name, numbers in weights.items():
        if numbers.ndim == 1:
            writer.add_tensor(theirs(name), numbers)
        elif kind == "f16":
            writer.add_tensor(theirs(name), numbers.astype("<f2"))
        else:
            bits = (numbers.view("<u4") >> 16).astype("<u2").view(np.uint8)
            writer.add_tensor(theirs(name), bits, raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quantize", help="llama-quantize")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    config, rng = COMMON | SHAPES[args.shape], np.random.default_rng(0)
    weights = {name: draw(name, shape, rng) for name, shape in tensors(config)}
    write_folder(config, weights, args.out)
    for kind in ["bf16", "f16"]:
        write_gguf(config, weights, args.out / f"model-{kind}.gguf", kind)
    for kind in ["q8_0", "q4_k_m"] if args.quantize else []:
        subprocess.run([args.quantize, args.out / "model-bf16.gguf", args.out / f"model-{kind}.gguf", kind],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
