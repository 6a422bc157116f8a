/** Describe how your sampler chooses, and name the paper that it is from. */

import { Sampler, Tensor, parameter } from "swift-plugin";

export default class PluginName extends Sampler {
  static summary = "Rules out tokens that are hardly probable (Hewitt et al. 2022, epsilon sampling).";

  epsilon = parameter.number("The least probability of a token that is left; the most probable ones always are.", { default: 3e-4 });

  adjust(logits: Tensor): Tensor {
    const logps = logits.logSoftmax(-1);
    const least = logps.max(-1, true).minimum(Math.log(this.epsilon));
    return logps.ge(least).choose(logits, Tensor.full(-Infinity, [], logits.dtype));
  }
}
