// Weights times one to four tokens: the weights are read once, and reading them is what it costs.
//
// out[t][o] = sum over i of weight[o][i] * x[t][i]. `sharing` warps of a block take a row of weights together, eight numbers a lane
// and load. A warp asks for four loads before it uses the first: memory answers late, and what is asked for meanwhile is its speed.
// For more tokens the library's matrix product is the better one.

#include "number.cuh"

// Warps of a block, and loads of a lane that are under way at a time.
const unsigned PRODUCT_WARPS = 4, LOADS = 4;

template <class T, int TOKENS>
__device__ void add_products(float (&sums)[TOKENS], const Eight<T> &weights, const T *x, unsigned inner) {
#pragma unroll
  for (int t = 0; t < TOKENS; t++) {
    Eight<T> numbers = *reinterpret_cast<const Eight<T> *>(x + size_t(t) * inner);
#pragma unroll
    for (int j = 0; j < 8; j++) sums[t] += wide(weights.at[j]) * wide(numbers.at[j]);
  }
}

template <class T, class Out, int TOKENS>
__device__ void product(const T *weight, const T *x, Out *out, unsigned inner, unsigned rows, unsigned sharing) {
  unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32, part = warp % sharing;
  unsigned row = blockIdx.x * (PRODUCT_WARPS / sharing) + warp / sharing, step = sharing * 32 * 8;
  // No row, no numbers: but every warp reaches the barrier.
  unsigned i = row < rows ? (part * 32 + lane) * 8 : inner;
  const T *w = weight + size_t(row) * inner;
  float sums[TOKENS];
  for (float &sum : sums) sum = 0;
  for (; i + (LOADS - 1) * step < inner; i += LOADS * step) {
    Eight<T> weights[LOADS];
#pragma unroll
    for (unsigned l = 0; l < LOADS; l++) weights[l] = *reinterpret_cast<const Eight<T> *>(w + i + l * step);
#pragma unroll
    for (unsigned l = 0; l < LOADS; l++) add_products<T, TOKENS>(sums, weights[l], x + i + l * step, inner);
  }
  for (; i < inner; i += step) add_products<T, TOKENS>(sums, *reinterpret_cast<const Eight<T> *>(w + i), x + i, inner);
  SHARED(float, PRODUCT_WARPS * TOKENS, parts);
#pragma unroll
  for (int t = 0; t < TOKENS; t++) {
    float sum = warp_sum(sums[t]);
    if (lane == 0) parts[warp * TOKENS + t] = sum;
  }
  __syncthreads();
  if (row >= rows || part || lane >= TOKENS) return;
  float sum = 0;
  for (unsigned p = 0; p < sharing; p++) sum += parts[(warp + p) * TOKENS + lane];
  out[size_t(lane) * rows + row] = narrow<Out>(sum);
}

// With results of the weights' own type, and with results in 32 bits, as logits are wanted.
#define PRODUCT(T, TOKENS)                                                                                               \
  KERNEL __launch_bounds__(128)                                                                                          \
      product_##TOKENS##_##T(const T *weight, const T *x, T *out, unsigned inner, unsigned rows, unsigned sharing) {     \
    product<T, T, TOKENS>(weight, x, out, inner, rows, sharing);                                                         \
  }                                                                                                                      \
  KERNEL __launch_bounds__(128)                                                                                          \
      logits_##TOKENS##_##T(const T *weight, const T *x, float *out, unsigned inner, unsigned rows, unsigned sharing) {  \
    product<T, float, TOKENS>(weight, x, out, inner, rows, sharing);                                                     \
  }
#define PRODUCTS(T) PRODUCT(T, 1) PRODUCT(T, 2) PRODUCT(T, 3) PRODUCT(T, 4)
PRODUCTS(f32)
PRODUCTS(bf16)
PRODUCTS(f16)
