#!/usr/bin/env bash
# Builds llama-bench, llama-batched-bench and llama-quantize of llama.cpp into a folder, from the source package of
# llama-cpp-python on PyPI. Takes about ten minutes on two cores; needs pip, cmake and a C++ compiler.
#
#   scripts/peers/llama.sh OUT
set -euo pipefail
out=$(readlink -m "${1:?where to build it}")
mkdir -p "$out/source" "$out/bin"
cd "$out/source"
pip download --quiet --no-deps --no-binary :all: --no-build-isolation llama-cpp-python==0.3.36
tar xf llama_cpp_python-*.tar.gz
cmake -S llama_cpp_python-*/vendor/llama.cpp -B "$out/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
  -DLLAMA_CURL=OFF -DBUILD_SHARED_LIBS=ON
cmake --build "$out/build" --target llama-bench llama-batched-bench llama-quantize -j "$(nproc)"
cp -P "$out"/build/bin/* "$out/bin/"
