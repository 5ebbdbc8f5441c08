// What a gate lets through.
#pragma once

#include "number.cuh"

__device__ inline float silu(float x) { return x / (1 + expf(-x)); }
__device__ inline float gelu(float x) { return 0.5f * x * (1 + tanhf(0.7978845608028654f * x * (1 + 0.044715f * x * x))); }

// activation(gate) * up, each rounded as it would be if it were a tensor of its own.
template <class T> __device__ T gated(T gate, T up, bool is_gelu) {
  float x = wide(gate);
  return narrow<T>(wide(narrow<T>(is_gelu ? gelu(x) : silu(x))) * wide(up));
}
