#!/usr/bin/env python3
"""This engine and llama.cpp on the same random weights, taking turns, and the ratio of their speeds.

    side_by_side.py CHECKPOINT --llama FOLDER [--isocost PROGRAM] [--kinds bf16,q8_0] [--batches 1,8,16]
                    [--contexts 64,2048] [--rounds 3] [--threads N]

CHECKPOINT is what checkpoint.py made; FOLDER has llama-bench and llama-batched-bench (scripts/peers/llama.sh builds them). Each round runs
every engine once; ratios are of rounds, so that a slow spell of the machine hits both. Rows share one context where there are several, as
the completions of one problem do. Use an idle machine.
"""

import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path


def run(command, env=None):
    done = subprocess.run([str(part) for part in command], env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def ours(args, model, kind, test, batch, context):
    source = [args.checkpoint, "--dtype", kind] if kind in ("f32", "f16", "bf16") else [model]
    what = ["-p", 512, "-n", 0] if test == "pp512" else ["-p", 0, "-n", args.steps]
    what += ["--shared"] if batch > 1 else []
    rows = json.loads(run([args.isocost, "bench", "-m", *source, *what, "-b", batch, "-d", context, "-r", 2, "-o", "json"]))
    return rows[0]["tokens_per_s"]["max"], rows[0]["fraction_of_bandwidth"]


def theirs(args, model, test, batch, context):
    env = dict(os.environ, LD_LIBRARY_PATH=str(args.llama))
    threads = ["-t", args.threads]
    if batch == 1:
        what = ["-p", 512, "-n", 0] if test == "pp512" else ["-p", 0, "-n", args.steps]
        out = run([args.llama / "llama-bench", "-m", model, *what, "-d", context, "-r", 2, "-o", "json", *threads], env)
        return max(json.loads(out)[0]["samples_ts"])
    size = context + batch * (args.steps + 8) + 512
    out = run([args.llama / "llama-batched-bench", "-m", model, "-c", size, "-npp", context, "-ntg", args.steps, "-npl", batch,
               "-pps", "-kvu", "--output-format", "jsonl", *threads], env)
    return json.loads([line for line in out.splitlines() if line.startswith("{")][-1])["speed_tg"]


def main():
    numbers = lambda text: [int(n) for n in text.split(",")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--llama", type=Path, required=True)
    parser.add_argument("--isocost", type=Path, default=Path("target/release/isocost"))
    parser.add_argument("--kinds", default="bf16,f16,q8_0,q4_k_m")
    parser.add_argument("--batches", type=numbers, default=[1, 8, 16])
    parser.add_argument("--contexts", type=numbers, default=[64, 2048])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    print("| weights | test | rows | context | llama.cpp (tokens/s) | isocost (tokens/s) | ratio: median [least] | of bandwidth (%) |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind in args.kinds.split(","):
        model = args.checkpoint / f"model-{kind}.gguf"
        for context in args.contexts:
            for test, batch in [("pp512", 1)] + [(f"tg{args.steps}", batch) for batch in args.batches]:
                rounds = []
                for _ in range(args.rounds):
                    other = theirs(args, model, test, batch, context)
                    rounds.append((other, *ours(args, model, kind, test, batch, context)))
                ratios = [own / other for other, own, _ in rounds]
                median = [statistics.median(column) for column in zip(*rounds)]
                print(f"| {kind} | {test} | {batch} | {context} | {median[0]:.1f} | {median[1]:.1f} | "
                      f"{statistics.median(ratios):.2f} [{min(ratios):.2f}] | {100 * median[2]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
