// Drawing the next token of every row where the logits are, so that an id and a log-probability are all that leaves
// the device. What is drawn is defined in sampler.rs: filters and draw walk the tokens by falling weight, equal ones by
// their number; without a filter the draw walks them by their number.
//
// Nothing is sorted. A place in the sorted order is found by descending through the bits of the logit (less the largest): a histogram of the
// first eleven bits says in which bin the sum of weights (or the count) passes its target, one of the next eleven
// where in this bin, one of the last ten which logit it is. Weights are whole numbers of 2^-45 of the largest, so that sums
// are the same in any order.
//
// A filter mostly keeps few tokens. Once the first histogram tells which bins these lie in, they are put on a short list, and everything
// after that walks the list instead of the row.
//
// Three launches: `scan` and `tally` with PARTS blocks for each row, `pick` with one.

#include "number.cuh"

// Blocks that share a row, and bins of a histogram.
const unsigned PARTS = 32, BINS = 2048;
// Weight of the most probable token.
const double UNIT = 35184372088832.0;

// How a row is drawn: `temperature` 0 takes the most probable; a filter that is off is 0 (top_k) or negative.
struct Draw {
  double u, temperature, top_p, min_p;
  unsigned top_k;
  // The row of logits.
  unsigned row;
};

struct Drawn {
  double logprob;
  unsigned token, pad;
};

// What a part of a row knows about its largest logit, and the sum of exp(logit - largest).
struct Part {
  double sum;
  float max;
  unsigned at;
};

// Of a logit less the largest one, which is what its weight is made of: larger ones have larger keys.
__device__ inline unsigned key(float logit, float max) {
  unsigned bits = __float_as_uint(logit - max);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ inline double weight_of(unsigned key, double temperature) {
  return exp(double(__uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key)) / temperature);
}

// What is no number has no weight.
__device__ inline u64 whole(double weight) { return weight > 0 ? u64(weight * UNIT + 0.5) : 0; }

__device__ inline bool is_filtered(const Draw &d) { return d.temperature > 0 && (d.top_k || d.top_p >= 0 || d.min_p >= 0); }

__device__ inline unsigned part_begin(unsigned part, unsigned vocab) { return u64(vocab) * part / PARTS; }

// Does something with each logit from `from` to `to`, a block's threads side by side. Four are asked for before the first is used:
// memory answers late.
template <class F> __device__ void each(const float *row, unsigned from, unsigned to, F with) {
  const unsigned LOADS = 4;
  for (unsigned i = from + threadIdx.x; i < to; i += LOADS * blockDim.x) {
    float logits[LOADS];
#pragma unroll
    for (unsigned l = 0; l < LOADS; l++) logits[l] = i + l * blockDim.x < to ? row[i + l * blockDim.x] : 0;
#pragma unroll
    for (unsigned l = 0; l < LOADS; l++)
      if (i + l * blockDim.x < to) with(i + l * blockDim.x, logits[l]);
  }
}

struct Smaller {
  __device__ unsigned operator()(unsigned a, unsigned b) const { return a < b ? a : b; }
};

// Of two, the larger logit, or else the smaller number.
__device__ inline void better(float &max, unsigned &at, float other, unsigned other_at) {
  if (other > max || (other == max && other_at < at)) max = other, at = other_at;
}

__device__ inline void warp_best(float &max, unsigned &at) {
  for (int lanes = 16; lanes; lanes /= 2)
    better(max, at, __shfl_xor_sync(ALL, max, lanes), __shfl_xor_sync(ALL, at, lanes));
}

// The sum of those lanes' numbers that come before this one's.
__device__ inline u64 before(u64 x) {
  unsigned lane = threadIdx.x % 32;
  u64 sum = x;
  for (unsigned step = 1; step < 32; step *= 2) {
    u64 other = __shfl_sync(ALL, sum, lane >= step ? lane - step : 0);
    if (lane >= step) sum += other;
  }
  return sum - x;
}

// Largest logit and sum of a part; grid (PARTS, rows). Clears the row's histogram.
KERNEL __launch_bounds__(256)
    sample_scan(const float *logits, const Draw *draws, Part *parts, unsigned *counts, u64 *weights, unsigned vocab) {
  wait_for_previous();
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < BINS; i += PARTS * blockDim.x)
    counts[blockIdx.y * BINS + i] = 0, weights[blockIdx.y * BINS + i] = 0;
  const float *row = logits + size_t(draws[blockIdx.y].row) * vocab;
  unsigned from = part_begin(blockIdx.x, vocab), to = part_begin(blockIdx.x + 1, vocab);
  float max = -INFINITY;
  unsigned at = 0xffffffffu;
  each(row, from, to, [&](unsigned i, float logit) { better(max, at, logit, i); });
  SHARED(float, 32, maxima);
  SHARED(unsigned, 32, places);
  warp_best(max, at);
  if (threadIdx.x % 32 == 0) maxima[threadIdx.x / 32] = max, places[threadIdx.x / 32] = at;
  __syncthreads();
  unsigned lane = threadIdx.x % 32;
  max = lane < blockDim.x / 32 ? maxima[lane] : -INFINITY, at = lane < blockDim.x / 32 ? places[lane] : 0xffffffffu;
  warp_best(max, at);
  double sum = 0;
  each(row, from, to, [&](unsigned, float logit) { sum += logit == max ? 1.0 : double(expf(logit - max)); });
  sum = block_sum(sum);
  if (threadIdx.x == 0) parts[blockIdx.y * PARTS + blockIdx.x] = {sum, max, at};
}

// The row's largest logit, where it is first, and the logarithm of the sum of exp(logit - largest). By one warp.
__device__ inline Part combine(const Part *parts) {
  Part part = parts[threadIdx.x % 32];
  float max = part.max;
  unsigned at = part.at;
  warp_best(max, at);
  double share = part.max == max ? 1.0 : exp(double(part.max - max));
  return {log(warp_sum(part.sum > 0 ? part.sum * share : 0.0)), max, at};
}

// Weights of a part. With a filter they are counted by the first bits of their logit, else added up; grid (PARTS, rows).
// `counts` and `weights` are [rows][BINS], `sums` is [rows][PARTS].
KERNEL __launch_bounds__(256)
    sample_tally(const float *logits, const Draw *draws, const Part *parts, unsigned *counts, u64 *weights, u64 *sums,
                    unsigned vocab) {
  wait_for_previous();
  const Draw draw = draws[blockIdx.y];
  if (draw.temperature == 0) return;
  SHARED(unsigned, BINS, count);
  SHARED(u64, BINS, sum);
  bool filtered = is_filtered(draw);
  for (unsigned i = threadIdx.x; i < BINS; i += blockDim.x) count[i] = 0, sum[i] = 0;
  __syncthreads();
  const float *row = logits + size_t(draw.row) * vocab;
  float max = combine(parts + blockIdx.y * PARTS).max;
  u64 mine = 0;
  each(row, part_begin(blockIdx.x, vocab), part_begin(blockIdx.x + 1, vocab), [&](unsigned, float logit) {
    unsigned k = key(logit, max);
    u64 w = whole(weight_of(k, draw.temperature));
    if (filtered) {
      atomicAdd(&count[k >> 21], 1u);
      if (w) atomicAdd(&sum[k >> 21], w);
    }
    mine += w;
  });
  __syncthreads();
  mine = block_sum(mine);
  if (threadIdx.x == 0) sums[blockIdx.y * PARTS + blockIdx.x] = mine;
  for (unsigned i = threadIdx.x; i < BINS && filtered; i += blockDim.x)
    if (count[i]) {
      atomicAdd(&counts[blockIdx.y * BINS + i], count[i]);
      if (sum[i]) atomicAdd(&weights[blockIdx.y * BINS + i], sum[i]);
    }
}

// Tokens by falling weight, up to a place: all with a larger key than `key`, and of those with this key so many.
struct Cut {
  unsigned key;
  unsigned ties;
  // The weight of all of them.
  u64 weight;
};

// A share of a sum, as the smallest whole number that is not below it (or, strictly, above it).
__device__ inline u64 at_least(double share, u64 sum) {
  u64 target = u64(ceil(share * double(sum)));
  return target < 1 ? 1 : target > sum ? sum : target;
}
__device__ inline u64 above(double share, u64 sum) {
  u64 target = u64(share * double(sum)) + 1;
  return target > sum ? sum : target;
}

// Tokens that a short list has room for, and the length of none.
const unsigned SHORTLIST = 2048, UNLISTED = 0xffffffffu;

// One block of 32 warps works on one row.
struct Pick {
  const float *row;
  unsigned vocab;
  float max;
  double temperature;
  const unsigned *counts;
  const u64 *weights;
  // The short list: keys and numbers of tokens, in any order.
  unsigned *keys, *numbers;
  unsigned listed;

  __device__ u64 weigh(unsigned key) const { return whole(weight_of(key, temperature)); }

  // From the last bin down, the first one with which the sum of `weights` (or of `counts`) reaches the target. Returns its
  // number, and takes from the target what lies above it; the weight above is added to `above`. Each warp adds up 64
  // bins; then every warp does the same.
  __device__ unsigned bin(const unsigned *counts, const u64 *weights, bool counting, u64 &target, u64 &above) const {
    SHARED(u64, 32, sizes);
    SHARED(u64, 32, loads);
    unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32, reached;
    unsigned first = BINS - 1 - warp * 64 - lane, second = first - 32;
    u64 load = warp_sum(weights[first] + weights[second]);
    u64 size = counting ? warp_sum(u64(counts[first]) + counts[second]) : load;
    __syncthreads();
    if (lane == 0) sizes[warp] = size, loads[warp] = load;
    __syncthreads();
    unsigned begin = 0;
    for (unsigned round = 0; round < 3; round++) {
      // First the 64 bins of a warp, then 32 of them twice.
      unsigned i = BINS - 1 - (begin + (round == 2 ? 32 : 0)) - lane;
      load = round ? weights[i] : loads[lane];
      size = round == 0 ? sizes[lane] : counting ? counts[i] : load;
      u64 ahead = before(size), lighter = before(load);
      reached = __ballot_sync(ALL, size > 0 && ahead + size >= target);
      unsigned at = reached ? __ffs(reached) - 1 : 31;
      // If it is not among these, all of them lie above.
      target -= __shfl_sync(ALL, reached ? ahead : ahead + size, at);
      above += __shfl_sync(ALL, reached ? lighter : lighter + load, at);
      if (round && reached) return BINS - 1 - (begin + (round == 2 ? 32 : 0)) - at;
      if (!round) begin = at * 64;
    }
    // The target was more than there is.
    return BINS - 1 - begin;
  }

  // The last bin that is looked into: what the first filter leaves out, no later one asks for. `all` is the sum of weights.
  __device__ unsigned last_bin(const Draw &draw, u64 all) const {
    u64 target = draw.top_k, above = 0;
    if (draw.top_k && draw.top_k < vocab) return bin(counts, weights, true, target, above);
    if (draw.min_p >= 0) {
      unsigned heavy = BINS;
      for (unsigned i = threadIdx.x; i < BINS; i += blockDim.x)
        if (weight_of(i << 21 | 0x1fffffu, temperature) >= draw.min_p && i < heavy) heavy = i;
      return block_fold<Smaller>(heavy, BINS);
    }
    target = at_least(draw.top_p, all);
    return draw.top_p >= 0 ? bin(counts, weights, false, target, above) : 0;
  }

  // Puts the tokens from this bin up on the list, if it has room for them.
  __device__ void shortlist(unsigned last) {
    unsigned size = 0;
    for (unsigned i = last + threadIdx.x; i < BINS; i += blockDim.x) size += counts[i];
    size = block_sum(size);
    if (size > SHORTLIST) return;
    SHARED(unsigned, 1, next);
    if (threadIdx.x == 0) next[0] = 0;
    __syncthreads();
    each(row, 0, vocab, [&](unsigned i, float logit) {
      unsigned k = key(logit, max);
      if (k >> 21 < last) return;
      unsigned at = atomicAdd(next, 1u);
      keys[at] = k, numbers[at] = i;
    });
    __syncthreads();
    listed = size;
  }

  // Does something with each key that matters.
  template <class F> __device__ void each_key(F with) const {
    if (listed == UNLISTED) {
      each(row, 0, vocab, [&](unsigned, float logit) { with(key(logit, max)); });
      return;
    }
    for (unsigned i = threadIdx.x; i < listed; i += blockDim.x) with(keys[i]);
  }

  // The histogram of the tokens whose keys begin with `prefix`, by the bits after it.
  __device__ void refine(unsigned prefix, unsigned shift, unsigned bits, unsigned *count, u64 *sum) const {
    __syncthreads();
    for (unsigned i = threadIdx.x; i < BINS; i += blockDim.x) count[i] = 0, sum[i] = 0;
    __syncthreads();
    each_key([&](unsigned k) {
      if (k >> shift != prefix) return;
      unsigned b = k >> (shift - bits) & ((1u << bits) - 1);
      atomicAdd(&count[b], 1u);
      atomicAdd(&sum[b], weigh(k));
    });
    __syncthreads();
  }

  // The shortest run of tokens by falling weight whose weights (or number) reach the target, which is at least 1.
  __device__ Cut descend(bool counting, u64 target) const {
    SHARED(unsigned, BINS, count);
    SHARED(u64, BINS, sum);
    u64 above = 0;
    unsigned prefix = bin(counts, weights, counting, target, above);
    refine(prefix, 21, 11, count, sum);
    prefix = prefix << 11 | bin(count, sum, counting, target, above);
    refine(prefix, 10, 10, count, sum);
    unsigned last = bin(count, sum, counting, target, above);
    prefix = prefix << 10 | last;
    u64 one = counting ? 1 : weigh(prefix), ties = one ? (target + one - 1) / one : 1;
    unsigned there = count[last];
    Cut cut{prefix, unsigned(ties < there ? ties : there), 0};
    cut.weight = above + cut.ties * weigh(prefix);
    return cut;
  }

  // Without tokens whose weight is below a share of the largest.
  __device__ Cut drop(Cut cut, double least) const {
    u64 sum = 0;
    unsigned smallest = 0xffffffffu;
    each_key([&](unsigned k) {
      if (k <= cut.key || weight_of(k, temperature) < least) return;
      sum += weigh(k), smallest = k < smallest ? k : smallest;
    });
    sum = block_sum(sum);
    if (weight_of(cut.key, temperature) >= least) return cut;
    // All equal ones stay: their number is not asked for again, only the sum.
    return {block_fold<Smaller>(smallest, 0xffffffffu), 0xffffffffu, sum};
  }

  // Of the listed tokens with this key, by their number, the one at a place (from 1 on).
  __device__ unsigned tie(unsigned key, unsigned place) const {
    SHARED(unsigned, 1, found);
    __syncthreads();
    // Where logits are no numbers there may be none: that of the token which is then named says so.
    if (threadIdx.x == 0) found[0] = 0;
    __syncthreads();
    for (unsigned i = threadIdx.x; i < listed; i += blockDim.x) {
      if (keys[i] != key) continue;
      unsigned until = 0;
      for (unsigned j = 0; j < listed; j++) until += keys[j] == key && numbers[j] <= numbers[i];
      if (until == place) found[0] = numbers[i];
    }
    __syncthreads();
    return found[0];
  }

  // By their number from `from` to `to`: the first token with which the sum reaches the target. What is summed is 1 for a
  // token with the key `tie`, or else, without one, its weight.
  __device__ unsigned in_order(unsigned from, unsigned to, u64 target, bool ties, unsigned tie) const {
    SHARED(u64, 32, totals);
    SHARED(unsigned, 1, found);
    unsigned warps = blockDim.x / 32, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    unsigned each = ((to - from + warps - 1) / warps + 31) / 32 * 32;
    unsigned begin = from + warp * each < to ? from + warp * each : to, end = begin + each < to ? begin + each : to;
    auto size = [&](unsigned i) -> u64 {
      unsigned k = key(row[i < end ? i : begin], max);
      if (i >= end) return 0;
      return ties ? k == tie : weigh(k);
    };
    u64 sum = 0;
#pragma unroll 4
    for (unsigned i = begin; i < end; i += 32) sum += size(i + lane);
    sum = warp_sum(sum);
    __syncthreads();
    if (lane == 0) totals[warp] = sum;
    if (threadIdx.x == 0) found[0] = to - 1;
    __syncthreads();
    u64 total = lane < warps ? totals[lane] : 0, ahead = before(total);
    u64 mine = __shfl_sync(ALL, ahead, warp);
    if (mine < target && target <= mine + sum)
      for (unsigned i = begin; i < end; i += 32) {
        u64 one = size(i + lane), until = mine + before(one) + one;
        unsigned reached = __ballot_sync(ALL, one > 0 && until >= target);
        if (reached) {
          if (lane == 0) found[0] = i + __ffs(reached) - 1;
          break;
        }
        mine = __shfl_sync(ALL, until, 31);
      }
    __syncthreads();
    return found[0];
  }
};

__device__ inline unsigned pick(Pick &p, const Draw &draw, const u64 *sums) {
  unsigned lane = threadIdx.x % 32;
  u64 part = sums[lane], ahead = before(part), all = warp_sum(part);
  if (!all) return 0;
  if (!is_filtered(draw)) {
    u64 target = above(draw.u, all);
    unsigned at = __ffs(__ballot_sync(ALL, part > 0 && ahead + part >= target)) - 1;
    target -= __shfl_sync(ALL, ahead, at);
    return p.in_order(part_begin(at, p.vocab), part_begin(at + 1, p.vocab), target, false, 0);
  }
  p.shortlist(p.last_bin(draw, all));
  Cut cut{0, 0xffffffffu, all};
  if (draw.top_k && draw.top_k < p.vocab) cut = p.descend(true, draw.top_k);
  if (draw.min_p >= 0) cut = p.drop(cut, draw.min_p);
  if (draw.top_p >= 0) cut = p.descend(false, at_least(draw.top_p, cut.weight));
  cut = p.descend(false, above(draw.u, cut.weight));
  return p.listed == UNLISTED ? p.in_order(0, p.vocab, cut.ties, true, cut.key) : p.tie(cut.key, cut.ties);
}

// The token of each row; one block for each.
KERNEL __launch_bounds__(1024)
    sample_pick(const float *logits, const Draw *draws, const Part *parts, const unsigned *counts, const u64 *weights,
                const u64 *sums, Drawn *drawn, unsigned vocab) {
  wait_for_previous();
  const Draw draw = draws[blockIdx.x];
  Part best = combine(parts + blockIdx.x * PARTS);
  const float *row = logits + size_t(draw.row) * vocab;
  // Not even one number.
  unsigned token = best.at < vocab ? best.at : 0;
  SHARED(unsigned, SHORTLIST, keys);
  SHARED(unsigned, SHORTLIST, numbers);
  if (draw.temperature > 0) {
    Pick p{row,  vocab,   best.max, draw.temperature, counts + blockIdx.x * BINS, weights + blockIdx.x * BINS,
           keys, numbers, UNLISTED};
    token = pick(p, draw, sums + blockIdx.x * PARTS);
  }
  if (threadIdx.x == 0) drawn[blockIdx.x] = {double(row[token] - best.max) - best.sum, token, 0};
}
