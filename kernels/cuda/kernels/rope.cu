// The rotation of `[tokens, heads, head_dim]` by the angles of each token, a block for each token.
#include "common.cuh"

struct Rope {
  const void *x, *cos, *sin;
  void* y;
  int64 heads, head_dim, pairs, interleaved, inverse;
};

template <class T>
__device__ void rope(const Rope& a) {
  using C = Compute<T>;
  unsigned head_dim = unsigned(a.head_dim), width = unsigned(a.heads) * head_dim, pairs = unsigned(a.pairs);
  const T* x = static_cast<const T*>(a.x) + int64(blockIdx.x) * width;
  T* y = static_cast<T*>(a.y) + int64(blockIdx.x) * width;
  const C* cosines = static_cast<const C*>(a.cos) + blockIdx.x * a.pairs;
  const C* sines = static_cast<const C*>(a.sin) + blockIdx.x * a.pairs;
  for (unsigned i = threadIdx.x; i < width; i += blockDim.x) {
    unsigned component = i % head_dim;
    if (component >= 2 * pairs) {
      y[i] = x[i];
      continue;
    }
    unsigned pair = a.interleaved ? component / 2 : component % pairs, distance = a.interleaved ? 1 : pairs;
    bool second = a.interleaved ? component % 2 : component >= pairs;
    C cosine = cosines[pair], sine = a.inverse ? -sines[pair] : sines[pair];
    C mine = load(x[i]), other = load(x[second ? i - distance : i + distance]);
    y[i] = store<T>(second ? other * sine + mine * cosine : mine * cosine - other * sine);
  }
}
EXPORT(rope, Rope)
