// Sums over rows, in a fixed order.
#include "common.cuh"

// `sums[chunk, c] = sum over the rows of a chunk of dy[r, c]`, or of `dy[r, c] x[r, c] factor[r]`: a thread for each column and
// chunk. Sums over chunks are taken by a second launch.
struct ColumnSums {
  const void *dy, *x, *factor;
  void* sums;
  int64 rows, width, chunk;
};

template <class T>
__device__ void column_sums(const ColumnSums& a) {
  using C = Compute<T>;
  int64 column = index();
  if (column >= a.width) return;
  const T *dy = static_cast<const T*>(a.dy), *x = static_cast<const T*>(a.x);
  const C* factor = static_cast<const C*>(a.factor);
  int64 first = blockIdx.y * a.chunk, end = first + a.chunk < a.rows ? first + a.chunk : a.rows;
  C sum = 0;
  for (int64 row = first; row < end; row++) {
    C term = load(dy[row * a.width + column]);
    sum += x ? term * load(x[row * a.width + column]) * factor[row] : term;
  }
  static_cast<C*>(a.sums)[blockIdx.y * a.width + column] = sum;
}
EXPORT(column_sums, ColumnSums)

// `sums[g] = sum of the rows of x that belong to group g`, or their mean: rows `order[starts[g] .. starts[g + 1]]`. A block for
// each group, or several that share its columns, goes over 32 columns at a time; each of its eight warps takes every eighth row.
struct GroupSums {
  const void *x, *order, *starts;
  void* sums;
  int64 width, mean;
};

template <class T>
__device__ void group_sums(const GroupSums& a) {
  using C = Compute<T>;
  __shared__ C parts[WARPS][32];
  const T* x = static_cast<const T*>(a.x);
  const int64* order = static_cast<const int64*>(a.order);
  const int64* starts = static_cast<const int64*>(a.starts);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  int64 start = starts[blockIdx.x], end = starts[blockIdx.x + 1];
  for (int64 first = int64(blockIdx.y) * 32; first < a.width; first += int64(gridDim.y) * 32) {
    int64 column = first + lane;
    C sum = 0;
    if (column < a.width) {
      for (int64 i = start + warp; i < end; i += WARPS) sum += load(x[order[i] * a.width + column]);
    }
    __syncthreads();
    parts[warp][lane] = sum;
    __syncthreads();
    if (warp > 0 || column >= a.width) continue;
    for (int other = 1; other < WARPS; other++) sum += parts[other][lane];
    if (a.mean && end > start) sum = sum / C(end - start);
    static_cast<T*>(a.sums)[blockIdx.x * a.width + column] = store<T>(sum);
  }
}
EXPORT(group_sums, GroupSums)

// `y[r, c] = x[r, c] * factor[r]`, a block for each row; `y` may be `x`.
struct ScaleRows {
  const void *x, *factor;
  void* y;
  int64 width;
};

template <class T>
__device__ void scale_rows(const ScaleRows& a) {
  const T* x = static_cast<const T*>(a.x) + blockIdx.x * a.width;
  T* y = static_cast<T*>(a.y) + blockIdx.x * a.width;
  Compute<T> factor = static_cast<const Compute<T>*>(a.factor)[blockIdx.x];
  for (int64 i = threadIdx.x; i < a.width; i += blockDim.x) y[i] = store<T>(load(x[i]) * factor);
}
EXPORT(scale_rows, ScaleRows)
