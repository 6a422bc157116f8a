/** What losses and metrics see: packed batches, and outputs that the model computes when they are asked for. */
import { Tensor } from "./tensor.js";
/**
 * One packed micro-batch.
 *
 * All sequences lie end to end in one run of `tokens` positions; there is no padding. Position `t` holds what the model
 * predicts after reading token `t`, so labels are already shifted.
 */
export declare class Batch {
    /** @internal */
    handle: any;
    /** For this package. @param {any} handle */
    constructor(handle: any);
    /** `[tokens]` `int64`: the token to predict at each position, -100 where none counts. */
    labels(): Tensor;
    /** `[tokens]` `float32`: 1 where a label counts, else 0. */
    labelMask(): Tensor;
    /** `[tokens]` `float32`: the weight of each label's loss; 0 where no label counts. */
    lossWeights(): Tensor;
    /** `[tokens]` `int64`: the sequence each position belongs to, for `segmentSum`. */
    segmentIds(): Tensor;
    /**
     * Tokens in each sequence. Preference pairs come as two consecutive runs: all chosen, then all rejected.
     *
     * @returns {number[]}
     */
    sequenceLengths(): number[];
    /** Sequences of each row, for rows of several sequences that differ in their number. @returns {number[]} */
    groupLengths(): number[];
    /**
     * A numeric column of the rows, `[rows]` `float32`, true and false being 1 and 0. A column of lists is `[rows, longest]`,
     * shorter lists filled up with NaN. Null if any row lacks it.
     *
     * @param {string} name
     */
    field(name: string): Tensor | null;
    /**
     * A number for each token, `[tokens]` `float32`: `old_logps`, `advantages` of rollouts. Null if there is no such column.
     *
     * @param {string} name
     */
    tokenField(name: string): Tensor | null;
    /** What the teacher model computed for the batch. */
    teacher(): Outputs;
    /** Labels that count in the whole accumulation window, over all devices. */
    globalTokenCount(): number;
    /** Sequences in the whole accumulation window, over all devices. */
    globalSequenceCount(): number;
    /** Rows in the whole accumulation window, over all devices: conversations, pairs, groups. */
    globalRowCount(): number;
    /** Micro-batches in the whole accumulation window, over all devices. */
    globalBatchCount(): number;
    /** Optimiser steps taken so far. */
    step(): number;
    /** False during evaluation. @returns {boolean} */
    training(): boolean;
    /** Sequences in the micro-batch. */
    sequenceCount(): number;
    /** Preference pairs in the whole accumulation window, over all devices. */
    globalPairCount(): number;
    /** The sum of a value per token over each sequence: `[tokens]` to `[sequences]`. @param {Tensor} perToken */
    sumBySequence(perToken: Tensor): Tensor;
    /**
     * The chosen and the rejected half of a value per sequence: `[sequences]` to twice `[pairs]`.
     *
     * @param {Tensor} perSequence
     */
    splitSequences(perSequence: Tensor): Tensor[];
    /**
     * The chosen and the rejected part of a value per token: `[tokens]` to two runs of tokens.
     *
     * @param {Tensor} perToken
     */
    splitTokens(perToken: Tensor): Tensor[];
}
/** What a model computed for a batch. Nothing is computed before it is asked for, and nothing twice. */
export declare class Outputs {
    /** @internal */
    handle: any;
    /** For this package. @param {any} handle */
    constructor(handle: any);
    /** `[tokens]` `float32`: log-probability of each label; 0 where no label counts. */
    tokenLogps(): Tensor;
    /** `[tokens]` `int64`: the most likely token at each labelled position, -1 elsewhere. Not differentiable. */
    predictions(): Tensor;
    /** `[tokens]` `float32`: entropy in nats of the prediction at labelled positions, 0 elsewhere. Not differentiable. */
    entropies(): Tensor;
    /** `[tokens]` `float32`: mean over the vocabulary of the logits at labelled positions, 0 elsewhere. Not differentiable. */
    meanLogits(): Tensor;
    /** `[tokens, vocab]`: all logits, in memory at once. Prefer `tokenLogps`. */
    logits(): Tensor;
    /** Number of logits at each position. */
    vocabSize(): number;
    /** `[tokens, hidden_size]`: the last hidden states, after the final norm. */
    hidden(): Tensor;
    /** `[sequences, hidden_size]`: the hidden state of each sequence's last token. */
    lastHidden(): Tensor;
    /** `[sequences, outputs]` `float32`: the score head applied to `lastHidden`. Only for losses that require a head. */
    scores(): Tensor;
    /** `[tokens, outputs]` `float32`: the score head applied to every token. */
    tokenScores(): Tensor;
}
