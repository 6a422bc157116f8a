/** A callback that stops at a target, for the tests of the bridge to the host. */

import { Callback, action, parameter, remembered } from "swift-plugin";

export default class Halting extends Callback {
  static summary = "Stops at a target.";
  static version = "1.2.3";

  targetLoss = parameter.number("Where to stop.", { default: 0.5, maximum: 9 });
  note = parameter.text("What to say of it, if anything.", { default: null });
  events = remembered([]);

  onEvent(event, run) {
    this.events.push(event);
    const actions = [action.save(), action.evaluate()];
    const weight = run.parameter("weight");
    if (weight && !run.parameter("other")) actions.push(action.logMetric("weight", weight.sum().item()));
    return run.metrics.loss <= this.targetLoss ? [...actions, action.stop(`step ${run.step} of ${run.maxSteps}`)] : actions;
  }
}
