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
mkdir -p "$found"/{answer,chat,config,data,gguf,records,sweep,task}

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
PY

for target in "${@:-answer chat config data gguf records sweep task}"; do
  for name in $target; do
    mkdir -p "fuzz/corpus/$name"
    echo "== $name"
    CARGO_TARGET_DIR=target/fuzz cargo fuzz run --sanitizer none "$name" "$found/$name" "fuzz/corpus/$name" -- \
      -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 2>&1 |
      grep -E '^(==|SUMMARY|stat::(number_of_executed_units|peak_rss_mb|slowest_unit)|thread|.*panicked|artifact_prefix|Done)|crash-|timeout-|oom-' || true
  done
done
