#!/usr/bin/env bash
# A CUDA 13.0 toolkit out of Python wheels: enough to compile and link, without a GPU, a driver or root.
# The program linked with it starts on any x86-64 Linux, with or without CUDA (see cuda_shims.py).
#
#   scripts/cuda-toolkit.sh [FOLDER]          # default: target/cuda-toolkit
#   source FOLDER/env.sh
#   cargo build --release --features cuda
#
# Needs python3 with venv, and gcc up to 15. CUDA_COMPUTE_CAP is the GPU's compute capability without the dot
# (80: A100, 86: RTX 30, 89: RTX 40, 90: H100 and H200): kernels for quantised weights run on that one only.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
folder=$(readlink -m "${1:-$here/../target/cuda-toolkit}")
capability=${CUDA_COMPUTE_CAP:-90}

# Every part is pinned: the compiler does not pin its own back end, and a newer one writes code that
# neither this assembler nor a driver of the same age understands.
parts=(
  nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88
  nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85 nvidia-cuda-nvrtc==13.0.88
  nvidia-curand==10.4.0.35 nvidia-cublas==13.1.0.3
)
[ -x "$folder/wheels/bin/python" ] || python3 -m venv "$folder/wheels"
"$folder/wheels/bin/pip" install -q --disable-pip-version-check "${parts[@]}"
packages=$("$folder/wheels/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
wheels=$packages/nvidia/cu13

# Wheels have no lib64, and no names without a version.
for part in bin include nvvm; do ln -sfn "$wheels/$part" "$folder/$part"; done
mkdir -p "$folder/lib64/stubs"
ln -sfn lib64 "$folder/lib"
for library in "$wheels"/lib/*; do ln -sf "$library" "$folder/lib64/"; done
"$folder/wheels/bin/python" "$here/cuda_shims.py" "$folder"

cat > "$folder/env.sh" <<END
export CUDA_HOME=$folder CUDA_PATH=$folder CUDA_ROOT=$folder CUDA_TOOLKIT_ROOT_DIR=$folder
export PATH=$folder/bin:\$PATH NVCC=$folder/bin/nvcc
export CUDA_COMPUTE_CAP=\${CUDA_COMPUTE_CAP:-$capability}
END
"$folder/bin/nvcc" --version | tail -2
echo "now: source $folder/env.sh && cargo build --release --features cuda"
