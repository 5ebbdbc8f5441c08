#!/usr/bin/env bash
# The CUDA build on a machine with an NVIDIA GPU: does it agree with the processor, and how fast is it?
#
#   scripts/gpu.sh pack          on any machine with the toolkit (see cuda-toolkit.sh): build, and pack into target/gpu/
#   scripts/gpu.sh run [OUT]     on the machine with the GPU: take what was packed, or else build; check; measure
#
# `run` needs no network and at most ten minutes; every command has a limit of its own. Results go to OUT, by
# default results/gpu. It fails if a check fails, and measures only after that.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
packed=target/gpu

build() {
  cargo build --release --features cuda
  # One test program of the models crate: what the GPU computes against what the processor computes.
  cargo test --release --workspace --features cuda --test device --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\/device-[^"]*\)".*/\1/p' | tail -1 > target/device-test.path
  cp target/release/isocost "$1/isocost"
  cp "$(cat target/device-test.path)" "$1/device-test"
}

pack() {
  mkdir -p "$packed"
  build "$packed"
  strip "$packed/isocost" "$packed/device-test"
  xz --force -3 "$packed/isocost" "$packed/device-test"
  ls -l "$packed"
}

# The programs, from the package or from source, in the folder $1.
programs() {
  if [ -e "$packed/isocost.xz" ]; then
    for name in isocost device-test; do xz --decompress --stdout "$packed/$name.xz" > "$1/$name"; done
    chmod +x "$1/isocost" "$1/device-test"
  else
    build "$1"
  fi
}

limited() { # SECONDS NAME COMMAND...: runs a command, keeps what it says
  local seconds=$1 name=$2
  shift 2
  echo "== $name: $*"
  local started=$SECONDS status=0
  timeout "$seconds" "$@" > "$out/$name.txt" 2>&1 || status=$?
  tail -n 20 "$out/$name.txt"
  echo "== $name: status $status after $((SECONDS - started)) s"
  return "$status"
}

run() {
  out=$(readlink -m "${1:-results/gpu}")
  mkdir -p "$out"
  local bin
  bin=$(mktemp -d)
  trap 'rm -rf "$bin"' EXIT
  export ISOCOST_BUNDLED=$PWD/models/bundled
  export CUDA_LAZY_DEBUG=1
  nvidia-smi > "$out/nvidia-smi.txt" || { echo "there is no NVIDIA GPU or no driver here" >&2; exit 2; }
  nvidia-smi --query-gpu=name,driver_version,power.limit,clocks.max.sm --format=csv | tail -n 2
  ldconfig -p | grep -E 'lib(cublas|curand|nvrtc)\.so' || echo "no cuBLAS in the loader's path: set CUDA_LAZY_LIB_DIR to its folder"
  programs "$bin"

  # Checks. The first call also has the driver compile the kernels, which takes a while once.
  ISOCOST_TEST_DEVICE=cuda limited 180 parity "$bin/device-test" --nocapture --test-threads 1
  sed 's/^temperature = .*/temperature = 0.0/; s/^problems = .*/problems = 8/; s/^n = .*/n = [1]/' \
    harness/sweeps/quickstart.toml > "$out/greedy.toml"
  rm -rf "$out/greedy-cpu" "$out/greedy-cuda"
  limited 60 greedy-cpu "$bin/isocost" run "$out/greedy.toml" --device cpu --out "$out/greedy-cpu"
  limited 60 greedy-cuda "$bin/isocost" run "$out/greedy.toml" --device cuda --out "$out/greedy-cuda"
  python3 - "$out" <<'END'
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

  # Measurements.
  limited 150 quickstart "$bin/isocost" run quickstart --device cuda --out "$out/quickstart" || true
  if "$bin/isocost" calibrate --help > /dev/null 2>&1; then
    limited 120 calibrate "$bin/isocost" calibrate --shape scripts/qwen2-1.5b.json --device cuda --dtype bf16 --rows 64 \
      --context 4096 --time-limit 60 --out "$out/surface.json" || true
  fi
}

case ${1:-} in
  pack) pack ;;
  run) run "${2:-}" ;;
  *) sed -n '2,10p' "$0"; exit 2 ;;
esac
