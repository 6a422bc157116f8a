/** Plugins that change how probable each next token of an answer is. */
import { Plugin } from "./plugin.js";
export type Tensor = import("./tensor.js").Tensor;
/** @typedef {import("./tensor.js").Tensor} Tensor */
/** The answer whose next token is to be chosen. */
export declare class Generation {
    /** @internal */
    handle: any;
    /** For this package. @param {any} handle */
    constructor(handle: any);
    /** Token ids of the prompt. @returns {number[]} */
    prompt(): number[];
    /** Token ids of the answer so far. @returns {number[]} */
    answer(): number[];
    /** Number of tokens of the answer so far: 0 for the first one. */
    step(): number;
    /**
     * A number for this token, which follows from the request's seed, the number of the answer and the step alone. Random
     * tensors are drawn from it, too.
     *
     * @returns {bigint}
     */
    seed(): bigint;
    /** What was remembered at the token before; null at the first one, and where nothing was. @returns {any} */
    memory(): any;
    /**
     * Keeps something for the next token of this answer, in the place of what was remembered before: what JSON can say, in at
     * most 64 KiB.
     *
     * @param {unknown} value
     */
    remember(value: unknown): void;
}
/** Changes how probable each next token of an answer is. @abstract */
export declare class Sampler extends Plugin {
    /**
     * The logits that the token is to be chosen by, from those of the model: both `[vocab]` and `float32`. Minus infinity rules a
     * token out; one at least must be left. Must depend on nothing else than what it is given: answers that are generated side by
     * side take turns.
     *
     * @param {Tensor} logits
     * @param {Generation} generation
     * @returns {Tensor}
     */
    adjust(logits: Tensor, generation: Generation): Tensor;
}
