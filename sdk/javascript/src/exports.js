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

/** The kinds: their base class, their world, the interface as JavaScript names it, and what makes its functions. */
export const KINDS = [
  { base: Loss, world: "loss-plugin", exported: "loss", functions: loss, tensors: true },
  { base: Model, world: "model-plugin", exported: "model", functions: model, tensors: true },
  { base: Callback, world: "callback-plugin", exported: "callback", functions: callback, tensors: true },
  { base: Dataset, world: "dataset-plugin", exported: "dataset", functions: dataset, tensors: false },
  { base: Metric, world: "metric-plugin", exported: "metric", functions: metric, tensors: true },
  { base: Schedule, world: "schedule-plugin", exported: "schedule", functions: schedule, tensors: false },
  { base: Optimizer, world: "optimizer-plugin", exported: "optimizer", functions: optimizer, tensors: true },
  { base: Reward, world: "reward-plugin", exported: "reward", functions: reward, tensors: false },
  { base: Template, world: "template-plugin", exported: "template", functions: template, tensors: false },
  { base: LossScale, world: "loss-scale-plugin", exported: "lossScale", functions: lossScale, tensors: false },
  { base: Sampler, world: "sampler-plugin", exported: "sampler", functions: sampler, tensors: true },
  { base: ToolParser, world: "tool-parser-plugin", exported: "toolParser", functions: toolParser, tensors: false },
];

/** The kind of a class; nothing if it is of none. */
export function kindOf(plugin) {
  return KINDS.find(({ base }) => typeof plugin === "function" && plugin.prototype instanceof base);
}
