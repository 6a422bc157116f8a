/** A schedule, for the tests of the bridge to the host. */

import { Schedule } from "swift-plugin";

export default class Falling extends Schedule {
  static summary = "Falls evenly.";

  factor(step, maxSteps) {
    return 1 - step / maxSteps;
  }
}
