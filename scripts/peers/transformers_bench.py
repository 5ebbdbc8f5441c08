#!/usr/bin/env python3
"""`transformers` with a static cache and torch.compile, timed as `isocost bench` times: reading prompts, writing tokens.

    transformers_bench.py CONFIG.json... [-p 512] [-n 64] [-b 1,8,64] [-d 64,4096] [--dtype bfloat16] [--seconds 60]

Weights are random, of the configuration's shape, on the GPU if there is one. One JSON row for each test, with the
names that `isocost bench -o json` uses, goes to standard output. Decoding is greedy and compiled with CUDA graphs
("reduce-overhead"); what compiling takes is not counted. A test that fails is a row with its error.
"""

import argparse
import json
import statistics
import sys
import time

import torch
import transformers

REPEATS = 5


def numbers(text):
    return [int(part) for part in text.split(",")]


def load(path, dtype, device):
    config = transformers.AutoConfig.for_model(**json.load(open(path)))
    config._attn_implementation = "sdpa"
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return transformers.AutoModelForCausalLM.from_config(config).eval()
    finally:
        torch.set_default_dtype(before)


def seconds(work, device):
    """Of each repeat, after one that does not count."""
    taken = []
    for _ in range(REPEATS + 1):
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return taken[1:]


def row(path, test, batch, context, dtype, tokens, taken):
    rates = [tokens / s for s in taken]
    spread = {"median": statistics.median(rates), "min": min(rates), "max": max(rates)}
    return {"engine": f"transformers {transformers.__version__}, torch {torch.__version__}", "model": path, "test": test,
            "batch": batch, "context": context, "dtype": str(dtype).removeprefix("torch."), "tokens_per_s": spread,
            "repeats": len(taken)}


def prompt(model, length, batch, most, device):
    """A static cache that holds a prompt, and the token after it."""
    cache = transformers.StaticCache(config=model.config, max_cache_len=most)
    ids = torch.randint(0, model.config.vocab_size, (batch, length), device=device)
    places = torch.arange(length, device=device)
    logits = model(input_ids=ids, past_key_values=cache, cache_position=places, logits_to_keep=1).logits
    return cache, logits[:, -1].argmax(-1, keepdim=True)


def prefill(model, path, length, device, dtype):
    run = lambda: prompt(model, length, 1, length + 8, device)
    return row(path, f"pp{length}", 1, 0, dtype, length, seconds(run, device))


def decode(model, step, path, steps, batch, context, device, dtype):
    most = context + steps + 8
    # Prompts of a large batch are read one piece at a time elsewhere; here the cache only has to be full.
    cache, token = prompt(model, context, batch, most, device)
    token, places = token.clone(), torch.arange(context, context + steps, device=device)

    # A static cache counts its tokens; it is set back so that every repeat begins at the same length.
    counters = [layer.cumulative_length for layer in cache.layers if torch.is_tensor(getattr(layer, "cumulative_length", None))]

    def run():
        for counter in counters:
            counter.fill_(context)
        ids = token
        for place in places.split(1):
            ids = step(model, ids, cache, place).clone()

    run()
    return row(path, f"tg{steps}", batch, context, dtype, batch * steps, seconds(run, device))


def one_step(model, ids, cache, place):
    logits = model(input_ids=ids, past_key_values=cache, cache_position=place, position_ids=place[None]).logits
    return logits[:, -1].argmax(-1, keepdim=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", metavar="CONFIG.json")
    parser.add_argument("-p", type=int, default=512, help="tokens of the prompt that is read")
    parser.add_argument("-n", type=int, default=64, help="tokens that are written")
    parser.add_argument("-b", type=numbers, default=[1, 8, 64], help="batches")
    parser.add_argument("-d", type=numbers, default=[64, 4096], help="contexts")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--seconds", type=float, default=60, help="start no test after so long")
    args = parser.parse_args()
    device, dtype = "cuda" if torch.cuda.is_available() else "cpu", getattr(torch, args.dtype)
    torch._dynamo.config.cache_size_limit = 64
    started = time.monotonic()
    with torch.no_grad():
        for path in args.configs:
            model = load(path, dtype, device)
            step = torch.compile(one_step, mode="reduce-overhead", fullgraph=False)
            tests = [lambda: prefill(model, path, args.p, device, dtype)]
            for context in args.d:
                for batch in args.b:
                    tests.append(lambda b=batch, c=context: decode(model, step, path, args.n, b, c, device, dtype))
            for test in tests:
                if time.monotonic() - started > args.seconds:
                    print("the time is up", file=sys.stderr)
                    return
                try:
                    print(json.dumps(test()), flush=True)
                except Exception as error:
                    print(json.dumps({"model": path, "error": f"{type(error).__name__}: {error}"[:300]}), flush=True)
            del model
            if device == "cuda":
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
