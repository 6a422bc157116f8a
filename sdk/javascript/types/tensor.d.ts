/** Tensors: handles to arrays that the host owns. */
import { Operations } from "./operations.js";
export type Dtype = "float64" | "float32" | "bfloat16" | "float16" | "int64" | "uint32" | "uint8";
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
export declare class Tensor extends Operations {
    /** @internal */
    handle: any;
    /**
     * For this package; a plugin gets tensors from its arguments, from operations and from `Tensor.fromList`.
     *
     * @param {any} handle
     */
    constructor(handle: any);
    /**
     * @protected
     * @override
     * @param {string} name
     * @param {unknown[]} values
     */
    protected operate(name: string, ...values: unknown[]): Tensor;
    /**
     * A tensor's handle; a number becomes a scalar of this tensor's element type.
     *
     * @protected
     * @override
     * @param {Tensor | number} value
     */
    protected operand(value: Tensor | number): any;
    /** The size of each dimension; empty for a scalar. @returns {number[]} */
    get shape(): number[];
    /** The element type. @returns {Dtype} */
    get dtype(): Dtype;
    /**
     * All elements in row-major order. The only way in which data enters the plugin's memory; its length is limited.
     *
     * @returns {number[]}
     */
    toList(): number[];
    /** The only element of a tensor that has one. @returns {number} */
    item(): number;
    toString(): string;
    /**
     * A tensor of `shape` from `values` in row-major order.
     *
     * @param {number[]} values
     * @param {number[]} shape
     * @param {Dtype} [dtype]
     */
    static fromList(values: number[], shape: number[], dtype?: Dtype): Tensor;
    /**
     * Every element `value`.
     *
     * @param {number} value
     * @param {number[]} shape
     * @param {Dtype} [dtype]
     */
    static full(value: number, shape: number[], dtype?: Dtype): Tensor;
    /** `0, 1, .. count - 1` as `int64`. @param {number} count */
    static arange(count: number): Tensor;
    /**
     * Uniform in `low .. high`, from the run's seed: the same run draws the same numbers.
     *
     * @param {number} low
     * @param {number} high
     * @param {number[]} shape
     * @param {Dtype} [dtype]
     */
    static uniform(low: number, high: number, shape: number[], dtype?: Dtype): Tensor;
    /**
     * Normal, from the run's seed.
     *
     * @param {number} mean
     * @param {number} deviation
     * @param {number[]} shape
     * @param {Dtype} [dtype]
     */
    static normal(mean: number, deviation: number, shape: number[], dtype?: Dtype): Tensor;
    /** Joins along an existing dimension. @param {Tensor[]} tensors @param {number} dim */
    static cat(tensors: Tensor[], dim: number): Tensor;
    /** Joins along a new dimension. @param {Tensor[]} tensors @param {number} dim */
    static stack(tensors: Tensor[], dim: number): Tensor;
}
