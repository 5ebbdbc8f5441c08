// Runs CUDA kernels on a processor, slowly and suspiciously: the same sources, without a GPU.
//
// The threads of a block are fibers that switch at barriers and warp operations, in random order, so that what depends on an
// order shows. Blocks run one after another, in random order. Shared memory holds NaN at first. Asynchronous copies happen
// at a random one of the two moments that are allowed, at once or when they are waited for. A warp operation that not
// all lanes reach, a barrier that not all threads reach and an address that is not aligned end the program. A kernel that may start
// early can be run before the one ahead of it, which then runs when the first thread waits for it.
#pragma once

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include <sys/mman.h>
#include <ucontext.h>

#define __device__
#define __global__
#define __launch_bounds__(...)
#define KERNEL extern "C" void
#define SHARED(T, count, name)  \
  static T name##_here_[count]; \
  T(&name)[count] = emulated::fresh(name##_here_)
#define DYNAMIC_SHARED(T, count, name) T *name = reinterpret_cast<T *>(emulated::dynamic(sizeof(T) * (count)))

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};

namespace emulated {

[[noreturn]] inline void fail(const char *what) {
  fprintf(stderr, "emulation: %s\n", what);
  exit(3);
}

struct Random {
  uint64_t state = 88172645463325252ull;
  uint64_t operator()() {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
  }
  unsigned below(unsigned n) { return unsigned((*this)() >> 11) % n; }
};

// What a lane shows to the other lanes of its warp.
struct Shown {
  uint64_t words[4];
};

struct Copy {
  void *to;
  const void *from;
  bool live;
  void run() const { live ? memcpy(to, from, 16) : memset(to, 0, 16); }
};

struct Thread {
  enum State { READY, AT_BARRIER, AT_WARP, DONE } state;
  Dim index;
  ucontext_t start;
  jmp_buf at;
  bool started, waited;
  // Warp operations so far; consecutive ones use different halves of `shown`, so that slow lanes still see the last.
  unsigned operations;
  int operation[2];
  Shown shown[2];
  std::vector<Copy> open;
  std::vector<std::vector<Copy>> committed;
};

struct Block {
  Dim grid, size, index;
  std::vector<Thread> threads;
  std::vector<std::unique_ptr<char[]>> stacks;
  Thread *running = nullptr;
  jmp_buf scheduler;
  std::function<void()> body;
  std::vector<void *> touched;
  unsigned char *shared = nullptr;
  size_t shared_bytes = 0;
  // Whether every thread has to wait for the kernel before.
  bool starts_early = false;
  Random random;
};

inline Block &block() {
  static Block block;
  return block;
}

inline Thread &me() { return *block().running; }

inline void yield(Thread::State state) {
  Thread &thread = me();
  thread.state = state;
  if (_setjmp(thread.at) == 0) _longjmp(block().scheduler, 1);
}

inline void enter() {
  block().body();
  if (!me().open.empty()) fail("a copy was started and never committed");
  if (block().starts_early && !me().waited) fail("a thread ended that did not wait for the kernel before");
  me().state = Thread::DONE;
  _longjmp(block().scheduler, 1);
}

// Runs a thread until it has to wait.
inline void resume(Thread &thread) {
  Block &b = block();
  b.running = &thread;
  if (_setjmp(b.scheduler) != 0) return;
  if (thread.started) _longjmp(thread.at, 1);
  thread.started = true;
  setcontext(&thread.start);
}

const size_t STACK = 128 << 10;

inline void prepare(Thread &thread, unsigned i) {
  Block &b = block();
  while (b.stacks.size() <= i) b.stacks.emplace_back(new char[STACK]);
  thread.state = Thread::READY, thread.started = thread.waited = false, thread.operations = 0;
  thread.index = {i % b.size.x, i / b.size.x % b.size.y, i / b.size.x / b.size.y};
  thread.open.clear(), thread.committed.clear();
  getcontext(&thread.start);
  thread.start.uc_stack.ss_sp = b.stacks[i].get(), thread.start.uc_stack.ss_size = STACK;
  thread.start.uc_link = nullptr;
  makecontext(&thread.start, enter, 0);
}

inline void run_block() {
  Block &b = block();
  unsigned count = b.size.x * b.size.y * b.size.z;
  if (count % 32 || count > 1024) fail("a block must be whole warps, at most 32 of them");
  b.threads.resize(count);
  b.touched.clear();
  if (b.shared_bytes) memset(b.shared, 0xff, b.shared_bytes);
  for (unsigned i = 0; i < count; i++) prepare(b.threads[i], i);
  std::vector<unsigned> ready(count);
  for (unsigned i = 0; i < count; i++) ready[i] = i;
  std::vector<unsigned> at_warp(count / 32, 0);
  unsigned at_barrier = 0, done = 0;
  while (done < count) {
    if (ready.empty()) {
      if (at_barrier == 0 || at_barrier + done < count) fail("threads wait for each other for ever");
      at_barrier = 0;
      for (unsigned i = 0; i < count; i++)
        if (b.threads[i].state == Thread::AT_BARRIER) b.threads[i].state = Thread::READY, ready.push_back(i);
    }
    unsigned pick = b.random.below(unsigned(ready.size())), i = ready[pick];
    ready[pick] = ready.back(), ready.pop_back();
    resume(b.threads[i]);
    switch (b.threads[i].state) {
      case Thread::DONE: done++; break;
      case Thread::AT_BARRIER: at_barrier++; break;
      default:
        if (++at_warp[i / 32] < 32) break;
        at_warp[i / 32] = 0;
        for (unsigned lane = i / 32 * 32; lane < i / 32 * 32 + 32; lane++)
          b.threads[lane].state = Thread::READY, ready.push_back(lane);
    }
  }
}

inline void launch(Dim grid, Dim size, size_t shared_bytes, std::function<void()> body, bool starts_early = false) {
  Block &b = block();
  if (shared_bytes > (227 << 10)) fail("more shared memory than any GPU has");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) fail("an empty grid");
  static std::vector<unsigned char> shared((227 << 10) + 128);
  b.grid = grid, b.size = size, b.shared_bytes = shared_bytes, b.body = std::move(body), b.starts_early = starts_early;
  b.shared = shared.data() + (128 - uintptr_t(shared.data()) % 128) % 128;
  std::vector<unsigned> order(size_t(grid.x) * grid.y * grid.z);
  for (size_t i = 0; i < order.size(); i++) order[i] = unsigned(i);
  for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[b.random.below(unsigned(i))]);
  for (unsigned i : order) {
    b.index = {i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y};
    run_block();
  }
}

// The kernel ahead of the one that runs, if that one was started early.
inline std::function<void()> &ahead() {
  static std::function<void()> ahead;
  return ahead;
}

inline void wait_for_previous() {
  me().waited = true;
  if (!ahead()) return;
  std::function<void()> kernel = std::move(ahead());
  ahead() = nullptr;
  Block waiting;
  waiting.random = block().random;
  std::swap(block(), waiting);
  kernel();
  std::swap(block(), waiting);
  block().random = waiting.random;
}

// Shared memory of a block, poisoned when its first thread gets there.
template <class A> A &fresh(A &array) {
  auto &touched = block().touched;
  if (std::find(touched.begin(), touched.end(), &array) == touched.end())
    memset(&array, 0xff, sizeof array), touched.push_back(&array);
  return array;
}

inline void *dynamic(size_t bytes) {
  if (bytes > block().shared_bytes) fail("the launch gave too little shared memory");
  return block().shared;
}

// Shows a value to the warp; afterwards `of(lane)` is what another lane showed.
struct Exchange {
  unsigned half, warp;
  Exchange(int operation, Shown shown) {
    Thread &thread = me();
    half = thread.operations++ % 2;
    warp = unsigned(&thread - block().threads.data()) / 32 * 32;
    thread.operation[half] = operation, thread.shown[half] = shown;
    yield(Thread::AT_WARP);
    for (unsigned lane = 0; lane < 32; lane++)
      if (block().threads[warp + lane].operation[half] != operation) fail("lanes of a warp are at different operations");
  }
  unsigned word(unsigned lane, unsigned i) const {
    unsigned bits;
    memcpy(&bits, reinterpret_cast<const char *>(of(lane).words) + 4 * i, 4);
    return bits;
  }
  const Shown &of(unsigned lane) const { return block().threads[warp + lane % 32].shown[half]; }
};

template <class T> Shown show(T x) {
  static_assert(sizeof(T) <= sizeof(Shown), "");
  Shown shown{};
  memcpy(shown.words, &x, sizeof x);
  return shown;
}

template <class T> T read(const Shown &shown) {
  T x;
  memcpy(&x, shown.words, sizeof x);
  return x;
}

inline unsigned lane() { return unsigned(&me() - block().threads.data()) % 32; }

inline void check_aligned(const void *p, size_t bytes) {
  if (uintptr_t(p) % bytes) fail("an address is not aligned");
}

// Memory that ends where a page begins that nobody may touch.
inline void *guarded(size_t bytes) {
  size_t page = 4096, whole = (bytes + 15) / 16 * 16, pages = (whole + page - 1) / page * page;
  char *at = static_cast<char *>(mmap(nullptr, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (at == MAP_FAILED) fail("no memory");
  mprotect(at + pages, page, PROT_NONE);
  return at + pages - whole;
}

inline void unguarded(void *memory, size_t bytes) {
  size_t page = 4096, whole = (bytes + 15) / 16 * 16, pages = (whole + page - 1) / page * page;
  munmap(static_cast<char *>(memory) + whole - pages, pages + page);
}

}  // namespace emulated

#define threadIdx (emulated::me().index)
#define blockIdx (emulated::block().index)
#define blockDim (emulated::block().size)
#define gridDim (emulated::block().grid)

inline void wait_for_previous() { emulated::wait_for_previous(); }
inline void __syncthreads() { emulated::yield(emulated::Thread::AT_BARRIER); }

template <class T> T __shfl_xor_sync(unsigned, T x, unsigned mask) {
  return emulated::read<T>(emulated::Exchange(1, emulated::show(x)).of(emulated::lane() ^ mask));
}
template <class T> T __shfl_sync(unsigned, T x, unsigned from) {
  return emulated::read<T>(emulated::Exchange(2, emulated::show(x)).of(from));
}
inline unsigned __ballot_sync(unsigned, bool x) {
  emulated::Exchange exchange(3, emulated::show(unsigned(x)));
  unsigned bits = 0;
  for (unsigned lane = 0; lane < 32; lane++) bits |= emulated::read<unsigned>(exchange.of(lane)) << lane;
  return bits;
}
inline void __syncwarp() { emulated::Exchange(7, emulated::Shown{}); }
inline bool __any_sync(unsigned all, bool x) { return __ballot_sync(all, x) != 0; }

inline int __ffs(unsigned x) { return __builtin_ffs(int(x)); }
inline float __uint_as_float(unsigned bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}
inline unsigned __float_as_uint(float x) {
  unsigned bits;
  memcpy(&bits, &x, 4);
  return bits;
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }

template <class T> T atomicAdd(T *to, T x) {
  T old = *to;
  *to += x;
  return old;
}
inline unsigned atomicMin(unsigned *to, unsigned x) {
  unsigned old = *to;
  *to = std::min(old, x);
  return old;
}

// ---- Numbers.

using f32 = float;
struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

inline float wide(float x) { return x; }
inline float wide(bf16 x) { return __uint_as_float(unsigned(x.bits) << 16); }
inline float wide(f16 x) {
  unsigned sign = unsigned(x.bits & 0x8000) << 16, exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
  if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | fraction << 13);
  float size = exponent ? std::ldexp(1.0f + fraction / 1024.0f, int(exponent) - 15) : std::ldexp(float(fraction), -24);
  return sign ? -size : size;
}

template <class T> T narrow(float x);
template <> inline float narrow<float>(float x) { return x; }
template <> inline bf16 narrow<bf16>(float x) {
  unsigned bits = __float_as_uint(x);
  if (x != x) return {0x7fff};
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
template <> inline f16 narrow<f16>(float x) {
  uint16_t sign = uint16_t(__float_as_uint(x) >> 16 & 0x8000);
  float size = std::fabs(x);
  if (x != x) return {0x7fff};
  if (size >= 65520.0f) return {uint16_t(sign | 0x7c00)};
  if (size < 6.103515625e-05f) return {uint16_t(sign | unsigned(std::nearbyint(std::ldexp(size, 24))))};
  int exponent;
  float fraction = std::frexp(size, &exponent);
  unsigned rounded = unsigned(std::nearbyint(std::ldexp(fraction, 11)));
  return {uint16_t(sign | ((unsigned(exponent + 13) << 10) + rounded))};
}

// ---- Instructions of the tensor cores, with their layouts as the PTX manual gives them.

inline uint16_t element(const void *row, unsigned column) {
  uint16_t bits;
  memcpy(&bits, static_cast<const char *>(row) + 2 * column, 2);
  return bits;
}

inline void load_matrices_as(unsigned (&r)[4], const void *row, bool transposed) {
  emulated::check_aligned(row, 16);
  emulated::Exchange rows(transposed ? 5 : 4, emulated::show(row));
  unsigned lane = emulated::lane(), line = lane / 4, pair = lane % 4 * 2;
  auto address = [&](unsigned matrix, unsigned i) { return emulated::read<const void *>(rows.of(matrix * 8 + i)); };
  for (unsigned m = 0; m < 4; m++) {
    unsigned low = transposed ? element(address(m, pair), line) : element(address(m, line), pair);
    unsigned high = transposed ? element(address(m, pair + 1), line) : element(address(m, line), pair + 1);
    r[m] = low | high << 16;
  }
}
inline void load_matrices(unsigned (&r)[4], const void *row) { load_matrices_as(r, row, false); }
inline void load_transposed(unsigned (&r)[4], const void *row) { load_matrices_as(r, row, true); }

struct Fragments {
  unsigned a[4], b[2];
};

template <class T> void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  emulated::Exchange warp(6, emulated::show(Fragments{{a[0], a[1], a[2], a[3]}, {b0, b1}}));
  auto number = [](unsigned bits, unsigned half) { return wide(T{uint16_t(bits >> 16 * half)}); };
  unsigned lane = emulated::lane();
  for (unsigned i = 0; i < 4; i++) {
    unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    float sum = 0;
    for (unsigned k = 0; k < 16; k++) {
      unsigned x = warp.word(row % 8 * 4 + k % 8 / 2, row / 8 + k / 8 * 2);
      unsigned y = warp.word(column * 4 + k % 8 / 2, 4 + k / 8);
      sum += number(x, k % 2) * number(y, k % 2);
    }
    c[i] += sum;
  }
}

// ---- Asynchronous copies.

inline void start_copy(void *to, const void *from, bool live) {
  emulated::check_aligned(to, 16);
  if (live) emulated::check_aligned(from, 16);
  emulated::Copy copy{to, from, live};
  if (emulated::block().random.below(2)) copy.run();
  else emulated::me().open.push_back(copy);
}
inline void commit_copies() {
  emulated::me().committed.push_back(std::move(emulated::me().open));
  emulated::me().open.clear();
}
template <int Open> void wait_copies() {
  auto &committed = emulated::me().committed;
  while (committed.size() > Open) {
    for (const auto &copy : committed.front()) copy.run();
    committed.erase(committed.begin());
  }
}
