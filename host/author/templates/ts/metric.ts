/** Describe what your metric measures. */

import { Batch, Metric, Outputs, remembered } from "swift-plugin";

export default class PluginName extends Metric {
  static summary = "Share of the labels that the model thinks most likely.";

  hits = remembered(0);
  labels = remembered(0);

  observe(batch: Batch, policy: Outputs): void {
    const mask = batch.labelMask();
    const hits = policy.predictions().eq(batch.labels()).cast("float32");
    this.hits += hits.mul(mask).sum().item();
    this.labels += mask.sum().item();
  }

  finish(): Record<string, number> {
    return { accuracy: this.hits / this.labels };
  }
}
