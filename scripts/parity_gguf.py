#!/usr/bin/env python3
"""Reference logits of GGUF files: from transformers with the dequantised weights, exact and with ggml's rounding of
activations, and from llama.cpp itself.

    venv/bin/pip install torch transformers safetensors numpy gguf llama-cpp-python==0.3.36
    venv/bin/python scripts/parity_gguf.py [NAME...]

Tiny files of random quantised blocks, made from a hash of the tensors' names as in parity.py. What is stored in
models/tests/parity_gguf/NAME.{json,safetensors} is the description of the file, from which the Rust test
(models/tests/gguf_parity.rs) writes the same one, and projected logits. Without llama-cpp-python its column is kept
from the last run that had it. Not needed to build or to test.
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Q
from gguf import GGUFValueType as V
from safetensors.numpy import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parity

try:
    import llama_cpp
except ImportError:
    llama_cpp = None

OUT = parity.OUT.parent / "parity_gguf"
PROMPT, VOCAB, WIDTH, INNER, HEADS, KV, LAYERS, CONTEXT = 200, 264, 256, 512, 4, 2, 2, 512
# Of a block: bytes, the standard deviation of its numbers when its bytes are random and its scale is 1, where
# its scale is, and for those with a minimum where that is and how many scales make the mean 0.
BLOCKS = {"Q4_0": (18, 4.6, 0, None), "Q4_1": (20, 4.6, 0, (2, -7.5)), "Q5_0": (22, 9.2, 0, None),
          "Q5_1": (24, 9.2, 0, (2, -15.5)), "Q8_0": (34, 73.9, 0, None), "Q2_K": (84, 13.9, 80, (82, 1.5)),
          "Q3_K": (110, 43.3, 108, None), "Q4_K": (144, 258.0, 0, (2, 7.5)), "Q5_K": (176, 527.0, 0, (2, 15.5)),
          "Q6_K": (210, 1367.0, 208, None)}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
          "rope_type": "llama3"}
SIGNS = np.where(parity.words("projections", 4 * VOCAB) >> np.uint64(63), -1.0, 1.0).reshape(4, VOCAB)
# name -> architecture, type of most matrices, of attn_v and ffn_down, of the embedding, of the head (None: tied)
FILES = {
    "llama-q4_0": ("llama", "Q4_0", "Q4_0", "Q4_0", "Q6_K"),
    "llama-q5_k_m": ("llama", "Q5_K", "Q6_K", "Q5_K", "Q6_K"),
    "llama-q4_1": ("llama", "Q4_1", "Q5_1", "Q4_1", "Q6_K"),
    "qwen2-q5_0": ("qwen2", "Q5_0", "Q8_0", "Q8_0", None),
    "qwen3-q2_k": ("qwen3", "Q2_K", "Q3_K", "Q2_K", "Q6_K"),
    "qwen2-q8_0": ("qwen2", "Q8_0", "Q8_0", "Q8_0", None),
    "qwen2-f16": ("qwen2", "F16", "F16", "F16", "F16"),
    "qwen3-q4_k_m": ("qwen3", "Q4_K", "Q6_K", "Q4_K", "Q6_K"),
    "qwen3-bf16": ("qwen3", "BF16", "BF16", "BF16", None),
}
# llama.cpp's names -> ours
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
         "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
         "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def theirs_to_ours(name):
    whole = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
             "output.weight": "lm_head.weight"}
    if name in whole:
        return whole[name]
    _, layer, part, end = name.split(".")
    return f"model.layers.{layer}.{NAMES[part]}.{end}"


def random_blocks(name, shape, kind, scale):
    """Rows of random blocks whose numbers have a standard deviation of about `scale`."""
    size, spread, scale_at, minimum = BLOCKS[kind]
    per_block = gguf.GGML_QUANT_SIZES[Q[kind]][0]
    count = math.prod(shape) // per_block
    raw = parity.words(name, -(-count * size // 8)).astype("<u8").view(np.uint8)[: count * size].reshape(count, size).copy()
    d = np.float16(scale / spread)
    put = lambda at, value: raw.__setitem__((slice(None), slice(at, at + 2)), np.array([value], "<f2").view(np.uint8))
    put(scale_at, d)
    if minimum:
        put(minimum[0], np.float16(d * np.float32(minimum[1])))
    return raw.reshape(shape[0], -1)


def halves(array, heads):
    """Undoes the converter's interleaving of each head's two halves."""
    return array.reshape(heads, array.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(array.shape)


def tensors(arch, most, special, embedding, head):
    """Name, shape, type, center and scale of every tensor."""
    kv = KV * WIDTH // HEADS
    yield "token_embd.weight", (VOCAB, WIDTH), embedding, 0.0, 0.7
    for layer in range(LAYERS):
        for part, out, inner, gain in [("attn_q", WIDTH, WIDTH, 1.5), ("attn_k", kv, WIDTH, 1.5), ("attn_v", kv, WIDTH, 1.0),
                                       ("attn_output", WIDTH, WIDTH, 0.8), ("ffn_gate", INNER, WIDTH, 1.0),
                                       ("ffn_up", INNER, WIDTH, 1.0), ("ffn_down", WIDTH, INNER, 0.8)]:
            kind = special if part in ("attn_v", "ffn_down") else most
            yield f"blk.{layer}.{part}.weight", (out, inner), kind, 0.0, gain / math.sqrt(inner)
        for part in ["attn_norm", "ffn_norm"]:
            yield f"blk.{layer}.{part}.weight", (WIDTH,), "F32", 1.0, 0.3
        if arch == "qwen2":
            for part, out in [("attn_q", WIDTH), ("attn_k", kv), ("attn_v", kv)]:
                yield f"blk.{layer}.{part}.bias", (out,), "F32", 0.0, 0.3
        if arch == "qwen3":
            for part in ["attn_q_norm", "attn_k_norm"]:
                yield f"blk.{layer}.{part}.weight", (WIDTH // HEADS,), "F32", 1.0, 0.3
    yield "output_norm.weight", (WIDTH,), "F32", 1.0, 0.3
    if head:
        yield "output.weight", (VOCAB, WIDTH), head, 0.0, 1.0 / math.sqrt(WIDTH)


def rope_factors():
    """What llama.cpp's converter writes for Llama 3: a divisor for each pair."""
    dims, c = WIDTH // HEADS, LLAMA3
    old = c["original_max_position_embeddings"]
    factors = []
    for i in range(dims // 2):
        wave = 2 * math.pi * 10000.0 ** (2 * i / dims)
        if wave < old / c["high_freq_factor"]:
            factors.append(1.0)
        elif wave > old / c["low_freq_factor"]:
            factors.append(c["factor"])
        else:
            smooth = (old / wave - c["low_freq_factor"]) / (c["high_freq_factor"] - c["low_freq_factor"])
            factors.append(1 / ((1 - smooth) / c["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def metadata(arch, scaled):
    """Key, type and value, in the order in which they are written."""
    byte_chars = [chr(c) for c in list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))]
    byte_chars += [chr(256 + i) for i in range(256 - len(byte_chars))]
    vocabulary = byte_chars + ["Ġt"] + [f"<|special_{i}|>" for i in range(VOCAB - 257)]
    yield "general.architecture", "STRING", arch
    yield "general.name", "STRING", "tiny random " + arch
    yield f"{arch}.context_length", "UINT32", CONTEXT
    yield f"{arch}.embedding_length", "UINT32", WIDTH
    yield f"{arch}.block_count", "UINT32", LAYERS
    yield f"{arch}.feed_forward_length", "UINT32", INNER
    yield f"{arch}.attention.head_count", "UINT32", HEADS
    yield f"{arch}.attention.head_count_kv", "UINT32", KV
    yield f"{arch}.attention.key_length", "UINT32", WIDTH // HEADS
    yield f"{arch}.attention.value_length", "UINT32", WIDTH // HEADS
    yield f"{arch}.attention.layer_norm_rms_epsilon", "FLOAT32", 1e-6
    yield f"{arch}.rope.freq_base", "FLOAT32", 10000.0
    if not scaled and arch == "llama":
        yield "llama.rope.scaling.type", "STRING", "linear"
        yield "llama.rope.scaling.factor", "FLOAT32", 4.0
    yield "tokenizer.ggml.model", "STRING", "gpt2"
    yield "tokenizer.ggml.pre", "STRING", "llama-bpe" if arch == "llama" else "qwen2"
    yield "tokenizer.ggml.tokens", "STRINGS", vocabulary
    yield "tokenizer.ggml.token_type", "INT32S", [1] * 257 + [3] * (VOCAB - 257)
    yield "tokenizer.ggml.merges", "STRINGS", ["Ġ t"]
    yield "tokenizer.ggml.eos_token_id", "UINT32", VOCAB - 1
    yield "tokenizer.chat_template", "STRING", "{% for m in messages %}<|special_0|>{{ m.content }}{% endfor %}<|special_1|>"


def write(path, values, arrays):
    writer = gguf.GGUFWriter(path, values[0][2])
    for key, kind, value in values[1:]:
        if kind.endswith("S") and isinstance(value, list):
            writer.add_array(key, value)
        else:
            writer.add_key_value(key, value, V[kind])
    for name, (array, kind) in arrays.items():
        writer.add_tensor(name, array, raw_dtype=Q[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(name, shape, kind, center, scale):
    if kind in BLOCKS:
        return random_blocks(name, shape, kind, scale)
    numbers = parity.uniform(name, shape, center, scale * (math.sqrt(3) if len(shape) > 1 else 1))
    if kind == "F32":
        return numbers
    if kind == "F16":
        return numbers.astype(np.float16)
    return torch.from_numpy(numbers).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint8).reshape(shape[0], -1)


def reference(arch, arrays, shapes, tied, scaling):
    """The model in transformers, with the numbers that gguf's own dequantisation gives."""
    config = {**parity.BASE, "model_type": arch, "vocab_size": VOCAB, "hidden_size": WIDTH, "intermediate_size": INNER,
              "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV, "head_dim": WIDTH // HEADS,
              "max_position_embeddings": CONTEXT, "tie_word_embeddings": tied, "use_sliding_window": False}
    if scaling:
        config["rope_scaling"] = scaling
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        loaded = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_config(loaded, attn_implementation="eager").eval()
    state = {}
    for name, (array, kind) in arrays.items():
        if name == "rope_freqs.weight":
            continue
        numbers = array if kind in ("F32", "F16") else gguf.dequantize(array, Q[kind])
        numbers = numbers.astype(np.float32).reshape(shapes[name])
        if arch == "llama" and ("attn_q." in name or "attn_k." in name):
            numbers = halves(numbers, HEADS if "attn_q" in name else KV)
        state[theirs_to_ours(name)] = torch.from_numpy(np.ascontiguousarray(numbers))
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= ({"lm_head.weight"} if tied else set()), (missing, unexpected)
    model.tie_weights()
    return model


def rounded_blocks(x, size):
    """Activations as ggml rounds them before it multiplies them with quantised blocks: 8 bits, a scale for each block."""
    blocks = x.reshape(-1, size)
    if size == 32:
        scale = blocks.abs().amax(1, keepdim=True) / 127
        return ((blocks / scale).round() * scale.half().float()).reshape(x.shape)
    largest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    scale = -127 / largest
    return ((scale * blocks).round().clamp(max=127) / scale).reshape(x.shape)


def rounding_logits(model, arrays, embedding, ids):
    """Logits with the activations in front of quantised matrices rounded."""
    kinds = {theirs_to_ours(n): kind for n, (_, kind) in arrays.items() if n != "rope_freqs.weight"}
    for name, module in model.named_modules():
        kind = kinds.get(f"{name}.weight", embedding)
        if isinstance(module, torch.nn.Linear) and kind in BLOCKS:
            size = 256 if kind.endswith("_K") else 32
            module.register_forward_pre_hook(lambda _, x, size=size: (rounded_blocks(x[0], size),))
    return parity.logits(model, ids).double().numpy()


def llama_logits(path, ids):
    """Keys and values in f32, as here: what is left is the rounding of activations in front of weights."""
    model = llama_cpp.Llama(str(path), n_ctx=CONTEXT, n_batch=CONTEXT, n_ubatch=CONTEXT, logits_all=True, verbose=False,
                            n_threads=2, flash_attn=False, type_k=int(Q.F32), type_v=int(Q.F32))
    model.eval(ids)
    return np.array(model.scores[: len(ids)])


def measure(name):
    arch, most, special, embedding, head = FILES[name]
    scaled = name == "llama-q4_0"
    described = list(tensors(arch, most, special, embedding, head))
    arrays = {n: (make(n, s, k, c, x), k) for n, s, k, c, x in described}
    shapes = {n: s for n, s, *_ in described}
    if scaled:
        arrays["rope_freqs.weight"] = (rope_factors(), "F32")
    linear = {"rope_type": "linear", "factor": 4.0} if arch == "llama" else None
    ids = [token % VOCAB for token in parity.tokens("prompt", PROMPT)]
    model = reference(arch, arrays, shapes, head is None, LLAMA3 if scaled else linear)
    exact = parity.logits(model, ids).double().numpy()
    results = {"dequantised": (exact @ SIGNS.T).astype(np.float32)}
    results["rounded"] = (rounding_logits(model, arrays, embedding, ids) @ SIGNS.T).astype(np.float32)
    values = list(metadata(arch, scaled))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.gguf"
        write(path, values, arrays)
        if llama_cpp:
            logits = llama_logits(path, ids)
            results["llama_cpp"] = (logits.astype(np.float64) @ SIGNS.T).astype(np.float32)
            error = np.linalg.norm(logits - exact, axis=1) / np.linalg.norm(exact, axis=1)
            print(f"{name:14} llama.cpp differs by {error.max():.1e} at most, spread of logits {exact.std():.2f}")
        else:
            old = OUT / f"{name}.safetensors"
            stored = load_file(old) if old.exists() else {}
            results.update({key: stored[key] for key in ["llama_cpp"] if key in stored})
            print(f"{name:14} without llama.cpp, spread of logits {exact.std():.2f}")
    OUT.mkdir(parents=True, exist_ok=True)
    tensor = lambda n, s, k, c, x: {"name": n, "shape": s, "type": k, "center": c, "scale": x}
    document = {"values": values, "tensors": [tensor(*d) for d in described],
                "rope_freqs": [float(f) for f in rope_factors()] if scaled else None}
    (OUT / f"{name}.json").write_text(json.dumps(document, indent=None, ensure_ascii=True) + "\n")
    save_file(results, OUT / f"{name}.safetensors")


if __name__ == "__main__":
    for name in sys.argv[1:] or FILES:
        measure(name)
