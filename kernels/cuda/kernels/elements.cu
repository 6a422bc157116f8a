// Elements wherever they lie: sums and products of operands that broadcast, copies, conversions, and rows of a table.
#include "common.cuh"

// The most dimensions that are left once neighbouring ones have been joined.
constexpr int DIMENSIONS = 6;

// `result[i] = a[i] op b[i]` for all places `i` of `rank` dimensions, the last of which changes fastest. An operand that is
// repeated along a dimension has a step of 0 there.
struct Strided {
  const void *a, *b;
  void* result;
  int64 count, operation, rank;
  int64 sizes[DIMENSIONS], a_steps[DIMENSIONS], b_steps[DIMENSIONS], result_steps[DIMENSIONS];
};

template <class C>
__device__ inline C join(int64 operation, C a, C b) {
  switch (operation) {
    case 1: return a + b;
    case 2: return a - b;
    case 3: return a * b;
    case 4: return a / b;
    default: return a;
  }
}

template <class T>
__device__ void strided(const Strided& s) {
  int64 i = index();
  if (i >= s.count) return;
  // There are fewer than 2^31, of which quotients are cheaper.
  unsigned rest = unsigned(i);
  int64 a = 0, b = 0, to = 0;
  for (int d = int(s.rank) - 1; d >= 0; d--) {
    unsigned place = d == 0 ? rest : rest % unsigned(s.sizes[d]);
    if (d > 0) rest /= unsigned(s.sizes[d]);
    a += place * s.a_steps[d];
    b += place * s.b_steps[d];
    to += place * s.result_steps[d];
  }
  Compute<T> left = load(static_cast<const T*>(s.a)[a]), right = load(static_cast<const T*>(s.b)[b]);
  static_cast<T*>(s.result)[to] = store<T>(join(s.operation, left, right));
}
EXPORT(strided, Strided)

// Elements in another type: that of 32 bits, of 64, or one of 16.
struct Convert {
  const void* x;
  void* y;
  int64 count, to;
};

template <class T>
__device__ void convert(const Convert& a) {
  int64 i = index();
  if (i >= a.count) return;
  Compute<T> x = load(static_cast<const T*>(a.x)[i]);
  switch (a.to) {
    case 0: static_cast<float*>(a.y)[i] = float(x); break;
    case 1: static_cast<double*>(a.y)[i] = double(x); break;
    case 2: static_cast<bf16*>(a.y)[i] = store<bf16>(float(x)); break;
    default: static_cast<f16*>(a.y)[i] = store<f16>(float(x));
  }
}
EXPORT(convert, Convert)

// Rows of `table` `[rows, width]` by their numbers, a block for each.
struct TakeRows {
  const void *table, *numbers;
  void* y;
  int64 width;
};

template <class T>
__device__ void take_rows(const TakeRows& a) {
  const T* row = static_cast<const T*>(a.table) + static_cast<const unsigned*>(a.numbers)[blockIdx.x] * a.width;
  T* y = static_cast<T*>(a.y) + blockIdx.x * a.width;
  for (int64 i = threadIdx.x; i < a.width; i += blockDim.x) y[i] = row[i];
}
EXPORT(take_rows, TakeRows)
