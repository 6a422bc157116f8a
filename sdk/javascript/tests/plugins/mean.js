/** A metric, for the tests of the bridge to the host. */

import { Metric, remembered } from "swift-plugin";

export default class Mean extends Metric {
  static summary = "The sum of all log-probabilities.";

  seen = remembered(0);

  observe(batch, policy) {
    this.seen += policy.tokenLogps().sum().item();
  }

  finish() {
    return { seen: this.seen };
  }
}
