#!/usr/bin/env python3
"""Reference logits and greedy tokens of every family, from torch and transformers.

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors numpy
    venv/bin/python scripts/parity.py [NAME...]      # all families, or some

For each family a tiny checkpoint is made in the shape and with the config.json its publisher uses. Its weights come
from a hash of their names, so that the Rust test (models/tests/parity.rs) can make the same ones and none is stored.
What is stored, in models/tests/parity/NAME.{json,safetensors}, are the logits of every position of a prompt, each
projected onto PROJECTIONS random signs, and a greedy continuation. Not needed to build or to test.
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch
from transformers import AutoConfig, AutoModelForCausalLM

OUT = Path(__file__).resolve().parent.parent / "models/tests/parity"
PROMPT, GREEDY, PROJECTIONS = 600, 64, 4
# bf16 and f16 are compared at the positions from LONG_FROM on of a prompt of LONG tokens.
LONG, LONG_FROM = 1100, 1000
VOCAB, CONTEXT = 256, 2048


def words(name, count):
    """`count` 64-bit words that depend on `name` alone (FNV-1a, then splitmix64)."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(name, shape, center, scale):
    """Numbers in [center - scale, center + scale), exact in f32 before scaling."""
    units = (words(name, math.prod(shape)) >> np.uint64(40)).astype(np.float64) / 2**23 - 1
    return (center + scale * units).astype(np.float32).reshape(shape)


def tokens(name, count):
    return [int(word % np.uint64(VOCAB)) for word in words(name, count)]


SIGNS = np.where(words("projections", PROJECTIONS * VOCAB) >> np.uint64(63), -1.0, 1.0).reshape(PROJECTIONS, VOCAB)

LLAMA3 = {
    "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 256, "rope_type": "llama3",
}
YARN = {"factor": 4.0, "original_max_position_embeddings": 512, "type": "yarn"}
LONGROPE = {
    "long_factor": [1.0 + 0.7 * i for i in range(6)],
    "short_factor": [1.0 + 0.05 * i for i in range(6)],
    "type": "longrope",
}
BASE = {
    "vocab_size": VOCAB, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": CONTEXT, "hidden_act": "silu", "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "float32", "bos_token_id": None,
    "eos_token_id": None, "pad_token_id": None,
}
QWEN2 = {**BASE, "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "use_sliding_window": False,
         "sliding_window": 4096, "max_window_layers": 3, "rope_theta": 1000000.0}
QWEN3 = {**BASE, "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "head_dim": 32, "attention_bias": False,
         "use_sliding_window": False, "sliding_window": None, "max_window_layers": 3, "rope_theta": 1000000,
         "tie_word_embeddings": True, "rope_scaling": None}
LLAMA = {**BASE, "model_type": "llama", "architectures": ["LlamaForCausalLM"], "attention_bias": False,
         "mlp_bias": False, "pretraining_tp": 1, "rms_norm_eps": 1e-5, "rope_theta": 500000.0}
SMOLLM3 = {**BASE, "model_type": "smollm3", "architectures": ["SmolLM3ForCausalLM"], "num_hidden_layers": 4,
           "no_rope_layers": [1, 1, 1, 0], "no_rope_layer_interval": 4, "use_sliding_window": False,
           "sliding_window": None, "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True,
           "rope_theta": 2000000.0, "layer_types": ["full_attention"] * 4}
PHI3 = {**BASE, "model_type": "phi3", "architectures": ["Phi3ForCausalLM"], "attention_bias": False,
        "original_max_position_embeddings": CONTEXT, "rope_scaling": None, "sliding_window": None, "rms_norm_eps": 1e-5}
GEMMA3 = {**BASE, "model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], "head_dim": 32,
          "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 24, "sliding_window": 100,
          "sliding_window_pattern": 3, "rope_local_base_freq": 10000.0, "rope_theta": 1000000.0, "rope_scaling": None,
          "tie_word_embeddings": True, "attention_bias": False, "attn_logit_softcapping": None,
          "final_logit_softcapping": None}
del GEMMA3["hidden_act"]

# name -> (config.json as on the hub, prompt of the greedy continuation, a shorter prompt that is checked too)
FAMILIES = {
    "qwen2": (QWEN2, 100, None),
    "qwen2-tied": ({**QWEN2, "tie_word_embeddings": True}, 100, None),
    "qwen2-yarn": ({**QWEN2, "rope_scaling": YARN}, 500, None),
    "qwen2-sliding": ({**QWEN2, "use_sliding_window": True, "sliding_window": 70, "max_window_layers": 1}, 100, None),
    "qwen3": (QWEN3, 100, None),
    "qwen3-untied": ({**QWEN3, "tie_word_embeddings": False, "attention_bias": True}, 100, None),
    "qwen3-yarn": ({**QWEN3, "rope_scaling": {"rope_type": "yarn", "factor": 2.0,
                    "original_max_position_embeddings": 1024}}, 100, None),
    "llama": ({**LLAMA, "attention_bias": True, "mlp_bias": True, "rope_theta": 10000.0}, 100, None),
    "llama3": ({**LLAMA, "rope_scaling": LLAMA3}, 200, None),
    "llama3-tied": ({**LLAMA, "rope_scaling": {**LLAMA3, "factor": 32.0}, "tie_word_embeddings": True, "head_dim": 16},
                    100, None),
    "llama-linear": ({**LLAMA, "rope_scaling": {"type": "linear", "factor": 4.0}}, 100, None),
    "smollm3": (SMOLLM3, 100, None),
    "phi3": (PHI3, 100, None),
    "phi3-sliding": ({**PHI3, "sliding_window": 90}, 100, None),
    # The greedy continuation crosses the original context of 256, where the factors change.
    "phi4-mini": ({**PHI3, "partial_rotary_factor": 0.75, "original_max_position_embeddings": 256,
                   "rope_scaling": LONGROPE, "tie_word_embeddings": True}, 230, 250),
    "gemma3": (GEMMA3, 100, None),
}


def law(name, shape, config):
    """Center and scale of a weight: large enough that attention is sharp and every part of the network matters."""
    inner = shape[-1]
    if "norm" in name:
        return (0.0 if config["model_type"].startswith("gemma") else 1.0), 0.3
    if name.endswith("bias"):
        return 0.0, 0.5
    if "embed_tokens" in name:
        return 0.0, 0.5 if config["tie_word_embeddings"] else 1.0
    gain = 2.2 if any(part in name for part in ("q_proj", "k_proj", "qkv_proj")) else 1.4
    return 0.0, gain / math.sqrt(inner)


def build(config):
    """The model in f32 and the laws of its weights."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        loaded = AutoConfig.from_pretrained(folder)
        shapes = {n: tuple(p.shape) for n, p in AutoModelForCausalLM.from_config(loaded).state_dict().items()}
        if config["tie_word_embeddings"]:
            shapes.pop("lm_head.weight", None)
        laws = {n: (s, *law(n, s, config)) for n, s in shapes.items()}
        weights = {n: torch.from_numpy(uniform(n, *l)) for n, l in laws.items()}
        save_torch(weights, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, attn_implementation="eager")
    return model.eval(), laws


@torch.no_grad()
def logits(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0]


def project(logits):
    return (logits.double().numpy() @ SIGNS.T).astype(np.float32)


def greedy(model, prompt):
    """Whole forward passes without a cache, and the smallest lead of a chosen token over the next one."""
    ids, lead = list(prompt), math.inf
    for _ in range(GREEDY):
        top = torch.topk(logits(model, ids)[-1], 2)
        lead = min(lead, float(top.values[0] - top.values[1]))
        ids.append(int(top.indices[0]))
    return ids[len(prompt):], lead


def rounded(model, dtype):
    """The model with its weights rounded to `dtype`, calculated in f32: what `dtype` itself approximates."""
    again = AutoModelForCausalLM.from_config(model.config, attn_implementation="eager").eval()
    again.load_state_dict({n: p.to(dtype).float() for n, p in model.state_dict().items()})
    return again


def measure(name, config, greedy_from, short):
    model, laws = build(config)
    prompt, long = tokens("prompt", PROMPT), tokens("long", LONG)
    continuation, lead = greedy(model, prompt[:greedy_from])
    arrays = {"prompt": project(logits(model, prompt)), "greedy": np.array(continuation, dtype=np.uint32)}
    if short:
        arrays["short"] = project(logits(model, prompt[:short]))
    for key, dtype in {"bf16": torch.bfloat16, "f16": torch.float16}.items():
        exact = rounded(model, dtype)
        arrays[f"{key}.exact"] = project(logits(exact, long)[LONG_FROM:])
        arrays[f"{key}.reference"] = project(logits(exact.to(dtype), long)[LONG_FROM:].float())
    described = {
        "config": config,
        "config_saved": json.loads(model.config.to_json_string(use_diff=False)),
        "weights": {n: {"shape": s, "center": c, "scale": k} for n, (s, c, k) in sorted(laws.items())},
        "greedy_from": greedy_from,
        "short": short,
    }
    keep = {"dtype", "rope_parameters", "rope_theta", "rope_scaling", "layer_types", *config}
    described["config_saved"] = {k: v for k, v in described["config_saved"].items() if k in keep}
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(described, indent=1) + "\n")
    save_file(arrays, OUT / f"{name}.safetensors")
    spread = float(logits(model, prompt).std())
    print(f"{name:14} logits spread {spread:.2f}, smallest lead of a greedy token {lead:.1e}")


def main():
    names = sys.argv[1:] or list(FAMILIES)
    for name in names:
        measure(name, *FAMILIES[name])


if __name__ == "__main__":
    main()
