// To numbers of 8 bits, as `swift_kernels::float8` rounds: a scale for each matrix, from its greatest magnitude.
#include "common.cuh"

struct Float8 {
  const void* x;
  void *magnitudes, *scales, *y;
  int64 count, chunk, rows, columns, stride, mantissa, bias;
  double greatest, least;
};

// The greatest magnitude of each chunk, as the bits of a `float`, of which those of NaN are the greatest: a block for each chunk.
template <class T>
__device__ void float8_magnitudes(const Float8& a) {
  int64 first = blockIdx.x * a.chunk, end = first + a.chunk < a.count ? first + a.chunk : a.count;
  int greatest = 0;
  for (int64 i = first + threadIdx.x; i < end; i += blockDim.x) {
    greatest = Greatest::join(greatest, __float_as_int(float(load(static_cast<const T*>(a.x)[i]))) & 0x7fffffff);
  }
  greatest = block_reduce<Greatest>(greatest);
  if (threadIdx.x == 0) static_cast<int*>(a.magnitudes)[blockIdx.x] = greatest;
}
EXPORT(float8_magnitudes, Float8)

// The scale of a matrix, and what takes numbers back, from the magnitudes of `count` chunks: a single block, whatever the type.
template <class T>
__device__ void float8_scale(const Float8& a) {
  int bits = 0;
  for (int64 i = threadIdx.x; i < a.count; i += blockDim.x) {
    bits = Greatest::join(bits, static_cast<const int*>(a.magnitudes)[i]);
  }
  bits = block_reduce<Greatest>(bits);
  if (threadIdx.x > 0) return;
  double greatest = __int_as_float(bits);
  float scale = float(a.greatest / (greatest < a.least ? a.least : greatest));
  static_cast<float*>(a.scales)[0] = scale;
  static_cast<float*>(a.scales)[1] = 1.0f / scale;
}
EXPORT(float8_scale, Float8)

// The byte of the nearest number, the even one of two. Adding a number whose last bit is worth as much as the format's rounds, and
// leaves in the low bits how many of these the number has.
__device__ inline unsigned char float8(float x, const Float8& a) {
  int sign = __float_as_int(x) >> 24 & 0x80;
  float magnitude = __int_as_float(__float_as_int(x) & 0x7fffffff);
  if (magnitude != magnitude) return sign | 0x7f;
  if (magnitude > float(a.greatest)) magnitude = float(a.greatest);
  int exponent = __float_as_int(magnitude) >> 23, least = 128 - int(a.bias);
  if (exponent < least) exponent = least;
  float rounder = 1.5f * __int_as_float((exponent + 23 - int(a.mantissa)) << 23);
  int whole = __float_as_int(magnitude + rounder) - __float_as_int(rounder);
  return sign | (((exponent - least) << a.mantissa) + whole);
}

// The matrix in 8 bits, a thread for each element.
template <class T>
__device__ void float8_round(const Float8& a) {
  int64 i = index();
  if (i >= a.count) return;
  float scale = static_cast<const float*>(a.scales)[0];
  static_cast<unsigned char*>(a.y)[i] = float8(float(load(static_cast<const T*>(a.x)[i])) * scale, a);
}
EXPORT(float8_round, Float8)

// The transpose of a matrix `[rows, columns]` in 8 bits, `[columns, stride]`, where what is beyond the rows is zero. A block for each
// square of 32.
template <class T>
__device__ void float8_transpose(const Float8& a) {
  constexpr int SIDE = 32;
  // Lines of another length than a power of two, so that threads that go down a column meet in fewer banks.
  __shared__ unsigned char square[SIDE][SIDE + 4];
  float scale = static_cast<const float*>(a.scales)[0];
  int64 first_row = int64(blockIdx.y) * SIDE, first_column = int64(blockIdx.x) * SIDE;
  int beside = threadIdx.x % SIDE;
  for (int below = threadIdx.x / SIDE; below < SIDE; below += blockDim.x / SIDE) {
    int64 row = first_row + below, column = first_column + beside;
    bool inside = row < a.rows && column < a.columns;
    square[below][beside] =
        inside ? float8(float(load(static_cast<const T*>(a.x)[row * a.columns + column])) * scale, a) : 0;
  }
  __syncthreads();
  for (int below = threadIdx.x / SIDE; below < SIDE; below += blockDim.x / SIDE) {
    int64 column = first_column + below, row = first_row + beside;
    if (column < a.columns && row < a.stride) {
      static_cast<unsigned char*>(a.y)[column * a.stride + row] = square[beside][below];
    }
  }
}
EXPORT(float8_transpose, Float8)
