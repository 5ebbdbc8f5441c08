#!/usr/bin/env bash
# The same greedy chat sweep by the local engine and through `transformers serve`; writes what came of it to
# docs/servers/transformers-serve.md. Installs transformers with its server and torch from PyPI into target/transformers (6 GB,
# since torch brings its CUDA libraries). Needs Python with venv, curl, and isocost: $ISOCOST, else it is built.
#
#   scripts/servers/transformers_serve.sh [BUNDLED-MODEL]
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/servers/sweep.sh
model=${1:-reason-m}
isocost=${ISOCOST:-target/release/isocost}
[ -x "$isocost" ] || cargo build --release
venv=${VENV:-target/transformers}
[ -x "$venv/bin/transformers" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet 'transformers[serving]' torch; }

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cp -r "models/bundled/$model" "$work/$model"
# The server tells thought from answer by what the tokenizer says of its replies, and takes any Qwen3 to write like Qwen's own.
python3 - "$work/$model/tokenizer_config.json" <<'PY'
import json, sys
path = sys.argv[1]
config = json.load(open(path))
config["response_template"] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|assistant|>",
    "fields": {
        "reasoning_content": {"open": "<think>", "close": "</think>", "content": "text"},
        "content": {"close": "<|end|>", "content": "text"},
    },
}
json.dump(config, open(path, "w"))
PY
port=$(free_port)
venv=$(readlink -m "$venv")
(cd "$work" && HF_HUB_OFFLINE=1 exec "$venv/bin/transformers" serve "./$model" --host 127.0.0.1 --port "$port" --device cpu) \
  >"$work/server.log" 2>&1 &
server=$!
until curl -sf "http://127.0.0.1:$port/health" >/dev/null; do
  kill -0 "$server" || { cat "$work/server.log" >&2; exit 1; }
  sleep 1
done

run() {
  sweep "$@" >"$work/$1.toml"
  "$isocost" run "$work/$1.toml" --out "$work/$1" 2>"$work/$1.log" >/dev/null || { cat "$work/$1.log" >&2; exit 1; }
}
# It knows no fields but OpenAI's, and generates one text at a time.
lines() { printf 'model = "./%s"\ntokenizer = "bundled:%s"\nchat = true\nextensions = false\nconcurrency = 1' "$model" "$model"; }
run local "bundled:$model" '["max"]' 0.0 1 20
run served "http://127.0.0.1:$port/v1" '["max"]' 0.0 1 20 "$(lines)"
is_same=0
{
  echo "# transformers serve"
  echo
  echo "Written by \`scripts/servers/transformers_serve.sh $model\`: \`bundled:$model\` behind \`transformers serve\`"
  echo "(transformers $("$venv/bin/pip" show transformers torch | awk '/^Version/ { print $2 }' | paste -sd' ' | sed 's/ /, torch /')), beside the local engine. Tasks countdown-3 and chain."
  echo
  echo "## Greedy, whole thoughts, \`/v1/chat/completions\`"
  echo
  python3 scripts/servers/same.py "$work/local" "$work/served" || is_same=1
  echo
  grep -m1 -o 'm was asked .*' "$work/served/report.md"
} >"$work/transcript.md"
mkdir -p docs/servers
cp "$work/transcript.md" docs/servers/transformers-serve.md
cat docs/servers/transformers-serve.md
exit $is_same
