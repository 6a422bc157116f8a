/** An optimiser, for the tests of the bridge to the host. */

import { Optimizer, parameter } from "swift-plugin";

export default class Momentum extends Optimizer {
  static summary = "Half of the last step again.";

  share = parameter.number("How much of the last step.", { default: 0.5 });

  slots({ shape }) {
    return [
      { name: "momentum", shape },
      { name: "same", shape },
    ];
  }

  update({ name, weightDecay }, value, gradient, slots, { number, learningRate }) {
    const momentum = slots[0].mul(this.share).add(gradient);
    if (name === "frozen") return { value, slots: [gradient, slots[1]] };
    const decayed = value.mul(1 - weightDecay);
    return { value: decayed.sub(momentum.mul(learningRate * number)), slots: [momentum, momentum] };
  }
}
