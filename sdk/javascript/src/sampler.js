/** Plugins that change how probable each next token of an answer is. */

import { call } from "./errors.js";
import { missing } from "./missing.js";
import { Plugin } from "./plugin.js";

/** @typedef {import("./tensor.js").Tensor} Tensor */

/** The answer whose next token is to be chosen. */
export class Generation {
  /** For this package. @param {any} handle */
  constructor(handle) {
    /** @internal */
    this.handle = handle;
  }

  /** Token ids of the prompt. @returns {number[]} */
  prompt() {
    return [...this.handle.prompt()];
  }

  /** Token ids of the answer so far. @returns {number[]} */
  answer() {
    return [...this.handle.answer()];
  }

  /** Number of tokens of the answer so far: 0 for the first one. */
  step() {
    return Number(this.handle.step());
  }

  /**
   * A number for this token, which follows from the request's seed, the number of the answer and the step alone. Random
   * tensors are drawn from it, too.
   *
   * @returns {bigint}
   */
  seed() {
    return BigInt(this.handle.seed());
  }

  /** What was remembered at the token before; null at the first one, and where nothing was. @returns {any} */
  memory() {
    const text = this.handle.memory();
    return text == null ? null : JSON.parse(text);
  }

  /**
   * Keeps something for the next token of this answer, in the place of what was remembered before: what JSON can say, in at
   * most 64 KiB.
   *
   * @param {unknown} value
   */
  remember(value) {
    call(() => this.handle.remember(JSON.stringify(value)));
  }
}

/** Changes how probable each next token of an answer is. @abstract */
export class Sampler extends Plugin {
  /**
   * The logits that the token is to be chosen by, from those of the model: both `[vocab]` and `float32`. Minus infinity rules a
   * token out; one at least must be left. Must depend on nothing else than what it is given: answers that are generated side by
   * side take turns.
   *
   * @param {Tensor} logits
   * @param {Generation} generation
   * @returns {Tensor}
   */
  adjust(logits, generation) {
    return missing("adjust", logits, generation);
  }
}
