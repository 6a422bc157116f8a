/** Plugins that say how parameters follow their gradients. */
import { Plugin } from "./plugin.js";
export type Tensor = import("./tensor.js").Tensor;
export type OptimizedParameter = {
    /**
     * As in the checkpoint.
     */
    name: string;
    /**
     * Its shape.
     */
    shape: number[];
    /**
     * Weight decay, 0 for parameters that are not decayed.
     */
    weightDecay: number;
};
export type Slot = {
    /**
     * Its name in checkpoints: `exp_avg`.
     */
    name: string;
    /**
     * Its shape.
     */
    shape: number[];
};
export type Step = {
    /**
     * Counted from 1.
     */
    number: number;
    /**
     * What the schedule says.
     */
    learningRate: number;
};
export type Update = {
    /**
     * The new value, in the parameter's shape, `float32`.
     */
    value: Tensor;
    /**
     * The new slots, in their order, `float32`.
     */
    slots?: Tensor[];
};
/** @typedef {import("./tensor.js").Tensor} Tensor */
/**
 * A trained parameter.
 *
 * @typedef {object} OptimizedParameter
 * @property {string} name As in the checkpoint.
 * @property {number[]} shape Its shape.
 * @property {number} weightDecay Weight decay, 0 for parameters that are not decayed.
 */
/**
 * A tensor that the optimiser keeps for a parameter between steps, zero at first.
 *
 * @typedef {object} Slot
 * @property {string} name Its name in checkpoints: `exp_avg`.
 * @property {number[]} shape Its shape.
 */
/**
 * One optimiser step.
 *
 * @typedef {object} Step
 * @property {number} number Counted from 1.
 * @property {number} learningRate What the schedule says.
 */
/**
 * What becomes of a parameter and its slots.
 *
 * @typedef {object} Update
 * @property {Tensor} value The new value, in the parameter's shape, `float32`.
 * @property {Tensor[]} [slots] The new slots, in their order, `float32`.
 */
/** How parameters follow their gradients. @abstract */
export declare class Optimizer extends Plugin {
    /**
     * The tensors to keep for a parameter between steps; they are zero at first.
     *
     * @param {OptimizedParameter} parameter
     * @returns {Slot[]}
     */
    slots(parameter: OptimizedParameter): Slot[];
    /**
     * Takes a step with one parameter. `value` and `gradient` are `float32` in the parameter's shape; the gradient is clipped.
     *
     * @param {OptimizedParameter} parameter
     * @param {Tensor} value
     * @param {Tensor} gradient
     * @param {Tensor[]} slots
     * @param {Step} step
     * @returns {Update}
     */
    update(parameter: OptimizedParameter, value: Tensor, gradient: Tensor, slots: Tensor[], step: Step): Update;
}
