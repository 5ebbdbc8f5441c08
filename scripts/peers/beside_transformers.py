#!/usr/bin/env python3
"""This engine right after `transformers` (static cache, torch.compile) on one shape in bf16, as a table of ratios.

    beside_transformers.py CHECKPOINT --transformers PYTHON [--isocost PROGRAM] [-p 512] [-n 24] [-b 1,8,16] [-d 64] [--seconds 150]

CHECKPOINT is what checkpoint.py made, PYTHON an interpreter that has transformers and torch. Compiling takes them minutes, so engines
do not take turns: both repeat each test, and the table shows the least and the most.
"""

import argparse
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def rows(command):
    """JSON rows, of which a test that failed says why."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(done) if done.lstrip().startswith("[") else [json.loads(line) for line in done.splitlines()]
    for failed in [row for row in found if "error" in row]:
        print(failed["error"], file=sys.stderr)
    return {(row["test"], row["batch"]): row for row in found if "test" in row}


def cell(rate):
    digits = 0 if rate["median"] >= 100 else 1
    return f"{rate['median']:.{digits}f} [{rate['min']:.{digits}f}, {rate['max']:.{digits}f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--transformers", required=True)
    parser.add_argument("--isocost", default=str(HERE.parent.parent / "target/release/isocost"))
    for name, default in [("-p", "512"), ("-n", "24"), ("-b", "1,8,16")]:
        parser.add_argument(name, default=default)
    parser.add_argument("-d", default=64, type=int, help="context")
    parser.add_argument("--seconds", default="150", help="transformers starts no test after so long")
    args = parser.parse_args()
    tests = ["-p", args.p, "-n", args.n, "-b", args.b, "-d", str(args.d)]
    script, config = str(HERE / "transformers_bench.py"), f"{args.checkpoint}/config.json"
    theirs = rows([args.transformers, script, config, *tests, "--seconds", args.seconds])
    ours = rows([args.isocost, "bench", "-m", args.checkpoint, "--dtype", "bf16", *tests, "-o", "json"])
    print("| test | rows | transformers (tokens/s): median [least, most] | isocost (tokens/s) | ratio |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for (test, batch), row in theirs.items():
        pair = row["tokens_per_s"], ours[test, batch]["tokens_per_s"]
        ratio = pair[1]["median"] / pair[0]["median"]
        print(f"| {test} | {batch} | {cell(pair[0])} | {cell(pair[1])} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
