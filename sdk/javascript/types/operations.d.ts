/** The operations of the contract. Made by `tools/generate-operations.js` from `wit/tensor.wit`; not to be edited. */
export type Tensor = import("./tensor.js").Tensor;
export type Dtype = import("./tensor.js").Dtype;
/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./tensor.js").Dtype} Dtype */
/** What a tensor can do. Each operation runs on the host and gives a new tensor. */
export declare class Operations {
    /**
     * @protected
     * @param {string} name
     * @param {unknown[]} values
     * @returns {Tensor}
     */
    protected operate(name: string, ...values: unknown[]): Tensor;
    /**
     * @protected
     * @param {Tensor | number} value
     * @returns {unknown}
     */
    protected operand(value: Tensor | number): unknown;
    /**
     * `a + b`.
     *
     * @param {Tensor | number} rhs
     * @returns {Tensor}
     */
    add(rhs: Tensor | number): Tensor;
    /**
     * `a - b`.
     *
     * @param {Tensor | number} rhs
     * @returns {Tensor}
     */
    sub(rhs: Tensor | number): Tensor;
    /**
     * `a * b`, element by element.
     *
     * @param {Tensor | number} rhs
     * @returns {Tensor}
     */
    mul(rhs: Tensor | number): Tensor;
    /**
     * `a / b`.
     *
     * @param {Tensor | number} rhs
     * @returns {Tensor}
     */
    div(rhs: Tensor | number): Tensor;
    /**
     * The larger of the two; where they are equal each side gets half of the gradient.
     *
     * @param {Tensor | number} rhs
     * @returns {Tensor}
     */
    maximum(rhs: Tensor | number): Tensor;
    /**
     * The smaller of the two; where they are equal each side gets half of the gradient.
     *
     * @param {Tensor | number} rhs
     * @returns {Tensor}
     */
    minimum(rhs: Tensor | number): Tensor;
    /**
     * `a * by`.
     *
     * @param {number} by
     * @returns {Tensor}
     */
    scale(by: number): Tensor;
    /**
     * `a + value`.
     *
     * @param {number} value
     * @returns {Tensor}
     */
    addScalar(value: number): Tensor;
    /**
     * `a` to the power `exponent`.
     *
     * @param {number} exponent
     * @returns {Tensor}
     */
    pow(exponent: number): Tensor;
    /**
     * Limits every element to `low ..= high`; the gradient is zero outside.
     *
     * @param {number} low
     * @param {number} high
     * @returns {Tensor}
     */
    clamp(low: number, high: number): Tensor;
    /**
     * `-a`.
     *
     * @returns {Tensor}
     */
    neg(): Tensor;
    /**
     * `|a|`; gradient zero at zero.
     *
     * @returns {Tensor}
     */
    abs(): Tensor;
    /**
     * `e` to the power `a`.
     *
     * @returns {Tensor}
     */
    exp(): Tensor;
    /**
     * Natural logarithm.
     *
     * @returns {Tensor}
     */
    log(): Tensor;
    /**
     * Square root.
     *
     * @returns {Tensor}
     */
    sqrt(): Tensor;
    /**
     * Sine.
     *
     * @returns {Tensor}
     */
    sin(): Tensor;
    /**
     * Cosine.
     *
     * @returns {Tensor}
     */
    cos(): Tensor;
    /**
     * Hyperbolic tangent.
     *
     * @returns {Tensor}
     */
    tanh(): Tensor;
    /**
     * `1 / (1 + e^-a)`.
     *
     * @returns {Tensor}
     */
    sigmoid(): Tensor;
    /**
     * `log(sigmoid(a))`, exact for large negative `a`.
     *
     * @returns {Tensor}
     */
    logSigmoid(): Tensor;
    /**
     * `log(1 + e^a)`, exact for large `a`.
     *
     * @returns {Tensor}
     */
    softplus(): Tensor;
    /**
     * `max(a, 0)`; gradient zero at zero.
     *
     * @returns {Tensor}
     */
    relu(): Tensor;
    /**
     * Gaussian error linear unit, exact form: `a * (1 + erf(a / sqrt 2)) / 2`.
     *
     * @returns {Tensor}
     */
    gelu(): Tensor;
    /**
     * Gaussian error linear unit, tanh approximation.
     *
     * @returns {Tensor}
     */
    geluTanh(): Tensor;
    /**
     * `a * sigmoid(a)`.
     *
     * @returns {Tensor}
     */
    silu(): Tensor;
    /**
     * Sum over `dims`; over everything when `dims` is empty. `keep` leaves a size of one in their place.
     *
     * @param {number | number[]} [dims]
     * @param {boolean} [keep]
     * @returns {Tensor}
     */
    sum(dims?: number | number[], keep?: boolean): Tensor;
    /**
     * Mean over `dims`; over everything when `dims` is empty. `keep` leaves a size of one in their place.
     *
     * @param {number | number[]} [dims]
     * @param {boolean} [keep]
     * @returns {Tensor}
     */
    mean(dims?: number | number[], keep?: boolean): Tensor;
    /**
     * Largest element along `dim`; ties share the gradient equally.
     *
     * @param {number} dim
     * @param {boolean} [keep]
     * @returns {Tensor}
     */
    max(dim: number, keep?: boolean): Tensor;
    /**
     * Smallest element along `dim`; ties share the gradient equally.
     *
     * @param {number} dim
     * @param {boolean} [keep]
     * @returns {Tensor}
     */
    min(dim: number, keep?: boolean): Tensor;
    /**
     * `log(sum(e^a))` along `dim`.
     *
     * @param {number} dim
     * @param {boolean} [keep]
     * @returns {Tensor}
     */
    logsumexp(dim: number, keep?: boolean): Tensor;
    /**
     * `e^a / sum(e^a)` along `dim`.
     *
     * @param {number} dim
     * @returns {Tensor}
     */
    softmax(dim: number): Tensor;
    /**
     * Logarithm of `softmax` along `dim`.
     *
     * @param {number} dim
     * @returns {Tensor}
     */
    logSoftmax(dim: number): Tensor;
    /**
     * Running sum along `dim`.
     *
     * @param {number} dim
     * @returns {Tensor}
     */
    cumsum(dim: number): Tensor;
    /**
     * Index of the largest element along `dim`, the first of several; `int64`, not differentiable.
     *
     * @param {number} dim
     * @param {boolean} [keep]
     * @returns {Tensor}
     */
    argmax(dim: number, keep?: boolean): Tensor;
    /**
     * Elements in order along the last dimension; equal elements keep their order.
     *
     * @param {boolean} [descending]
     * @returns {Tensor}
     */
    sort(descending?: boolean): Tensor;
    /**
     * The permutation that `sort` applies; `int64`, not differentiable.
     *
     * @param {boolean} [descending]
     * @returns {Tensor}
     */
    argsort(descending?: boolean): Tensor;
    /**
     * Matrix product `[.., m, k] x [.., k, n]`; leading dimensions broadcast.
     *
     * @param {Tensor} rhs
     * @returns {Tensor}
     */
    matmul(rhs: Tensor): Tensor;
    /**
     * Elements along `dim` at `index`, an integer tensor of as many dimensions, whose shape the result has.
     *
     * @param {number} dim
     * @param {Tensor} index
     * @returns {Tensor}
     */
    gather(dim: number, index: Tensor): Tensor;
    /**
     * Whole slices along `dim` at `index` `[n]`, integers: the size of `dim` becomes `n`.
     *
     * @param {number} dim
     * @param {Tensor} index
     * @returns {Tensor}
     */
    indexSelect(dim: number, index: Tensor): Tensor;
    /**
     * Where the mask (this tensor, `uint8`) is not zero `on-true`, elsewhere `on-false`.
     *
     * @param {Tensor} onTrue
     * @param {Tensor} onFalse
     * @returns {Tensor}
     */
    choose(onTrue: Tensor, onFalse: Tensor): Tensor;
    /**
     * `length` slices along `dim` from `start` on.
     *
     * @param {number} dim
     * @param {number} start
     * @param {number} length
     * @returns {Tensor}
     */
    narrow(dim: number, start: number, length: number): Tensor;
    /**
     * The same elements in another shape; one size may be -1.
     *
     * @param {number[]} shape
     * @returns {Tensor}
     */
    reshape(shape: number[]): Tensor;
    /**
     * Exchanges two dimensions.
     *
     * @param {number} first
     * @param {number} second
     * @returns {Tensor}
     */
    transpose(first: number, second: number): Tensor;
    /**
     * Repeats dimensions of size one until the shape is `shape`.
     *
     * @param {number[]} shape
     * @returns {Tensor}
     */
    broadcastTo(shape: number[]): Tensor;
    /**
     * Converts to another element type; differentiable between floating-point types.
     *
     * @param {Dtype} to
     * @returns {Tensor}
     */
    cast(to: Dtype): Tensor;
    /**
     * Sums values `[n, ..]` into `[count, ..]` by `segments` `[n]` (`int64`, each below `count`).
     *
     * @param {Tensor} segments
     * @param {number} count
     * @returns {Tensor}
     */
    segmentSum(segments: Tensor, count: number): Tensor;
    /**
     * As `segment-sum`, divided by the size of each segment; an empty segment gives zero.
     *
     * @param {Tensor} segments
     * @param {number} count
     * @returns {Tensor}
     */
    segmentMean(segments: Tensor, count: number): Tensor;
    /**
     * `a == b` as `uint8`, not differentiable.
     *
     * @param {Tensor | number} rhs
     * @returns {Tensor}
     */
    eq(rhs: Tensor | number): Tensor;
    /**
     * `a > b` as `uint8`, not differentiable.
     *
     * @param {Tensor | number} rhs
     * @returns {Tensor}
     */
    gt(rhs: Tensor | number): Tensor;
    /**
     * `a >= b` as `uint8`, not differentiable.
     *
     * @param {Tensor | number} rhs
     * @returns {Tensor}
     */
    ge(rhs: Tensor | number): Tensor;
    /**
     * `a < b` as `uint8`, not differentiable.
     *
     * @param {Tensor | number} rhs
     * @returns {Tensor}
     */
    lt(rhs: Tensor | number): Tensor;
    /**
     * `a <= b` as `uint8`, not differentiable.
     *
     * @param {Tensor | number} rhs
     * @returns {Tensor}
     */
    le(rhs: Tensor | number): Tensor;
    /**
     * The same values, cut off from what they were computed from.
     *
     * @returns {Tensor}
     */
    detach(): Tensor;
}
