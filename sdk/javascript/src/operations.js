/** The operations of the contract. Made by `tools/generate-operations.js` from `wit/tensor.wit`; not to be edited. */

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./tensor.js").Dtype} Dtype */

/** What a tensor can do. Each operation runs on the host and gives a new tensor. */
export class Operations {
  /**
   * @protected
   * @param {string} name
   * @param {unknown[]} values
   * @returns {Tensor}
   */
  operate(name, ...values) {
    throw new Error(`there is nothing that computes ${name}(${values})`);
  }

  /**
   * @protected
   * @param {Tensor | number} value
   * @returns {unknown}
   */
  operand(value) {
    throw new Error(`there is nothing that computes with ${value}`);
  }

  /**
   * `a + b`.
   *
   * @param {Tensor | number} rhs
   * @returns {Tensor}
   */
  add(rhs) {
    if (typeof rhs === "number") return this.operate("addScalar", rhs);
    return this.operate("add", this.operand(rhs));
  }

  /**
   * `a - b`.
   *
   * @param {Tensor | number} rhs
   * @returns {Tensor}
   */
  sub(rhs) {
    if (typeof rhs === "number") return this.operate("addScalar", -rhs);
    return this.operate("sub", this.operand(rhs));
  }

  /**
   * `a * b`, element by element.
   *
   * @param {Tensor | number} rhs
   * @returns {Tensor}
   */
  mul(rhs) {
    if (typeof rhs === "number") return this.operate("scale", rhs);
    return this.operate("mul", this.operand(rhs));
  }

  /**
   * `a / b`.
   *
   * @param {Tensor | number} rhs
   * @returns {Tensor}
   */
  div(rhs) {
    if (typeof rhs === "number") return this.operate("scale", 1 / rhs);
    return this.operate("div", this.operand(rhs));
  }

  /**
   * The larger of the two; where they are equal each side gets half of the gradient.
   *
   * @param {Tensor | number} rhs
   * @returns {Tensor}
   */
  maximum(rhs) {
    return this.operate("maximum", this.operand(rhs));
  }

  /**
   * The smaller of the two; where they are equal each side gets half of the gradient.
   *
   * @param {Tensor | number} rhs
   * @returns {Tensor}
   */
  minimum(rhs) {
    return this.operate("minimum", this.operand(rhs));
  }

  /**
   * `a * by`.
   *
   * @param {number} by
   * @returns {Tensor}
   */
  scale(by) {
    return this.operate("scale", by);
  }

  /**
   * `a + value`.
   *
   * @param {number} value
   * @returns {Tensor}
   */
  addScalar(value) {
    return this.operate("addScalar", value);
  }

  /**
   * `a` to the power `exponent`.
   *
   * @param {number} exponent
   * @returns {Tensor}
   */
  pow(exponent) {
    return this.operate("pow", exponent);
  }

  /**
   * Limits every element to `low ..= high`; the gradient is zero outside.
   *
   * @param {number} low
   * @param {number} high
   * @returns {Tensor}
   */
  clamp(low, high) {
    return this.operate("clamp", low, high);
  }

  /**
   * `-a`.
   *
   * @returns {Tensor}
   */
  neg() {
    return this.operate("neg");
  }

  /**
   * `|a|`; gradient zero at zero.
   *
   * @returns {Tensor}
   */
  abs() {
    return this.operate("abs");
  }

  /**
   * `e` to the power `a`.
   *
   * @returns {Tensor}
   */
  exp() {
    return this.operate("exp");
  }

  /**
   * Natural logarithm.
   *
   * @returns {Tensor}
   */
  log() {
    return this.operate("log");
  }

  /**
   * Square root.
   *
   * @returns {Tensor}
   */
  sqrt() {
    return this.operate("sqrt");
  }

  /**
   * Sine.
   *
   * @returns {Tensor}
   */
  sin() {
    return this.operate("sin");
  }

  /**
   * Cosine.
   *
   * @returns {Tensor}
   */
  cos() {
    return this.operate("cos");
  }

  /**
   * Hyperbolic tangent.
   *
   * @returns {Tensor}
   */
  tanh() {
    return this.operate("tanh");
  }

  /**
   * `1 / (1 + e^-a)`.
   *
   * @returns {Tensor}
   */
  sigmoid() {
    return this.operate("sigmoid");
  }

  /**
   * `log(sigmoid(a))`, exact for large negative `a`.
   *
   * @returns {Tensor}
   */
  logSigmoid() {
    return this.operate("logSigmoid");
  }

  /**
   * `log(1 + e^a)`, exact for large `a`.
   *
   * @returns {Tensor}
   */
  softplus() {
    return this.operate("softplus");
  }

  /**
   * `max(a, 0)`; gradient zero at zero.
   *
   * @returns {Tensor}
   */
  relu() {
    return this.operate("relu");
  }

  /**
   * Gaussian error linear unit, exact form: `a * (1 + erf(a / sqrt 2)) / 2`.
   *
   * @returns {Tensor}
   */
  gelu() {
    return this.operate("gelu");
  }

  /**
   * Gaussian error linear unit, tanh approximation.
   *
   * @returns {Tensor}
   */
  geluTanh() {
    return this.operate("geluTanh");
  }

  /**
   * `a * sigmoid(a)`.
   *
   * @returns {Tensor}
   */
  silu() {
    return this.operate("silu");
  }

  /**
   * Sum over `dims`; over everything when `dims` is empty. `keep` leaves a size of one in their place.
   *
   * @param {number | number[]} [dims]
   * @param {boolean} [keep]
   * @returns {Tensor}
   */
  sum(dims = [], keep = false) {
    return this.operate("sum", [dims].flat(), keep);
  }

  /**
   * Mean over `dims`; over everything when `dims` is empty. `keep` leaves a size of one in their place.
   *
   * @param {number | number[]} [dims]
   * @param {boolean} [keep]
   * @returns {Tensor}
   */
  mean(dims = [], keep = false) {
    return this.operate("mean", [dims].flat(), keep);
  }

  /**
   * Largest element along `dim`; ties share the gradient equally.
   *
   * @param {number} dim
   * @param {boolean} [keep]
   * @returns {Tensor}
   */
  max(dim, keep = false) {
    return this.operate("max", dim, keep);
  }

  /**
   * Smallest element along `dim`; ties share the gradient equally.
   *
   * @param {number} dim
   * @param {boolean} [keep]
   * @returns {Tensor}
   */
  min(dim, keep = false) {
    return this.operate("min", dim, keep);
  }

  /**
   * `log(sum(e^a))` along `dim`.
   *
   * @param {number} dim
   * @param {boolean} [keep]
   * @returns {Tensor}
   */
  logsumexp(dim, keep = false) {
    return this.operate("logsumexp", dim, keep);
  }

  /**
   * `e^a / sum(e^a)` along `dim`.
   *
   * @param {number} dim
   * @returns {Tensor}
   */
  softmax(dim) {
    return this.operate("softmax", dim);
  }

  /**
   * Logarithm of `softmax` along `dim`.
   *
   * @param {number} dim
   * @returns {Tensor}
   */
  logSoftmax(dim) {
    return this.operate("logSoftmax", dim);
  }

  /**
   * Running sum along `dim`.
   *
   * @param {number} dim
   * @returns {Tensor}
   */
  cumsum(dim) {
    return this.operate("cumsum", dim);
  }

  /**
   * Index of the largest element along `dim`, the first of several; `int64`, not differentiable.
   *
   * @param {number} dim
   * @param {boolean} [keep]
   * @returns {Tensor}
   */
  argmax(dim, keep = false) {
    return this.operate("argmax", dim, keep);
  }

  /**
   * Elements in order along the last dimension; equal elements keep their order.
   *
   * @param {boolean} [descending]
   * @returns {Tensor}
   */
  sort(descending = false) {
    return this.operate("sort", descending);
  }

  /**
   * The permutation that `sort` applies; `int64`, not differentiable.
   *
   * @param {boolean} [descending]
   * @returns {Tensor}
   */
  argsort(descending = false) {
    return this.operate("argsort", descending);
  }

  /**
   * Matrix product `[.., m, k] x [.., k, n]`; leading dimensions broadcast.
   *
   * @param {Tensor} rhs
   * @returns {Tensor}
   */
  matmul(rhs) {
    return this.operate("matmul", rhs.handle);
  }

  /**
   * Elements along `dim` at `index`, an integer tensor of as many dimensions, whose shape the result has.
   *
   * @param {number} dim
   * @param {Tensor} index
   * @returns {Tensor}
   */
  gather(dim, index) {
    return this.operate("gather", dim, index.handle);
  }

  /**
   * Whole slices along `dim` at `index` `[n]`, integers: the size of `dim` becomes `n`.
   *
   * @param {number} dim
   * @param {Tensor} index
   * @returns {Tensor}
   */
  indexSelect(dim, index) {
    return this.operate("indexSelect", dim, index.handle);
  }

  /**
   * Where the mask (this tensor, `uint8`) is not zero `on-true`, elsewhere `on-false`.
   *
   * @param {Tensor} onTrue
   * @param {Tensor} onFalse
   * @returns {Tensor}
   */
  choose(onTrue, onFalse) {
    return this.operate("choose", onTrue.handle, onFalse.handle);
  }

  /**
   * `length` slices along `dim` from `start` on.
   *
   * @param {number} dim
   * @param {number} start
   * @param {number} length
   * @returns {Tensor}
   */
  narrow(dim, start, length) {
    return this.operate("narrow", dim, BigInt(start), BigInt(length));
  }

  /**
   * The same elements in another shape; one size may be -1.
   *
   * @param {number[]} shape
   * @returns {Tensor}
   */
  reshape(shape) {
    return this.operate("reshape", BigInt64Array.from(shape, BigInt));
  }

  /**
   * Exchanges two dimensions.
   *
   * @param {number} first
   * @param {number} second
   * @returns {Tensor}
   */
  transpose(first, second) {
    return this.operate("transpose", first, second);
  }

  /**
   * Repeats dimensions of size one until the shape is `shape`.
   *
   * @param {number[]} shape
   * @returns {Tensor}
   */
  broadcastTo(shape) {
    return this.operate("broadcastTo", BigUint64Array.from(shape, BigInt));
  }

  /**
   * Converts to another element type; differentiable between floating-point types.
   *
   * @param {Dtype} to
   * @returns {Tensor}
   */
  cast(to) {
    return this.operate("cast", to);
  }

  /**
   * Sums values `[n, ..]` into `[count, ..]` by `segments` `[n]` (`int64`, each below `count`).
   *
   * @param {Tensor} segments
   * @param {number} count
   * @returns {Tensor}
   */
  segmentSum(segments, count) {
    return this.operate("segmentSum", segments.handle, BigInt(count));
  }

  /**
   * As `segment-sum`, divided by the size of each segment; an empty segment gives zero.
   *
   * @param {Tensor} segments
   * @param {number} count
   * @returns {Tensor}
   */
  segmentMean(segments, count) {
    return this.operate("segmentMean", segments.handle, BigInt(count));
  }

  /**
   * `a == b` as `uint8`, not differentiable.
   *
   * @param {Tensor | number} rhs
   * @returns {Tensor}
   */
  eq(rhs) {
    return this.operate("eq", this.operand(rhs));
  }

  /**
   * `a > b` as `uint8`, not differentiable.
   *
   * @param {Tensor | number} rhs
   * @returns {Tensor}
   */
  gt(rhs) {
    return this.operate("gt", this.operand(rhs));
  }

  /**
   * `a >= b` as `uint8`, not differentiable.
   *
   * @param {Tensor | number} rhs
   * @returns {Tensor}
   */
  ge(rhs) {
    return this.operate("ge", this.operand(rhs));
  }

  /**
   * `a < b` as `uint8`, not differentiable.
   *
   * @param {Tensor | number} rhs
   * @returns {Tensor}
   */
  lt(rhs) {
    return this.operate("lt", this.operand(rhs));
  }

  /**
   * `a <= b` as `uint8`, not differentiable.
   *
   * @param {Tensor | number} rhs
   * @returns {Tensor}
   */
  le(rhs) {
    return this.operate("le", this.operand(rhs));
  }

  /**
   * The same values, cut off from what they were computed from.
   *
   * @returns {Tensor}
   */
  detach() {
    return this.operate("detach");
  }
}
