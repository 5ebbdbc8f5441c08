// Every kernel against a slow and obvious calculation in 64 bits, over random shapes.
//
// On a processor:  g++ -std=c++17 -O2 -DEMULATED -I. -x c++ checks.cu && ./a.out [SEED [ROUNDS]]
// On a GPU:        nvcc -std=c++17 -O2 -arch=compute_80 checks.cu && ./a.out

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "../../cuda/kernels/kernels.cu"

std::mt19937_64 random_bits(1);
unsigned below(unsigned n) { return unsigned(random_bits() % n); }
unsigned between(unsigned least, unsigned most) { return least + below(most - least + 1); }
double uniform() { return double(random_bits() >> 11) * 0x1p-53; }
float noise() { return float(2 * uniform() - 1); }
template <class T> T one_of(std::initializer_list<T> choices) { return choices.begin()[below(unsigned(choices.size()))]; }

#ifdef EMULATED
#define HOST_NARROW narrow
#define HOST_WIDE wide
template <class T> struct Buffer {
  std::vector<T> host;
  T *device;
  explicit Buffer(std::vector<T> numbers) : host(std::move(numbers)) {
    device = static_cast<T *>(emulated::guarded(host.size() * sizeof(T)));
    memcpy(static_cast<void *>(device), host.data(), host.size() * sizeof(T));
  }
  Buffer(const Buffer &) = delete;
  ~Buffer() { emulated::unguarded(device, host.size() * sizeof(T)); }
  const std::vector<T> &fetch() {
    memcpy(static_cast<void *>(host.data()), device, host.size() * sizeof(T));
    return host;
  }
};
#define LAUNCH(kernel, grid, size, shared, ...) emulated::launch(grid, size, shared, [&] { kernel(__VA_ARGS__); })
using Size = Dim;
#else
using Size = dim3;
void check(cudaError_t status, const char *what) {
  if (status == cudaSuccess) return;
  fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(status));
  exit(3);
}
template <class T> struct Buffer {
  std::vector<T> host;
  T *device = nullptr;
  explicit Buffer(std::vector<T> numbers) : host(std::move(numbers)) {
    check(cudaMalloc(&device, std::max<size_t>(host.size() * sizeof(T), 16)), "malloc");
    check(cudaMemcpy(device, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice), "copy");
  }
  Buffer(const Buffer &) = delete;
  ~Buffer() { cudaFree(device); }
  const std::vector<T> &fetch() {
    check(cudaMemcpy(host.data(), device, host.size() * sizeof(T), cudaMemcpyDeviceToHost), "a kernel");
    return host;
  }
};
#define LAUNCH(kernel, grid, size, shared, ...)                                                              \
  do {                                                                                                       \
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared)), #kernel);  \
    kernel<<<grid, size, shared>>>(__VA_ARGS__);                                                             \
    check(cudaGetLastError(), #kernel);                                                                      \
  } while (0)
#endif

// Conversions on the host.
template <class T> T store(double x);
template <class T> double load(T x);
template <> float store<float>(double x) { return float(x); }
template <> double load<float>(float x) { return x; }
#ifdef EMULATED
template <> bf16 store<bf16>(double x) { return narrow<bf16>(float(x)); }
template <> f16 store<f16>(double x) { return narrow<f16>(float(x)); }
template <> double load<bf16>(bf16 x) { return wide(x); }
template <> double load<f16>(f16 x) { return wide(x); }
#else
template <> bf16 store<bf16>(double x) { return __float2bfloat16_rn(float(x)); }
template <> f16 store<f16>(double x) { return __float2half_rn(float(x)); }
template <> double load<bf16>(bf16 x) { return __bfloat162float(x); }
template <> double load<f16>(f16 x) { return __half2float(x); }
#endif

// Half a unit in the last place, relative.
template <class T> double rounding();
template <> double rounding<float>() { return 0x1p-24; }
template <> double rounding<bf16>() { return 0x1p-8; }
template <> double rounding<f16>() { return 0x1p-11; }
template <class T> double rounded(double x) { return load<T>(store<T>(x)); }

std::string doing;
unsigned comparisons = 0;
void expect(double got, double want, double tolerance, const char *what) {
  comparisons++;
  if (std::fabs(got - want) <= tolerance) return;
  fprintf(stderr, "FAILED %s: %s: %.9g, but %.9g expected (within %.3g)\n", doing.c_str(), what, got, want, tolerance);
  exit(1);
}

template <class T> std::vector<T> numbers(size_t count, double size = 1) {
  std::vector<T> all(count);
  for (T &x : all) x = store<T>(noise() * size);
  return all;
}

// ---- Attention.

struct Shape {
  unsigned dim, kv, group, window, tile;
};

struct Sequence {
  std::vector<unsigned> blocks;
  unsigned start, len, first_token;
};

// Random sequences that share a prefix, and a random way of cutting the work on them into items.
struct Batch {
  Shape shape;
  unsigned shared;
  std::vector<Sequence> sequences;
  std::vector<unsigned> contexts, owner, tokens, tables, starts, slots;
  std::vector<Item> items;
  std::vector<std::vector<unsigned>> partials;
  unsigned blocks, partial_count = 0;

  Batch(Shape s, unsigned longest) : shape(s) {
    unsigned count = between(1, 5);
    shared = below(2) * between(0, longest / 32);
    blocks = shared + count * (longest / 16 + 3);
    std::vector<unsigned> free(blocks);
    std::iota(free.begin(), free.end(), 0u);
    std::shuffle(free.begin(), free.end(), random_bits);
    std::vector<unsigned> prefix(free.end() - shared, free.end());
    free.resize(free.size() - shared);
    for (unsigned i = 0; i < count; i++) {
      Sequence sequence{prefix, 0, below(3) ? 1 : between(1, 40), unsigned(contexts.size())};
      sequence.start = shared * 16 + (below(4) ? below(longest / 2) : 16 * below(3));
      unsigned context = sequence.start + sequence.len;
      while (sequence.blocks.size() * 16 < context) sequence.blocks.push_back(free.back()), free.pop_back();
      for (unsigned t = 0; t < sequence.len; t++) contexts.push_back(sequence.start + t + 1), owner.push_back(i);
      sequences.push_back(sequence);
    }
    partials.resize(contexts.size());
    std::vector<unsigned> all(contexts.size());
    std::iota(all.begin(), all.end(), 0u);
    if (shared) cut(all, prefix, 0, shared * 16, true);
    for (const Sequence &sequence : sequences) {
      std::vector<unsigned> own(all.begin() + sequence.first_token, all.begin() + sequence.first_token + sequence.len);
      cut(own, sequence.blocks, shared * 16, 0, shared > 0);
    }
    for (const auto &mine : partials) {
      starts.push_back(unsigned(slots.size()));
      slots.insert(slots.end(), mine.begin(), mine.end());
    }
    starts.push_back(unsigned(slots.size()));
    if (slots.empty()) slots.push_back(0);
  }

  // Items for some tokens and the positions of `from` to `to` (or to the last that any of them sees).
  void cut(const std::vector<unsigned> &which, const std::vector<unsigned> &table, unsigned from, unsigned to, bool merged) {
    unsigned most = shape.tile / shape.group;
    for (size_t at = 0; at < which.size();) {
      unsigned count = unsigned(std::min<size_t>(between(1, most), which.size() - at)), end = to;
      if (!to)
        for (unsigned i = 0; i < count; i++) end = std::max(end, contexts[which[at + i]]);
      std::vector<unsigned> cuts{from};
      for (unsigned p = from + 16; p < end; p += 16)
        if (below(6) == 0) cuts.push_back(p);
      cuts.push_back(end);
      unsigned first = unsigned(tokens.size());
      tokens.insert(tokens.end(), which.begin() + at, which.begin() + at + count);
      bool direct = cuts.size() == 2 && !merged;
      for (size_t c = 0; c + 1 < cuts.size(); c++) {
        items.push_back({first, count, unsigned(tables.size()), cuts[c], cuts[c + 1], direct ? DIRECT : partial_count});
        for (unsigned b = cuts[c] / 16; b * 16 < cuts[c + 1]; b++) tables.push_back(table[b]);
        for (unsigned i = 0; i < count && !direct; i++) partials[which[at + i]].push_back(partial_count++);
      }
      at += count;
    }
  }
};

// One-hot values and equal scores show each position's part by itself; random ones show the rest.
template <class T> struct Memory {
  unsigned width;
  std::vector<T> q, keys, values;
  unsigned q_stride;

  Memory(const Batch &batch, bool counting) {
    const Shape &s = batch.shape;
    width = s.kv * s.dim, q_stride = (s.kv * s.group + 2 * s.kv) * s.dim;
    // What is not a token in the cache must not be used.
    keys.assign(size_t(batch.blocks) * width * 16, store<T>(NAN)), values = keys;
    q = numbers<T>(batch.contexts.size() * q_stride, counting ? 0 : 3);
    for (const Sequence &sequence : batch.sequences)
      for (unsigned p = 0; p < sequence.start + sequence.len; p++)
        for (unsigned i = 0; i < width; i++) {
          size_t block = sequence.blocks[p / 16];
          keys[(block * width + i) * 16 + p % 16] = store<T>(noise());
          values[(block * 16 + p % 16) * width + i] = store<T>(counting ? p % s.dim == i % s.dim : noise());
        }
  }
};

template <class T> void expect_attention(const Batch &batch, const Memory<T> &m, const std::vector<T> &out, float scale) {
  const Shape &s = batch.shape;
  unsigned heads = s.kv * s.group;
  for (unsigned token = 0; token < batch.contexts.size(); token++)
    for (unsigned head = 0; head < heads; head++) {
      const Sequence &sequence = batch.sequences[batch.owner[token]];
      unsigned context = batch.contexts[token], first = context > s.window ? context - s.window : 0, k = head / s.group;
      std::vector<double> weights(context);
      double most = -INFINITY, sum = 0;
      for (unsigned p = first; p < context; p++) {
        const T *key = &m.keys[(size_t(sequence.blocks[p / 16]) * m.width + k * s.dim) * 16 + p % 16];
        for (unsigned d = 0; d < s.dim; d++) weights[p] += load(m.q[token * m.q_stride + head * s.dim + d]) * load(key[d * 16]);
        most = std::max(most, weights[p] *= scale);
      }
      for (unsigned p = first; p < context; p++) sum += weights[p] = std::exp(weights[p] - most);
      for (unsigned d = 0; d < s.dim; d++) {
        double want = 0, size = 0;
        for (unsigned p = first; p < context; p++) {
          double v = load(m.values[(size_t(sequence.blocks[p / 16]) * 16 + p % 16) * m.width + k * s.dim + d]);
          want += weights[p] / sum * v, size += weights[p] / sum * std::fabs(v);
        }
        double tolerance = 2.2 * rounding<T>() * size + 3e-6 * size + (rounding<T>() == 0x1p-11 ? 1e-7 : 0);
        expect(load(out[(size_t(token) * heads + head) * s.dim + d]), want, tolerance, "attention");
      }
    }
}

template <class T> struct Launcher {
  const Batch &batch;
  Memory<T> &m;
  float scale;
  Buffer<T> q, keys, values, out;
  Buffer<unsigned> tokens, contexts, tables, starts, slots, count;
  Buffer<Item> items;
  Buffer<float> partials, scales;

  Launcher(const Batch &b, Memory<T> &memory, float s)
      : batch(b), m(memory), scale(s * 1.4426950408889634f), q(m.q), keys(m.keys), values(m.values),
        out(std::vector<T>(b.contexts.size() * heads() * b.shape.dim, store<T>(NAN))), tokens(b.tokens), contexts(b.contexts),
        tables(b.tables), starts(b.starts), slots(b.slots), count({unsigned(b.items.size())}), items(b.items),
        partials(std::vector<float>(size_t(b.partial_count + 1) * heads() * b.shape.dim, NAN)),
        scales(std::vector<float>(size_t(b.partial_count + 1) * heads() * 2, NAN)) {}

  unsigned heads() const { return batch.shape.kv * batch.shape.group; }
  // A few more blocks than there are items, as a graph for a fixed number has.
  Size grid() const { return {unsigned(batch.items.size()) + 2, batch.shape.kv, 1}; }

#define ALL_ARGUMENTS                                                                                                   \
  q.device, m.q_stride, keys.device, values.device, tokens.device, contexts.device, tables.device, items.device,        \
      count.device, out.device, partials.device, scales.device, batch.shape.kv, batch.shape.group, scale, batch.shape.window
  template <class K> void tile(K kernel, size_t shared) { LAUNCH(kernel, grid(), (Size{128, 1, 1}), shared, ALL_ARGUMENTS); }
  template <class K> void rows(K kernel) { LAUNCH(kernel, grid(), (Size{128, 1, 1}), 0, ALL_ARGUMENTS, batch.shape.dim); }
  template <class K> void merge(K kernel) {
    Size grid{unsigned(batch.contexts.size()), heads(), 1};
    LAUNCH(kernel, grid, (Size{MERGED, 1, 1}), 0, partials.device, scales.device, starts.device, slots.device, out.device,
           batch.shape.dim);
  }
};

template <class T, class M> void check_attention(const char *type, Shape shape, const std::function<void(Launcher<T> &)> &attend, M merge) {
  for (bool counting : {true, false}) {
    Batch batch(shape, one_of({64u, 300u}));
    Memory<T> memory(batch, counting);
    char text[200];
    snprintf(text, sizeof text, "attention %s dim %u kv %u group %u window %u tile %u, %zu tokens, %zu items", type, shape.dim,
             shape.kv, shape.group, shape.window, shape.tile, batch.contexts.size(), batch.items.size());
    doing = text;
    float scale = float(1 / std::sqrt(double(shape.dim)));
    Launcher<T> launcher(batch, memory, scale);
    attend(launcher);
    launcher.merge(merge);
    expect_attention<T>(batch, memory, launcher.out.fetch(), scale);
  }
}

unsigned any_window() { return below(2) ? 0xffffffffu : between(1, 200); }

#define CHECK_TILE(T, DIM)                                                                                                 \
  {                                                                                                                        \
    Shape narrow_one{DIM, between(1, 3), one_of({1u, 2u, 3u, 4u, 6u, 7u, 8u, 16u}), any_window(), 16};                     \
    check_attention<T>(#T, narrow_one, [](Launcher<T> &l) { l.tile(attend_16_##DIM##_##T, sizeof(Tile<T, DIM, 1>)); }, merge_##T); \
    Shape broad{DIM, between(1, 2), one_of({1u, 2u, 4u, 5u, 7u, 8u, 12u, 32u}), any_window(), 64};                         \
    check_attention<T>(#T, broad, [](Launcher<T> &l) { l.tile(attend_64_##DIM##_##T, sizeof(Tile<T, DIM, 4>)); }, merge_##T);      \
  }

#define CHECK_ROWS(T)                                                                                                      \
  {                                                                                                                        \
    Shape shape{one_of({3u, 20u, 32u, 64u, 100u, 128u, 256u}), between(1, 3), one_of({1u, 2u, 5u, 8u}), any_window(), 16}; \
    check_attention<T>(#T, shape, [](Launcher<T> &l) { l.rows(attend_rows_##T); }, merge_##T);                             \
  }

// ---- Between the products.

template <class T, class K> void check_gather(const char *type, K kernel) {
  doing = std::string("gather ") + type;
  unsigned rows = between(1, 50), tokens = between(1, 9), width = between(1, 700);
  double scale = one_of({1.0, 1.5});
  Buffer<T> table(numbers<T>(rows * width)), out(std::vector<T>(tokens * width, store<T>(NAN)));
  std::vector<unsigned> which(tokens);
  for (unsigned &id : which) id = below(rows);
  Buffer<unsigned> ids(which);
  LAUNCH(kernel, (Size{tokens, 1, 1}), (Size{256, 1, 1}), 0, table.device, ids.device, out.device, width, float(scale));
  out.fetch();
  for (unsigned i = 0; i < tokens * width; i++) {
    double want = rounded<T>(load(table.host[which[i / width] * width + i % width]) * scale);
    expect(load(out.host[i]), want, 0, "row");
  }
}

template <class T> double norm_factor(const T *x, unsigned width, double eps) {
  double sum = 0;
  for (unsigned i = 0; i < width; i++) sum += load(x[i]) * load(x[i]);
  return 1 / std::sqrt(sum / width + eps);
}

template <class T, class K> void check_add_norm(const char *type, K kernel) {
  doing = std::string("add_norm ") + type;
  unsigned tokens = between(1, 5), width = between(1, 3000), threads = 32 * between(1, 32);
  bool adds = below(4), behind = below(2);
  float eps = 1e-6f;
  Buffer<T> x(numbers<T>(tokens * width)), y(numbers<T>(tokens * width, 3)), b(numbers<T>(width)), weight(numbers<T>(width));
  Buffer<T> out(std::vector<T>(tokens * width, store<T>(NAN)));
  std::vector<T> before = x.host;
  LAUNCH(kernel, (Size{tokens, 1, 1}), (Size{threads, 1, 1}), 0, x.device, adds ? y.device : nullptr,
         behind ? b.device : nullptr, weight.device, out.device, width, eps);
  x.fetch(), out.fetch();
  for (unsigned t = 0; t < tokens; t++) {
    double factor = norm_factor(&y.host[t * width], width, eps);
    for (unsigned i = 0; i < width; i++) {
      double add = load(y.host[t * width + i]);
      if (behind) add *= factor * load(b.host[i]);
      double old = load(before[t * width + i]), want = adds ? old + add : old;
      double slack = adds ? rounding<T>() * (2.1 * std::fabs(add) + 1.1 * std::fabs(want)) + 2e-6 : 0;
      expect(load(x.host[t * width + i]), want, slack, "sum");
    }
    factor = norm_factor(&x.host[t * width], width, eps);
    for (unsigned i = 0; i < width; i++) {
      double want = load(x.host[t * width + i]) * factor * load(weight.host[i]);
      expect(load(out.host[t * width + i]), want, std::fabs(want) * (1.1 * rounding<T>() + 2e-6) + 1e-7, "norm");
    }
  }
}

double activated(double x, bool is_gelu) {
  return is_gelu ? x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) : x / (1 + std::exp(-x));
}

template <class T, class K> void check_gate(const char *type, K kernel) {
  doing = std::string("gate ") + type;
  unsigned tokens = between(1, 5), inner = between(1, 900), is_gelu = below(2);
  Buffer<T> both(numbers<T>(tokens * 2 * inner, 6)), out(std::vector<T>(tokens * inner, store<T>(NAN)));
  LAUNCH(kernel, (Size{tokens, (inner + 255) / 256, 1}), (Size{256, 1, 1}), 0, both.device, out.device, inner, is_gelu);
  out.fetch();
  for (unsigned i = 0; i < tokens * inner; i++) {
    double x = load(both.host[i / inner * 2 * inner + i % inner]), up = load(both.host[i / inner * 2 * inner + inner + i % inner]);
    double want = activated(x, is_gelu) * up;
    expect(load(out.host[i]), want, std::fabs(want) * (2.2 * rounding<T>() + 1e-5) + 5e-6, "gate");
  }
}

template <class T, class K> void check_place(const char *type, K kernel) {
  doing = std::string("place ") + type;
  unsigned kv = between(1, 3), heads = kv * between(1, 4), dim = 2 * between(1, 128), turned = below(3) ? dim : 2 * below(dim / 2 + 1);
  unsigned tokens = between(1, 6), all = heads + 2 * kv, blocks = 5, width = kv * dim;
  bool has_bias = below(2), has_norm = below(2);
  float eps = 1e-6f, magnitude = one_of({1.0f, 1.2f});
  Buffer<T> qkv(numbers<T>(tokens * all * dim)), bias(numbers<T>(all * dim)), q_norm(numbers<T>(dim)), k_norm(numbers<T>(dim));
  std::vector<float> radians(turned + 1);
  for (float &f : radians) f = float(std::pow(10000.0, -uniform()));
  Buffer<float> frequencies(radians);
  std::vector<unsigned> where(tokens), slot(blocks * 16);
  for (unsigned &p : where) p = below(40000) | (below(2) ? FAR : 0);
  std::iota(slot.begin(), slot.end(), 0u);
  std::shuffle(slot.begin(), slot.end(), random_bits);
  slot.resize(tokens);
  if (below(3) == 0) slot[below(tokens)] = NO_SLOT;
  Buffer<unsigned> positions(where), slots(slot);
  Buffer<T> keys(std::vector<T>(blocks * 16 * width, store<T>(7))), values(keys.host);
  std::vector<T> before = qkv.host;
  LAUNCH(kernel, (Size{tokens, (all + 3) / 4, 1}), (Size{128, 1, 1}), 0, qkv.device, has_bias ? bias.device : nullptr,
         has_norm ? q_norm.device : nullptr, has_norm ? k_norm.device : nullptr, frequencies.device, positions.device,
         slots.device, keys.device, values.device, heads, kv, dim, turned, magnitude, eps);
  qkv.fetch(), keys.fetch(), values.fetch();
  std::vector<bool> written(keys.host.size()), held(keys.host.size());
  for (unsigned t = 0; t < tokens; t++)
    for (unsigned h = 0; h < all; h++) {
      std::vector<double> x(dim), y;
      for (unsigned d = 0; d < dim; d++) {
        x[d] = load(before[(t * all + h) * dim + d]);
        if (has_bias) x[d] = rounded<T>(x[d] + load(bias.host[h * dim + d]));
      }
      if (h >= heads && slot[t] == NO_SLOT) continue;
      bool value = h >= heads + kv;
      if (has_norm && !value) {
        double sum = 0;
        for (double n : x) sum += n * n;
        for (unsigned d = 0; d < dim; d++) x[d] *= load((h < heads ? q_norm : k_norm).host[d]) / std::sqrt(sum / dim + eps);
      }
      y = x;
      for (unsigned d = 0; d < turned / 2 && !value; d++) {
        float angle = float(where[t] & ~FAR) * radians[d + (where[t] & FAR ? turned / 2 : 0)];
        double c = std::cos(double(angle)) * magnitude, s = std::sin(double(angle)) * magnitude;
        y[d] = x[d] * c - x[d + turned / 2] * s, y[d + turned / 2] = x[d] * s + x[d + turned / 2] * c;
      }
      for (unsigned d = 0; d < dim; d++) {
        size_t key = (size_t(slot[t] / 16) * width + (h - heads) * dim + d) * 16 + slot[t] % 16;
        size_t in_values = size_t(slot[t]) * width + (h - heads - kv) * dim + d;
        T got = h < heads ? qkv.host[(t * all + h) * dim + d] : value ? values.host[in_values] : keys.host[key];
        if (h >= heads) (value ? held : written)[value ? in_values : key] = true;
        unsigned partner = d < turned / 2 ? d + turned / 2 : d < turned ? d - turned / 2 : d;
        double size = std::fabs(x[d]) + std::fabs(x[partner]);
        expect(load(got), y[d], size * magnitude * (2.2 * rounding<T>() + 3e-6) + 1e-7, "placed number");
      }
    }
  for (size_t i = 0; i < written.size(); i++) {
    if (!written[i]) expect(load(keys.host[i]), 7, 0, "a key that is not new");
    if (!held[i]) expect(load(values.host[i]), 7, 0, "a value that is not new");
  }
}

template <class T, class Out, class K> void check_product(const char *type, unsigned tokens, K kernel) {
  bool is_logits = !std::is_same<T, Out>::value, norms = below(2), small = below(3) == 0;
  unsigned finish = is_logits ? STORE : below(4), sharing = one_of({1u, 2u, 4u});
  unsigned inner = 8 * between(1, small ? 40 : 700), rows = between(1, 70);
  bool gates = finish == SILU || finish == GELU;
  doing = std::string("product ") + type + (norms ? " normed" : "") + " finish " + std::to_string(finish);
  float eps = 1e-6f;
  unsigned weight_rows = gates ? 2 * rows : rows, pairs = gates ? rows : (rows + 1) / 2;
  Buffer<T> weight(numbers<T>(weight_rows * inner)), x(numbers<T>(tokens * inner)), norm(numbers<T>(inner));
  Buffer<Out> out(finish == ADD ? numbers<Out>(tokens * rows) : std::vector<Out>(tokens * rows, store<Out>(NAN)));
  std::vector<Out> old = out.host;
  unsigned grid = (pairs * sharing + PRODUCT_WARPS - 1) / PRODUCT_WARPS;
  LAUNCH(kernel, (Size{grid, 1, 1}), (Size{128, 1, 1}), norms ? tokens * inner * sizeof(T) : 0, weight.device, x.device,
         norms ? norm.device : nullptr, out.device, inner, rows, sharing, finish, eps);
  out.fetch();
  for (unsigned t = 0; t < tokens; t++) {
    double factor = norms ? norm_factor(&x.host[t * inner], inner, eps) : 1;
    auto product = [&](unsigned row) {
      double sum = 0;
      for (unsigned i = 0; i < inner; i++) {
        double number = load(x.host[t * inner + i]);
        if (norms) number = rounded<T>(number * factor * load(norm.host[i]));
        sum += load(weight.host[row * inner + i]) * number;
      }
      return sum;
    };
    // Sums of 32 bits; a norm's factor may be rounded to the number beside.
    double slack = 1e-5 * std::sqrt(inner) + (norms ? 0.3 * rounding<T>() * std::sqrt(inner) : 0);
    for (unsigned r = 0; r < rows; r++) {
      double first = product(r), second = gates ? product(r + rows) : 0, got = load(out.host[t * rows + r]);
      double most = std::max(std::fabs(first), std::fabs(second)) * rounding<T>() + slack;
      if (finish == ADD) {
        double was = load(old[t * rows + r]);
        expect(got, was + first, 1.1 * (most + rounding<T>() * std::fabs(was + first)), "sum");
      } else if (gates) {
        double gate = activated(first, finish == GELU), want = gate * second;
        double off = 1.2 * most * (std::fabs(second) + std::fabs(gate)) + 2.2 * rounding<T>() * std::fabs(want) + 5e-6;
        expect(got, want, off, "gated product");
      } else {
        expect(got, first, 1.1 * rounding<Out>() * std::fabs(first) + slack, "product");
      }
    }
  }
}

template <class T, class K> void check_write(const char *type, K kernel) {
  doing = std::string("write ") + type;
  unsigned blocks = between(1, 4), width = between(1, 600), tokens = between(1, 16 * blocks);
  std::vector<unsigned> all(16 * blocks);
  for (unsigned i = 0; i < all.size(); i++) all[i] = i;
  for (unsigned i = 0; i < all.size(); i++) std::swap(all[i], all[below(all.size())]);
  Buffer<unsigned> slots(std::vector<unsigned>(all.begin(), all.begin() + tokens));
  Buffer<T> new_keys(numbers<T>(tokens * width)), new_values(numbers<T>(tokens * width));
  std::vector<T> nothing(16 * blocks * width, store<T>(7));
  Buffer<T> keys(nothing), values(nothing);
  LAUNCH(kernel, (Size{tokens, (width + 255) / 256, 1}), (Size{256, 1, 1}), 0, new_keys.device, new_values.device, slots.device,
         keys.device, values.device, width);
  keys.fetch(), values.fetch();
  std::vector<T> k = nothing, v = nothing;
  for (unsigned t = 0; t < tokens; t++)
    for (unsigned i = 0; i < width; i++) {
      k[(all[t] / 16 * width + i) * 16 + all[t] % 16] = new_keys.host[t * width + i];
      v[all[t] * width + i] = new_values.host[t * width + i];
    }
  for (unsigned i = 0; i < k.size(); i++) expect(load(keys.host[i]), load(k[i]), 0, "key"), expect(load(values.host[i]), load(v[i]), 0, "value");
}

template <class T, class K> void check_copy_blocks(const char *type, K kernel) {
  doing = std::string("copy_blocks ") + type;
  unsigned copies = between(1, 4), layers = between(1, 3), count = 16 * between(1, 160), all = 2 * copies * count;
  std::vector<std::unique_ptr<Buffer<T>>> pools;
  for (unsigned i = 0; i < 2 * layers; i++) pools.emplace_back(new Buffer<T>(numbers<T>(all)));
  std::vector<u64> given;
  for (auto &pool : pools) given.push_back(reinterpret_cast<u64>(pool->device));
  // The later half become copies of some of the earlier one.
  std::vector<unsigned> sources;
  for (unsigned i = 0; i < copies; i++) sources.push_back(below(copies)), given.push_back(u64(copies + i) << 32 | sources[i]);
  Buffer<u64> words(given);
  LAUNCH(kernel, (Size{copies * layers, (count / 8 + 255) / 256, 1}), (Size{256, 1, 1}), 0, words.device, layers, count / 8);
  for (auto &pool : pools) {
    std::vector<T> before = pool->host;
    pool->fetch();
    for (unsigned i = 0; i < all; i++) {
      unsigned block = i / count, source = block < copies ? i : sources[block - copies] * count + i % count;
      expect(load(pool->host[i]), load(before[source]), 0, "number");
    }
  }
}

#define CHECK_PRODUCT(T, TOKENS)                              \
  check_product<T, T>(#T, TOKENS, product_##TOKENS##_##T),    \
      check_product<T, float>(#T, TOKENS, logits_##TOKENS##_##T)
#define CHECK_ELEMENTWISE(T)                                                                           \
  check_gather<T>(#T, gather_##T), check_add_norm<T>(#T, add_norm_##T), check_gate<T>(#T, gate_##T);   \
  check_place<T>(#T, place_##T), check_write<T>(#T, write_##T), check_copy_blocks<T>(#T, copy_blocks_##T); \
  CHECK_PRODUCT(T, 1), CHECK_PRODUCT(T, 2), CHECK_PRODUCT(T, 3), CHECK_PRODUCT(T, 4);

// ---- Drawing: sampler.rs again, sorted and in 64 bits.

// Weights and numbers of the tokens that filters keep, in the order in which a draw walks them.
std::vector<std::pair<double, unsigned>> kept_tokens(const float *logits, unsigned vocab, const Draw &draw) {
  float most = *std::max_element(logits, logits + vocab);
  std::vector<std::pair<double, unsigned>> kept(vocab);
  for (unsigned i = 0; i < vocab; i++) kept[i] = {std::exp(double(logits[i] - most) / draw.temperature), i};
  if (!draw.top_k && draw.top_p < 0 && draw.min_p < 0) return kept;
  std::stable_sort(kept.begin(), kept.end(), [](auto a, auto b) { return a.first > b.first; });
  if (draw.top_k) kept.resize(std::min<size_t>(kept.size(), draw.top_k));
  double least = draw.min_p * kept[0].first;
  if (draw.min_p >= 0) kept.erase(std::remove_if(kept.begin(), kept.end(), [&](auto k) { return k.first < least; }), kept.end());
  if (draw.top_p < 0) return kept;
  double enough = 0, sum = 0;
  for (auto k : kept) enough += k.first;
  enough *= draw.top_p;
  size_t needed = 0;
  for (auto k : kept) {
    if ((sum += k.first) >= enough) break;
    needed++;
  }
  kept.resize(std::min(kept.size(), needed + 1));
  return kept;
}

unsigned reference_token(const float *logits, unsigned vocab, const Draw &draw) {
  if (draw.temperature == 0) return unsigned(std::max_element(logits, logits + vocab) - logits);
  auto kept = kept_tokens(logits, vocab, draw);
  double left = 0;
  for (auto k : kept) left += k.first;
  left *= draw.u;
  for (auto k : kept)
    if ((left -= k.first) < 0) return k.second;
  for (size_t i = kept.size(); i-- > 0;)
    if (kept[i].first > 0) return kept[i].second;
  return 0;
}

// Sums of rounded weights may fall on the other side of a border, if they are as near to it as this.
const double NEAR = 4e-9;

// Whether a token's share of the weight lies that near to what was drawn.
bool is_on_a_border(const float *logits, unsigned vocab, Draw draw, unsigned token) {
  double top_p = draw.top_p;
  for (double p : {-1e-9, 0.0, 1e-9}) {
    if (top_p >= 0) draw.top_p = std::max(top_p + p, 0.0);
    auto kept = kept_tokens(logits, vocab, draw);
    double total = 0, before = 0;
    for (auto k : kept) total += k.first;
    for (auto k : kept) {
      if (k.second == token && before / total - NEAR <= draw.u && draw.u <= (before + k.first) / total + NEAR) return true;
      before += k.first;
    }
  }
  return false;
}

std::vector<float> any_logits(unsigned vocab) {
  std::vector<float> logits(vocab);
  std::normal_distribution<float> normal;
  unsigned kind = below(6);
  float size = one_of({0.1f, 1.0f, 3.0f, 20.0f});
  for (float &l : logits) {
    l = normal(random_bits) * size;
    if (kind == 0) l = std::round(l * 4) / 4;                // many ties
    if (kind == 1) l = float(load(store<bf16>(l)));          // some
    if (kind == 2 && below(3)) l = -INFINITY;                // impossible tokens
    if (kind == 3) l = 1.25f;                                // all the same
  }
  if (kind == 2) logits[below(vocab)] = 0;                   // but not all of them
  if (kind == 4) logits[below(vocab)] += 50 * size;          // one that is nearly certain
  return logits;
}

unsigned on_border = 0;
void check_sampler(unsigned vocab, unsigned rows) {
  std::vector<float> logits;
  std::vector<Draw> draws(rows);
  for (unsigned r = 0; r < rows; r++) {
    std::vector<float> row = any_logits(vocab);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  for (Draw &draw : draws) {
    double u = one_of({0.0, 1 - 0x1p-53, uniform(), uniform(), uniform(), uniform()});
    draw = {u, one_of({0.0, 0.6, 0.6, 1.0, 1.0, 2.5, 0.01}), -1, -1, 0, below(rows)};
    if (below(2)) draw.top_k = one_of({1u, 2u, 20u, 20u, 50u, vocab, vocab + 5});
    if (below(2)) draw.top_p = one_of({0.0, 0.5, 0.8, 0.95, 0.95, 1.0});
    if (below(3) == 0) draw.min_p = one_of({0.0, 0.05, 0.3, 1.0});
  }
  Buffer<float> device_logits(logits);
  Buffer<Draw> device_draws(draws);
  Buffer<Part> parts(std::vector<Part>(rows * PARTS));
  Buffer<unsigned> counts(std::vector<unsigned>(rows * BINS, 7));
  Buffer<u64> weights(std::vector<u64>(rows * BINS, 7)), sums(std::vector<u64>(rows * PARTS));
  Buffer<Drawn> drawn{std::vector<Drawn>(rows)};
  LAUNCH(sample_scan, (Size{PARTS, rows, 1}), (Size{256, 1, 1}), 0, device_logits.device, device_draws.device, parts.device,
         counts.device, weights.device, vocab);
  LAUNCH(sample_tally, (Size{PARTS, rows, 1}), (Size{256, 1, 1}), 0, device_logits.device, device_draws.device, parts.device,
         counts.device, weights.device, sums.device, vocab);
  LAUNCH(sample_pick, (Size{rows, 1, 1}), (Size{1024, 1, 1}), 0, device_logits.device, device_draws.device, parts.device,
         counts.device, weights.device, sums.device, drawn.device, vocab);
  drawn.fetch();
  for (unsigned r = 0; r < rows; r++) {
    const Draw &draw = draws[r];
    const float *row = &logits[size_t(draw.row) * vocab];
    char text[200];
    snprintf(text, sizeof text, "draw from %u: u %.17g temperature %g top_k %u top_p %g min_p %g", vocab, draw.u, draw.temperature,
             draw.top_k, draw.top_p, draw.min_p);
    doing = text;
    unsigned want = reference_token(row, vocab, draw), got = drawn.host[r].token;
    bool excused = got != want && draw.temperature > 0 && is_on_a_border(row, vocab, draw, got);
    on_border += excused;
    if (!excused) expect(got, want, 0, "token");
    float most = *std::max_element(row, row + vocab);
    double sum = 0;
    for (unsigned i = 0; i < vocab; i++) sum += std::exp(double(row[i] - most));
    expect(drawn.host[r].logprob, double(row[got] - most) - std::log(sum), 1e-6, "log-probability");
  }
}

int main(int argc, char **argv) {
  unsigned seed = argc > 1 ? unsigned(atoi(argv[1])) : 1, rounds = argc > 2 ? unsigned(atoi(argv[2])) : 3;
#ifdef EMULATED
  emulated::block().random.state += seed;
#endif
  for (unsigned round = 0; round < rounds; round++) {
    random_bits.seed(seed * 1000 + round);
    CHECK_TILE(bf16, 64) CHECK_TILE(bf16, 80) CHECK_TILE(bf16, 96) CHECK_TILE(bf16, 128) CHECK_TILE(bf16, 256)
    CHECK_TILE(f16, 64) CHECK_TILE(f16, 80) CHECK_TILE(f16, 96) CHECK_TILE(f16, 128) CHECK_TILE(f16, 256)
    CHECK_ROWS(f32) CHECK_ROWS(bf16) CHECK_ROWS(f16)
    CHECK_ELEMENTWISE(f32) CHECK_ELEMENTWISE(bf16) CHECK_ELEMENTWISE(f16)
    for (unsigned vocab : {2u, 33u, 300u, 5000u}) check_sampler(vocab, 8);
    check_sampler(one_of({151936u, 152064u}), 4);
  }
  printf("%u rounds, %u comparisons, %u draws on a border\n", rounds, comparisons, on_border);
}
