// Functions of one element: the table of formulas and derivatives that `ops/unary.rs` of `swift-tensor` has, in its order.
#include "common.cuh"

// Of `operation`, with up to two numbers that some take.
struct Unary {
  const void *x, *y, *dy;
  void* result;
  int64 count, operation;
  double first, second;
};

template <class C>
__device__ inline C softplus(C x) {
  return (x > C(0) ? x : C(0)) + log1p(exp(-fabs(x)));
}
template <class C>
__device__ inline C gelu_inner(C x) {
  return C(0.7978845608028654) * (x + C(0.044715) * x * x * x);
}

template <class C>
__device__ C value(const Unary& a, C x) {
  switch (a.operation) {
    case 0: return -x;
    case 1: return fabs(x);
    case 2: return exp(x);
    case 3: return log(x);
    case 4: return sqrt(x);
    case 5: return sin(x);
    case 6: return cos(x);
    case 7: return tanh(x);
    case 8: return sigmoid(x);
    case 9: return -softplus(-x);
    case 10: return softplus(x);
    case 11: return x > C(0) || x != x ? x : C(0);
    case 12: return C(0.5) * x * (C(1) + erf(x * C(0.7071067811865476)));
    case 13: return C(0.5) * x * (C(1) + tanh(gelu_inner(x)));
    case 14: return x * sigmoid(x);
    case 15: return C(pow(double(x), a.first));
    case 17: return x * C(a.first);
    case 18: return x + C(a.first);
    case 19: return C(a.first);
    default: return x < C(a.first) ? C(a.first) : x > C(a.second) ? C(a.second) : x;
  }
}

template <class C>
__device__ C derivative(const Unary& a, C x, C y) {
  switch (a.operation) {
    case 0: return -C(1);
    case 1: return x == C(0) ? C(0) : x < C(0) ? -C(1) : C(1);
    case 2: return y;
    case 3: return C(1) / x;
    case 4: return C(0.5) / y;
    case 5: return cos(x);
    case 6: return -sin(x);
    case 7: return C(1) - y * y;
    case 8: return y * (C(1) - y);
    case 9: return sigmoid(-x);
    case 10: return sigmoid(x);
    case 11: return x > C(0) ? C(1) : C(0);
    case 12: {
      C density = exp(-C(0.5) * x * x) * C(0.3989422804014327);
      return C(0.5) * (C(1) + erf(x * C(0.7071067811865476))) + x * density;
    }
    case 13: {
      C t = tanh(gelu_inner(x));
      C slope = C(0.7978845608028654) * (C(1) + C(3 * 0.044715) * x * x);
      return C(0.5) * (C(1) + t + x * (C(1) - t * t) * slope);
    }
    case 14: return sigmoid(x) * (C(1) + x * (C(1) - sigmoid(x)));
    case 15: return a.first == 0 ? C(0) : C(a.first * pow(double(x), a.first - 1));
    default: return x >= C(a.first) && x <= C(a.second) ? C(1) : C(0);
  }
}

template <class T>
__device__ void unary_forward(const Unary& a) {
  int64 i = index();
  if (i >= a.count) return;
  static_cast<T*>(a.result)[i] = store<T>(value(a, load(static_cast<const T*>(a.x)[i])));
}
EXPORT(unary_forward, Unary)

template <class T>
__device__ void unary_backward(const Unary& a) {
  int64 i = index();
  if (i >= a.count) return;
  Compute<T> x = load(static_cast<const T*>(a.x)[i]), y = load(static_cast<const T*>(a.y)[i]);
  static_cast<T*>(a.result)[i] = store<T>(load(static_cast<const T*>(a.dy)[i]) * derivative(a, x, y));
}
EXPORT(unary_backward, Unary)
