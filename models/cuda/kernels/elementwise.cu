// What lies between the matrix products of a layer: norms, rotation, activation, and the cache's slots.
//
// All calculate in 32 bits and round once, where they store.

#include "gated.cuh"

// out[i] = table[ids[i]] * scale, rows of `width` numbers; a factor of 1 changes no bit.
template <class T> __device__ void gather(const T *table, const unsigned *ids, T *out, unsigned width, float scale) {
  wait_for_previous();
  const T *row = table + size_t(ids[blockIdx.x]) * width;
  for (unsigned i = threadIdx.x; i < width; i += blockDim.x)
    out[size_t(blockIdx.x) * width + i] = narrow<T>(wide(row[i]) * scale);
}

// x += norm(y) and out = norm(x), row by row. Without `y` there is nothing to add, and without `behind` it is added
// as it is.
template <class T>
__device__ void add_norm(T *x, const T *y, const T *behind, const T *weight, T *out, unsigned width, float eps) {
  wait_for_previous();
  size_t row = size_t(blockIdx.x) * width;
  if (y) {
    float factor = 1;
    if (behind) {
      float sum = 0;
      for (unsigned i = threadIdx.x; i < width; i += blockDim.x) sum += wide(y[row + i]) * wide(y[row + i]);
      factor = rsqrtf(block_sum(sum) / width + eps);
    }
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x) {
      float add = wide(y[row + i]);
      // Rounded as it would be if it were a tensor of its own.
      if (behind) add = wide(narrow<T>(add * factor * wide(behind[i])));
      x[row + i] = narrow<T>(wide(x[row + i]) + add);
    }
  }
  float sum = 0;
  for (unsigned i = threadIdx.x; i < width; i += blockDim.x) sum += wide(x[row + i]) * wide(x[row + i]);
  float factor = rsqrtf(block_sum(sum) / width + eps);
  for (unsigned i = threadIdx.x; i < width; i += blockDim.x)
    out[row + i] = narrow<T>(wide(x[row + i]) * factor * wide(weight[i]));
}

// out[t][i] = activation(both[t][i]) * both[t][inner + i].
template <class T> __device__ void gate(const T *both, T *out, unsigned inner, unsigned is_gelu) {
  wait_for_previous();
  unsigned i = blockIdx.y * blockDim.x + threadIdx.x;
  if (i >= inner) return;
  const T *row = both + size_t(blockIdx.x) * 2 * inner;
  out[size_t(blockIdx.x) * inner + i] = gated(row[i], row[inner + i], is_gelu);
}

// The highest bit of a position: this token's sequence uses the second set of frequencies.
const unsigned FAR = 0x80000000u;
// The slot of a token that is not kept.
const unsigned NO_SLOT = 0xffffffffu;

// Queries, keys and values of one token, `qkv[token]`, are given their bias, norm and rotation. Queries are put back;
// keys and values go to the token's slot in the pool. One warp for each head, blockDim.x / 32 heads at a time.
template <class T> struct Place {
  T *qkv;
  const T *bias, *q_norm, *k_norm;
  // Radians a position, [2][turned / 2].
  const float *frequencies;
  const unsigned *positions, *slots;
  T *keys, *values;
  unsigned heads, kv, dim, turned;
  float magnitude, eps;
  // Of this warp's head: its number and numbers, its norm or none, and what that divides by.
  unsigned h;
  T *x;
  const T *norm;
  float factor;

  __device__ void run() {
    wait_for_previous();
    unsigned lane = threadIdx.x % 32, token = blockIdx.x;
    h = blockIdx.y * (blockDim.x / 32) + threadIdx.x / 32;
    if (h >= heads + 2 * kv || (h >= heads && slots[token] == NO_SLOT)) return;
    x = qkv + (size_t(token) * (heads + 2 * kv) + h) * dim;
    norm = h < heads ? q_norm : h < heads + kv ? k_norm : nullptr;
    float sum = 0;
    for (unsigned d = lane; norm && d < dim; d += 32) sum += biased(d) * biased(d);
    factor = rsqrtf(warp_sum(sum) / dim + eps);
    // Number d of the head is lane d % 32's. All are read before one is put back.
    float at[8];
#pragma unroll
    for (unsigned j = 0; j < 8; j++)
      if (j * 32 + lane < dim) at[j] = rotated(j * 32 + lane, token);
    __syncwarp();
#pragma unroll
    for (unsigned j = 0; j < 8; j++)
      if (j * 32 + lane < dim) *place(j * 32 + lane, slots[token]) = narrow<T>(at[j]);
  }

  __device__ float biased(unsigned d) const {
    return bias ? wide(narrow<T>(wide(x[d]) + wide(bias[h * dim + d]))) : wide(x[d]);
  }

  __device__ float normed(unsigned d) const {
    return norm ? wide(narrow<T>(biased(d) * factor * wide(norm[d]))) : biased(d);
  }

  // Number d turns with number d + turned / 2.
  __device__ float rotated(unsigned d, unsigned token) const {
    if (d >= turned || h >= heads + kv) return normed(d);
    unsigned half = turned / 2, position = positions[token] & ~FAR;
    bool first = d < half;
    const float *frequency = frequencies + (positions[token] & FAR ? half : 0);
    float angle = float(position) * frequency[first ? d : d - half];
    float c = cosf(angle) * magnitude, s = sinf(angle) * magnitude;
    return first ? normed(d) * c - normed(d + half) * s : normed(d) * c + normed(d - half) * s;
  }

  __device__ T *place(unsigned d, unsigned slot) const {
    if (h < heads) return x + d;
    size_t block = slot / 16, inner = slot % 16;
    if (h < heads + kv) return keys + (block * kv * dim + (h - heads) * dim + d) * 16 + inner;
    return values + (block * 16 + inner) * kv * dim + (h - heads - kv) * dim + d;
  }
};

// Blocks of all layers' pools become copies of others. `words` are the addresses of each layer's keys and values, and behind them the
// pairs, the later block in the upper half. A block of `eights` times eight numbers; grid (pairs * layers, parts).
template <class T> __device__ void copy_blocks(const u64 *words, unsigned layers, unsigned eights) {
  unsigned layer = blockIdx.x % layers, i = blockIdx.y * blockDim.x + threadIdx.x;
  u64 pair = words[2 * layers + blockIdx.x / layers];
  size_t from = size_t(unsigned(pair)) * eights, to = size_t(pair >> 32) * eights;
  Eight<T> *keys = reinterpret_cast<Eight<T> *>(words[2 * layer]), *values = reinterpret_cast<Eight<T> *>(words[2 * layer + 1]);
  if (i < eights) keys[to + i] = keys[from + i], values[to + i] = values[from + i];
}

// Keys and values that were calculated elsewhere go to their tokens' slots.
template <class T>
__device__ void write(const T *new_keys, const T *new_values, const unsigned *slots, T *keys, T *values, unsigned width) {
  unsigned i = blockIdx.y * blockDim.x + threadIdx.x;
  if (i >= width) return;
  size_t from = size_t(blockIdx.x) * width + i, block = slots[blockIdx.x] / 16, inner = slots[blockIdx.x] % 16;
  keys[(block * width + i) * 16 + inner] = new_keys[from];
  values[(block * 16 + inner) * width + i] = new_values[from];
}

#define ELEMENTWISE(T)                                                                                                   \
  KERNEL gather_##T(const T *table, const unsigned *ids, T *out, unsigned width, float scale) {                          \
    gather<T>(table, ids, out, width, scale);                                                                            \
  }                                                                                                                      \
  KERNEL add_norm_##T(T *x, const T *y, const T *behind, const T *weight, T *out, unsigned width, float eps) {           \
    add_norm<T>(x, y, behind, weight, out, width, eps);                                                                  \
  }                                                                                                                      \
  KERNEL gate_##T(const T *both, T *out, unsigned inner, unsigned is_gelu) { gate<T>(both, out, inner, is_gelu); }        \
  KERNEL place_##T(T *qkv, const T *bias, const T *q_norm, const T *k_norm, const float *frequencies,                    \
                   const unsigned *positions, const unsigned *slots, T *keys, T *values, unsigned heads, unsigned kv,    \
                   unsigned dim, unsigned turned, float magnitude, float eps) {                                          \
    Place<T>{qkv, bias, q_norm, k_norm, frequencies, positions, slots, keys, values, heads, kv, dim, turned, magnitude,  \
             eps, 0, nullptr, nullptr, 0}                                                                                \
        .run();                                                                                                          \
  }                                                                                                                      \
  KERNEL copy_blocks_##T(const u64 *words, unsigned layers, unsigned eights) { copy_blocks<T>(words, layers, eights); }  \
  KERNEL write_##T(const T *new_keys, const T *new_values, const unsigned *slots, T *keys, T *values, unsigned width) {  \
    write<T>(new_keys, new_values, slots, keys, values, width);                                                          \
  }

ELEMENTWISE(f32)
ELEMENTWISE(bf16)
ELEMENTWISE(f16)
