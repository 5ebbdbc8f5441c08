// A CUDA driver without a GPU: what of the driver's and the libraries' interfaces the program uses, with kernels that the
// emulation runs. With it the whole path on a GPU (arguments, buffers, sizes, capture and replay) runs on a processor.
//
//   g++ -std=c++17 -O2 -w -DEMULATED -I. -shared -fPIC -o libcuda.so.1 driver.cpp
//   for name in libcublas.so.13 libcurand.so.10; do ln -s libcuda.so.1 $name; done
//   CUDA_LAZY_LIB_DIR=$PWD ISOCOST_TEST_DEVICE=cuda cargo test --features cuda --test device
//
// Only for programs linked as scripts/cuda-toolkit.sh has it. While a stream is captured, allocating and copying are errors,
// as they are on a GPU.

#include <map>
#include <string>
#include <tuple>

#include "../../cuda/kernels/kernels.cu"

using Work = std::function<void()>;
using Graph = std::vector<Work>;

// Makes work of a kernel and its arguments, which are copied at once.
struct Kernel {
  std::string name;
  std::function<Work(void **)> bind;
};

template <class... A, size_t... I>
Work bound(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
  std::tuple<A...> values{*static_cast<A *>(arguments[I])...};
  return [=] { std::apply(kernel, values); };
}

template <class... A> std::function<Work(void **)> binder(void (*kernel)(A...)) {
  return [=](void **arguments) { return bound(kernel, arguments, std::index_sequence_for<A...>()); };
}

// The library's kernels that loading needs: types changed, parts put together, norms of which one is taken, and norms of
// ones. All is contiguous there.
template <class From, class To> void cast(size_t count, size_t, const size_t *, const From *from, To *to) {
  for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += blockDim.x * gridDim.x)
    to[i] = narrow<To>(wide(from[i]));
}

template <class T> void copy2d(const T *from, T *to, unsigned rows, unsigned columns, unsigned from_stride, unsigned to_stride) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < rows * columns) to[i / columns * to_stride + i % columns] = from[i / columns * from_stride + i % columns];
}

template <class T> void affine(size_t count, size_t, const size_t *, const T *from, T *to, T factor, T summand) {
  for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += blockDim.x * gridDim.x)
    to[i] = narrow<T>(wide(narrow<T>(wide(from[i]) * wide(factor))) + wide(summand));
}

template <class T> void const_set(size_t count, size_t, const size_t *, T value, T *to) {
  for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += blockDim.x * gridDim.x) to[i] = value;
}

#define NAMED(kernel) {#kernel, binder(kernel)}
#define CAST(From, To) {"cast_" #From "_" #To, binder(cast<From, To>)}
#define OF_THE_LIBRARY(T)                                                                                            \
  CAST(T, f32), CAST(T, f16), CAST(T, bf16), {"copy2d_" #T, binder(copy2d<T>)}, {"affine_" #T, binder(affine<T>)},     \
      {"const_set_" #T, binder(const_set<T>)}
#define TILED(T, DIM) NAMED(attend_16_##DIM##_##T), NAMED(attend_64_##DIM##_##T)
#define OF_16_BITS(T) TILED(T, 64), TILED(T, 80), TILED(T, 96), TILED(T, 128), TILED(T, 256)
#define OF_ANY(T)                                                                                                    \
  NAMED(attend_rows_##T), NAMED(merge_##T), NAMED(gather_##T), NAMED(add_norm_##T), NAMED(gate_##T), NAMED(place_##T), \
      NAMED(product_1_##T), NAMED(product_2_##T), NAMED(product_3_##T), NAMED(product_4_##T), NAMED(logits_1_##T),   \
      NAMED(logits_2_##T), NAMED(logits_3_##T), NAMED(logits_4_##T), NAMED(copy_blocks_##T), NAMED(write_##T)

Kernel *find(const std::string &name) {
  static std::map<std::string, std::function<Work(void **)>> known{
      OF_16_BITS(bf16),   OF_16_BITS(f16),     OF_ANY(f32),        OF_ANY(bf16),
      OF_ANY(f16),        NAMED(sample_scan), NAMED(sample_tally), NAMED(sample_pick),
      OF_THE_LIBRARY(f32), OF_THE_LIBRARY(f16), OF_THE_LIBRARY(bf16),
  };
  static std::map<std::string, Kernel> found;
  auto it = known.find(name);
  if (it == known.end()) return nullptr;
  return &found.try_emplace(name, Kernel{name, it->second}).first->second;
}

const int OK = 0, INVALID = 1, NOT_FOUND = 500, NOT_WHILE_CAPTURING = 900;
Graph *capturing = nullptr;
std::map<uint64_t, size_t> allocated;
bool tells = getenv("EMULATION_TRACE") != nullptr;

// The last kernel, which nothing has waited for yet.
Work last;

void settle() {
  Work kernel = std::move(last);
  last = nullptr;
  if (kernel) kernel();
}

// One that may start early does so every other time.
void start(const Work &kernel, bool starts_early) {
  static emulated::Random random;
  if (!starts_early || !last || random.below(2)) {
    settle(), last = kernel;
    return;
  }
  emulated::ahead() = std::move(last), last = nullptr;
  kernel();
}

void submit(Work work) { capturing ? capturing->push_back(work) : work(); }

// What waits for the kernels before it, as everything but kernels does.
int submit_behind(Work work) {
  submit([=] { settle(), work(); });
  return OK;
}

// What must not be captured.
int now(const char *what, const Work &work) {
  if (capturing) {
    fprintf(stderr, "emulation: %s while a stream is captured\n", what);
    return NOT_WHILE_CAPTURING;
  }
  settle(), work();
  return OK;
}

extern "C" {
using Handle = void *;
static char handle;

int cuInit(unsigned) { return OK; }
int cuDriverGetVersion(int *version) { return *version = 13000, OK; }
int cuDeviceGet(int *device, int) { return *device = 0, OK; }
int cuDeviceGetCount(int *count) { return *count = 1, OK; }
int cuDeviceGetName(char *name, int length, int) { return snprintf(name, length, "an emulated GPU"), OK; }
int cuDeviceGetAttribute(int *value, int attribute, int) {
  // Multiprocessors, shared memory that may be asked for, memory pools, capability 9.0; nothing else is asked.
  *value = attribute == 16 ? 4 : attribute == 97 ? 227 << 10 : attribute == 115 ? 1 : attribute == 75 ? 9 : 0;
  return OK;
}
int cuDevicePrimaryCtxRetain(Handle *context, int) { return *context = &handle, OK; }
int cuDevicePrimaryCtxRelease_v2(int) { return OK; }
int cuCtxSetCurrent(Handle) { return OK; }
int cuCtxGetCurrent(Handle *context) { return *context = &handle, OK; }
int cuCtxSynchronize() { return OK; }
int cuDeviceGetDefaultMemPool(Handle *pool, int) { return *pool = &handle, OK; }
int cuMemPoolSetAttribute(Handle, int, void *) { return OK; }
int cuMemPoolGetAttribute(Handle, int, uint64_t *bytes) { return *bytes = 0, OK; }
int cuMemGetInfo_v2(size_t *free, size_t *total) { return *free = *total = size_t(4) << 30, OK; }
int cuGetErrorString(int, const char **text) { return *text = "see above", OK; }
int cuGetErrorName(int, const char **text) { return *text = "CUDA_ERROR_EMULATED", OK; }

int cuStreamCreate(Handle *stream, unsigned) { return *stream = &handle, OK; }
int cuStreamDestroy_v2(Handle) { return OK; }
int cuStreamSynchronize(Handle) { return now("waiting", [] {}); }
int cuEventCreate(Handle *event, unsigned) { return *event = &handle, OK; }
int cuEventDestroy_v2(Handle) { return OK; }

int cuMemAllocAsync(uint64_t *at, size_t bytes, Handle) {
  if (!bytes) return INVALID;
  return now("an allocation", [&] {
    void *memory = emulated::guarded(bytes);
    // What nobody wrote is not a number.
    memset(memory, 0xff, bytes);
    *at = reinterpret_cast<uint64_t>(memory), allocated[*at] = bytes;
  });
}
int cuMemFreeAsync(uint64_t at, Handle) {
  return now("freeing", [&] {
    if (!allocated.count(at)) emulated::fail("freed what was not allocated");
    emulated::unguarded(reinterpret_cast<void *>(at), allocated[at]), allocated.erase(at);
  });
}
int cuMemsetD8Async(uint64_t at, unsigned char value, size_t bytes, Handle) {
  return submit_behind([=] { memset(reinterpret_cast<void *>(at), value, bytes); });
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, Handle) {
  return now("a copy to the GPU", [=] { memcpy(reinterpret_cast<void *>(to), from, bytes); });
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, Handle) {
  return now("a copy from the GPU", [=] { memcpy(to, reinterpret_cast<void *>(from), bytes); });
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, Handle) {
  return submit_behind([=] { memcpy(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes); });
}

int cuModuleLoadData(Handle *module, const void *) { return *module = &handle, OK; }
int cuModuleUnload(Handle) { return OK; }
int cuModuleGetFunction(Handle *function, Handle, const char *name) {
  *function = find(name);
  if (!*function) fprintf(stderr, "emulation: there is no kernel %s\n", name);
  return *function ? OK : NOT_FOUND;
}
int cuFuncSetAttribute(Handle, int, int) { return OK; }
static int launch(Handle function, Dim grid, unsigned threads, unsigned shared, void **arguments, bool starts_early) {
  Kernel *kernel = static_cast<Kernel *>(function);
  if (tells) fprintf(stderr, "%s%s (%u, %u)\n", capturing ? "captured: " : "", kernel->name.c_str(), grid.x, grid.y);
  Work work = kernel->bind(arguments);
  Work run = [=] { emulated::launch(grid, {threads, 1, 1}, shared, work, starts_early); };
  submit([=] { start(run, starts_early); });
  return OK;
}
int cuLaunchKernel(Handle function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned, unsigned, unsigned shared,
                   Handle, void **arguments, void **) {
  return launch(function, {x, y, z}, threads, shared, arguments, false);
}
// An attribute is a number, the 64 bytes behind it are its value.
struct Attribute {
  int id, pad, value[16];
};
struct Config {
  unsigned grid[3], threads[3], shared;
  Handle stream;
  const Attribute *attributes;
  unsigned count;
};
int cuLaunchKernelEx(const Config *c, Handle function, void **arguments, void **) {
  const int STARTS_EARLY = 6;
  bool starts_early = c->count == 1 && c->attributes->id == STARTS_EARLY && c->attributes->value[0] == 1;
  if (c->count && !starts_early) return INVALID;
  return launch(function, {c->grid[0], c->grid[1], c->grid[2]}, c->threads[0], c->shared, arguments, starts_early);
}

int cuStreamBeginCapture_v2(Handle, int) {
  if (capturing) return INVALID;
  return capturing = new Graph, OK;
}
int cuStreamIsCapturing(Handle, int *status) { return *status = capturing ? 1 : 0, OK; }
int cuStreamEndCapture(Handle, Handle *graph) { return *graph = capturing, capturing = nullptr, OK; }
int cuGraphInstantiateWithFlags(Handle *executable, Handle graph, unsigned long long) {
  return *executable = new Graph(*static_cast<Graph *>(graph)), OK;
}
int cuGraphLaunch(Handle executable, Handle) {
  if (tells) fprintf(stderr, "replay of %zu\n", static_cast<Graph *>(executable)->size());
  for (const Work &work : *static_cast<Graph *>(executable)) work();
  return OK;
}
int cuGraphExecDestroy(Handle graph) { return delete static_cast<Graph *>(graph), OK; }
int cuGraphDestroy(Handle graph) { return delete static_cast<Graph *>(graph), OK; }

// ---- Matrix products and random numbers.

int cublasCreate_v2(Handle *made) { return *made = &handle, OK; }
int cublasDestroy_v2(Handle) { return OK; }
int cublasSetStream_v2(Handle, Handle) { return OK; }
int cublasSetWorkspace_v2(Handle, void *, size_t) { return OK; }
int cublasSetMathMode(Handle, int) { return OK; }

static float number(const void *from, int type, size_t i) {
  if (type == 0) return static_cast<const float *>(from)[i];
  return type == 2 ? wide(static_cast<const f16 *>(from)[i]) : wide(static_cast<const bf16 *>(from)[i]);
}
// A product larger than this is only timed, by the measurement of a device's rates: it is left out.
static const double MOST = 1e10;

// c = a^T b, all of them column by column; types are 0 (f32), 2 (f16) and 14 (bf16).
int cublasGemmEx(Handle, int a_turned, int b_turned, int m, int n, int k, const void *, const void *a, int type, int lda,
                 const void *b, int b_type, int ldb, const void *beta, void *c, int c_type, int ldc, int, int) {
  if (a_turned != 1 || b_turned != 0 || b_type != type || (c_type != type && c_type != 0) || *static_cast<const float *>(beta) != 0) return 7;
  if (double(m) * n * k > MOST) return OK;
  return submit_behind([=] {
    for (size_t j = 0; j < size_t(n); j++)
      for (size_t i = 0; i < size_t(m); i++) {
        double sum = 0;
        for (size_t l = 0; l < size_t(k); l++) sum += double(number(a, type, i * lda + l)) * number(b, type, j * ldb + l);
        size_t at = j * ldc + i;
        if (c_type == 0) static_cast<float *>(c)[at] = float(sum);
        else if (c_type == 2) static_cast<f16 *>(c)[at] = narrow<f16>(float(sum));
        else static_cast<bf16 *>(c)[at] = narrow<bf16>(float(sum));
      }
  });
}
int cublasGemmStridedBatchedEx(Handle made, int a_turned, int b_turned, int m, int n, int k, const void *alpha, const void *a,
                               int a_type, int lda, long long, const void *b, int b_type, int ldb, long long,
                               const void *beta, void *c, int c_type, int ldc, long long, int batch, int compute, int how) {
  if (batch != 1) return 7;
  return cublasGemmEx(made, a_turned, b_turned, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc, compute,
                      how);
}

int curandCreateGenerator(Handle *made, int) { return *made = &handle, OK; }
int curandDestroyGenerator(Handle) { return OK; }
int curandSetPseudoRandomGeneratorSeed(Handle, unsigned long long) { return OK; }
int curandSetGeneratorOffset(Handle, unsigned long long) { return OK; }
int curandSetStream(Handle, Handle) { return OK; }
int curandGenerateNormal(Handle, float *to, size_t count, float mean, float spread) {
  // Six uniform numbers look normal enough.
  return now("drawing", [=] {
    emulated::Random random;
    for (size_t i = 0; i < count; i++) {
      float sum = 0;
      for (int j = 0; j < 6; j++) sum += float(random() >> 40) / (1 << 24);
      to[i] = mean + spread * (sum - 3) * 1.414f;
    }
  });
}
}
