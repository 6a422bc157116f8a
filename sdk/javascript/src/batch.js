/** What losses and metrics see: packed batches, and outputs that the model computes when they are asked for. */

import { PluginError, call } from "./errors.js";
import { Tensor } from "./tensor.js";

/** @param {any} handle @returns {Tensor | null} */
const optional = (handle) => (handle == null ? null : new Tensor(handle));

/**
 * One packed micro-batch.
 *
 * All sequences lie end to end in one run of `tokens` positions; there is no padding. Position `t` holds what the model
 * predicts after reading token `t`, so labels are already shifted.
 */
export class Batch {
  /** For this package. @param {any} handle */
  constructor(handle) {
    /** @internal */
    this.handle = handle;
  }

  /** `[tokens]` `int64`: the token to predict at each position, -100 where none counts. */
  labels() {
    return new Tensor(this.handle.labels());
  }

  /** `[tokens]` `float32`: 1 where a label counts, else 0. */
  labelMask() {
    return new Tensor(this.handle.labelMask());
  }

  /** `[tokens]` `float32`: the weight of each label's loss; 0 where no label counts. */
  lossWeights() {
    return new Tensor(this.handle.lossWeights());
  }

  /** `[tokens]` `int64`: the sequence each position belongs to, for `segmentSum`. */
  segmentIds() {
    return new Tensor(this.handle.segmentIds());
  }

  /**
   * Tokens in each sequence. Preference pairs come as two consecutive runs: all chosen, then all rejected.
   *
   * @returns {number[]}
   */
  sequenceLengths() {
    return [...this.handle.sequenceLengths()];
  }

  /** Sequences of each row, for rows of several sequences that differ in their number. @returns {number[]} */
  groupLengths() {
    return [...this.handle.groupLengths()];
  }

  /**
   * A numeric column of the rows, `[rows]` `float32`, true and false being 1 and 0. A column of lists is `[rows, longest]`,
   * shorter lists filled up with NaN. Null if any row lacks it.
   *
   * @param {string} name
   */
  field(name) {
    return optional(this.handle.field(name));
  }

  /**
   * A number for each token, `[tokens]` `float32`: `old_logps`, `advantages` of rollouts. Null if there is no such column.
   *
   * @param {string} name
   */
  tokenField(name) {
    return optional(this.handle.tokenField(name));
  }

  /** What the teacher model computed for the batch. */
  teacher() {
    const found = this.handle.teacher();
    if (found == null) throw new PluginError("the outputs of the teacher model are missing");
    return new Outputs(found);
  }

  /** Labels that count in the whole accumulation window, over all devices. */
  globalTokenCount() {
    return Number(this.handle.globalTokenCount());
  }

  /** Sequences in the whole accumulation window, over all devices. */
  globalSequenceCount() {
    return Number(this.handle.globalSequenceCount());
  }

  /** Rows in the whole accumulation window, over all devices: conversations, pairs, groups. */
  globalRowCount() {
    return Number(this.handle.globalRowCount());
  }

  /** Micro-batches in the whole accumulation window, over all devices. */
  globalBatchCount() {
    return Number(this.handle.globalBatchCount());
  }

  /** Optimiser steps taken so far. */
  step() {
    return Number(this.handle.step());
  }

  /** False during evaluation. @returns {boolean} */
  training() {
    return this.handle.training();
  }

  /** Sequences in the micro-batch. */
  sequenceCount() {
    return this.sequenceLengths().length;
  }

  /** Preference pairs in the whole accumulation window, over all devices. */
  globalPairCount() {
    return this.globalRowCount();
  }

  /** The sum of a value per token over each sequence: `[tokens]` to `[sequences]`. @param {Tensor} perToken */
  sumBySequence(perToken) {
    return perToken.segmentSum(this.segmentIds(), this.sequenceCount());
  }

  /**
   * The chosen and the rejected half of a value per sequence: `[sequences]` to twice `[pairs]`.
   *
   * @param {Tensor} perSequence
   */
  splitSequences(perSequence) {
    const pairs = Math.floor(this.sequenceCount() / 2);
    return [perSequence.narrow(0, 0, pairs), perSequence.narrow(0, pairs, pairs)];
  }

  /**
   * The chosen and the rejected part of a value per token: `[tokens]` to two runs of tokens.
   *
   * @param {Tensor} perToken
   */
  splitTokens(perToken) {
    const lengths = this.sequenceLengths();
    const sum = (/** @type {number[]} */ counts) => counts.reduce((total, count) => total + count, 0);
    const chosen = sum(lengths.slice(0, Math.floor(lengths.length / 2)));
    return [perToken.narrow(0, 0, chosen), perToken.narrow(0, chosen, sum(lengths) - chosen)];
  }
}

/** What a model computed for a batch. Nothing is computed before it is asked for, and nothing twice. */
export class Outputs {
  /** For this package. @param {any} handle */
  constructor(handle) {
    /** @internal */
    this.handle = handle;
  }

  /** `[tokens]` `float32`: log-probability of each label; 0 where no label counts. */
  tokenLogps() {
    return new Tensor(call(() => this.handle.tokenLogps()));
  }

  /** `[tokens]` `int64`: the most likely token at each labelled position, -1 elsewhere. Not differentiable. */
  predictions() {
    return new Tensor(call(() => this.handle.predictions()));
  }

  /** `[tokens]` `float32`: entropy in nats of the prediction at labelled positions, 0 elsewhere. Not differentiable. */
  entropies() {
    return new Tensor(call(() => this.handle.entropies()));
  }

  /** `[tokens]` `float32`: mean over the vocabulary of the logits at labelled positions, 0 elsewhere. Not differentiable. */
  meanLogits() {
    return new Tensor(call(() => this.handle.meanLogits()));
  }

  /** `[tokens, vocab]`: all logits, in memory at once. Prefer `tokenLogps`. */
  logits() {
    return new Tensor(call(() => this.handle.logits()));
  }

  /** Number of logits at each position. */
  vocabSize() {
    return Number(call(() => this.handle.vocabSize()));
  }

  /** `[tokens, hidden_size]`: the last hidden states, after the final norm. */
  hidden() {
    return new Tensor(call(() => this.handle.hidden()));
  }

  /** `[sequences, hidden_size]`: the hidden state of each sequence's last token. */
  lastHidden() {
    return new Tensor(call(() => this.handle.lastHidden()));
  }

  /** `[sequences, outputs]` `float32`: the score head applied to `lastHidden`. Only for losses that require a head. */
  scores() {
    return new Tensor(call(() => this.handle.scores()));
  }

  /** `[tokens, outputs]` `float32`: the score head applied to every token. */
  tokenScores() {
    return new Tensor(call(() => this.handle.tokenScores()));
  }
}
