// CUDA's language on the CPU, as far as the kernels use it: to run them in tests on machines without a GPU.
//
// A block at a time is run, its threads as coroutines of one thread of the system. A barrier lets the others go on until
// all have come to it; a block whose threads wait for one that has ended is reported.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmath>

using std::exp;
using std::fabs;
using std::log;
using std::log1p;
using std::pow;
using std::sqrt;
using std::tanh;
using std::sin;
using std::cos;
using std::erf;

#define __device__
#define __host__
#define __global__
#define __constant__ static const
// Blocks run one after the other, so that one place serves all.
#define __shared__ static
#define __launch_bounds__(threads)

struct Index3 {
  unsigned x, y, z;
};
extern Index3 threadIdx, blockIdx, blockDim, gridDim;

void __syncthreads();
void __syncwarp();

namespace emulator {
// Memory of the block, as much as the launch asks for.
extern unsigned char* dynamic;
// Exchanges eight bytes between the threads of a warp.
uint64_t exchange(uint64_t mine, int distance);

using Body = void (*)(const void* arguments);
// Makes a kernel known by its name.
struct Kernel {
  Kernel(const char* name, size_t arguments, Body body);
};
}  // namespace emulator

template <class C>
C __shfl_xor_sync(unsigned, C x, int distance) {
  uint64_t bits = 0;
  memcpy(&bits, &x, sizeof(C));
  bits = emulator::exchange(bits, distance);
  memcpy(&x, &bits, sizeof(C));
  return x;
}

struct bf16 {
  uint16_t bits;
};

inline float __bfloat162float(bf16 x) {
  uint32_t bits = uint32_t(x.bits) << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

// To the nearest, the even one of two.
inline bf16 __float2bfloat16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if (x != x) return {0x7fff};
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

struct f16 {
  uint16_t bits;
};

// The value is an integer of 11 bits times a power of two.
inline float __half2float(f16 x) {
  int exponent = x.bits >> 10 & 31, mantissa = x.bits & 1023;
  float value = exponent == 31 ? (mantissa ? NAN : INFINITY)
                               : ldexpf(float(exponent ? mantissa | 1024 : mantissa), (exponent ? exponent : 1) - 25);
  return x.bits & 0x8000 ? -value : value;
}

// To the nearest, the even one of two: the library rounds an integer so, in units of the last bit of the result.
inline f16 __float2half(float x) {
  uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  x = fabsf(x);
  if (x != x) return {0x7fff};
  if (x >= 65520.0f) return {uint16_t(sign | 0x7c00)};
  int exponent = x < 6.103515625e-05f ? -14 : ilogbf(x);
  // A mantissa of 2048 carries over into the exponent by itself.
  int mantissa = int(nearbyintf(ldexpf(x, 10 - exponent)));
  return {uint16_t(sign | ((exponent + 14) * 1024 + mantissa))};
}

inline int __float_as_int(float x) {
  int bits;
  memcpy(&bits, &x, 4);
  return bits;
}

inline float __int_as_float(int bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

#define EXPORT_FOR(name, suffix, T, Arguments)                           \
  static const emulator::Kernel name##_##suffix##_kernel(                \
      #name "_" #suffix, sizeof(Arguments),                              \
      [](const void* a) { name<T>(*static_cast<const Arguments*>(a)); });

// The matrix units' interface. The first thread of a warp does the work of all, between two barriers, so that a missing one
// around it shows.
namespace nvcuda::wmma {
struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };

template <class Use, int M, int N, int K, class T, class Layout = row_major>
struct fragment {
  float x[16][16];
};

inline bool leads() { return threadIdx.x % 32 == 0; }
inline float wide(float x) { return x; }
inline float wide(bf16 x) { return __bfloat162float(x); }
inline float wide(f16 x) { return __half2float(x); }

template <class Fragment>
void fill_fragment(Fragment& f, float value) {
  for (auto& row : f.x)
    for (auto& x : row) x = value;
}

template <class Use, class T, class P>
void load_matrix_sync(fragment<Use, 16, 16, 16, T, row_major>& f, const P* p, unsigned stride) {
  if (!leads()) return;
  for (int r = 0; r < 16; r++)
    for (int c = 0; c < 16; c++) f.x[r][c] = wide(p[r * stride + c]);
}

template <class Use, class T, class P>
void load_matrix_sync(fragment<Use, 16, 16, 16, T, col_major>& f, const P* p, unsigned stride) {
  if (!leads()) return;
  for (int r = 0; r < 16; r++)
    for (int c = 0; c < 16; c++) f.x[r][c] = wide(p[c * stride + r]);
}

inline void load_matrix_sync(fragment<accumulator, 16, 16, 16, float>& f, const float* p, unsigned stride, layout_t) {
  load_matrix_sync(f, p, stride);
}

inline void store_matrix_sync(float* p, const fragment<accumulator, 16, 16, 16, float>& f, unsigned stride, layout_t) {
  if (!leads()) return;
  for (int r = 0; r < 16; r++)
    for (int c = 0; c < 16; c++) p[r * stride + c] = f.x[r][c];
}

template <class A, class B>
void mma_sync(fragment<accumulator, 16, 16, 16, float>& d, const A& a, const B& b,
              const fragment<accumulator, 16, 16, 16, float>& c) {
  if (!leads()) return;
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) {
      float sum = c.x[i][j];
      for (int k = 0; k < 16; k++) sum += a.x[i][k] * b.x[k][j];
      d.x[i][j] = sum;
    }
}
}  // namespace nvcuda::wmma
