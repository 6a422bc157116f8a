/** Training objectives. */
import { Plugin } from "./plugin.js";
export type Batch = import("./batch.js").Batch;
export type Outputs = import("./batch.js").Outputs;
export type Tensor = import("./tensor.js").Tensor;
export type Input = "causal" | "preference-pairs" | "unpaired-preference" | "unpaired-preference-with-mismatches" | "labelled" | "groups" | "rollouts";
export type Requirements = {
    /**
     * The kind of rows.
     */
    input?: Input;
    /**
     * The parts that are trained on by default.
     */
    trainedParts?: "answers" | "last-round" | "everything";
    /**
     * Whether `compute` gets the outputs of the frozen reference model.
     */
    reference?: boolean;
    /**
     * Whether the batch has the outputs of a teacher model.
     */
    teacher?: boolean;
    /**
     * A trained linear layer without bias on the hidden states, and its outputs; 0 for as
     * many as the run says.
     */
    scoreHead?: number | null;
    /**
     * Whether dropout would harm it (the two sides of a comparison must see the same
     * network).
     */
    disableDropout?: boolean;
};
/** @typedef {import("./batch.js").Batch} Batch */
/** @typedef {import("./batch.js").Outputs} Outputs */
/** @typedef {import("./tensor.js").Tensor} Tensor */
/**
 * What a row must look like and what lies in a batch.
 *
 * - `causal`: one conversation a row, the answers labelled.
 * - `preference-pairs`: a chosen and a rejected answer a row; a batch holds all chosen sequences, then all rejected ones.
 * - `unpaired-preference`: one conversation a row, and whether its answer is wanted, in the column `label`.
 * - `unpaired-preference-with-mismatches`: a batch also holds, after all rows' sequences, each row's question with the
 *   answer of its neighbour in the accumulation window, for an estimate of the divergence from the reference.
 * - `labelled`: one text a row, of which nothing is labelled, and a column `label`.
 * - `groups`: an anchor, then its positive, then its negative texts a row, one row after the other.
 * - `rollouts`: prompts with the answers that the model gave, and what the trainer knows of them as `tokenField`s.
 *
 * @typedef {"causal" | "preference-pairs" | "unpaired-preference" | "unpaired-preference-with-mismatches" | "labelled"
 *   | "groups" | "rollouts"} Input
 */
/**
 * What a loss needs of the trainer. Conversations and nothing else, unless it says so.
 *
 * @typedef {object} Requirements
 * @property {Input} [input] The kind of rows.
 * @property {"answers" | "last-round" | "everything"} [trainedParts] The parts that are trained on by default.
 * @property {boolean} [reference] Whether `compute` gets the outputs of the frozen reference model.
 * @property {boolean} [teacher] Whether the batch has the outputs of a teacher model.
 * @property {number | null} [scoreHead] A trained linear layer without bias on the hidden states, and its outputs; 0 for as
 *   many as the run says.
 * @property {boolean} [disableDropout] Whether dropout would harm it (the two sides of a comparison must see the same
 *   network).
 */
/** A loss and the numbers to log with it. */
export declare class Report {
    loss: import("./tensor.js").Tensor;
    /** @type {[name: string, observations: Tensor, weights: Tensor | null][]} */
    metrics: [name: string, observations: Tensor, weights: Tensor | null][];
    /** @param {Tensor} loss A scalar: this micro-batch's share of the loss of the whole accumulation window. */
    constructor(loss: Tensor);
    /**
     * Adds a number to log: the mean of all observations, of any shape, since the last log line. `weights` has a weight for
     * each observation.
     *
     * @param {string} name
     * @param {Tensor} observations
     * @param {Tensor | null} [weights]
     */
    metric(name: string, observations: Tensor, weights?: Tensor | null): this;
}
/** A training objective: hyper-parameters and one function. @abstract */
export declare class Loss extends Plugin {
    /** What the loss needs of the trainer. @returns {Requirements} */
    requirements(): Requirements;
    /**
     * Computes the loss of one micro-batch: its share of the loss of the whole accumulation window, so that shares can be
     * summed. `reference` has the outputs of the frozen reference model if the requirements ask for it.
     *
     * @param {Batch} batch
     * @param {Outputs} policy
     * @param {Outputs | null} reference
     * @returns {Report}
     */
    compute(batch: Batch, policy: Outputs, reference: Outputs | null): Report;
}
