// Weights times one to four tokens: the weights are read once, and reading them is what it costs.
//
// sum[t][o] = sum over i of weight[o][i] * x[t][i]; `x` may be normed before, and the sum added or gated behind, so that a layer is few
// kernels. A warp takes a pair of rows, neighbours or a gate and what it gates, eight numbers a lane and load; `sharing`
// warps of a block take a pair together. A warp asks for LOADS loads of each row before it uses the first: memory answers late, and what
// is asked for meanwhile is its speed. The first ones are asked for while the kernel before still runs.
// For more tokens the library's matrix product is the better one.

#include "gated.cuh"

// Warps of a block, and loads of a lane and row that are under way at a time.
const unsigned PRODUCT_WARPS = 4, LOADS = 4;

// What becomes of a sum: it is stored, added to what is there, or a gate for the sum `rows` further on.
const unsigned STORE = 0, ADD = 1, SILU = 2, GELU = 3;

template <class T, class Out, int TOKENS> struct Product {
  const T *weight, *x;
  // The weights of `x`'s norm, or none.
  const T *norm;
  Out *out;
  // Length of a row of weights, results of a token.
  unsigned inner, rows, sharing, finish;
  float eps;

  using Loaded = Eight<T>[2][LOADS];

  __device__ bool gates() const { return finish == SILU || finish == GELU; }
  __device__ unsigned row(unsigned pair, unsigned which) const { return gates() ? pair + which * rows : 2 * pair + which; }
  __device__ unsigned step() const { return sharing * 32 * 8; }

  __device__ void load(Loaded &loaded, unsigned pair, unsigned i) const {
#pragma unroll
    for (unsigned which = 0; which < 2; which++) {
      // The last pair may be one row, which is then read twice.
      unsigned r = !gates() && 2 * pair + which == rows ? 2 * pair : row(pair, which);
      const T *w = weight + size_t(r) * inner;
#pragma unroll
      for (unsigned l = 0; l < LOADS; l++)
        if (i + l * step() < inner) loaded[which][l] = *reinterpret_cast<const Eight<T> *>(w + i + l * step());
    }
  }

  __device__ void add(float (&sums)[2][TOKENS], const Loaded &loaded, const T *x, unsigned i) const {
#pragma unroll
    for (unsigned l = 0; l < LOADS; l++) {
      unsigned at = i + l * step();
      if (at >= inner) return;
#pragma unroll
      for (int t = 0; t < TOKENS; t++) {
        Eight<T> numbers = *reinterpret_cast<const Eight<T> *>(x + size_t(t) * inner + at);
#pragma unroll
        for (unsigned which = 0; which < 2; which++)
#pragma unroll
          for (int j = 0; j < 8; j++) sums[which][t] += loaded[which][l].wide_at(j) * numbers.wide_at(j);
      }
    }
  }

  // `x` normed, in shared memory.
  __device__ const T *normed() const {
    DYNAMIC_SHARED(Eight<T>, TOKENS * inner / 8, all);
    const Eight<T> *weights = reinterpret_cast<const Eight<T> *>(norm);
    for (int t = 0; t < TOKENS; t++) {
      const Eight<T> *from = reinterpret_cast<const Eight<T> *>(x + size_t(t) * inner);
      float sum = 0;
      for (unsigned i = threadIdx.x; i < inner / 8; i += blockDim.x)
        for (int j = 0; j < 8; j++) sum += from[i].wide_at(j) * from[i].wide_at(j);
      float factor = rsqrtf(block_sum(sum) / inner + eps);
      for (unsigned i = threadIdx.x; i < inner / 8; i += blockDim.x) {
        float numbers[8];
        for (int j = 0; j < 8; j++) numbers[j] = from[i].wide_at(j) * factor * weights[i].wide_at(j);
        all[t * (inner / 8) + i] = eight<T>(numbers);
      }
    }
    __syncthreads();
    return reinterpret_cast<const T *>(all);
  }

  __device__ void put(unsigned token, unsigned pair, float first, float second) const {
    Out *to = out + size_t(token) * rows;
    if (gates()) {
      to[pair] = narrow<Out>(wide(gated(narrow<T>(first), narrow<T>(second), finish == GELU)));
      return;
    }
    for (unsigned which = 0; which < 2 && 2 * pair + which < rows; which++) {
      float sum = which ? second : first;
      Out &at = to[2 * pair + which];
      at = narrow<Out>(finish == ADD ? wide(at) + wide(narrow<T>(sum)) : sum);
    }
  }

  __device__ void run() const {
    unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32, part = warp % sharing;
    unsigned pair = blockIdx.x * (PRODUCT_WARPS / sharing) + warp / sharing;
    bool is_pair = pair < (gates() ? rows : (rows + 1) / 2);
    // No pair, no numbers: but every warp reaches the barriers.
    unsigned i = is_pair ? (part * 32 + lane) * 8 : inner;
    Loaded loaded;
    load(loaded, pair, i);
    wait_for_previous();
    const T *numbers = norm ? normed() : x;
    float sums[2][TOKENS] = {};
    for (; i < inner; load(loaded, pair, i)) {
      add(sums, loaded, numbers, i);
      i += LOADS * step();
    }
    SHARED(float, 2 * PRODUCT_WARPS * TOKENS, parts);
#pragma unroll
    for (int t = 0; t < TOKENS; t++)
#pragma unroll
      for (unsigned which = 0; which < 2; which++) {
        float sum = warp_sum(sums[which][t]);
        if (lane == 0) parts[(2 * warp + which) * TOKENS + t] = sum;
      }
    __syncthreads();
    if (!is_pair || part || lane >= TOKENS) return;
    float sum[2] = {};
    for (unsigned p = 0; p < sharing; p++)
      for (unsigned which = 0; which < 2; which++) sum[which] += parts[(2 * (warp + p) + which) * TOKENS + lane];
    put(lane, pair, sum[0], sum[1]);
  }
};

// Blocks on a processor: as many as have registers for all that is under way.
constexpr int product_blocks(int bytes, int tokens) { return bytes == 4 ? 4 : tokens < 3 ? 8 : 6; }

// With results of the weights' own type, and with results in 32 bits, as logits are wanted.
#define PRODUCT_AS(name, T, Out, TOKENS)                                                                                  \
  KERNEL __launch_bounds__(32 * PRODUCT_WARPS, product_blocks(sizeof(T), TOKENS))                                         \
      name##_##TOKENS##_##T(const T *weight, const T *x, const T *norm, Out *out, unsigned inner, unsigned rows,          \
                            unsigned sharing, unsigned finish, float eps) {                                               \
    Product<T, Out, TOKENS>{weight, x, norm, out, inner, rows, sharing, finish, eps}.run();                               \
  }
#define PRODUCT(T, TOKENS) PRODUCT_AS(product, T, T, TOKENS) PRODUCT_AS(logits, T, float, TOKENS)
#define PRODUCTS(T) PRODUCT(T, 1) PRODUCT(T, 2) PRODUCT(T, 3) PRODUCT(T, 4)
PRODUCTS(f32)
PRODUCTS(bf16)
PRODUCTS(f16)
