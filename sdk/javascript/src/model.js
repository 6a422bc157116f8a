/** Model definitions. */

import { call } from "./errors.js";
import { missing } from "./missing.js";
import { Plugin } from "./plugin.js";
import { Tensor } from "./tensor.js";

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
export class Context {
  /** For this package. @param {any} handle */
  constructor(handle) {
    /** @internal */
    this.handle = handle;
  }

  /** Number of positions in the packed batch. */
  tokenCount() {
    return Number(this.handle.tokenCount());
  }

  /**
   * Rows of the parameter `[vocab, hidden_size]` for the batch's token ids: `[tokens, hidden_size]`.
   *
   * @param {number} parameter
   */
  embedding(parameter) {
    return new Tensor(call(() => this.handle.embedding(parameter)));
  }

  /**
   * `x W^T + b` with `W` `[out, in]` and `b` `[out]`: `[.., in]` to `[.., out]`.
   *
   * @param {number} weight
   * @param {number | null} bias
   * @param {Tensor} x
   */
  linear(weight, bias, x) {
    return new Tensor(call(() => this.handle.linear(weight, bias ?? undefined, x.handle)));
  }

  /**
   * `x / sqrt(mean(x^2) + epsilon) * w` over the last dimension.
   *
   * @param {number} weight
   * @param {Tensor} x
   * @param {number} epsilon
   */
  rmsNorm(weight, x, epsilon) {
    return new Tensor(call(() => this.handle.rmsNorm(weight, x.handle, epsilon)));
  }

  /**
   * `x / sqrt(mean(x^2) + epsilon) * (offset + w)` over the last dimension; the sum is not rounded.
   *
   * @param {number} weight
   * @param {number} offset
   * @param {Tensor} x
   * @param {number} epsilon
   */
  rmsNormOffset(weight, offset, x, epsilon) {
    return new Tensor(call(() => this.handle.rmsNormOffset(weight, offset, x.handle, epsilon)));
  }

  /**
   * `(x - mean(x)) / sqrt(variance(x) + epsilon) * w + b` over the last dimension; without a weight it is 1, without a bias 0.
   *
   * @param {number | null} weight
   * @param {number | null} bias
   * @param {Tensor} x
   * @param {number} epsilon
   */
  layerNorm(weight, bias, x, epsilon) {
    return new Tensor(call(() => this.handle.layerNorm(weight ?? undefined, bias ?? undefined, x.handle, epsilon)));
  }

  /**
   * Rotates `[tokens, heads, head_dim]` by the batch's positions, with a rotary table of the architecture.
   *
   * @param {number} table
   * @param {Tensor} x
   */
  rope(table, x) {
    return new Tensor(call(() => this.handle.rope(table, x.handle)));
  }

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
  attention(layer, q, k, v, { scale, window, softCap }) {
    const options = { scale, window: window ?? undefined, softCap: softCap ?? undefined };
    return new Tensor(call(() => this.handle.attention(layer, q.handle, k.handle, v.handle, options)));
  }

  /** The values of a parameter. @param {number} parameter */
  parameter(parameter) {
    return new Tensor(call(() => this.handle.parameter(parameter)));
  }

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
  attentionWithSinks(layer, q, k, v, sinks, { scale, window, softCap }) {
    const options = { scale, window: window ?? undefined, softCap: softCap ?? undefined };
    return new Tensor(
      call(() => this.handle.attentionWithSinks(layer, q.handle, k.handle, v.handle, sinks, options)),
    );
  }

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
  attentionWithSlopes(layer, q, k, v, slopes, { scale, window, softCap }) {
    const options = { scale, window: window ?? undefined, softCap: softCap ?? undefined };
    const list = Float64Array.from(slopes);
    return new Tensor(
      call(() => this.handle.attentionWithSlopes(layer, q.handle, k.handle, v.handle, list, options)),
    );
  }

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
  groupedLinear(weights, biases, x, groups, tokens) {
    const [w, b] = [new Uint32Array(weights), new Uint32Array(biases)];
    return new Tensor(
      call(() => this.handle.groupedLinear(w, b, x.handle, groups.handle, tokens.handle)),
    );
  }

  /** `silu(gate) * up`. @param {Tensor} gate @param {Tensor} up */
  swiglu(gate, up) {
    return new Tensor(call(() => this.handle.swiglu(gate.handle, up.handle)));
  }

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
  attentionProjected(layer, q, x, shared, weight, { scale, window, softCap }) {
    const options = { scale, window: window ?? undefined, softCap: softCap ?? undefined };
    return new Tensor(
      call(() => this.handle.attentionProjected(layer, q.handle, x.handle, shared.handle, weight, options)),
    );
  }

  /** Whether the batch is learned from, so that `addLoss` has an effect. @returns {boolean} */
  training() {
    return this.handle.training();
  }

  /**
   * Gives a tensor to later stages, which find it with `handedOver`. Gradients flow back through it.
   *
   * @param {string} name
   * @param {Tensor} value
   */
  handOver(name, value) {
    call(() => this.handle.handOver(name, value.handle));
  }

  /** What earlier stages handed over under a name, in their order. @param {string} name @returns {Tensor[]} */
  handedOver(name) {
    return Array.from(call(() => this.handle.handedOver(name)), (/** @type {any} */ handle) => new Tensor(handle));
  }

  /**
   * Adds `weight * value` to what is learned by, and has the scalar `value` logged as the metric `name`. It counts as much as
   * the batch's share of the labels in the accumulation window.
   *
   * @param {string} name
   * @param {Tensor} value
   * @param {number} weight
   */
  addLoss(name, value, weight) {
    call(() => this.handle.addLoss(name, value.handle, weight));
  }
}

/**
 * How a family of models is wired. The host drives a model stage by stage, which is why one definition serves full training,
 * adapters, recomputation and the reference model.
 *
 * @abstract
 */
export class Model extends Plugin {
  /**
   * Whether this plugin knows the model: the `architectures` entry and `model_type` of a `config.json`.
   *
   * @param {string} architecture
   * @param {string} modelType
   * @returns {boolean}
   */
  supports(architecture, modelType) {
    return missing("supports", architecture, modelType);
  }

  /**
   * The model that a `config.json` describes. Called once, before `forward`, which finds on `this` what is kept here.
   *
   * @param {Record<string, any>} config
   * @returns {Architecture}
   */
  load(config) {
    return missing("load", config);
  }

  /**
   * Computes one stage: `[tokens, hidden_size]` in (null for stage 0) and out.
   *
   * @param {number} stage
   * @param {Tensor | null} input
   * @param {Context} context
   * @returns {Tensor}
   */
  forward(stage, input, context) {
    return missing("forward", stage, input, context);
  }
}
