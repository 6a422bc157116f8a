/** Describe which words of an answer weigh how much. */

import { LossScale, parameter } from "swift-plugin";

export default class PluginName extends LossScale {
  static summary = "What comes before a marker weighs less than what comes after it.";

  marker = parameter.text("The marker.", { default: "Answer:" });
  weight = parameter.number("The weight of what comes before it.", { default: 0.1 });

  weigh(answer: string): [part: string, factor: number][] {
    const at = answer.indexOf(this.marker);
    if (at < 0) return [[answer, 1]];
    return [
      [answer.slice(0, at), this.weight],
      [answer.slice(at), 1],
    ];
  }
}
