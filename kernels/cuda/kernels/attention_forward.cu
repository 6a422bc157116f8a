// `out[p] = sum over j of softmax(s[p])[j] v[j]`: a block for each tile of queries and head.
#include "attention.cuh"

template <class T>
__device__ void attention_forward(const Attention& a) {
  using C = Compute<T>;
  Tile tile(a, blockIdx.x);
  int64 head = blockIdx.y, kv_head = head / (a.heads / a.kv_heads);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = warp * STRIP + lane / 2, half = lane % 2;
  int stride = a.padded_dim + padding<T>(), wide_stride = a.padded_dim + padding<C>();
  int score_stride = a.tile + padding<C>(), weight_stride = a.tile + padding<T>();
  Shared shared;
  T* queries = shared.take<T>(a.tile, stride);
  // Keys, and then values.
  T* others = shared.take<T>(a.tile, stride);
  C* sums = shared.take<C>(a.tile, wide_stride);
  C* scores = shared.take<C>(a.tile, score_stride);
  T* weights = shared.take<T>(a.tile, weight_stride);
  C* my_scores = scores + row * score_stride;
  C* my_sums = sums + row * wide_stride;

  fetch(a, a.q, a.heads, head, tile, tile.first, queries, stride);
  for (int64 i = threadIdx.x; i < a.tile * wide_stride; i += blockDim.x) sums[i] = 0;
  // A sink is a score that came before all others, with a value of zero. Two threads share a row.
  C highest = a.sinks ? static_cast<const C*>(a.sinks)[head] : -infinity<C>();
  C weight = a.sinks ? C(1) : C(0);
  int64 position = tile.first + row;
  C slope = head_slope<C>(a.slopes, head);

  for (int64 first = first_tile(a, tile.first); first < tile.first + a.tile && first < tile.length; first += a.tile) {
    __syncthreads();
    fetch(a, a.k, a.kv_heads, kv_head, tile, first, others, stride);
    __syncthreads();
    strip_times_transposed<T>(queries + warp * STRIP * stride, stride, others, stride, scores + warp * STRIP * score_stride,
                              score_stride, a.tile, a.padded_dim);
    __syncthreads();
    fetch(a, a.v, a.kv_heads, kv_head, tile, first, others, stride);

    C here = -infinity<C>();
    for (int column = half; column < a.tile; column += 2) {
      C s = sees(a, tile, position, first + column) ? score(a, my_scores[column], slope, first + column - position) : -infinity<C>();
      my_scores[column] = s;
      if (s > here) here = s;
    }
    here = Greatest::join(here, __shfl_xor_sync(0xffffffffu, here, 1));
    if (here > highest) {
      C shrink = exp(highest - here);
      weight *= shrink;
      highest = here;
      for (int column = half; column < a.head_dim; column += 2) my_sums[column] *= shrink;
    }
    C total = 0;
    for (int column = half; column < a.tile; column += 2) {
      C s = my_scores[column], exponential = s > -infinity<C>() ? exp(s - highest) : C(0);
      total += exponential;
      weights[row * weight_stride + column] = store<T>(exponential);
    }
    weight += Sum::join(total, __shfl_xor_sync(0xffffffffu, total, 1));
    __syncthreads();
    add_strip_times<T>(weights + warp * STRIP * weight_stride, weight_stride, others, stride,
                       sums + warp * STRIP * wide_stride, wide_stride, a.padded_dim, a.tile);
  }
  __syncthreads();
  if (position < tile.length) {
    for (int column = half; column < a.head_dim; column += 2) my_sums[column] = my_sums[column] / weight;
    if (half == 0) static_cast<C*>(a.lse)[head * a.tokens + tile.start + position] = highest + log(weight);
  }
  __syncwarp();
  put<T>(a, a.out, a.heads, head, tile, tile.first + warp * STRIP, sums + warp * STRIP * wide_stride, wide_stride);
}
EXPORT(attention_forward, Attention)

// `delta[h, t] = dout[t, h] . out[t, h]`, which the way back and the gradients of sinks need: a warp for each head of a token.
template <class T>
__device__ void attention_delta(const Attention& a) {
  using C = Compute<T>;
  int64 row = index() / 32;
  if (row >= a.tokens * a.heads) return;
  const T* dout = static_cast<const T*>(a.dout) + row * a.head_dim;
  const T* out = static_cast<const T*>(a.out) + row * a.head_dim;
  C sum = 0;
  for (int i = threadIdx.x % 32; i < a.head_dim; i += 32) sum += load(dout[i]) * load(out[i]);
  sum = warp_reduce<Sum>(sum);
  // Named for what it is where it is read.
  C* delta = static_cast<C*>(const_cast<void*>(a.delta));
  if (threadIdx.x % 32 == 0) delta[row % a.heads * a.tokens + row / a.heads] = sum;
}
EXPORT(attention_delta, Attention)
