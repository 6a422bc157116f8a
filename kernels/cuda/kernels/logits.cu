// From a tile of logits `[rows, columns]`, products in the type that is computed in, to statistics of each token and to
// gradients. A block for each token.
#include "common.cuh"

// What is known about a token's logits after some tiles of the vocabulary, as `swift-kernels` keeps it.
struct Running {
  double greatest, weight, weighted, total, label;
  int64 prediction;
};

// Logits become `cap * tanh((logit + bias) / cap)`, without the cap if it is 0.
template <class T>
__device__ inline Compute<T> capped(Compute<T> logit, const T* bias, int64 column, double cap) {
  using C = Compute<T>;
  if (bias) logit += load(bias[column]);
  return cap > 0 ? C(cap) * tanh(logit / C(cap)) : logit;
}

// The derivative of the cap where it gave `logit`.
template <class C>
__device__ inline C cap_slope(C logit, double cap) {
  return cap > 0 ? C(1) - logit / C(cap) * (logit / C(cap)) : C(1);
}

// Takes in the logits of the entries from `first_column`. If there are `weights`, they get `exp(logit - greatest)` times the
// slope of the cap, and `shrinks` the factors that bring those of earlier tiles to the new `greatest`.
struct TakeLogits {
  void* logits;
  const void *bias, *labels;
  void *states, *weights, *shrinks;
  int64 columns, first_column;
  double cap;
};

template <class T>
__device__ void take_logits(const TakeLogits& a) {
  using C = Compute<T>;
  C* logits = static_cast<C*>(a.logits) + blockIdx.x * a.columns;
  const T* bias = static_cast<const T*>(a.bias);
  Running before = static_cast<const Running*>(a.states)[blockIdx.x];
  if (a.first_column == 0) before = {-infinity<double>(), 0, 0, 0, 0, 0};

  C highest = -infinity<C>(), total = 0;
  for (int64 i = threadIdx.x; i < a.columns; i += blockDim.x) {
    C logit = capped<T>(logits[i], bias, i, a.cap);
    logits[i] = logit;
    total += logit;
    if (logit > highest) highest = logit;
  }
  highest = block_reduce<Greatest>(highest);
  total = block_reduce<Sum>(total);
  double greatest = double(highest) > before.greatest ? double(highest) : before.greatest;

  // The first of the greatest: the sign is turned, so that the least place is the greatest number.
  C weight = 0, weighted = 0, place = -infinity<C>();
  T* weights = static_cast<T*>(a.weights);
  for (int64 i = threadIdx.x; i < a.columns; i += blockDim.x) {
    C logit = logits[i], exponential = exp(logit - C(greatest));
    if (logit == highest && -C(i) > place) place = -C(i);
    weight += exponential;
    // A logit of minus infinity has no weight, and takes no part in the mean.
    if (exponential > C(0)) weighted += exponential * (logit - C(greatest));
    if (weights) weights[blockIdx.x * a.columns + i] = store<T>(exponential * cap_slope(logit, a.cap));
  }
  place = block_reduce<Greatest>(place);
  weight = block_reduce<Sum>(weight);
  weighted = block_reduce<Sum>(weighted);
  if (threadIdx.x > 0) return;

  Running after = before;
  double shrink = 1;
  if (greatest > before.greatest) {
    double step = before.greatest - greatest;
    shrink = exp(step);
    if (before.weight > 0) after.weighted = shrink * (before.weighted + step * before.weight);
    after.weight = before.weight * shrink;
    after.greatest = greatest;
    after.prediction = a.first_column + int64(-place);
  }
  int64 label = static_cast<const int64*>(a.labels)[blockIdx.x] - a.first_column;
  if (label >= 0 && label < a.columns) after.label = logits[label];
  after.weighted += weighted;
  after.weight += weight;
  after.total += total;
  static_cast<Running*>(a.states)[blockIdx.x] = after;
  if (a.shrinks) static_cast<C*>(a.shrinks)[blockIdx.x] = C(shrink);
}
EXPORT(take_logits, TakeLogits)

// From the statistics to what they say: a thread for each token.
struct FinishLogits {
  const void* states;
  void *logps, *predictions, *entropies, *mean_logits, *log_sum_exp;
  int64 count, vocabulary;
};

template <class T>
__device__ void finish_logits(const FinishLogits& a) {
  using C = Compute<T>;
  int64 i = index();
  if (i >= a.count) return;
  Running state = static_cast<const Running*>(a.states)[i];
  double log_sum_exp = state.greatest + log(state.weight);
  static_cast<C*>(a.logps)[i] = C(state.label - log_sum_exp);
  static_cast<int64*>(a.predictions)[i] = state.prediction;
  static_cast<C*>(a.entropies)[i] = C(log(state.weight) - state.weighted / state.weight);
  static_cast<C*>(a.mean_logits)[i] = C(state.total / double(a.vocabulary));
  static_cast<C*>(a.log_sum_exp)[i] = C(log_sum_exp);
}
EXPORT(finish_logits, FinishLogits)

// `direction[r, c] = slope weight[label[r], c] - means[r, c] / total`.
struct LogitsDirection {
  const void *weight, *means, *labels, *states;
  void* direction;
  int64 width;
  double cap;
};

template <class T>
__device__ void logits_direction(const LogitsDirection& a) {
  using C = Compute<T>;
  Running state = static_cast<const Running*>(a.states)[blockIdx.x];
  const T* own = static_cast<const T*>(a.weight) + static_cast<const int64*>(a.labels)[blockIdx.x] * a.width;
  const C* means = static_cast<const C*>(a.means) + blockIdx.x * a.width;
  T* direction = static_cast<T*>(a.direction) + blockIdx.x * a.width;
  C slope = cap_slope(C(state.label), a.cap), total = C(state.weight);
  for (int64 i = threadIdx.x; i < a.width; i += blockDim.x) {
    direction[i] = store<T>(slope * load(own[i]) - means[i] / total);
  }
}
EXPORT(logits_direction, LogitsDirection)

// Puts the gradient of each logit in its place, and, rounded, into `rounded`:
// `dlogp (onehot(label) - exp(logit - log_sum_exp))` times the slope of the cap.
struct PullLogits {
  void *logits, *rounded;
  const void *bias, *labels, *dlogp, *log_sum_exp;
  int64 columns, first_column;
  double cap;
};

template <class T>
__device__ void pull_logits(const PullLogits& a) {
  using C = Compute<T>;
  C* logits = static_cast<C*>(a.logits) + blockIdx.x * a.columns;
  T* rounded = static_cast<T*>(a.rounded) + blockIdx.x * a.columns;
  C dlogp = static_cast<const C*>(a.dlogp)[blockIdx.x];
  C log_sum_exp = static_cast<const C*>(a.log_sum_exp)[blockIdx.x];
  int64 label = static_cast<const int64*>(a.labels)[blockIdx.x] - a.first_column;
  for (int64 i = threadIdx.x; i < a.columns; i += blockDim.x) {
    C logit = capped<T>(logits[i], static_cast<const T*>(a.bias), i, a.cap);
    C slope = dlogp * ((i == label ? C(1) : C(0)) - exp(logit - log_sum_exp)) * cap_slope(logit, a.cap);
    logits[i] = slope;
    rounded[i] = store<T>(slope);
  }
}
EXPORT(pull_logits, PullLogits)
