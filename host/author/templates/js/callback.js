/** Describe what your callback watches, and what it does. */

import { Callback, action, parameter, remembered } from "swift-plugin";

export default class PluginName extends Callback {
  static summary = "Ends a run when its loss has fallen below a limit.";

  limit = parameter.number("The loss at which the run ends.", { default: 0.01 });
  lines = remembered(0);

  onEvent(event, run) {
    if (event !== "log") return [];
    this.lines += 1;
    const { loss } = run.metrics;
    if (loss === undefined || loss >= this.limit) return [];
    return [action.stop(`the loss ${loss} is below ${this.limit} after ${this.lines} lines`)];
  }
}
