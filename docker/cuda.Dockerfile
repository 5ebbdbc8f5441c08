# isocost on NVIDIA GPUs. The host needs its driver (580 or later for CUDA 13) and the NVIDIA container toolkit.
#
#   docker build -f docker/cuda.Dockerfile --build-arg COMPUTE_CAP=90 -t isocost-cuda .
#   docker run --rm --gpus all -v "$PWD/results:/isocost/results" isocost-cuda run quickstart --device cuda
#
# COMPUTE_CAP is the GPU's compute capability without the dot (80: A100, 86: RTX 30, 89: RTX 40, 90: H100 and H200):
# kernels for quantised weights run on that one only, and there is no GPU to ask while an image is built.
FROM nvidia/cuda:13.0.1-devel-ubuntu24.04 AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential ca-certificates curl git && rm -rf /var/lib/apt/lists/*
ENV CARGO_HOME=/opt/cargo RUSTUP_HOME=/opt/rustup PATH=/opt/cargo/bin:$PATH
RUN curl -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain 1.90.0
ARG COMPUTE_CAP=90
ENV CUDA_COMPUTE_CAP=$COMPUTE_CAP
WORKDIR /source
COPY . .
RUN cargo install --locked --path . --features cuda --root /installed

# With cuBLAS, cuRAND and NVRTC.
FROM nvidia/cuda:13.0.1-runtime-ubuntu24.04
COPY --from=build /installed/bin/isocost /usr/local/bin/isocost
WORKDIR /isocost
ENV HOME=/isocost
ENTRYPOINT ["isocost"]
CMD ["--help"]
