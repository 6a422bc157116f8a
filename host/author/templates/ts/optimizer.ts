/** Describe your update rule, and name the paper that it is from. */

import { OptimizedParameter, Optimizer, Slot, Step, Tensor, Update, parameter } from "swift-plugin";

export default class PluginName extends Optimizer {
  static summary = "Gradient descent with momentum (Polyak 1964).";

  momentum = parameter.number("Memory of earlier gradients.", { default: 0.9 });

  slots({ shape }: OptimizedParameter): Slot[] {
    return [{ name: "momentum", shape }];
  }

  /** `m = momentum * m + g`, then `p - rate * (m + decay * p)`. */
  update({ weightDecay }: OptimizedParameter, value: Tensor, gradient: Tensor, [last]: Tensor[], step: Step): Update {
    const momentum = last.mul(this.momentum).add(gradient);
    const change = momentum.add(value.mul(weightDecay));
    return { value: value.sub(change.mul(step.learningRate)), slots: [momentum] };
  }
}
