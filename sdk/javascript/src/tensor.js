/** Tensors: handles to arrays that the host owns. */

import { PluginError, call } from "./errors.js";
import { host } from "./host.js";
import { Operations } from "./operations.js";

/**
 * Element types.
 *
 * @typedef {"float64" | "float32" | "bfloat16" | "float16" | "int64" | "uint32" | "uint8"} Dtype
 */

/**
 * A handle to an n-dimensional array that the host owns; nothing is copied into the plugin's memory.
 *
 * Operations are eager and run on the host. Each is differentiable in its floating-point inputs unless it says "not
 * differentiable". Binary operations broadcast as NumPy does and want equal element types, or a number. A negative
 * dimension counts from the end. A comparison gives `uint8`.
 *
 * A tensor ends with the call that it was made in, and not before: keep numbers between calls, not tensors.
 */
export class Tensor extends Operations {
  /**
   * For this package; a plugin gets tensors from its arguments, from operations and from `Tensor.fromList`.
   *
   * @param {any} handle
   */
  constructor(handle) {
    super();
    /** @internal */
    this.handle = handle;
  }

  /**
   * @protected
   * @override
   * @param {string} name
   * @param {unknown[]} values
   */
  operate(name, ...values) {
    return new Tensor(call(() => this.handle[name](...values)));
  }

  /**
   * A tensor's handle; a number becomes a scalar of this tensor's element type.
   *
   * @protected
   * @override
   * @param {Tensor | number} value
   */
  operand(value) {
    return typeof value === "number" ? Tensor.full(value, [], this.dtype).handle : value.handle;
  }

  /** The size of each dimension; empty for a scalar. @returns {number[]} */
  get shape() {
    return Array.from(this.handle.shape(), Number);
  }

  /** The element type. @returns {Dtype} */
  get dtype() {
    return this.handle.dtype();
  }

  /**
   * All elements in row-major order. The only way in which data enters the plugin's memory; its length is limited.
   *
   * @returns {number[]}
   */
  toList() {
    return [...call(() => this.handle.toList())];
  }

  /** The only element of a tensor that has one. @returns {number} */
  item() {
    const elements = this.toList();
    if (elements.length !== 1) throw new PluginError(`a tensor of ${elements.length} elements is no number`);
    return elements[0];
  }

  toString() {
    return `Tensor(${this.dtype} [${this.shape.join(", ")}])`;
  }

  /**
   * A tensor of `shape` from `values` in row-major order.
   *
   * @param {number[]} values
   * @param {number[]} shape
   * @param {Dtype} [dtype]
   */
  static fromList(values, shape, dtype = "float32") {
    return made("fromList", values, sizes(shape), dtype);
  }

  /**
   * Every element `value`.
   *
   * @param {number} value
   * @param {number[]} shape
   * @param {Dtype} [dtype]
   */
  static full(value, shape, dtype = "float32") {
    return made("full", value, sizes(shape), dtype);
  }

  /** `0, 1, .. count - 1` as `int64`. @param {number} count */
  static arange(count) {
    return made("arange", BigInt(count));
  }

  /**
   * Uniform in `low .. high`, from the run's seed: the same run draws the same numbers.
   *
   * @param {number} low
   * @param {number} high
   * @param {number[]} shape
   * @param {Dtype} [dtype]
   */
  static uniform(low, high, shape, dtype = "float32") {
    return made("uniform", low, high, sizes(shape), dtype);
  }

  /**
   * Normal, from the run's seed.
   *
   * @param {number} mean
   * @param {number} deviation
   * @param {number[]} shape
   * @param {Dtype} [dtype]
   */
  static normal(mean, deviation, shape, dtype = "float32") {
    return made("normal", mean, deviation, sizes(shape), dtype);
  }

  /** Joins along an existing dimension. @param {Tensor[]} tensors @param {number} dim */
  static cat(tensors, dim) {
    return made("cat", tensors.map((tensor) => tensor.handle), dim);
  }

  /** Joins along a new dimension. @param {Tensor[]} tensors @param {number} dim */
  static stack(tensors, dim) {
    return made("stack", tensors.map((tensor) => tensor.handle), dim);
  }
}

/** @param {number[]} shape */
const sizes = (shape) => BigUint64Array.from(shape, BigInt);

/** @param {string} name @param {unknown[]} values */
function made(name, ...values) {
  return new Tensor(call(() => host("tensor")[name](...values)));
}
