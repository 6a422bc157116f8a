// Attention of new tokens to what a cache of keys and values in blocks holds of their sequences.
#include "common.cuh"

// Writes rows `[tokens, width]` to their slots, a block for each token. Those whose slot is negative are left out.
struct PagedWrite {
  const void *x, *slots;
  void* cache;
  int64 width;
};

template <class T>
__device__ void paged_write(const PagedWrite& a) {
  int64 slot = static_cast<const int64*>(a.slots)[blockIdx.x];
  if (slot < 0) return;
  const T* x = static_cast<const T*>(a.x) + blockIdx.x * a.width;
  T* to = static_cast<T*>(a.cache) + slot * a.width;
  for (int64 i = threadIdx.x; i < a.width; i += blockDim.x) to[i] = x[i];
}
EXPORT(paged_write, PagedWrite)

// `places` has for each token its position in the sequence, and where its sequence's blocks begin in `blocks`.
struct Paged {
  const void *q, *keys, *values, *sinks, *slopes, *places, *blocks;
  void* out;
  int64 heads, kv_heads, head_dim, value_dim, block_size, window;
  double scale, soft_cap;
};

// Components that each thread of a warp keeps, at most: heads of up to 576.
constexpr int PARTS = 18;

// A block for each token and head. Each warp takes every so many-th key, with a running softmax of its own; a thread keeps
// every 32nd component.
template <class T>
__device__ void paged(const Paged& a) {
  using C = Compute<T>;
  __shared__ C sums[WARPS][PARTS * 32], greatest[WARPS], totals[WARPS];
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
  int head_dim = int(a.head_dim), value_dim = int(a.value_dim);
  int64 head = blockIdx.y, kv_head = head / (a.heads / a.kv_heads);
  const int64* place = static_cast<const int64*>(a.places) + 2 * int64(blockIdx.x);
  int position = int(place[0]), block_size = int(a.block_size);
  const int64* blocks = static_cast<const int64*>(a.blocks) + place[1];
  const T* q = static_cast<const T*>(a.q) + (blockIdx.x * a.heads + head) * a.head_dim;
  // Where there are no values, they are the first components of the keys.
  const void* value_cache = a.values ? a.values : a.keys;
  int64 value_width = a.values ? a.value_dim : a.head_dim;

  C slope = a.slopes ? C(static_cast<const double*>(a.slopes)[head]) : C(0);
  C query[PARTS], sum[PARTS], highest = -infinity<C>(), weight = 0;
#pragma unroll
  for (int n = 0; n < PARTS; n++) {
    query[n] = n * 32 + lane < head_dim ? load(q[n * 32 + lane]) : C(0);
    sum[n] = 0;
  }
  int first = a.window == 0 || position < a.window ? 0 : position - int(a.window) + 1;
  for (int j = first + warp; j <= position; j += warps) {
    int64 slot = blocks[j / block_size] * block_size + j % block_size;
    const T* key = static_cast<const T*>(a.keys) + (slot * a.kv_heads + kv_head) * a.head_dim;
    C s = 0;
#pragma unroll
    for (int n = 0; n < PARTS; n++) {
      if (n * 32 + lane < head_dim) s += query[n] * load(key[n * 32 + lane]);
    }
    s = warp_reduce<Sum>(s) * C(a.scale) + slope * C(j - position);
    if (a.soft_cap > 0) s = C(a.soft_cap) * tanh(s / C(a.soft_cap));
    C now = Greatest::join(highest, s), shrink = exp(highest - now), exponential = exp(s - now);
    highest = now;
    weight = weight * shrink + exponential;
    const T* value = static_cast<const T*>(value_cache) + (slot * a.kv_heads + kv_head) * value_width;
#pragma unroll
    for (int n = 0; n < PARTS; n++) {
      if (n * 32 + lane < value_dim) sum[n] = sum[n] * shrink + exponential * load(value[n * 32 + lane]);
    }
  }
#pragma unroll
  for (int n = 0; n < PARTS; n++) sums[warp][n * 32 + lane] = sum[n];
  if (lane == 0) {
    greatest[warp] = highest;
    totals[warp] = weight;
  }
  __syncthreads();
  // A sink is one more score, with a value of zero.
  C sink = a.sinks ? static_cast<const C*>(a.sinks)[head] : -infinity<C>();
  highest = sink;
  for (int w = 0; w < warps; w++) highest = Greatest::join(highest, greatest[w]);
  weight = exp(sink - highest);
  for (int w = 0; w < warps; w++) weight += totals[w] * exp(greatest[w] - highest);
  T* out = static_cast<T*>(a.out) + (blockIdx.x * a.heads + head) * a.value_dim;
  for (int i = threadIdx.x; i < value_dim; i += blockDim.x) {
    C total = 0;
    for (int w = 0; w < warps; w++) total += sums[w][i] * exp(greatest[w] - highest);
    out[i] = store<T>(total / weight);
  }
}
EXPORT(paged, Paged)
