#!/usr/bin/env python3
"""Compares the records of two runs token for token: scripts/servers/same.py LOCAL SERVED. Exits with 1 if one differs."""

import json
import sys
from pathlib import Path


def records(run):
    lines = Path(run, "trajectories.jsonl").read_text().splitlines()
    return {(r["task"], r["problem"], r["trajectory"]): r for r in map(json.loads, lines)}


def same_thought(left, right):
    """Two that were cut, each where its own context ended, are equal as far as the shorter one goes."""
    words = [record["reasoning"].split() for record in (left, right)]
    if left["thought"] == right["thought"] == "cut":
        length = min(map(len, words))
        return words[0][:length] == words[1][:length]
    tokens, ends = ([record[name] for record in (left, right)] for name in ("reasoning_tokens", "thought"))
    return words[0] == words[1] and tokens[0] == tokens[1] and ends[0] == ends[1]


def answers(record):
    return {a["budget"]: (a["text"].split(), a["reasoning_tokens"], a["complete"], a["outcome"]) for a in record["answers"] if a["text"]}


def first_difference(left, right):
    pairs = zip(left["reasoning"].split() + ["(end)"], right["reasoning"].split() + ["(end)"])
    at = next((at for at, (a, b) in enumerate(pairs) if a != b), None)
    if at is None:
        ends = [(record["reasoning_tokens"], record["thought"], answers(record)) for record in (left, right)]
        return f"the same words, but {ends[0]} and {ends[1]}"
    words = [record["reasoning"].split()[at : at + 1] for record in (left, right)]
    return f"token {at} of the thought: {words[0]} and {words[1]}"


def main():
    local, served = map(records, sys.argv[1:3])
    assert local.keys() == served.keys(), "the runs have other problems"
    thoughts = [key for key in local if same_thought(local[key], served[key])]
    cut = sum(local[key]["thought"] == "cut" for key in thoughts)
    pairs = [(a, answers(served[key]).get(budget)) for key in local for budget, a in answers(local[key]).items()]
    equal = sum(a == b for a, b in pairs)
    tokens = sum(r["reasoning_tokens"] for r in local.values())
    print(f"Equal token for token: {len(thoughts)} of {len(local)} thoughts ({tokens} tokens; {cut} were cut), {equal} of {len(pairs)} answers.")
    differing = [key for key in local if key not in thoughts or answers(local[key]) != answers(served[key])]
    for key in sorted(differing):
        print("- " + " ".join(map(str, key)) + ": " + first_difference(local[key], served[key]))
    sys.exit(bool(differing))


main()
