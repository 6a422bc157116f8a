/** A loss in TypeScript that goes wrong as it is asked to, for the tests of the bridge to the host. */

import { Batch, Loss, Outputs, PluginError, Report, Requirements, Tensor, log, parameter } from "swift-plugin";

export default class Mistakes extends Loss {
  static summary = "Goes wrong.";

  mode = parameter.text("How.", { default: "none", choices: ["none", "loop", "shape", "crash", "error", "kept"] });

  kept?: Tensor;

  requirements(): Requirements {
    return { input: "groups", reference: true, scoreHead: 3 };
  }

  compute(batch: Batch, policy: Outputs, reference: Outputs | null): Report {
    let logps = policy.tokenLogps();
    if (this.mode === "loop") for (let round = 0; round < 1000; round += 1) logps = logps.add(1);
    if (this.mode === "shape") logps.add(Tensor.full(1, [2]));
    if (this.mode === "crash") (undefined as any).missing();
    if (this.mode === "error") throw new PluginError("this is not to be had");
    if (this.mode === "kept") return new Report((this.kept = logps.sum())).metric("again", this.kept);
    log.info(`${batch.sequenceLengths()} ${batch.globalTokenCount()} ${logps} ${reference !== null}`);
    const positive = Tensor.stack([logps.gt(-2.5), logps.le(-2.5), logps.eq(-1)], 0).reshape([-1]);
    return new Report(logps.mean()).metric("positive", positive).metric("logps", logps, batch.lossWeights());
  }
}
