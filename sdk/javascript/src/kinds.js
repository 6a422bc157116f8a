/** The other kinds of plugins. */

import { missing } from "./missing.js";
import { Plugin } from "./plugin.js";
import { Tensor } from "./tensor.js";

/** @typedef {import("./batch.js").Batch} Batch */
/** @typedef {import("./batch.js").Outputs} Outputs */

/** Measures a model on a validation set. What it gathers is declared with `remembered`. @abstract */
export class Metric extends Plugin {
  /**
   * Looks at one batch of the validation set. Called for all of them, in order.
   *
   * @param {Batch} batch
   * @param {Outputs} policy
   * @returns {void}
   */
  observe(batch, policy) {
    missing("observe", batch, policy);
  }

  /**
   * The numbers of all batches, by name: `perplexity`. They are logged with `eval_` before them; then what is remembered
   * is forgotten.
   *
   * @returns {Record<string, number>}
   */
  finish() {
    return missing("finish");
  }
}

/** How the learning rate changes in the course of a run. @abstract */
export class Schedule extends Plugin {
  /**
   * The factor on the learning rate for the step that follows `step` steps, of `maxSteps` without those of the warm-up.
   *
   * @param {number} step
   * @param {number} maxSteps
   * @returns {number}
   */
  factor(step, maxSteps) {
    return missing("factor", step, maxSteps);
  }
}

/**
 * What has just happened. A `log` and an `evaluate` have numbers in the run's metrics.
 *
 * @typedef {"train-begin" | "step-end" | "log" | "evaluate" | "save" | "epoch-end" | "train-end"} Event
 */

/**
 * What the trainer shall do next: one of `action`.
 *
 * @typedef {{ tag: string, val?: unknown }} Action
 */

/** What the trainer can be asked to do next. */
export const action = {
  /** Write a checkpoint. */
  save: () => ({ tag: "save" }),
  /** Evaluate the validation set. */
  evaluate: () => ({ tag: "evaluate" }),
  /** End the run in good order. @param {string} reason */
  stop: (reason) => ({ tag: "stop", val: reason }),
  /** Add a number to the next log line. @param {string} name @param {number} value */
  logMetric: (name, value) => ({ tag: "log-metric", val: [name, value] }),
};

/** The run that goes on: where it is, and what it has learned so far. */
export class Run {
  /** For this package. @param {any} state @param {any} handle */
  constructor(state, handle) {
    /** @internal */
    this.handle = handle;
    /** Optimiser steps taken. */
    this.step = Number(state.step);
    /** Steps planned. */
    this.maxSteps = Number(state.maxSteps);
    /** Passes over the data, with the fraction of the current one. @type {number} */
    this.epoch = state.epoch;
    /** The learning rate of the last step. @type {number} */
    this.learningRate = state.learningRate;
    /** The event's numbers, as logged: `loss`, `eval_loss`. @type {Record<string, number>} */
    this.metrics = Object.fromEntries(state.metrics);
  }

  /** Names of the trained parameters, in the optimiser's order. @returns {string[]} */
  parameterNames() {
    return [...this.handle.parameterNames()];
  }

  /**
   * The present value of a trained parameter, in its own shape and element type; null if there is no such one.
   *
   * @param {string} name
   */
  parameter(name) {
    const found = this.handle.parameter(name);
    return found == null ? null : new Tensor(found);
  }
}

/** Watches a run and steers it. What it keeps between events is declared with `remembered`. @abstract */
export class Callback extends Plugin {
  /**
   * Called after each event, with the run as it is. Gives what the trainer shall do next: `[action.save()]`.
   *
   * @param {Event} event
   * @param {Run} run
   * @returns {Action[]}
   */
  onEvent(event, run) {
    return missing("onEvent", event, run);
  }
}

/**
 * An answer to be judged.
 *
 * @typedef {object} Completion
 * @property {string} text The answer.
 * @property {{ role: string, content: string }[]} messages The conversation that it answers.
 * @property {number[]} tokenIds Its token ids.
 * @property {boolean} finished Whether it ended by itself and was not cut off.
 * @property {Record<string, any>} columns The other columns of the row that it answers: `solution`.
 */

/** Judges answers. @abstract */
export class Reward extends Plugin {
  /**
   * A number for one answer; null where the reward does not apply to it.
   *
   * @param {Completion} completion
   * @returns {number | null}
   */
  score(completion) {
    return missing("score", completion);
  }

  /**
   * A number for each answer, in their order, for rewards that compare answers.
   *
   * @param {Completion[]} completions
   * @returns {(number | null)[]}
   */
  scoreAll(completions) {
    return completions.map((completion) => this.score(completion));
  }
}

/**
 * One turn of a conversation. For assistant turns: whether to `train` on it, by default as the run decides, and a factor on
 * the loss of its tokens.
 *
 * @typedef {{ role: string, content: string, train?: boolean | null, lossScale?: number | null }} Message
 */

/**
 * What the rest of the chain works on.
 *
 * @typedef {object} Sample
 * @property {Message[]} messages The conversation, ending with the answer that is trained on.
 * @property {Message[] | null} [rejected] For preference rows: the conversation that ends with the worse answer.
 * @property {Message[][]} [positives] For rows that compare texts: those that fit the conversation.
 * @property {Message[][]} [negatives] For rows that compare texts: those that don't.
 * @property {Record<string, any>} [columns] Everything else that the row says: `label`, `margin` for losses, `tools` for the
 *   template, and whatever a reward wants to see.
 */

/** Turns rows of a user's files into samples. @abstract */
export class Dataset extends Plugin {
  /**
   * How well the plugin can read files with these columns: 0 not at all; the plugin with the highest number gets them.
   *
   * @param {string[]} columns
   * @returns {number}
   */
  matches(columns) {
    return missing("matches", columns);
  }

  /**
   * The sample that a row is. A row that throws is left out for that reason; the host counts and shows it.
   *
   * @param {Record<string, any>} row
   * @returns {Sample}
   */
  convert(row) {
    return missing("convert", row);
  }
}

/** A rule for loss weights. @abstract */
export class LossScale extends Plugin {
  /**
   * Cuts an answer into parts, each with the factor on the loss of its tokens. The parts together are the answer.
   *
   * @param {string} answer
   * @param {string | null} question
   * @returns {[part: string, factor: number][]}
   */
  weigh(answer, question) {
    return missing("weigh", answer, question);
  }
}
