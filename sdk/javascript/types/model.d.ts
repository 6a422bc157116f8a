/** Model definitions. */
import { Plugin } from "./plugin.js";
import { Tensor } from "./tensor.js";
export type Role = "embedding" | "column" | "row" | "head" | "norm" | "bias";
export type ModelParameter = {
    /**
     * As in the safetensors files: `model.layers.0.self_attn.q_proj.weight`.
     */
    name: string;
    /**
     * Its shape, linear weights as `[out, in]`.
     */
    shape: number[];
    /**
     * Its role.
     */
    role: Role;
    /**
     * The stage that uses it.
     */
    stage: number;
};
export type RotaryTable = {
    /**
     * One for each rotated pair; twice as many components of each head are rotated, the rest
     * passes through.
     */
    inverseFrequencies: number[];
    /**
     * Factor on cosine and sine (yarn); by default 1.
     */
    scale?: number;
    /**
     * Pairs are `(2i, 2i + 1)` if true, by default `(i, i + half)`.
     */
    interleaved?: boolean;
};
export type Head = {
    /**
     * The weight `[vocab, hidden_size]`; the embedding's index if they are tied.
     */
    weight: number;
    /**
     * A bias `[vocab]`.
     */
    bias?: number | null;
    /**
     * Each logit becomes `cap * tanh(logit / cap)`; above 0.
     */
    softCap?: number | null;
    /**
     * Whether each row of the weight is divided by its length, so that logits depend on directions only.
     */
    normalised?: boolean;
};
export type Architecture = {
    /**
     * For messages: `qwen2`.
     */
    name: string;
    /**
     * Width of the hidden states.
     */
    hiddenSize: number;
    /**
     * Number of token ids.
     */
    vocabSize: number;
    /**
     * Number of stages. Stage 0 takes no input and embeds; the last gives what the head projects. Each is a
     * unit of recomputation, sharding and offload.
     */
    stages: number;
    /**
     * All parameters; their order gives their indices.
     */
    parameters: ModelParameter[];
    /**
     * Names in the checkpoint that may be there and are not used, with `*` for any run of characters.
     */
    ignored?: string[];
    /**
     * Rotary tables.
     */
    rotaryTables?: RotaryTable[];
    /**
     * The output projection.
     */
    head: Head;
    /**
     * Number of layers with a key-value cache.
     */
    cacheLayers: number;
    /**
     * Key-value heads of each.
     */
    kvHeads: number;
    /**
     * Components of each head.
     */
    headDim: number;
    /**
     * Parameters, by their indices, that are never trained, for no gradient reaches them.
     */
    untrained?: number[];
    /**
     * Linear layers, by the indices of their weights, whose products are never taken in fewer bits than
     * everything is computed in, as routers, whose choices hang on small differences.
     */
    fullPrecision?: number[];
    /**
     * Components of each head's values in the cache, if they are not as many as those of its keys; 0
     * if `attentionProjected` is all that is used.
     */
    cachedValues?: number | null;
    /**
     * The most tokens of a sequence, above 0, that the rotary tables are for. Longer ones are
     * refused.
     */
    longestSequence?: number | null;
    /**
     * What longer sequences are rotated with, at most one for each rotary table.
     */
    longerSequences?: LongerSequences[];
    /**
     * Parameters that other programs have as one, for adapters.
     */
    stacks?: Stack[];
};
export type Stack = {
    /**
     * What adapters call it.
     */
    name: string;
    /**
     * For each part the indices of the `[out, in]` of each group; together they are `[groups, out of all parts,
     * in]`. A single one is a parameter that has another name there.
     */
    parts: number[][];
};
export type LongerSequences = {
    /**
     * The index of the table.
     */
    table: number;
    /**
     * The most tokens, above 0, of a sequence that the table itself is for.
     */
    tokens: number;
    /**
     * As many as the table has.
     */
    inverseFrequencies: number[];
    /**
     * 0 or above; 0 where it is missing.
     */
    growth?: number;
};
export type AttentionOptions = {
    /**
     * Factor on the scores, usually `1 / sqrt(head_dim)`.
     */
    scale: number;
    /**
     * A position sees itself and the `window - 1` before it; all before it when null.
     */
    window?: number | null;
    /**
     * Scores become `cap * tanh(score / cap)`.
     */
    softCap?: number | null;
};
/**
 * What a parameter is, which decides its place in adapters, weight decay and sharding.
 *
 * - `embedding`: a table of rows looked up by token id; rows are sharded.
 * - `column`: a linear layer whose outputs are sharded.
 * - `row`: a linear layer whose inputs are sharded.
 * - `head`: the output projection; not a target of adapters unless named.
 * - `norm`: a norm's weight.
 * - `bias`: a bias.
 *
 * @typedef {"embedding" | "column" | "row" | "head" | "norm" | "bias"} Role
 */
/**
 * A tensor of the checkpoint.
 *
 * @typedef {object} ModelParameter
 * @property {string} name As in the safetensors files: `model.layers.0.self_attn.q_proj.weight`.
 * @property {number[]} shape Its shape, linear weights as `[out, in]`.
 * @property {Role} role Its role.
 * @property {number} stage The stage that uses it.
 */
/**
 * A table of rotary position embeddings. Angles are `position * inverseFrequencies[i]`.
 *
 * @typedef {object} RotaryTable
 * @property {number[]} inverseFrequencies One for each rotated pair; twice as many components of each head are rotated, the rest
 *   passes through.
 * @property {number} [scale] Factor on cosine and sine (yarn); by default 1.
 * @property {boolean} [interleaved] Pairs are `(2i, 2i + 1)` if true, by default `(i, i + half)`.
 */
/**
 * The output projection, which the host applies itself so that logits need never exist as a whole.
 *
 * @typedef {object} Head
 * @property {number} weight The weight `[vocab, hidden_size]`; the embedding's index if they are tied.
 * @property {number | null} [bias] A bias `[vocab]`.
 * @property {number | null} [softCap] Each logit becomes `cap * tanh(logit / cap)`; above 0.
 * @property {boolean} [normalised] Whether each row of the weight is divided by its length, so that logits depend on directions only.
 */
/**
 * The whole model.
 *
 * @typedef {object} Architecture
 * @property {string} name For messages: `qwen2`.
 * @property {number} hiddenSize Width of the hidden states.
 * @property {number} vocabSize Number of token ids.
 * @property {number} stages Number of stages. Stage 0 takes no input and embeds; the last gives what the head projects. Each is a
 *   unit of recomputation, sharding and offload.
 * @property {ModelParameter[]} parameters All parameters; their order gives their indices.
 * @property {string[]} [ignored] Names in the checkpoint that may be there and are not used, with `*` for any run of characters.
 * @property {RotaryTable[]} [rotaryTables] Rotary tables.
 * @property {Head} head The output projection.
 * @property {number} cacheLayers Number of layers with a key-value cache.
 * @property {number} kvHeads Key-value heads of each.
 * @property {number} headDim Components of each head.
 * @property {number[]} [untrained] Parameters, by their indices, that are never trained, for no gradient reaches them.
 * @property {number[]} [fullPrecision] Linear layers, by the indices of their weights, whose products are never taken in fewer bits than
 *   everything is computed in, as routers, whose choices hang on small differences.
 * @property {number | null} [cachedValues] Components of each head's values in the cache, if they are not as many as those of its keys; 0
 *   if `attentionProjected` is all that is used.
 * @property {number | null} [longestSequence] The most tokens of a sequence, above 0, that the rotary tables are for. Longer ones are
 *   refused.
 * @property {LongerSequences[]} [longerSequences] What longer sequences are rotated with, at most one for each rotary table.
 * @property {Stack[]} [stacks] Parameters that other programs have as one, for adapters.
 */
/**
 * Parameters that other programs have as one.
 *
 * @typedef {object} Stack
 * @property {string} name What adapters call it.
 * @property {number[][]} parts For each part the indices of the `[out, in]` of each group; together they are `[groups, out of all parts,
 *   in]`. A single one is a parameter that has another name there.
 */
/**
 * What sequences of more than `tokens` tokens are rotated with in the place of a rotary table's own frequencies. Pair `i` of `n` has
 * `inverseFrequencies[i] / (1 + growth * (length / tokens - 1))^(i / (n - 1))`.
 *
 * @typedef {object} LongerSequences
 * @property {number} table The index of the table.
 * @property {number} tokens The most tokens, above 0, of a sequence that the table itself is for.
 * @property {number[]} inverseFrequencies As many as the table has.
 * @property {number} [growth] 0 or above; 0 where it is missing.
 */
/**
 * Options of `attention`.
 *
 * @typedef {object} AttentionOptions
 * @property {number} scale Factor on the scores, usually `1 / sqrt(head_dim)`.
 * @property {number | null} [window] A position sees itself and the `window - 1` before it; all before it when null.
 * @property {number | null} [softCap] Scores become `cap * tanh(score / cap)`.
 */
/** The batch that a stage is computed for, and what a model computes with. Parameters are named by their number. */
export declare class Context {
    /** @internal */
    handle: any;
    /** For this package. @param {any} handle */
    constructor(handle: any);
    /** Number of positions in the packed batch. */
    tokenCount(): number;
    /**
     * Rows of the parameter `[vocab, hidden_size]` for the batch's token ids: `[tokens, hidden_size]`.
     *
     * @param {number} parameter
     */
    embedding(parameter: number): Tensor;
    /**
     * `x W^T + b` with `W` `[out, in]` and `b` `[out]`: `[.., in]` to `[.., out]`.
     *
     * @param {number} weight
     * @param {number | null} bias
     * @param {Tensor} x
     */
    linear(weight: number, bias: number | null, x: Tensor): Tensor;
    /**
     * `x / sqrt(mean(x^2) + epsilon) * w` over the last dimension.
     *
     * @param {number} weight
     * @param {Tensor} x
     * @param {number} epsilon
     */
    rmsNorm(weight: number, x: Tensor, epsilon: number): Tensor;
    /**
     * `x / sqrt(mean(x^2) + epsilon) * (offset + w)` over the last dimension; the sum is not rounded.
     *
     * @param {number} weight
     * @param {number} offset
     * @param {Tensor} x
     * @param {number} epsilon
     */
    rmsNormOffset(weight: number, offset: number, x: Tensor, epsilon: number): Tensor;
    /**
     * `(x - mean(x)) / sqrt(variance(x) + epsilon) * w + b` over the last dimension; without a weight it is 1, without a bias 0.
     *
     * @param {number | null} weight
     * @param {number | null} bias
     * @param {Tensor} x
     * @param {number} epsilon
     */
    layerNorm(weight: number | null, bias: number | null, x: Tensor, epsilon: number): Tensor;
    /**
     * Rotates `[tokens, heads, head_dim]` by the batch's positions, with a rotary table of the architecture.
     *
     * @param {number} table
     * @param {Tensor} x
     */
    rope(table: number, x: Tensor): Tensor;
    /**
     * Causal attention inside each sequence. `q` `[tokens, heads, head_dim]`, `k` and `v` `[tokens, kv_heads, head_dim]`; `heads`
     * is a multiple of `kv_heads`. `layer` names the key-value cache.
     *
     * @param {number} layer
     * @param {Tensor} q
     * @param {Tensor} k
     * @param {Tensor} v
     * @param {AttentionOptions} options
     */
    attention(layer: number, q: Tensor, k: Tensor, v: Tensor, { scale, window, softCap }: AttentionOptions): Tensor;
    /** The values of a parameter. @param {number} parameter */
    parameter(parameter: number): Tensor;
    /**
     * As `attention`, where each head also attends to a sink: a score that is a parameter `[heads]`, and a value of zero.
     *
     * @param {number} layer
     * @param {Tensor} q
     * @param {Tensor} k
     * @param {Tensor} v
     * @param {number} sinks
     * @param {AttentionOptions} options
     */
    attentionWithSinks(layer: number, q: Tensor, k: Tensor, v: Tensor, sinks: number, { scale, window, softCap }: AttentionOptions): Tensor;
    /**
     * As `attention`, where `slopes[h] * (j - p)` is added, before the soft cap, to the score that head `h` gives the query at
     * position `p` and the key at `j` (Press et al. 2022, "ALiBi").
     *
     * @param {number} layer
     * @param {Tensor} q
     * @param {Tensor} k
     * @param {Tensor} v
     * @param {number[]} slopes
     * @param {AttentionOptions} options
     */
    attentionWithSlopes(layer: number, q: Tensor, k: Tensor, v: Tensor, slopes: number[], { scale, window, softCap }: AttentionOptions): Tensor;
    /**
     * `x W[g]^T + b[g]` for each row of `x` `[rows, in]`, with the layer of its group `g`: `[rows, out]`. `weights` are one `[out,
     * in]` for each group, or a single `[groups, in, out]`; `biases` are none, one `[out]` for each group, or a single
     * `[groups, out]`. `groups` `[rows]` are in ascending order, `tokens` `[rows]` the positions that the rows come from,
     * ascending inside each group.
     *
     * @param {number[]} weights
     * @param {number[]} biases
     * @param {Tensor} x
     * @param {Tensor} groups
     * @param {Tensor} tokens
     */
    groupedLinear(weights: number[], biases: number[], x: Tensor, groups: Tensor, tokens: Tensor): Tensor;
    /** `silu(gate) * up`. @param {Tensor} gate @param {Tensor} up */
    swiglu(gate: Tensor, up: Tensor): Tensor;
    /**
     * As `attention`, with keys and values that the layer `weight` `[heads * (plain + value), in]` makes of `x` `[tokens, in]`: for
     * each head `plain` components of its key, and its value. `shared` `[tokens, rest]` is the rest of every head's key. `q` is
     * `[tokens, heads, plain + rest]`, the result `[tokens, heads, value]`. The cache holds `x` and `shared`, as one head.
     *
     * @param {number} layer
     * @param {Tensor} q
     * @param {Tensor} x
     * @param {Tensor} shared
     * @param {number} weight
     * @param {AttentionOptions} options
     */
    attentionProjected(layer: number, q: Tensor, x: Tensor, shared: Tensor, weight: number, { scale, window, softCap }: AttentionOptions): Tensor;
    /** Whether the batch is learned from, so that `addLoss` has an effect. @returns {boolean} */
    training(): boolean;
    /**
     * Gives a tensor to later stages, which find it with `handedOver`. Gradients flow back through it.
     *
     * @param {string} name
     * @param {Tensor} value
     */
    handOver(name: string, value: Tensor): void;
    /** What earlier stages handed over under a name, in their order. @param {string} name @returns {Tensor[]} */
    handedOver(name: string): Tensor[];
    /**
     * Adds `weight * value` to what is learned by, and has the scalar `value` logged as the metric `name`. It counts as much as
     * the batch's share of the labels in the accumulation window.
     *
     * @param {string} name
     * @param {Tensor} value
     * @param {number} weight
     */
    addLoss(name: string, value: Tensor, weight: number): void;
}
/**
 * How a family of models is wired. The host drives a model stage by stage, which is why one definition serves full training,
 * adapters, recomputation and the reference model.
 *
 * @abstract
 */
export declare class Model extends Plugin {
    /**
     * Whether this plugin knows the model: the `architectures` entry and `model_type` of a `config.json`.
     *
     * @param {string} architecture
     * @param {string} modelType
     * @returns {boolean}
     */
    supports(architecture: string, modelType: string): boolean;
    /**
     * The model that a `config.json` describes. Called once, before `forward`, which finds on `this` what is kept here.
     *
     * @param {Record<string, any>} config
     * @returns {Architecture}
     */
    load(config: Record<string, any>): Architecture;
    /**
     * Computes one stage: `[tokens, hidden_size]` in (null for stage 0) and out.
     *
     * @param {number} stage
     * @param {Tensor | null} input
     * @param {Context} context
     * @returns {Tensor}
     */
    forward(stage: number, input: Tensor | null, context: Context): Tensor;
}
