/** Describe what your metric measures. */

import { Metric, remembered } from "swift-plugin";

export default class PluginName extends Metric {
  static summary = "Share of the labels that the model thinks most likely.";

  hits = remembered(0);
  labels = remembered(0);

  observe(batch, policy) {
    const mask = batch.labelMask();
    const hits = policy.predictions().eq(batch.labels()).cast("float32");
    this.hits += hits.mul(mask).sum().item();
    this.labels += mask.sum().item();
  }

  finish() {
    return { accuracy: this.hits / this.labels };
  }
}
