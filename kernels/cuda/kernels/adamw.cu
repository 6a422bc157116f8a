// AdamW, as `swift-kernels` has it, a thread for each element. Factors are computed in `double` by the host.
#include "common.cuh"

struct AdamW {
  void *parameter, *master;
  const void* gradient;
  void *first, *second;
  int64 count;
  double gradient_scale, keep, towards_gradient, beta2, towards_square, second_root, epsilon, minus_step_size;
};

template <class T>
__device__ void adamw(const AdamW& a) {
  using C = Compute<T>;
  int64 i = index();
  if (i >= a.count) return;
  T* parameter = static_cast<T*>(a.parameter);
  C *master = static_cast<C*>(a.master), *first = static_cast<C*>(a.first), *second = static_cast<C*>(a.second);
  C gradient = static_cast<const C*>(a.gradient)[i] * C(a.gradient_scale);
  C p = master ? master[i] : load(parameter[i]);
  C m = first[i] + C(a.towards_gradient) * (gradient - first[i]);
  C v = second[i] * C(a.beta2) + C(a.towards_square) * gradient * gradient;
  p = p * C(a.keep) + C(a.minus_step_size) * m / (sqrt(v) / C(a.second_root) + C(a.epsilon));
  first[i] = m;
  second[i] = v;
  if (master) master[i] = p;
  parameter[i] = store<T>(p);
}
EXPORT(adamw, AdamW)

// Sums of squares of chunks, in `double`; the host adds them in their order.
struct SumOfSquares {
  const void* x;
  void* sums;
  int64 count, chunk;
};

template <class T>
__device__ void sum_of_squares(const SumOfSquares& a) {
  int64 first = blockIdx.x * a.chunk, end = first + a.chunk < a.count ? first + a.chunk : a.count;
  double sum = 0;
  for (int64 i = first + threadIdx.x; i < end; i += blockDim.x) {
    double x = load(static_cast<const T*>(a.x)[i]);
    sum += x * x;
  }
  sum = block_reduce<Sum>(sum);
  if (threadIdx.x == 0) static_cast<double*>(a.sums)[blockIdx.x] = sum;
}
EXPORT(sum_of_squares, SumOfSquares)
