/**
 * The kinds of plugins, with the functions of the contract that each exports. They fail with a text, unless said otherwise:
 * `tensor` for the tensors' errors, `reason` for a text without the plugin's line, `crash` for no error at all.
 */

import { dataset, lossScale, reward, template, toolParser } from "./exports-texts.js";
import { callback, loss, metric, model, optimizer, sampler, schedule } from "./exports-training.js";
import { Callback, Dataset, LossScale, Metric, Reward, Schedule } from "./kinds.js";
import { Loss } from "./loss.js";
import { Model } from "./model.js";
import { Optimizer } from "./optimizer.js";
import { Sampler } from "./sampler.js";
import { Template } from "./template.js";
import { ToolParser } from "./tool-parser.js";

/** What plugins that work on tensors call. */
const TENSORS = ["tensor", "log"];

/**
 * The kinds: their base class, their world, the interface as JavaScript names it, what makes its functions, and the interfaces
 * whose functions the package calls. Those of what a plugin is lent are methods.
 */
export const KINDS = [
  { base: Loss, world: "loss-plugin", exported: "loss", functions: loss, calls: TENSORS },
  { base: Model, world: "model-plugin", exported: "model", functions: model, calls: ["nn", ...TENSORS] },
  { base: Callback, world: "callback-plugin", exported: "callback", functions: callback, calls: TENSORS },
  { base: Dataset, world: "dataset-plugin", exported: "dataset", functions: dataset, calls: ["log"] },
  { base: Metric, world: "metric-plugin", exported: "metric", functions: metric, calls: TENSORS },
  { base: Schedule, world: "schedule-plugin", exported: "schedule", functions: schedule, calls: ["log"] },
  { base: Optimizer, world: "optimizer-plugin", exported: "optimizer", functions: optimizer, calls: TENSORS },
  { base: Reward, world: "reward-plugin", exported: "reward", functions: reward, calls: ["log"] },
  { base: Template, world: "template-plugin", exported: "template", functions: template, calls: ["log"] },
  { base: LossScale, world: "loss-scale-plugin", exported: "lossScale", functions: lossScale, calls: ["log"] },
  { base: Sampler, world: "sampler-plugin", exported: "sampler", functions: sampler, calls: TENSORS },
  { base: ToolParser, world: "tool-parser-plugin", exported: "toolParser", functions: toolParser, calls: ["log"] },
];

/** The kind of a class; nothing if it is of none. */
export function kindOf(plugin) {
  return KINDS.find(({ base }) => typeof plugin === "function" && plugin.prototype instanceof base);
}
