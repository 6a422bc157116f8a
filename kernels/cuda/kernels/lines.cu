// Along one dimension of `[outer, length, inner]`.
#include "common.cuh"

struct Line {
  const void* x;
  void* y;
  int64 count, length, inner, flag;
};

// Running sums, from the end on if `flag`: a thread for each line.
template <class T>
__device__ void running_sum(const Line& a) {
  int64 line = index();
  if (line >= a.count) return;
  int64 first = line / a.inner * a.length * a.inner + line % a.inner;
  Compute<T> sum = 0;
  for (int64 i = 0; i < a.length; i++) {
    int64 at = first + (a.flag ? a.length - 1 - i : i) * a.inner;
    sum += load(static_cast<const T*>(a.x)[at]);
    static_cast<T*>(a.y)[at] = store<T>(sum);
  }
}
EXPORT(running_sum, Line)

// The place of the greatest element, the first of several; NaN is never greater. A thread for each line.
template <class T>
__device__ void first_greatest(const Line& a) {
  int64 line = index();
  if (line >= a.count) return;
  int64 first = line / a.inner * a.length * a.inner + line % a.inner, found = 0;
  const T* x = static_cast<const T*>(a.x);
  Compute<T> best = load(x[first]);
  for (int64 i = 1; i < a.length; i++) {
    Compute<T> here = load(x[first + i * a.inner]);
    if (here > best) {
      best = here;
      found = i;
    }
  }
  static_cast<int64*>(a.y)[line] = found;
}
EXPORT(first_greatest, Line)

// Whether `a` comes before `b`: NaN is the greatest of all.
template <class C>
__device__ inline bool before(C a, C b) {
  return a < b || (b != b && a == a);
}

// The permutation that puts the last dimension in order, from the greatest on if `flag`; equal elements keep theirs. A thread
// for each element counts what comes before it, which takes as many steps as a line is long.
template <class T>
__device__ void order(const Line& a) {
  int64 i = index();
  if (i >= a.count) return;
  int64 first = i / a.length * a.length, place = 0;
  const T* x = static_cast<const T*>(a.x) + first;
  Compute<T> mine = load(x[i - first]);
  for (int64 j = 0; j < a.length; j++) {
    Compute<T> other = load(x[j]);
    bool earlier = a.flag ? before(mine, other) : before(other, mine);
    bool later = a.flag ? before(other, mine) : before(mine, other);
    place += earlier || (!later && j < i - first);
  }
  static_cast<int64*>(a.y)[first + place] = i - first;
}
EXPORT(order, Line)
