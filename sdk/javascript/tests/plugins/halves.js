/** A rule for loss weights, for the tests of the bridge to the host. */

import { LossScale } from "swift-plugin";

export default class Halves extends LossScale {
  static summary = "The first letter counts.";

  weigh(answer, question) {
    return [
      [answer.slice(0, 1), 1],
      [answer.slice(1), question === null ? 0 : 0.5],
    ];
  }
}
