/** Describe your update rule, and name the paper that it is from. */

import { Optimizer, parameter } from "swift-plugin";

export default class PluginName extends Optimizer {
  static summary = "Gradient descent with momentum (Polyak 1964).";

  momentum = parameter.number("Memory of earlier gradients.", { default: 0.9 });

  slots({ shape }) {
    return [{ name: "momentum", shape }];
  }

  /** `m = momentum * m + g`, then `p - rate * (m + decay * p)`. */
  update({ weightDecay }, value, gradient, [last], { learningRate }) {
    const momentum = last.mul(this.momentum).add(gradient);
    const change = momentum.add(value.mul(weightDecay));
    return { value: value.sub(change.mul(learningRate)), slots: [momentum] };
  }
}
