#!/usr/bin/env bash
# Builds programs of llama.cpp into OUT/bin, from the source package of llama-cpp-python on PyPI; what is built already
# is not built again. Takes about ten minutes on two cores; needs Python with venv and a C++ compiler, and installs cmake
# into a virtual environment of its own where there is none.
#
#   scripts/peers/llama.sh OUT [PROGRAM...]     (without a program: llama-bench llama-batched-bench llama-quantize)
#
# LLAMA_FLAGS says for what instructions, those of this processor by default; those of AVX2 without VNNI are
# "-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON".
set -euo pipefail
version=0.3.36
out=$(readlink -m "${1:?where to build it}")
shift
read -ra flags <<<"${LLAMA_FLAGS:--DGGML_NATIVE=ON}"
programs=("${@:-llama-bench llama-batched-bench llama-quantize}")
read -ra programs <<<"${programs[*]}"
mkdir -p "$out/source" "$out/bin"

[ -d "$out/venv" ] || python3 -m venv "$out/venv"
PATH=$out/venv/bin:$PATH
command -v cmake >"$out/cmake.txt" || pip install --quiet cmake

source=$out/source/llama_cpp_python-$version
[ -f "$source.tar.gz" ] ||
  pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$out/source" "llama-cpp-python==$version"
[ -d "$source" ] || tar xf "$source.tar.gz" -C "$out/source"
cmake -S "$source/vendor/llama.cpp" -B "$out/build" -DCMAKE_BUILD_TYPE=Release "${flags[@]}" \
  -DLLAMA_CURL=OFF -DBUILD_SHARED_LIBS=ON >"$out/configure.log"
nice -n 5 cmake --build "$out/build" --target "${programs[@]}" -j "$(nproc)" >"$out/build.log"
cp -P "$out"/build/bin/* "$out/bin/"
