// `norms[r] = |weight[r] + scale b[r] a|`, for adapters with magnitudes: a block for each row, all in `double`.
#include "common.cuh"

// `a` is `[rank, width]` and `b` `[rows, rank]`, of `double`.
struct RowNorms {
  const void *weight, *a, *b;
  void* norms;
  int64 width, rank;
  double scale;
};

template <class T>
__device__ void row_norms(const RowNorms& a) {
  const T* weight = static_cast<const T*>(a.weight) + blockIdx.x * a.width;
  const double *down = static_cast<const double*>(a.a), *up = static_cast<const double*>(a.b) + blockIdx.x * a.rank;
  double squares = 0;
  for (int64 i = threadIdx.x; i < a.width; i += blockDim.x) {
    double addition = 0;
    for (int64 k = 0; k < a.rank; k++) addition += up[k] * down[k * a.width + i];
    double sum = double(load(weight[i])) + a.scale * addition;
    squares += sum * sum;
  }
  squares = block_reduce<Sum>(squares);
  if (threadIdx.x == 0) static_cast<double*>(a.norms)[blockIdx.x] = sqrt(squares);
}
EXPORT(row_norms, RowNorms)
