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
// Shared memory whose size the launch gives.
#define DYNAMIC_SHARED(T, name)                            \
  extern __shared__ __align__(128) unsigned char bytes_[]; \
  T &name = *reinterpret_cast<T *>(bytes_)
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

#endif

// Two 16-bit numbers in one register, the first one low.
template <class T> __device__ inline unsigned pair(float low, float high) {
  T two[2] = {narrow<T>(low), narrow<T>(high)};
  unsigned bits;
  memcpy(&bits, two, sizeof bits);
  return bits;
}

// Sixteen bytes at a time.
struct alignas(16) Chunk {
  unsigned words[4];
};

template <class T> struct alignas(16) Eight {
  T at[8];
};

const unsigned ALL = 0xffffffffu;

__device__ inline float warp_sum(float x) {
  for (int lanes = 16; lanes; lanes /= 2) x += __shfl_xor_sync(ALL, x, lanes);
  return x;
}

__device__ inline float warp_max(float x) {
  for (int lanes = 16; lanes; lanes /= 2) x = fmaxf(x, __shfl_xor_sync(ALL, x, lanes));
  return x;
}

// The sum over a block of whole warps, given to every thread.
__device__ inline float block_sum(float x) {
  SHARED(float, 32, sums);
  x = warp_sum(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;
  __syncthreads();
  unsigned warps = blockDim.x / 32, lane = threadIdx.x % 32;
  return warp_sum(lane < warps ? sums[lane] : 0.0f);
}

// The largest number of a block of whole warps, given to every thread.
__device__ inline float block_max(float x) {
  SHARED(float, 32, maxima);
  x = warp_max(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) maxima[threadIdx.x / 32] = x;
  __syncthreads();
  unsigned warps = blockDim.x / 32, lane = threadIdx.x % 32;
  return warp_max(lane < warps ? maxima[lane] : -INFINITY);
}
