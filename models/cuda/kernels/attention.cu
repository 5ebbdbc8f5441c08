// Attention over the paged cache.
//
// What there is to do is cut into items: a few query tokens, and a range of one block table that all of them may see.
// One item is a decoding row and a part of its context, another a tile of a prompt that is being read, a third the
// blocks that many rows share, read once for all of them. A thread block takes one item for one key-value head, and
// with it all query heads that share that head. A token that has several items gets its partial sums merged (Dao et al.
// 2023, flash-decoding).
//
// The pool is laid out as in cache/pool.rs: keys [block][kv_heads * dim][16], values [block][16][kv_heads * dim].

#include "number.cuh"

// Query tokens and a range of positions.
struct Item {
  // Where the item's tokens begin in `tokens`, and how many they are.
  unsigned first_token, count;
  // Where in `tables` the block of position `begin` is.
  unsigned table;
  // The range; `begin` is a multiple of 16.
  unsigned begin, end;
  // The partial sum of the first token, DIRECT if there is nothing to merge.
  unsigned partial;
};

const unsigned DIRECT = 0xffffffffu;

// What all items share.
template <class T> struct Attention {
  const T *q;
  unsigned q_stride;
  const T *keys, *values;
  // Numbers of query tokens in the batch, and what each of those sees: so many positions.
  const unsigned *tokens, *contexts;
  const unsigned *tables;
  const Item *items;
  const unsigned *item_count;
  T *out;
  // Sums not yet divided, [partial][head][dim], and for each a maximum (in powers of two) and a sum of weights.
  float *partials, *scales;
  unsigned kv, group;
  // In powers of two: the logarithm's base is folded in.
  float scale;
  // A token sees at most so many.
  unsigned window;
};

// The positions that a token sees.
struct Seen {
  unsigned from, to;
};

template <class T> __device__ Seen seen(const Attention<T> &a, unsigned token) {
  unsigned context = a.contexts[token];
  return {context > a.window ? context - a.window : 0, context};
}

// Writes one number of a row's result.
template <class T>
__device__ void put(const Attention<T> &a, const Item &item, unsigned i, unsigned head, unsigned dim, unsigned d, float sum,
                    float max, float weights) {
  unsigned heads = a.kv * a.group;
  if (item.partial == DIRECT) {
    unsigned token = a.tokens[item.first_token + i];
    a.out[(size_t(token) * heads + head) * dim + d] = narrow<T>(weights > 0 ? sum / weights : 0);
    return;
  }
  size_t at = size_t(item.partial + i) * heads + head;
  a.partials[at * dim + d] = sum;
  if (d == 0) a.scales[2 * at] = max, a.scales[2 * at + 1] = weights;
}

// ---- Tensor cores: 16-bit numbers, heads of whole sixteens.

// Positions read at a time.
const int STAGE = 64;
const int WARPS = 4;

// 16 * ROW_WARPS query rows; the four warps share rows where these are few, each taking other positions.
template <class T, int DIM, int ROW_WARPS> struct Tile {
  // Rows are padded so that eight of them lie in different banks.
  T q[16 * ROW_WARPS][DIM + 8];
  union {
    // The halves of a key row of 16 tokens are swapped in every other four rows, for the same reason.
    struct {
      T k[2][STAGE / 16][DIM][2][8];
      T v[2][STAGE][DIM + 8];
    };
    float sums[WARPS / ROW_WARPS][16 * ROW_WARPS][DIM];
  };
  float max[WARPS / ROW_WARPS][16 * ROW_WARPS], weights[WARPS / ROW_WARPS][16 * ROW_WARPS];
};

template <class T, int DIM, int ROW_WARPS> struct Attend {
  using Shared = Tile<T, DIM, ROW_WARPS>;
  // Blocks of a stage that one warp takes.
  static constexpr int BLOCKS = STAGE / 16 * ROW_WARPS / WARPS;
  static constexpr int THREADS = 32 * WARPS;

  const Attention<T> &a;
  Shared &s;
  Item item;
  unsigned head, rows, warp, lane;
  // Of this warp: its first row, and its first block of a stage.
  unsigned row, block;
  float out[DIM / 8][4], max[2], weights[2];
  Seen sees[2];

  __device__ Attend(const Attention<T> &attention, Shared &shared) : a(attention), s(shared) {
    item = a.items[blockIdx.x];
    head = blockIdx.y;
    rows = item.count * a.group;
    warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    row = ROW_WARPS == 1 ? 0 : warp * 16;
    block = ROW_WARPS == 1 ? warp * BLOCKS : 0;
    for (auto &o : out) o[0] = o[1] = o[2] = o[3] = 0;
    for (int i = 0; i < 2; i++) {
      max[i] = -INFINITY, weights[i] = 0;
      unsigned r = row + lane / 4 + 8 * i;
      sees[i] = r < rows ? seen(a, a.tokens[item.first_token + r / a.group]) : Seen{0, 0};
    }
  }

  __device__ void load_queries() {
    for (unsigned i = threadIdx.x; i < 16 * ROW_WARPS * (DIM / 8); i += THREADS) {
      unsigned r = i / (DIM / 8), d = i % (DIM / 8) * 8;
      bool live = r < rows;
      unsigned token = live ? a.tokens[item.first_token + r / a.group] : 0;
      unsigned h = head * a.group + r % a.group;
      const T *from = live ? a.q + size_t(token) * a.q_stride + h * DIM + d : a.q;
      start_copy(&s.q[r][d], from, live);
    }
  }

  __device__ void load_stage(unsigned stage) {
    unsigned begin = item.begin + stage * STAGE, to = stage % 2, width = a.kv * DIM;
    for (unsigned i = threadIdx.x; i < STAGE / 16 * DIM * 2; i += THREADS) {
      unsigned b = i / (DIM * 2), d = i / 2 % DIM, half = i % 2;
      bool live = begin + b * 16 < item.end;
      size_t from = live ? a.tables[item.table + stage * (STAGE / 16) + b] : 0;
      from = (from * width + head * DIM + d) * 16 + half * 8;
      start_copy(s.k[to][b][d][half ^ (d / 4 % 2)], a.keys + from, live);
    }
    for (unsigned i = threadIdx.x; i < STAGE * (DIM / 8); i += THREADS) {
      unsigned t = i / (DIM / 8), d = i % (DIM / 8) * 8;
      bool live = begin + t < item.end;
      size_t from = live ? a.tables[item.table + stage * (STAGE / 16) + t / 16] : 0;
      from = (from * 16 + t % 16) * width + head * DIM + d;
      start_copy(&s.v[to][t][d], a.values + from, live);
    }
  }

  // Scores of 16 rows and this warp's positions.
  __device__ void score(unsigned from, float (&scores)[BLOCKS][2][4]) {
    for (auto &b : scores)
      for (auto &t : b) t[0] = t[1] = t[2] = t[3] = 0;
#pragma unroll
    for (int d = 0; d < DIM; d += 16) {
      unsigned q[4];
      load_matrices(q, &s.q[row + lane % 16][d + lane / 16 * 8]);
#pragma unroll
      for (int b = 0; b < BLOCKS; b++) {
        unsigned k[4], at = d + lane % 16, half = lane / 16;
        load_transposed(k, s.k[from][block + b][at][half ^ (at / 4 % 2)]);
        multiply_add<T>(scores[b][0], q, k[0], k[1]);
        multiply_add<T>(scores[b][1], q, k[2], k[3]);
      }
    }
  }

  // Scores become weights relative to the largest so far. Of each four numbers two belong to row lane / 4, two to
  // the eighth row after it.
  __device__ void weigh(unsigned begin, float (&scores)[BLOCKS][2][4]) {
    float now[2] = {max[0], max[1]};
#pragma unroll
    for (int b = 0; b < BLOCKS; b++)
#pragma unroll
      for (int i = 0; i < 8; i++) {
        unsigned position = begin + (block + b) * 16 + i / 4 * 8 + lane % 4 * 2 + i % 2;
        Seen see = sees[i / 2 % 2];
        bool visible = position >= see.from && position < see.to && position < item.end;
        float &score = scores[b][i / 4][i % 4];
        score = visible ? score * a.scale : -INFINITY;
        now[i / 2 % 2] = fmaxf(now[i / 2 % 2], score);
      }
    bool grows = false;
    float base[2], shrink[2];
    for (int i = 0; i < 2; i++) {
      now[i] = fmaxf(now[i], __shfl_xor_sync(ALL, now[i], 1));
      now[i] = fmaxf(now[i], __shfl_xor_sync(ALL, now[i], 2));
      // A row that saw nothing yet has no maximum to be relative to.
      base[i] = now[i] == -INFINITY ? 0 : now[i];
      shrink[i] = exp2f(max[i] - base[i]);
      grows |= now[i] > max[i];
      max[i] = now[i];
      weights[i] *= shrink[i];
    }
#pragma unroll
    for (int b = 0; b < BLOCKS; b++)
#pragma unroll
      for (int i = 0; i < 8; i++) {
        float &score = scores[b][i / 4][i % 4];
        score = exp2f(score - base[i / 2 % 2]);
        weights[i / 2 % 2] += score;
      }
    if (__any_sync(ALL, grows))
#pragma unroll
      for (int d = 0; d < DIM / 8; d++)
        for (int i = 0; i < 4; i++) out[d][i] *= shrink[i / 2];
  }

  __device__ void add_values(unsigned from, const float (&p)[BLOCKS][2][4]) {
#pragma unroll
    for (int b = 0; b < BLOCKS; b++) {
      unsigned w[4];
      for (int i = 0; i < 4; i++) w[i] = pair<T>(p[b][i / 2][i % 2 * 2], p[b][i / 2][i % 2 * 2 + 1]);
#pragma unroll
      for (int d = 0; d < DIM; d += 16) {
        unsigned v[4];
        load_transposed(v, &s.v[from][(block + b) * 16 + lane % 16][d + lane / 16 * 8]);
        multiply_add<T>(out[d / 8], w, v[0], v[1]);
        multiply_add<T>(out[d / 8 + 1], w, v[2], v[3]);
      }
    }
  }

  // Each warp's sums go to shared memory, where those of the same row meet.
  __device__ void finish() {
    unsigned part = ROW_WARPS == 1 ? warp : 0;
    __syncthreads();
    for (int i = 0; i < 2; i++) {
      weights[i] += __shfl_xor_sync(ALL, weights[i], 1);
      weights[i] += __shfl_xor_sync(ALL, weights[i], 2);
      unsigned r = row + lane / 4 + 8 * i;
      s.max[part][r] = max[i], s.weights[part][r] = weights[i];
      for (int d = 0; d < DIM / 8; d++) {
        float *to = &s.sums[part][r][d * 8 + lane % 4 * 2];
        to[0] = out[d][2 * i], to[1] = out[d][2 * i + 1];
      }
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < rows * DIM; i += THREADS) {
      unsigned r = i / DIM, d = i % DIM;
      float most = -INFINITY, sum = 0, all = 0;
      for (int p = 0; p < WARPS / ROW_WARPS; p++) most = fmaxf(most, s.max[p][r]);
      float base = most == -INFINITY ? 0 : most;
      for (int p = 0; p < WARPS / ROW_WARPS; p++) {
        float share = exp2f(s.max[p][r] - base);
        sum += share * s.sums[p][r][d], all += share * s.weights[p][r];
      }
      put(a, item, r / a.group, head * a.group + r % a.group, DIM, d, sum, most, all);
    }
  }

  __device__ void run() {
    unsigned stages = (item.end - item.begin + STAGE - 1) / STAGE;
    load_queries();
    load_stage(0);
    commit_copies();
    for (unsigned stage = 0; stage < stages; stage++) {
      if (stage + 1 < stages) load_stage(stage + 1);
      commit_copies();
      wait_copies<1>();
      __syncthreads();
      float scores[BLOCKS][2][4];
      score(stage % 2, scores);
      weigh(item.begin + stage * STAGE, scores);
      add_values(stage % 2, scores);
      // The next stage but one overwrites what was just read.
      __syncthreads();
    }
    wait_copies<0>();
    finish();
  }
};

template <class T, int DIM, int ROW_WARPS> __device__ void attend_tile(const Attention<T> &a) {
  using Kernel = Attend<T, DIM, ROW_WARPS>;
  DYNAMIC_SHARED(typename Kernel::Shared, 1, shared);
  wait_for_previous();
  if (blockIdx.x < *a.item_count) Kernel(a, *shared).run();
}

// ---- Any type, any width up to 256: one warp for each query row.

const int WIDEST = 256;

template <class T> struct AttendRow {
  const Attention<T> &a;
  Item item;
  unsigned dim, head, lane;
  float out[WIDEST / 32], max, weights;

  // The score of the position that is this lane's.
  __device__ float score(const T *q, unsigned position, Seen see) {
    if (position < see.from || position >= see.to || position >= item.end) return -INFINITY;
    size_t block = a.tables[item.table + (position - item.begin) / 16];
    const T *k = a.keys + (block * a.kv + head) * dim * 16 + position % 16;
    float sum = 0;
    for (unsigned d = 0; d < dim; d++) sum += wide(q[d]) * wide(k[d * 16]);
    return sum * a.scale;
  }

  __device__ void add_values(unsigned begin, float weight) {
    for (unsigned i = 0; i < 32 && begin + i < item.end; i++) {
      float w = __shfl_sync(ALL, weight, i);
      if (w == 0) continue;
      size_t block = a.tables[item.table + (begin + i - item.begin) / 16];
      const T *v = a.values + ((block * 16 + (begin + i) % 16) * a.kv + head) * dim;
      for (unsigned j = 0, d = lane; d < dim; d += 32, j++) out[j] += w * wide(v[d]);
    }
  }

  __device__ void run(unsigned r) {
    unsigned token = a.tokens[item.first_token + r / a.group], h = head * a.group + r % a.group;
    const T *q = a.q + size_t(token) * a.q_stride + h * dim;
    Seen see = seen(a, token);
    max = -INFINITY, weights = 0;
    for (float &o : out) o = 0;
    for (unsigned begin = item.begin; begin < item.end; begin += 32) {
      float s = score(q, begin + lane, see), now = fmaxf(max, warp_max(s));
      if (now == -INFINITY) continue;
      float shrink = exp2f(max - now), weight = exp2f(s - now);
      for (float &o : out) o *= shrink;
      max = now, weights = weights * shrink + weight;
      add_values(begin, weight);
    }
    weights = warp_sum(weights);
    for (unsigned j = 0, d = lane; d < dim; d += 32, j++) put(a, item, r / a.group, h, dim, d, out[j], max, weights);
  }
};

template <class T> __device__ void attend_rows(const Attention<T> &a, unsigned dim) {
  wait_for_previous();
  if (blockIdx.x >= *a.item_count) return;
  AttendRow<T> kernel{a, a.items[blockIdx.x], dim, blockIdx.y, threadIdx.x % 32};
  for (unsigned r = threadIdx.x / 32; r < kernel.item.count * a.group; r += blockDim.x / 32) kernel.run(r);
}

// ---- Partial sums of a token and head become its output. Token t's are the partials
// slots[starts[t]] to slots[starts[t + 1] - 1]; a token with none was written directly.

// Threads of a block, and partial sums whose places are looked up at a time.
const unsigned MERGED = 128;

template <class T>
__device__ void merge(const float *partials, const float *scales, const unsigned *starts, const unsigned *slots, T *out,
                      unsigned dim) {
  wait_for_previous();
  unsigned token = blockIdx.x, head = blockIdx.y, heads = gridDim.y, from = starts[token], to = starts[token + 1];
  if (from == to) return;
  float most = -INFINITY;
  for (unsigned i = from + threadIdx.x; i < to; i += MERGED) most = fmaxf(most, scales[2 * (size_t(slots[i]) * heads + head)]);
  most = block_max(most);
  float base = most == -INFINITY ? 0 : most, sums[WIDEST / MERGED] = {}, weights = 0;
  SHARED(size_t, MERGED, places);
  SHARED(float, MERGED, shares);
  SHARED(float, MERGED, shared_weights);
  for (; from < to; from += MERGED) {
    unsigned count = to - from < MERGED ? to - from : MERGED;
    __syncthreads();
    if (threadIdx.x < count) {
      size_t at = size_t(slots[from + threadIdx.x]) * heads + head;
      float share = exp2f(scales[2 * at] - base);
      places[threadIdx.x] = at * dim, shares[threadIdx.x] = share;
      shared_weights[threadIdx.x] = share * scales[2 * at + 1];
    }
    __syncthreads();
#pragma unroll 4
    for (unsigned i = 0; i < count; i++) {
      weights += shared_weights[i];
#pragma unroll
      for (unsigned j = 0; j < WIDEST / MERGED; j++) {
        unsigned d = j * MERGED + threadIdx.x;
        if (d < dim) sums[j] += shares[i] * partials[places[i] + d];
      }
    }
  }
  for (unsigned j = 0; j < WIDEST / MERGED; j++) {
    unsigned d = j * MERGED + threadIdx.x;
    if (d < dim) out[(size_t(token) * heads + head) * dim + d] = narrow<T>(weights > 0 ? sums[j] / weights : 0);
  }
}

#define ATTENTION(T)                                                                                                     \
  const T *q, unsigned q_stride, const T *keys, const T *values, const unsigned *tokens, const unsigned *contexts,       \
      const unsigned *tables, const Item *items, const unsigned *item_count, T *out, float *partials, float *scales,     \
      unsigned kv, unsigned group, float scale, unsigned window
#define GIVEN(T)                                                                                                         \
  Attention<T> {                                                                                                         \
    q, q_stride, keys, values, tokens, contexts, tables, items, item_count, out, partials, scales, kv, group, scale, window \
  }

#define TILE(T, DIM)                                                                                                     \
  KERNEL __launch_bounds__(128) attend_16_##DIM##_##T(ATTENTION(T)) { attend_tile<T, DIM, 1>(GIVEN(T)); }                \
  KERNEL __launch_bounds__(128) attend_64_##DIM##_##T(ATTENTION(T)) { attend_tile<T, DIM, 4>(GIVEN(T)); }
#define TILES(T) TILE(T, 64) TILE(T, 80) TILE(T, 96) TILE(T, 128) TILE(T, 256)
#define ROWS(T)                                                                                                          \
  KERNEL __launch_bounds__(128) attend_rows_##T(ATTENTION(T), unsigned dim) { attend_rows<T>(GIVEN(T), dim); }                                  \
  KERNEL __launch_bounds__(MERGED)                                                                                       \
      merge_##T(const float *partials, const float *scales, const unsigned *starts, const unsigned *slots, T *out,    \
                   unsigned dim) {                                                                                       \
    merge<T>(partials, scales, starts, slots, out, dim);                                                                 \
  }

TILES(bf16)
TILES(f16)

ROWS(f32)
ROWS(bf16)
ROWS(f16)
