/** Plugins that say how parameters follow their gradients. */

import { missing } from "./missing.js";
import { Plugin } from "./plugin.js";

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
export class Optimizer extends Plugin {
  /**
   * The tensors to keep for a parameter between steps; they are zero at first.
   *
   * @param {OptimizedParameter} parameter
   * @returns {Slot[]}
   */
  slots(parameter) {
    return parameter && [];
  }

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
  update(parameter, value, gradient, slots, step) {
    return missing("update", parameter, value, gradient, slots, step);
  }
}
