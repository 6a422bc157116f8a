// What all kernels share: element types, reductions over a block, and how kernels are exported.
//
// Every kernel takes one structure of arguments by value. Its twin with the same fields is in `src/arguments.rs`. Pointers
// come first and are untyped there; sizes are 64 bits wide. Work is split by outputs, and partial sums are combined in a fixed
// order, without atomics: results do not depend on how blocks are scheduled.
#pragma once

#ifdef EMULATION
#include "../emulator/emulator.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>
using bf16 = __nv_bfloat16;
using f16 = __half;
// A kernel for each element type, under its name and that of the type.
#define EXPORT_FOR(name, suffix, T, Arguments)                                               \
  extern "C" __global__ void __launch_bounds__(256) name##_##suffix(const Arguments a) {     \
    name<T>(a);                                                                              \
  }
#endif
#define EXPORT(name, Arguments)            \
  EXPORT_FOR(name, f32, float, Arguments)  \
  EXPORT_FOR(name, f64, double, Arguments) \
  EXPORT_FOR(name, bf16, bf16, Arguments)  \
  EXPORT_FOR(name, f16, f16, Arguments)

using int64 = long long;
using uint32 = unsigned int;
using uint64 = unsigned long long;

// What an element type is computed in: itself, or `float` for types of 16 bits.
template <class T>
struct Computing {
  using Type = T;
};
template <>
struct Computing<bf16> {
  using Type = float;
};
template <>
struct Computing<f16> {
  using Type = float;
};
template <class T>
using Compute = typename Computing<T>::Type;

__device__ inline float load(float x) { return x; }
__device__ inline double load(double x) { return x; }
__device__ inline float load(bf16 x) { return __bfloat162float(x); }
__device__ inline float load(f16 x) { return __half2float(x); }

template <class T>
__device__ inline T store(Compute<T> x) {
  return x;
}
template <>
__device__ inline bf16 store<bf16>(float x) {
  return __float2bfloat16(x);
}
template <>
__device__ inline f16 store<f16>(float x) {
  return __float2half(x);
}

template <class C>
__device__ inline C infinity() {
  return C(INFINITY);
}

// Only ever raises e to a negative power, so that nothing overflows.
template <class C>
__device__ inline C sigmoid(C x) {
  C e = exp(-fabs(x));
  return x >= C(0) ? C(1) / (C(1) + e) : e / (C(1) + e);
}

// The index of this thread among those of all blocks, for one thread an element.
__device__ inline int64 index() { return int64(blockIdx.x) * blockDim.x + threadIdx.x; }

// Most warps of a block.
constexpr int WARPS = 8;

struct Sum {
  template <class C>
  __device__ static C join(C a, C b) {
    return a + b;
  }
};
struct Greatest {
  template <class C>
  __device__ static C join(C a, C b) {
    return a < b ? b : a;
  }
};

template <class Operation, class C>
__device__ inline C warp_reduce(C x) {
  for (int distance = 16; distance > 0; distance /= 2) {
    x = Operation::join(x, __shfl_xor_sync(0xffffffffu, x, distance));
  }
  return x;
}

// The sum or the greatest of the numbers of all threads of a block, which is a multiple of a warp; for every thread.
template <class Operation, class C>
__device__ inline C block_reduce(C x) {
  __shared__ C parts[WARPS];
  x = warp_reduce<Operation>(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
  __syncthreads();
  x = parts[0];
  for (int warp = 1; warp < int(blockDim.x) / 32; warp++) x = Operation::join(x, parts[warp]);
  return x;
}
