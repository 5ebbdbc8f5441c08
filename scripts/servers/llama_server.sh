#!/usr/bin/env bash
# The same sweeps by the local engine and through llama-server: greedy ones must be equal token for token, sampled ones
# equally accurate. Writes what came of it to docs/servers/llama-server.md. Installs what it needs: cmake by pip where there is
# none, and llama.cpp from the source package of llama-cpp-python on PyPI, into target/llama (a quarter of an hour on two cores,
# the first time). Needs Python with venv, a C++ compiler, curl, and isocost: $ISOCOST, else it is built.
#
#   scripts/servers/llama_server.sh [BUNDLED-MODEL]
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/servers/sweep.sh
model=${1:-reason-m}
isocost=${ISOCOST:-target/release/isocost}
[ -x "$isocost" ] || cargo build --release
isocost=$(readlink -f "$isocost")
scripts/peers/llama.sh target/llama llama-server

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
"$isocost" models export --gguf "bundled:$model" "$work/model.gguf"

# Starts the server with some more arguments and waits until it has loaded the model.
serve() {
  port=$(free_port)
  target/llama/bin/llama-server -m "$work/model.gguf" --host 127.0.0.1 --port "$port" --parallel 8 --ctx-size 8192 \
    --alias "$model" --metrics --no-webui "$@" >"$work/server.log" 2>&1 &
  server=$!
  until curl -sf "http://127.0.0.1:$port/health" >/dev/null; do
    kill -0 "$server" || { cat "$work/server.log" >&2; exit 1; }
    sleep 0.2
  done
}
stop() { kill "$server" && wait "$server" || true; }

# Runs a sweep; its name is that of its file and of its folder.
run() {
  sweep "$@" >"$work/$1.toml"
  "$isocost" run "$work/$1.toml" --out "$work/$1" 2>"$work/$1.log" >/dev/null || { cat "$work/$1.log" >&2; exit 1; }
}
said() { grep -m1 -o 'm was asked .*' "$work/$1/report.md"; }
metric() { curl -sf "http://127.0.0.1:$port/metrics" | awk -v name="llamacpp:$1" '$1 == name { print $2 }'; }

budgets='[0, 16, 32, 64, 128, 256]'
continued() { printf 'model = "%s"\ntokenizer = "bundled:%s"' "$model" "$model"; }
chat() { printf '%s\nchat = true' "$(continued)"; }
exact="--cache-type-k f32 --cache-type-v f32 --flash-attn off"

run local-greedy "bundled:$model" "$budgets" 0.0 1 40
run local-sampled "bundled:$model" "$budgets" 0.8 8 20
run local-whole "bundled:$model" '["max"]' 0.0 1 40

serve
run as-it-comes "http://127.0.0.1:$port/v1" "$budgets" 0.0 1 40 "$(continued)"
stop
serve $exact
url=http://127.0.0.1:$port/v1
run greedy "$url" "$budgets" 0.0 1 40 "$(continued)"
sampled_before=$(metric tokens_predicted_total)
run sampled "$url" "$budgets" 0.8 8 20 "$(continued)"
sampled_by_server=$(($(metric tokens_predicted_total | cut -d. -f1) - ${sampled_before%.*}))
run in-field "$url" '["max"]' 0.0 1 40 "$(chat)"
stop
serve $exact --reasoning-format none
url=http://127.0.0.1:$port/v1
run in-tags "$url" '["max"]' 0.0 1 40 "$(chat)"
stop

counted=$(python3 -c '
import json, sys
print(sum(json.loads(line).get("completion_tokens", 0) for line in open(sys.argv[1])))' "$work/sampled/requests.jsonl")
version=$(target/llama/bin/llama-server --version 2>&1 | grep -m1 -o 'version.*')
package=$(basename target/llama/source/*.tar.gz .tar.gz)
is_same=0
{
  echo "# llama-server"
  echo
  echo "Written by \`scripts/servers/llama_server.sh $model\`: \`bundled:$model\` in 32 bits behind llama-server ($package from PyPI,"
  echo "$version), beside the local engine. Tasks countdown-3 and chain."
  echo
  echo "## Greedy, every budget, continued through \`/v1/completions\`"
  echo
  python3 scripts/servers/same.py "$work/local-greedy" "$work/greedy" || is_same=1
  echo; said greedy
  echo
  echo "Its keys and values are kept in 32 bits (\`$exact\`), as here. As it comes, in 16 bits:"
  echo
  python3 scripts/servers/same.py "$work/local-greedy" "$work/as-it-comes" || true
  echo
  echo "## Greedy, whole thoughts, \`/v1/chat/completions\`"
  echo
  echo "The thought in \`reasoning_content\`:"; echo
  python3 scripts/servers/same.py "$work/local-whole" "$work/in-field" || is_same=1
  echo; said in-field
  echo; echo "The thought in tags (\`--reasoning-format none\`):"; echo
  python3 scripts/servers/same.py "$work/local-whole" "$work/in-tags" || is_same=1
  echo; said in-tags
  echo
  echo "## Sampled at temperature 0.8, eight trajectories a problem, continued"
  echo
  (cd "$work" && "$isocost" compare local-sampled sampled --only n=1 --only strategy=first --output md) |
    sed -n '/Accuracy/,/^Paired/p'
  echo; said sampled
  echo
  echo "llama-server counts $sampled_by_server sampled tokens, the records and \`requests.jsonl\` $counted: what it samples after a"
  echo "thought has closed, until it sees that nobody reads on, nobody counts."
} >"$work/transcript.md"
mkdir -p docs/servers
cp "$work/transcript.md" docs/servers/llama-server.md
cat docs/servers/llama-server.md
exit $is_same
