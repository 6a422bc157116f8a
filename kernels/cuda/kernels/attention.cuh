// Causal attention over packed sequences, after FlashAttention-2 (Dao 2023), in tiles of `tile` rows, a multiple of 16. Each warp
// owns 16 rows of a tile; products are taken from shared memory, by the matrix units for types of 16 bits.
//
// The way back has two kernels, one for queries and one for keys and values. Each computes the scores again, so that no block adds
// to what another writes, and gradients come out the same each time.
#pragma once
#include "common.cuh"

struct Attention {
  const void *q, *k, *v, *sinks, *slopes;
  // Written by the way there, read by the way back.
  void *out, *lse;
  const void *dout, *delta;
  void *dq, *dk, *dv;
  // For each tile the first token of its sequence, the tokens of that, and the tile's first row in it.
  const void* tiles;
  int64 tokens, heads, kv_heads, head_dim, padded_dim, tile, window;
  double scale, soft_cap;
};

constexpr int STRIP = 16;
// Elements by which rows in shared memory are longer than they need to be, so that neighbouring rows lie in other banks.
template <class T>
__host__ __device__ constexpr int padding() {
  return 16 / sizeof(T);
}

// Hands out shared memory.
struct Shared {
  unsigned char* next;
  __device__ Shared() {
#ifdef EMULATION
    next = emulator::dynamic;
#else
    extern __shared__ __align__(128) unsigned char memory[];
    next = memory;
#endif
  }
  template <class T>
  __device__ T* take(int64 rows, int64 stride) {
    T* taken = reinterpret_cast<T*>(next);
    next += (rows * stride * int64(sizeof(T)) + 127) / 128 * 128;
    return taken;
  }
};

// Where a tile lies.
struct Tile {
  int64 start, length, first;
  __device__ Tile(const Attention& a, int64 number) {
    const int64* tile = static_cast<const int64*>(a.tiles) + 3 * number;
    start = tile[0];
    length = tile[1];
    first = tile[2];
  }
};

// Elements that are moved at a time.
struct alignas(16) Chunk {
  unsigned words[4];
};

// The rows of one head from a position of the sequence on, into shared memory; zeros beyond its end and beyond `head_dim`.
template <class T>
__device__ void fetch(const Attention& a, const void* from, int64 heads, int64 head, const Tile& tile, int64 first, T* into,
                      int stride) {
  constexpr unsigned CHUNK = sizeof(Chunk) / sizeof(T);
  const T* x = static_cast<const T*>(from) + (tile.start + first) * heads * a.head_dim + head * a.head_dim;
  int64 step = heads * a.head_dim;
  unsigned left = tile.length > first ? unsigned(tile.length - first) : 0, width = unsigned(a.head_dim);
  if (width % CHUNK == 0 && reinterpret_cast<size_t>(x) % sizeof(Chunk) == 0) {
    unsigned chunks = unsigned(a.padded_dim) / CHUNK;
    for (unsigned i = threadIdx.x; i < a.tile * chunks; i += blockDim.x) {
      unsigned row = i / chunks, column = i % chunks * CHUNK;
      Chunk chunk = {};
      if (row < left && column < width) chunk = *reinterpret_cast<const Chunk*>(x + row * step + column);
      *reinterpret_cast<Chunk*>(into + row * stride + column) = chunk;
    }
    return;
  }
  unsigned columns = unsigned(a.padded_dim);
  for (unsigned i = threadIdx.x; i < a.tile * columns; i += blockDim.x) {
    unsigned row = i / columns, column = i % columns;
    into[row * stride + column] = row < left && column < width ? x[row * step + column] : store<T>(0);
  }
}

// A warp's 16 rows of accumulators from shared memory to the rows of one head, in the element type.
template <class T>
__device__ void put(const Attention& a, void* into, int64 heads, int64 head, const Tile& tile, int64 first,
                    const Compute<T>* from, int stride) {
  unsigned width = unsigned(a.head_dim);
  for (unsigned i = threadIdx.x % 32; i < STRIP * width; i += 32) {
    unsigned row = i / width, column = i % width;
    if (first + row >= tile.length) return;
    int64 token = tile.start + first + row;
    static_cast<T*>(into)[(token * heads + head) * a.head_dim + column] = store<T>(from[row * stride + column]);
  }
}

// What the matrix units multiply.
template <class T>
constexpr bool IN_UNITS = sizeof(T) == 2;
template <class T, class Use, class Layout>
using Fragment = nvcuda::wmma::fragment<Use, STRIP, STRIP, STRIP, T, Layout>;
using Accumulator = nvcuda::wmma::fragment<nvcuda::wmma::accumulator, STRIP, STRIP, STRIP, float>;

// `out [16, columns] = left [16, inner] right^T`, with `right` `[columns, inner]`, by one warp.
template <class T>
__device__ void strip_times_transposed(const T* left, int left_stride, const T* right, int right_stride, Compute<T>* out,
                                       int out_stride, int columns, int inner) {
  using namespace nvcuda::wmma;
  __syncwarp();
  if constexpr (IN_UNITS<T>) {
    for (int column = 0; column < columns; column += STRIP) {
      Accumulator sum;
      fill_fragment(sum, 0.0f);
      for (int k = 0; k < inner; k += STRIP) {
        Fragment<T, matrix_a, row_major> x;
        Fragment<T, matrix_b, col_major> y;
        load_matrix_sync(x, left + k, left_stride);
        load_matrix_sync(y, right + column * right_stride + k, right_stride);
        mma_sync(sum, x, y, sum);
      }
      store_matrix_sync(out + column, sum, out_stride, mem_row_major);
    }
  } else {
    for (int i = threadIdx.x % 32; i < STRIP * columns; i += 32) {
      int row = i / columns, column = i % columns;
      T sum = 0;
      for (int k = 0; k < inner; k++) sum += left[row * left_stride + k] * right[column * right_stride + k];
      out[row * out_stride + column] = sum;
    }
  }
  __syncwarp();
}

// `out [16, columns] += left [16, inner] right`, with `right` `[inner, columns]`, by one warp.
template <class T>
__device__ void add_strip_times(const T* left, int left_stride, const T* right, int right_stride, Compute<T>* out,
                                int out_stride, int columns, int inner) {
  using namespace nvcuda::wmma;
  __syncwarp();
  if constexpr (IN_UNITS<T>) {
    for (int column = 0; column < columns; column += STRIP) {
      Accumulator sum;
      load_matrix_sync(sum, out + column, out_stride, mem_row_major);
      for (int k = 0; k < inner; k += STRIP) {
        Fragment<T, matrix_a, row_major> x;
        Fragment<T, matrix_b, row_major> y;
        load_matrix_sync(x, left + k, left_stride);
        load_matrix_sync(y, right + k * right_stride + column, right_stride);
        mma_sync(sum, x, y, sum);
      }
      store_matrix_sync(out + column, sum, out_stride, mem_row_major);
    }
  } else {
    for (int i = threadIdx.x % 32; i < STRIP * columns; i += 32) {
      int row = i / columns, column = i % columns;
      T sum = 0;
      for (int k = 0; k < inner; k++) sum += left[row * left_stride + k] * right[k * right_stride + column];
      out[row * out_stride + column] += sum;
    }
  }
  __syncwarp();
}

// Whether the query at `position` sees the key at `key`.
__device__ inline bool sees(const Attention& a, const Tile& tile, int64 position, int64 key) {
  return key <= position && position < tile.length && (a.window == 0 || position - key < a.window);
}

// By how much the scores of a head grow from one key to the next.
template <class C>
__device__ inline C head_slope(const void* slopes, int64 head) {
  return slopes ? C(static_cast<const double*>(slopes)[head]) : C(0);
}

// From a product to a score; `distance` is that from the query to the key, 0 or below.
template <class C>
__device__ inline C score(const Attention& a, C product, C slope, int64 distance) {
  product = product * C(a.scale) + slope * C(distance);
  return a.soft_cap > 0 ? C(a.soft_cap) * tanh(product / C(a.soft_cap)) : product;
}

// The derivative of the soft cap where it gave `score`.
template <class C>
__device__ inline C score_slope(const Attention& a, C score) {
  return a.soft_cap > 0 ? C(1) - score / C(a.soft_cap) * (score / C(a.soft_cap)) : C(1);
}

// The first tile that a query at `position` sees keys of.
__device__ inline int64 first_tile(const Attention& a, int64 position) {
  int64 key = a.window == 0 || position < a.window ? 0 : position - a.window + 1;
  return key / a.tile * a.tile;
}
