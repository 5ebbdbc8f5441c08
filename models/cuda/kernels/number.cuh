// Numbers of 16 and 32 bits, and the instructions that C++ has no words for.
//
// With EMULATED defined the same names come from a header that runs kernels on a processor, for tests.
#pragma once

#ifdef EMULATED
#include "emulation.h"
#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using bf16 = __nv_bfloat16;
using f16 = __half;
using f32 = float;
#define KERNEL extern "C" __global__ void
// Shared memory whose size the launch gives: a pointer to `count` of them.
#define DYNAMIC_SHARED(T, count, name)                     \
  extern __shared__ __align__(128) unsigned char bytes_[]; \
  T *name = reinterpret_cast<T *>(bytes_)
#define SHARED(T, count, name) __shared__ T name[count]

__device__ inline float wide(float x) { return x; }
__device__ inline float wide(bf16 x) { return __bfloat162float(x); }
__device__ inline float wide(f16 x) { return __half2float(x); }
template <class T> __device__ inline T narrow(float x);
template <> __device__ inline float narrow<float>(float x) { return x; }
template <> __device__ inline bf16 narrow<bf16>(float x) { return __float2bfloat16_rn(x); }
template <> __device__ inline f16 narrow<f16>(float x) { return __float2half_rn(x); }

// Four 8 x 8 matrices of 16-bit numbers; lane i gives the address of row i % 8 of matrix i / 8.
__device__ inline void load_matrices(unsigned (&r)[4], const void *row) {
  unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at)
               : "memory");
}

// The same, each of them transposed.
__device__ inline void load_transposed(unsigned (&r)[4], const void *row) {
  unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at)
               : "memory");
}

// c += a b for a of 16 x 16, b of 16 x 8.
template <class T>
__device__ inline void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
template <>
__device__ inline void multiply_add<bf16>(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
               "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ inline void multiply_add<f16>(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
               "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Starts copying 16 bytes from global to shared memory, or clearing them.
__device__ inline void start_copy(void *to, const void *from, bool live) {
  unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(to));
  int bytes = live ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes) : "memory");
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most `Open` of this thread's committed groups are unfinished.
template <int Open> __device__ inline void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Open) : "memory");
}

// A kernel may be started while the one before it still runs. Every thread calls this before it reads what a kernel wrote, and
// before it writes: it waits until the one before has ended and its writes can be seen. Only weights may be read earlier. And it
// lets the kernel behind start as early: that one waits as well.
__device__ inline void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

#endif

// Two 16-bit numbers in one register, the first one low.
template <class T> __device__ inline unsigned pair(float low, float high) {
  T two[2] = {narrow<T>(low), narrow<T>(high)};
  unsigned bits;
  memcpy(&bits, two, sizeof bits);
  return bits;
}

// Eight numbers as they are loaded and stored, in words: of an array of 16-bit numbers each would get a register of its own.
template <class T> struct alignas(16) Eight {
  unsigned words[2 * sizeof(T)];

  __device__ float wide_at(unsigned i) const {
    T numbers[4 / sizeof(T)];
    memcpy(numbers, &words[i * sizeof(T) / 4], 4);
    return wide(numbers[i % (4 / sizeof(T))]);
  }
};

template <class T> __device__ Eight<T> eight(const float (&numbers)[8]) {
  Eight<T> all;
  T narrowed[8];
  for (int i = 0; i < 8; i++) narrowed[i] = narrow<T>(numbers[i]);
  memcpy(all.words, narrowed, sizeof narrowed);
  return all;
}

typedef unsigned long long u64;

const unsigned ALL = 0xffffffffu;

struct Plus {
  template <class T> __device__ T operator()(T a, T b) const { return a + b; }
};
struct Larger {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

// What an operation makes of the numbers of a warp, given to every lane.
template <class Op, class T> __device__ T warp_fold(T x) {
  for (int lanes = 16; lanes; lanes /= 2) x = Op()(x, __shfl_xor_sync(ALL, x, lanes));
  return x;
}

// The same of a block of whole warps; `nothing` changes no result.
template <class Op, class T> __device__ T block_fold(T x, T nothing) {
  SHARED(T, 32, folded);
  x = warp_fold<Op>(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) folded[threadIdx.x / 32] = x;
  __syncthreads();
  unsigned warps = blockDim.x / 32, lane = threadIdx.x % 32;
  return warp_fold<Op>(lane < warps ? folded[lane] : nothing);
}

template <class T> __device__ T warp_sum(T x) { return warp_fold<Plus>(x); }
template <class T> __device__ T block_sum(T x) { return block_fold<Plus>(x, T(0)); }
__device__ inline float warp_max(float x) { return warp_fold<Larger>(x); }
__device__ inline float block_max(float x) { return block_fold<Larger>(x, -INFINITY); }
