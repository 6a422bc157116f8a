/** Describe how your learning rate changes. */

import { Schedule, parameter } from "swift-plugin";

export default class PluginName extends Schedule {
  static summary = "A learning rate that falls along a power of what is left of the run.";

  power = parameter.number("The power: 1 falls in a straight line.", { default: 2 });

  /** `(1 - step / maxSteps) ** power`. The warm-up is the trainer's. */
  factor(step: number, maxSteps: number): number {
    return (1 - step / maxSteps) ** this.power;
  }
}
