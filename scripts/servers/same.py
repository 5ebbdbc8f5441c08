#!/usr/bin/env python3
"""Compares the records of two runs token for token: scripts/servers/same.py LOCAL SERVED. Exits with 1 if one differs."""

import json
import sys
from pathlib import Path


def records(run):
    lines = Path(run, "trajectories.jsonl").read_text().splitlines()
    return {(r["task"], r["problem"], r["trajectory"]): r for r in map(json.loads, lines)}


def thought(record):
    return record["reasoning"].split(), record["reasoning_tokens"], record["thought"]


def answers(record):
    return {a["budget"]: (a["text"].split(), a["reasoning_tokens"], a["complete"], a["outcome"]) for a in record["answers"]}


def first_difference(left, right):
    pairs = zip(left["reasoning"].split() + ["(end)"], right["reasoning"].split() + ["(end)"])
    at = next((at for at, (a, b) in enumerate(pairs) if a != b), None)
    if at is None:
        return f"same thought, {thought(left)[1:]} and {thought(right)[1:]}; answers {answers(left)} and {answers(right)}"
    words = [record["reasoning"].split()[at : at + 1] for record in (left, right)]
    return f"token {at} of the thought: {words[0]} and {words[1]}"


def main():
    local, served = map(records, sys.argv[1:3])
    assert local.keys() == served.keys(), "the runs have other problems"
    thoughts = [key for key in local if thought(local[key]) == thought(served[key])]
    pairs = [(a, answers(served[key]).get(budget)) for key in local for budget, a in answers(local[key]).items()]
    equal = sum(a == b for a, b in pairs)
    tokens = sum(r["reasoning_tokens"] for r in local.values())
    print(f"Equal token for token: {len(thoughts)} of {len(local)} thoughts ({tokens} tokens), {equal} of {len(pairs)} answers.")
    for key in sorted(key for key in local if thought(local[key]) != thought(served[key]) or answers(local[key]) != answers(served[key])):
        print("- " + " ".join(map(str, key)) + ": " + first_difference(local[key], served[key]))
    sys.exit(equal < len(pairs) or len(thoughts) < len(local))


main()
