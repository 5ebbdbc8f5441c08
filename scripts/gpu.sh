#!/usr/bin/env bash
# The CUDA build on a machine with an NVIDIA GPU: is it right, and how fast is it?
#
#   scripts/gpu.sh pack          on any machine with the toolkit (see cuda-toolkit.sh): build, and pack into target/gpu/
#   scripts/gpu.sh run [OUT]     on the machine with the GPU: take what was packed, or else build; check; measure
#   scripts/gpu.sh emulate       without a GPU: the same checks of whole models, with kernels run by the processor (minutes)
#
# `run` needs no network and at most ten minutes: every command has a limit of its own, and none starts when the time is
# up. Results go to OUT (default results/gpu), surfaces to OUT/surfaces, and all of it to OUT.tar.gz, also if it is stopped.
# A check that fails is said at the end: what is measured beside it is kept, and not to be published.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
packed=target/gpu
programs=(isocost device-test kernel-checks)
shapes=(qwen3-0.6b qwen3-1.7b qwen3-4b qwen3-8b r1-distill-qwen-1.5b r1-distill-qwen-7b)
budget=570

build() {
  local target=${CARGO_TARGET_DIR:-target}
  cargo build --release --features cuda
  # What the GPU computes against what the processor computes: whole models, and each kernel by itself.
  cargo test --release --workspace --features cuda --test device --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\/device-[^"]*\)".*/\1/p' | tail -1 > target/device-test.path
  cp "$target/release/isocost" "$1/isocost"
  cp "$(cat target/device-test.path)" "$1/device-test"
  kernel_checks "$(readlink -f "$1")/kernel-checks"
}

# For the GPU at hand, not for any: a driver older than the toolkit could not compile its PTX.
kernel_checks() { # OUT
  (cd models/tests/cuda && "${NVCC:-nvcc}" -std=c++17 -O2 -w -arch="sm_${CUDA_COMPUTE_CAP:-90}" \
    -L"${CUDA_HOME:-/usr/local/cuda}/lib64" -o "$1" checks.cu)
}

pack() {
  mkdir -p "$packed"
  build "$packed"
  for name in "${programs[@]}"; do strip "$packed/$name"; xz --force -3 "$packed/$name"; done
  ls -l "$packed"
}

# The programs, from the package or from source, in the folder $1.
unpack() {
  if [ -e "$packed/isocost.xz" ]; then
    for name in "${programs[@]}"; do
      python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], "wb"))' \
        "$packed/$name.xz" "$1/$name"
      chmod +x "$1/$name"
    done
  else
    build "$1"
  fi
}

limited() { # SECONDS NAME COMMAND...: runs a command within its time and what is left of all; keeps what it says
  local seconds=$1 name=$2
  shift 2
  local left=$((budget - SECONDS))
  if [ "$left" -lt 5 ]; then echo "== $name: no time is left"; return 1; fi
  echo "== $name: $*"
  local started=$SECONDS status=0
  timeout "$((seconds < left ? seconds : left))" "$@" > "$out/$name.txt" 2> "$out/$name.log" || status=$?
  tail -n 20 "$out/$name.txt"
  [ "$status" = 0 ] || tail -n 5 "$out/$name.log"
  echo "== $name: status $status after $((SECONDS - started)) s, $((budget - SECONDS)) s left"
  return "$status"
}

check() {
  local failed=0
  limited 60 kernels "$bin/kernel-checks" 1 20 || failed=1
  # Reads and writes out of bounds, and races, where the tool is there and can be used.
  if command -v compute-sanitizer > /dev/null; then
    limited 40 sanitizer compute-sanitizer --tool racecheck "$bin/kernel-checks" 1 1 || true
  fi
  # The first call also has the driver compile the kernels, which takes a while once.
  ISOCOST_TEST_DEVICE=cuda CARGO_MANIFEST_DIR=$PWD/models limited 120 parity "$bin/device-test" --nocapture --test-threads 1 || failed=1
  sed 's/^temperature = .*/temperature = 0.0/; s/^problems = .*/problems = 8/; s/^n = .*/n = [1]/' \
    harness/sweeps/quickstart.toml > "$out/greedy.toml"
  rm -rf "$out/greedy-cpu" "$out/greedy-cuda"
  limited 60 greedy-cpu "$bin/isocost" run "$out/greedy.toml" --device cpu --out "$out/greedy-cpu" || failed=1
  limited 60 greedy-cuda "$bin/isocost" run "$out/greedy.toml" --device cuda --out "$out/greedy-cuda" || failed=1
  python3 - "$out" <<'END' || failed=1
import json, pathlib, sys
def records(name):
    lines = (pathlib.Path(sys.argv[1]) / name / "trajectories.jsonl").read_text().splitlines()
    parsed = (json.loads(line) for line in lines)
    return {tuple(r[k] for k in ("model", "task", "problem", "waits", "trajectory")): r["reasoning"] for r in parsed}
cpu, cuda = records("greedy-cpu"), records("greedy-cuda")
assert cpu.keys() == cuda.keys() and cpu
same = sum(cpu[key] == cuda[key] for key in cpu)
print(f"greedy thoughts that are equal on both: {same} of {len(cpu)}")
# One near-tie in a long thought may fall differently; a wrong kernel changes most of them.
sys.exit(same < 0.95 * len(cpu))
END
  return "$failed"
}

bench() { # NAME SHAPE...: one call for each, so that what is done is kept
  local name=$1
  shift
  for shape in "$@"; do
    limited 40 "$name-$shape" "$bin/isocost" bench -m "scripts/shapes/$shape.json" --device cuda --dtype bf16 \
      -p 512 -n 64 -b 1,8,64 -d 64,4096 -o json || true
  done
}

measure() {
  # Before and behind the other engine: a drift of the clock shows.
  bench bench "${shapes[@]}"
  limited 110 transformers python3 scripts/peers/transformers_bench.py scripts/shapes/qwen3-0.6b.json scripts/shapes/qwen3-8b.json \
    -p 512 -n 64 -b 1,8,64 -d 64,4096 --seconds 90 || true
  ISOCOST_CUDA_IN_TURN=1 bench bench-in-turn qwen3-0.6b
  bench bench-again qwen3-0.6b qwen3-8b
  mkdir -p "$out/surfaces"
  local gpu
  gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1 | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9-')
  for shape in "${shapes[@]}"; do
    limited 50 "surface-$shape" "$bin/isocost" calibrate --shape "scripts/shapes/$shape.json" --device cuda --dtype bf16 \
      --rows 64 --context 4096 --time-limit 10 --out "$out/surfaces/$gpu-$shape-bf16.json" || true
  done
  limited 60 quickstart "$bin/isocost" run quickstart --device cuda --out "$out/quickstart" || true
}

# What the program loads at its first use of a GPU: the libraries that the loader knows, else those that PyTorch brought.
find_libraries() {
  if [ -z "${CUDA_LAZY_LIB_DIR:-}" ] && ! ldconfig -p | grep -q 'libcublas\.so'; then
    CUDA_LAZY_LIB_DIR=$(python3 -c 'import nvidia.cu13 as n; print(list(n.__path__)[0] + "/lib")') || return 0
    export CUDA_LAZY_LIB_DIR
  fi
  echo "cuBLAS: ${CUDA_LAZY_LIB_DIR:-where the loader looks}"
}

finish() {
  tar -czf "$out.tar.gz" -C "$(dirname "$out")" "$(basename "$out")"
  rm -rf "$bin"
}

run() {
  out=$(readlink -m "${1:-results/gpu}")
  mkdir -p "$out"
  bin=$(mktemp -d)
  trap finish EXIT
  trap 'exit 143' TERM INT
  # Compiled kernels are kept from one command to the next.
  export CUDA_LAZY_DEBUG=1 CUDA_CACHE_PATH=$bin/cache CUDA_CACHE_MAXSIZE=4294967296
  nvidia-smi > "$out/nvidia-smi.txt" || { echo "there is no NVIDIA GPU or no driver here" >&2; exit 2; }
  nvidia-smi --query-gpu=name,driver_version,power.limit,clocks.max.sm --format=csv | tail -n 2
  find_libraries
  unpack "$bin"
  SECONDS=0
  local status=0
  if ! check; then
    echo "once more, with every kernel started after the end of the one before it"
    mkdir -p "$out/failed"
    cp "$out"/*.txt "$out"/*.log "$out/failed"
    export ISOCOST_CUDA_IN_TURN=1
    check || status=1
  fi
  measure
  [ "$status" = 0 ] || echo "a check failed: see $out" >&2
  exit "$status"
}

# A driver that runs kernels here stands in for the real one (see models/tests/cuda).
emulate() {
  local folder=$PWD/target/gpu/emulated
  mkdir -p "$folder"
  # What runs on a GPU only must be compiled now and then, too.
  kernel_checks "$folder/kernel-checks"
  "${CXX:-g++}" -std=c++17 -O2 -w -DEMULATED -Imodels/tests/cuda -shared -fPIC -o "$folder/libcuda.so.1" models/tests/cuda/driver.cpp
  for name in libcublas.so.13 libcurand.so.10; do ln -sf libcuda.so.1 "$folder/$name"; done
  CUDA_LAZY_LIB_DIR=$folder ISOCOST_TEST_DEVICE=cuda \
    cargo test --release --workspace --features cuda --test device -- --nocapture --test-threads 1
}

case ${1:-} in
  pack) pack ;;
  emulate) emulate ;;
  run) run "${2:-}" ;;
  *) sed -n '2,12p' "$0"; exit 2 ;;
esac
