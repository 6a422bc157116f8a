// `y = silu(gate) * up`, and dropout: a thread for each element.
#include "common.cuh"

struct SwigluForward {
  const void *gate, *up;
  void* y;
  int64 count;
};

template <class T>
__device__ void swiglu_forward(const SwigluForward& a) {
  int64 i = index();
  if (i >= a.count) return;
  Compute<T> gate = load(static_cast<const T*>(a.gate)[i]), up = load(static_cast<const T*>(a.up)[i]);
  static_cast<T*>(a.y)[i] = store<T>(gate * sigmoid(gate) * up);
}
EXPORT(swiglu_forward, SwigluForward)

struct SwigluBackward {
  const void *dy, *gate, *up;
  void *dgate, *dup;
  int64 count;
};

template <class T>
__device__ void swiglu_backward(const SwigluBackward& a) {
  using C = Compute<T>;
  int64 i = index();
  if (i >= a.count) return;
  C dy = load(static_cast<const T*>(a.dy)[i]);
  C gate = load(static_cast<const T*>(a.gate)[i]), up = load(static_cast<const T*>(a.up)[i]);
  C open = sigmoid(gate), shut = sigmoid(-gate);
  static_cast<T*>(a.dup)[i] = store<T>(dy * gate * open);
  static_cast<T*>(a.dgate)[i] = store<T>(dy * up * open * (C(1) + gate * shut));
}
EXPORT(swiglu_backward, SwigluBackward)

// Which elements are dropped follows from the seed and their places, as `swift_kernels::dropout` has it.
struct Dropout {
  const void* x;
  void* y;
  int64 count;
  uint64 seed;
  double rate;
};

__device__ inline uint64 split_mix(uint64 z) {
  z += 0x9E3779B97F4A7C15ull;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ z >> 27) * 0x94D049BB133111EBull;
  return z ^ z >> 31;
}

template <class T>
__device__ void dropout(const Dropout& a) {
  using C = Compute<T>;
  int64 i = index();
  if (i >= a.count) return;
  uint64 keys = split_mix(split_mix(a.seed) + uint64(i >> 32));
  uint32 z = uint32(i) ^ uint32(keys);
  z = (z ^ z >> 16) * 0x21F0AAADu + uint32(keys >> 32);
  z = (z ^ z >> 15) * 0xD35A2D97u;
  z ^= z >> 15;
  bool kept = z >= uint32(a.rate * 4294967296.0);
  C grow = C(1.0 / (1.0 - a.rate));
  static_cast<T*>(a.y)[i] = store<T>(kept ? load(static_cast<const T*>(a.x)[i]) * grow : C(0));
}
EXPORT(dropout, Dropout)
