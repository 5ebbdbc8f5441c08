// Weights times one to four tokens: the weights are read once, and reading them is what it costs.
//
// out[t][o] = sum over i of weight[o][i] * x[t][i]. A warp takes one row of weights at a time, eight numbers a lane and load.
// For more tokens the library's matrix product is the better one.

#include "number.cuh"

template <class T, int TOKENS> __device__ void product(const T *weight, const T *x, T *out, unsigned inner, unsigned rows) {
  unsigned row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  const T *w = weight + size_t(row) * inner;
  float sums[TOKENS];
  for (float &sum : sums) sum = 0;
#pragma unroll 4
  for (unsigned i = lane * 8; i < inner; i += 32 * 8) {
    Eight<T> weights = *reinterpret_cast<const Eight<T> *>(w + i);
#pragma unroll
    for (int t = 0; t < TOKENS; t++) {
      Eight<T> numbers = *reinterpret_cast<const Eight<T> *>(x + size_t(t) * inner + i);
#pragma unroll
      for (int j = 0; j < 8; j++) sums[t] += wide(weights.at[j]) * wide(numbers.at[j]);
    }
  }
#pragma unroll
  for (int t = 0; t < TOKENS; t++) {
    float sum = warp_sum(sums[t]);
    if (lane == 0) out[size_t(t) * rows + row] = narrow<T>(sum);
  }
}

#define PRODUCT(T, TOKENS)                                                                                               \
  KERNEL product_##TOKENS##_##T(const T *weight, const T *x, T *out, unsigned inner, unsigned rows) {                    \
    product<T, TOKENS>(weight, x, out, inner, rows);                                                                     \
  }
#define PRODUCTS(T) PRODUCT(T, 1) PRODUCT(T, 2) PRODUCT(T, 3) PRODUCT(T, 4)
PRODUCTS(f32)
PRODUCTS(bf16)
PRODUCTS(f16)
