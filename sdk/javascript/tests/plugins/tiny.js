/** A model definition, for the tests of the bridge to the host. */

import { Model } from "swift-plugin";

export default class Tiny extends Model {
  static summary = "Two stages.";

  supports(architecture, modelType) {
    return architecture === "Tiny" && modelType === "tiny";
  }

  load(config) {
    const width = config.hidden_size;
    return {
      name: "tiny",
      hiddenSize: width,
      vocabSize: 4,
      stages: 3,
      parameters: [{ name: "embedding.weight", shape: [4, width], role: "embedding", stage: 0 }],
      rotaryTables: [{ inverseFrequencies: [1] }],
      head: { weight: 0, softCap: 30 },
      cacheLayers: 1,
      kvHeads: 1,
      headDim: width,
      untrained: [0],
    };
  }

  forward(stage, input, context) {
    if (stage === 0) return context.embedding(0);
    if (stage === 2) return input;
    const heads = input.reshape([context.tokenCount(), 1, -1]);
    const mixed = context.attention(0, context.rope(0, heads), heads, heads, { scale: 0.5 });
    const normed = context.rmsNorm(0, mixed.reshape([context.tokenCount(), -1]), 1e-6);
    return context.linear(0, null, context.swiglu(normed, normed));
  }
}
