/** Describe the family of models that you wire. */

import { Model, PluginError } from "swift-plugin";

export default class PluginName extends Model {
  static summary = "A decoder whose blocks attend and do nothing else.";

  supports(architecture, modelType) {
    return modelType === "plugin_name";
  }

  /** Stage 0 embeds, stages 1 to `layers` are the blocks, and the last is the final norm. The head is the embedding. */
  load(config) {
    const { hidden_size: width, num_hidden_layers: count, num_attention_heads: heads, vocab_size: vocabSize } = config;
    if (width % (2 * heads) !== 0) {
      throw new PluginError(`\`hidden_size\` is ${width}, not a multiple of twice \`num_attention_heads\`, ${heads}`);
    }
    const headDim = width / heads;
    const parameters = [];
    const add = (name, shape, role, stage) => parameters.push({ name: `${name}.weight`, shape, role, stage }) - 1;
    const layer = (index) => {
      const linear = (part, role) => add(`layers.${index}.${part}`, [width, width], role, index + 1);
      return {
        norm: add(`layers.${index}.norm`, [width], "norm", index + 1),
        query: linear("query", "column"),
        key: linear("key", "column"),
        value: linear("value", "column"),
        output: linear("output", "row"),
      };
    };
    this.heads = heads;
    this.headDim = headDim;
    this.epsilon = config.rms_norm_eps ?? 1e-6;
    this.embedding = add("embedding", [vocabSize, width], "embedding", 0);
    this.layers = Array.from({ length: count }, (_, index) => layer(index));
    this.norm = add("norm", [width], "norm", count + 1);
    // Angles of RoFormer (Su et al. 2021, eq. 15): `10000 ** (-2 i / headDim)`.
    const inverseFrequencies = Array.from({ length: headDim / 2 }, (_, i) => 10000 ** ((-2 * i) / headDim));
    return {
      name: "plugin_name",
      hiddenSize: width,
      vocabSize,
      stages: count + 2,
      parameters,
      rotaryTables: [{ inverseFrequencies }],
      head: { weight: this.embedding },
      cacheLayers: count,
      kvHeads: heads,
      headDim,
    };
  }

  forward(stage, input, context) {
    if (input === null) return context.embedding(this.embedding);
    if (stage > this.layers.length) return context.rmsNorm(this.norm, input, this.epsilon);
    return input.add(this.attend(stage - 1, input, context));
  }

  /** What a block adds to `hidden`, `[tokens, hidden_size]`. */
  attend(index, hidden, context) {
    const layer = this.layers[index];
    const tokens = context.tokenCount();
    const x = context.rmsNorm(layer.norm, hidden, this.epsilon);
    const heads = (weight) => context.linear(weight, null, x).reshape([tokens, this.heads, -1]);
    const [query, key, value] = [layer.query, layer.key, layer.value].map(heads);
    const options = { scale: this.headDim ** -0.5 };
    const mixed = context.attention(index, context.rope(0, query), context.rope(0, key), value, options);
    return context.linear(layer.output, null, mixed.reshape([tokens, -1]));
  }
}
