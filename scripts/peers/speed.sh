#!/usr/bin/env bash
# This engine beside llama.cpp and transformers on the same random weights, in turns on an idle machine, into docs/speed.md.
# Installs what it needs into target/: llama.cpp from PyPI's source package, numpy, gguf and safetensors, transformers and
# torch (6 GB). Takes about half an hour on two cores once these are there.
#
#   scripts/peers/speed.sh [OUT]      (OUT has the checkpoints, 10 GB; target/peers/checkpoints by default)
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-target/peers/checkpoints}
python=target/peers/bin/python
[ -x "$python" ] || { python3 -m venv target/peers && target/peers/bin/pip install --quiet numpy gguf safetensors; }
transformers=target/transformers/bin/python
[ -x "$transformers" ] || { python3 -m venv target/transformers && target/transformers/bin/pip install --quiet 'transformers[serving]' torch; }
scripts/peers/llama.sh target/llama 2>target/llama-build.log
cargo build --release

table() {
  local shape=$1
  shift
  [ -f "$out/$shape/model-q4_k_m.gguf" ] ||
    LD_LIBRARY_PATH=target/llama/bin "$python" scripts/peers/checkpoint.py "$shape" "$out/$shape" --quantize target/llama/bin/llama-quantize >target/peers/checkpoint.log
  echo "$shape, \`scripts/peers/side_by_side.py $shape --llama target/llama/bin $*\`:"
  echo
  "$python" scripts/peers/side_by_side.py "$out/$shape" --llama target/llama/bin "$@"
  echo
}
mkdir -p "$out"
{
  echo "# Speed"
  echo
  echo "Written by \`scripts/peers/speed.sh\` on $(nproc) cores of $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo) at $(target/release/isocost --version), $(git rev-parse --short HEAD)."
  echo
  echo "## Beside llama.cpp"
  echo
  echo "llama.cpp of llama-cpp-python 0.3.36, built for this machine. Engines take turns; a ratio above 1 says that this engine is faster."
  echo
  table qwen2.5-0.5b --kinds q4_k_m,q8_0,bf16,f16 --contexts 64 --rounds 2
  table qwen3-0.6b --kinds q4_k_m,q8_0,bf16,f16 --contexts 64 --rounds 2
  echo "One row of bf16 is at what memory gives, which goes by the minute: more rounds of it."
  echo
  table qwen2.5-0.5b --kinds bf16 --batches 1 --contexts 64 --rounds 10
  table qwen3-0.6b --kinds bf16 --batches 1 --contexts 64 --rounds 10
  table qwen2.5-0.5b --kinds q4_k_m,q8_0,bf16 --contexts 2048 --rounds 1
  table qwen3-0.6b --kinds q4_k_m,q8_0,bf16 --contexts 2048 --rounds 1
  echo "## Beside transformers"
  echo
  echo "Qwen2.5-0.5B's shape in bf16, \`scripts/peers/beside_transformers.py\`: static cache and torch.compile, then this engine."
  echo
  "$python" scripts/peers/beside_transformers.py "$out/qwen2.5-0.5b" --transformers "$transformers"
  echo
  # What was measured with other settings, and what bounds what is missed, is written by hand.
  sed -n '/^## Other processors/,$p' docs/speed.md
} >target/peers/speed.md
cp target/peers/speed.md docs/speed.md
