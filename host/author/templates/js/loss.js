/** Describe what your loss does, and name the paper that its formula is from. */

import { Loss, Report, parameter } from "swift-plugin";

export default class PluginName extends Loss {
  static summary = "Cross entropy of the labelled tokens, scaled.";

  scale = parameter.number("Factor on the loss.", { default: 1 });

  /** `-scale * sum(weight * log p) / labels in the accumulation window`: a micro-batch gives its share of the whole. */
  compute(batch, policy) {
    const logps = policy.tokenLogps();
    const loss = logps.mul(batch.lossWeights()).sum().mul(-this.scale).div(batch.globalTokenCount());
    return new Report(loss).metric("mean_logp", logps, batch.labelMask());
  }
}
