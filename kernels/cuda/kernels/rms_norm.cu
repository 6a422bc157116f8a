// `y = x / sqrt(mean(x^2) + epsilon) * (offset + weight)`, a block for each row.
#include "common.cuh"

struct RmsNormForward {
  const void *x, *weight;
  void *y, *rstd;
  int64 width;
  double epsilon, offset;
};

template <class T>
__device__ void rms_norm_forward(const RmsNormForward& a) {
  using C = Compute<T>;
  const T* x = static_cast<const T*>(a.x) + blockIdx.x * a.width;
  const T* weight = static_cast<const T*>(a.weight);
  T* y = static_cast<T*>(a.y) + blockIdx.x * a.width;
  C squares = 0;
  for (int64 i = threadIdx.x; i < a.width; i += blockDim.x) squares += load(x[i]) * load(x[i]);
  C rstd = C(1) / sqrt(block_reduce<Sum>(squares) / C(a.width) + C(a.epsilon));
  for (int64 i = threadIdx.x; i < a.width; i += blockDim.x) {
    y[i] = store<T>(load(x[i]) * rstd * (C(a.offset) + load(weight[i])));
  }
  if (threadIdx.x == 0) static_cast<C*>(a.rstd)[blockIdx.x] = rstd;
}
EXPORT(rms_norm_forward, RmsNormForward)

// With `w = offset + weight`: `dx = rstd (w dy) - x rstd^3 mean(w dy x)`. The weight's gradient is a `column_sums`.
struct RmsNormBackward {
  const void *dy, *x, *weight, *rstd;
  void* dx;
  int64 width;
  double offset;
};

template <class T>
__device__ void rms_norm_backward(const RmsNormBackward& a) {
  using C = Compute<T>;
  const T* dy = static_cast<const T*>(a.dy) + blockIdx.x * a.width;
  const T* x = static_cast<const T*>(a.x) + blockIdx.x * a.width;
  const T* weight = static_cast<const T*>(a.weight);
  T* dx = static_cast<T*>(a.dx) + blockIdx.x * a.width;
  C rstd = static_cast<const C*>(a.rstd)[blockIdx.x], sum = 0;
  for (int64 i = threadIdx.x; i < a.width; i += blockDim.x) {
    sum += (C(a.offset) + load(weight[i])) * load(dy[i]) * load(x[i]);
  }
  C pull = block_reduce<Sum>(sum) / C(a.width) * rstd * rstd * rstd;
  for (int64 i = threadIdx.x; i < a.width; i += blockDim.x) {
    dx[i] = store<T>((C(a.offset) + load(weight[i])) * load(dy[i]) * rstd - load(x[i]) * pull);
  }
}
EXPORT(rms_norm_backward, RmsNormBackward)
