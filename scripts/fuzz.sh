#!/usr/bin/env bash
# Coverage-guided fuzzing (libFuzzer, by cargo-fuzz) of every reader of what a stranger wrote: each of fuzz/targets for SECONDS.
# Inputs begin with the repository's own files and fuzz/corpus/TARGET, where what failed once is kept; what is found goes to
# target/fuzz. Needs cargo-fuzz (cargo install cargo-fuzz) and a C++ compiler; works with a stable toolchain.
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]        (60 seconds and all targets by default)
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
found=target/fuzz/corpus
mkdir -p "$found"/{answer,chat,config,data,gguf,import,problems,records,run,surface,sweep,task}

cp harness/sweeps/*.toml "$found/sweep"
cp harness/tasks/*.toml "$found/task"
cp models/tests/corpus/config/* models/bundled/reason-s/config.json "$found/config"
cp models/tests/corpus/gguf/* "$found/gguf"
head -c 20000 results/quickstart/trajectories.jsonl >"$found/records/two-lines" || true
python3 - "$found" <<'PY'
import json, pathlib, sys
found = pathlib.Path(sys.argv[1])
for name in ["answers", "hard", "completions"]:
    for number, line in enumerate(open(f"harness/tests/grader_corpus/{name}.jsonl")):
        case = json.loads(line)
        text = f"{case['gold']}\n{case.get('completion') or case.get('answer') or ''}"
        (found / "answer" / f"{name}-{number}").write_text(text)
template = json.load(open("models/bundled/reason-s/tokenizer_config.json")).get("chat_template", "{{ messages }}")
(found / "chat" / "bundled").write_text(template)
for number, text in enumerate(['[{"a": 1}]', '{"a": 1}\n{"a": 2}\n', "a,b\n1,2\n", "a\tb\n1\t2\n", "one\ntwo\n"]):
    (found / "data" / f"small-{number}").write_text(chr(number) + text)
exported = pathlib.Path("harness/tests/import")
for number, pattern in enumerate(["samples_gsm8k*", "details*", "inspect.json", "plain.jsonl"]):
    for file in exported.glob(pattern):
        (found / "import" / file.name).write_bytes(bytes([number]) + file.read_bytes())
task = "\n".join(['name = "t"', 'why = "w"', 'licence = "MIT"', "answer_tokens = 9", "[judge.answer]", 'answer_type = "number"',
                  "[[sources]]", 'from = { path = "p.%s" }', 'fields = { id = "i", question = "q", gold = { column = "a", after = "####" } }'])
for kind, rows in {"jsonl": '{"i": 1, "q": "1+1?", "a": "so #### 2"}\n', "csv": "i,q,a\n1,1+1?,#### 2\n"}.items():
    (found / "problems" / kind).write_text(task % kind + "\n-\n" + rows)
# Small enough to be changed all over: one model, one task, two records, the points of one workload.
manifest = json.load(open("results/quickstart/manifest.json"))
sweep, models = manifest["identity"]["sweep"], manifest["identity"]["models"]
lines = [json.loads(line) for _, line in zip(range(2), open("results/quickstart/trajectories.jsonl"))]
one = lines[0]["model"]
sweep["models"] = [model for model in sweep["models"] if model["name"] == one]
sweep["tasks"] = [task for task in sweep["tasks"] if task["name"] == lines[0]["task"]]
sweep["n"], sweep["trajectories"] = [1, 2], 2
manifest["identity"]["models"] = {one: models[one]}
surface = json.load(open("results/quickstart/surface.json"))
surface["surfaces"] = [s for s in surface["surfaces"] if s["name"]["model"] == one] or surface["surfaces"][:1]
surface["surfaces"][0]["points"] = surface["surfaces"][0]["points"][:3]
for line in lines:
    line.pop("crc32", None)
(found / "surface" / "one").write_text(json.dumps(surface))
(found / "run" / "small").write_text("\n\n".join([json.dumps(manifest), "\n".join(map(json.dumps, lines)), json.dumps(surface)]))
PY

for target in "${@:-answer chat config data gguf import problems records run surface sweep task}"; do
  for name in $target; do
    mkdir -p "fuzz/corpus/$name"
    echo "== $name"
    CARGO_TARGET_DIR=target/fuzz cargo fuzz run --sanitizer none "$name" "$found/$name" "fuzz/corpus/$name" -- \
      -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 2>&1 |
      grep -E '^(==|SUMMARY|stat::(number_of_executed_units|peak_rss_mb|slowest_unit)|thread|.*panicked|artifact_prefix|Done)|crash-|timeout-|oom-' || true
  done
done
