// With `P = exp(s - lse)` and `dS = P (dout v^T - delta)` times the slopes of scale and cap: `dq = dS k`, `dk = dS^T q` and
// `dv = P^T dout`.
#include "attention.cuh"

// A block for each tile of queries and head.
template <class T>
__device__ void attention_queries(const Attention& a) {
  using C = Compute<T>;
  Tile tile(a, blockIdx.x);
  int64 head = blockIdx.y, kv_head = head / (a.heads / a.kv_heads);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = warp * STRIP + lane / 2, half = lane % 2;
  int stride = a.padded_dim + padding<T>(), wide_stride = a.padded_dim + padding<C>();
  int score_stride = a.tile + padding<C>(), weight_stride = a.tile + padding<T>();
  Shared shared;
  T* queries = shared.take<T>(a.tile, stride);
  T* douts = shared.take<T>(a.tile, stride);
  // Values, and then keys.
  T* others = shared.take<T>(a.tile, stride);
  C* dq = shared.take<C>(a.tile, wide_stride);
  C* scores = shared.take<C>(a.tile, score_stride);
  C* pulls = shared.take<C>(a.tile, score_stride);
  T* slopes = shared.take<T>(a.tile, weight_stride);

  fetch(a, a.q, a.heads, head, tile, tile.first, queries, stride);
  fetch(a, a.dout, a.heads, head, tile, tile.first, douts, stride);
  for (int64 i = threadIdx.x; i < a.tile * wide_stride; i += blockDim.x) dq[i] = 0;
  int64 position = tile.first + row;
  bool there = position < tile.length;
  C steepness = head_slope<C>(a.slopes, head);
  int64 at = head * a.tokens + tile.start + position;
  C lse = there ? static_cast<const C*>(a.lse)[at] : C(0), delta = there ? static_cast<const C*>(a.delta)[at] : C(0);

  for (int64 first = first_tile(a, tile.first); first < tile.first + a.tile && first < tile.length; first += a.tile) {
    __syncthreads();
    fetch(a, a.v, a.kv_heads, kv_head, tile, first, others, stride);
    __syncthreads();
    strip_times_transposed<T>(douts + warp * STRIP * stride, stride, others, stride, pulls + warp * STRIP * score_stride,
                              score_stride, a.tile, a.padded_dim);
    __syncthreads();
    fetch(a, a.k, a.kv_heads, kv_head, tile, first, others, stride);
    __syncthreads();
    strip_times_transposed<T>(queries + warp * STRIP * stride, stride, others, stride, scores + warp * STRIP * score_stride,
                              score_stride, a.tile, a.padded_dim);
    for (int column = half; column < a.tile; column += 2) {
      C slope = 0;
      if (sees(a, tile, position, first + column)) {
        C s = score(a, scores[row * score_stride + column], steepness, first + column - position);
        slope = exp(s - lse) * (pulls[row * score_stride + column] - delta) * score_slope(a, s) * C(a.scale);
      }
      slopes[row * weight_stride + column] = store<T>(slope);
    }
    add_strip_times<T>(slopes + warp * STRIP * weight_stride, weight_stride, others, stride,
                       dq + warp * STRIP * wide_stride, wide_stride, a.padded_dim, a.tile);
  }
  put<T>(a, a.dq, a.heads, head, tile, tile.first + warp * STRIP, dq + warp * STRIP * wide_stride, wide_stride);
}
EXPORT(attention_queries, Attention)

// A block for each tile of keys and key-value head goes over the tiles of queries that see them, of each head of its group. Rows
// are keys and columns are queries, so that each warp keeps its own rows here as well.
template <class T>
__device__ void attention_keys(const Attention& a) {
  using C = Compute<T>;
  Tile tile(a, blockIdx.x);
  int64 kv_head = blockIdx.y, group = a.heads / a.kv_heads;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = warp * STRIP + lane / 2, half = lane % 2;
  int stride = a.padded_dim + padding<T>(), wide_stride = a.padded_dim + padding<C>();
  int score_stride = a.tile + padding<C>(), weight_stride = a.tile + padding<T>();
  Shared shared;
  T* keys = shared.take<T>(a.tile, stride);
  T* values = shared.take<T>(a.tile, stride);
  // Queries, and then gradients of results, and then queries again.
  T* others = shared.take<T>(a.tile, stride);
  C* dk = shared.take<C>(a.tile, wide_stride);
  C* dv = shared.take<C>(a.tile, wide_stride);
  C* scores = shared.take<C>(a.tile, score_stride);
  C* pulls = shared.take<C>(a.tile, score_stride);
  T* weights = shared.take<T>(a.tile, weight_stride);
  int strip = warp * STRIP;

  fetch(a, a.k, a.kv_heads, kv_head, tile, tile.first, keys, stride);
  fetch(a, a.v, a.kv_heads, kv_head, tile, tile.first, values, stride);
  for (int64 i = threadIdx.x; i < a.tile * wide_stride; i += blockDim.x) dk[i] = dv[i] = 0;
  int64 key = tile.first + row, last_key = tile.first + a.tile - 1;
  int64 end = a.window == 0 || last_key + a.window > tile.length ? tile.length : last_key + a.window;

  for (int64 head = kv_head * group; head < (kv_head + 1) * group; head++) {
    const C* lse = static_cast<const C*>(a.lse) + head * a.tokens + tile.start;
    const C* delta = static_cast<const C*>(a.delta) + head * a.tokens + tile.start;
    C steepness = head_slope<C>(a.slopes, head);
    for (int64 first = tile.first; first < end; first += a.tile) {
      __syncthreads();
      fetch(a, a.q, a.heads, head, tile, first, others, stride);
      __syncthreads();
      strip_times_transposed<T>(keys + strip * stride, stride, others, stride, scores + strip * score_stride, score_stride,
                                a.tile, a.padded_dim);
      __syncthreads();
      fetch(a, a.dout, a.heads, head, tile, first, others, stride);
      __syncthreads();
      strip_times_transposed<T>(values + strip * stride, stride, others, stride, pulls + strip * score_stride, score_stride,
                                a.tile, a.padded_dim);
      for (int column = half; column < a.tile; column += 2) {
        int64 position = first + column;
        C weight = 0, slope = 0;
        if (sees(a, tile, position, key)) {
          C s = score(a, scores[row * score_stride + column], steepness, key - position);
          weight = exp(s - lse[position]);
          slope = weight * (pulls[row * score_stride + column] - delta[position]) * score_slope(a, s) * C(a.scale);
        }
        weights[row * weight_stride + column] = store<T>(weight);
        scores[row * score_stride + column] = slope;
      }
      add_strip_times<T>(weights + strip * weight_stride, weight_stride, others, stride, dv + strip * wide_stride, wide_stride,
                         a.padded_dim, a.tile);
      for (int column = half; column < a.tile; column += 2) {
        weights[row * weight_stride + column] = store<T>(scores[row * score_stride + column]);
      }
      __syncthreads();
      fetch(a, a.q, a.heads, head, tile, first, others, stride);
      __syncthreads();
      add_strip_times<T>(weights + strip * weight_stride, weight_stride, others, stride, dk + strip * wide_stride, wide_stride,
                         a.padded_dim, a.tile);
    }
  }
  put<T>(a, a.dk, a.kv_heads, kv_head, tile, tile.first + strip, dk + strip * wide_stride, wide_stride);
  put<T>(a, a.dv, a.kv_heads, kv_head, tile, tile.first + strip, dv + strip * wide_stride, wide_stride);
}
EXPORT(attention_keys, Attention)
