/** Focal loss over tokens (Lin et al. 2017, "Focal Loss for Dense Object Detection", eq. 4). */

import { Loss, Report, parameter } from "swift-plugin";

export default class Focal extends Loss {
  static summary = "Focal loss over tokens (Lin et al. 2017).";

  gamma = parameter.number("How much well-predicted tokens are held back; 0 is cross-entropy.", { default: 2, minimum: 0 });

  /** With `p` the probability of a label: `-(1 - p)^gamma log p`, the weighted mean over the labels of the window. */
  compute(batch, policy) {
    const logps = policy.tokenLogps();
    // Where a label is certain, `(1 - p)^gamma` has no finite slope for a gamma below 1.
    const focus = logps.exp().neg().add(1).clamp(1e-12, 1).pow(this.gamma);
    const losses = focus.mul(logps).mul(batch.lossWeights()).neg();
    const loss = losses.sum().div(batch.globalTokenCount());
    return new Report(loss).metric("focal/weight", focus, batch.labelMask());
  }
}
