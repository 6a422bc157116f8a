/** Plugins for swift-host. */
export { Batch, Outputs } from "./batch.js";
export { DtypeMismatch, InvalidArgument, OutOfMemory, PluginError, ShapeMismatch, Unsupported } from "./errors.js";
export { Callback, Dataset, LossScale, Metric, Reward, Run, Schedule, action } from "./kinds.js";
export { log } from "./log.js";
export { Loss, Report } from "./loss.js";
export { Context, Model } from "./model.js";
export { Optimizer } from "./optimizer.js";
export { Plugin, parameter, remembered } from "./plugin.js";
export { Generation, Sampler } from "./sampler.js";
export { Template, content } from "./template.js";
export { Tensor } from "./tensor.js";
export { ToolParser } from "./tool-parser.js";
export type Action = import("./kinds.js").Action;
export type Completion = import("./kinds.js").Completion;
export type Event = import("./kinds.js").Event;
export type Message = import("./kinds.js").Message;
export type Sample = import("./kinds.js").Sample;
export type Input = import("./loss.js").Input;
export type Requirements = import("./loss.js").Requirements;
export type Architecture = import("./model.js").Architecture;
export type AttentionOptions = import("./model.js").AttentionOptions;
export type ModelParameter = import("./model.js").ModelParameter;
export type Role = import("./model.js").Role;
export type OptimizedParameter = import("./optimizer.js").OptimizedParameter;
export type Slot = import("./optimizer.js").Slot;
export type Step = import("./optimizer.js").Step;
export type Update = import("./optimizer.js").Update;
export type Answer = import("./template.js").Answer;
export type Content = import("./template.js").Content;
export type Piece = import("./template.js").Piece;
export type RenderOptions = import("./template.js").RenderOptions;
export type Rendered = import("./template.js").Rendered;
export type Dtype = import("./tensor.js").Dtype;
/** @typedef {import("./kinds.js").Action} Action */
/** @typedef {import("./kinds.js").Completion} Completion */
/** @typedef {import("./kinds.js").Event} Event */
/** @typedef {import("./kinds.js").Message} Message */
/** @typedef {import("./kinds.js").Sample} Sample */
/** @typedef {import("./loss.js").Input} Input */
/** @typedef {import("./loss.js").Requirements} Requirements */
/** @typedef {import("./model.js").Architecture} Architecture */
/** @typedef {import("./model.js").AttentionOptions} AttentionOptions */
/** @typedef {import("./model.js").ModelParameter} ModelParameter */
/** @typedef {import("./model.js").Role} Role */
/** @typedef {import("./optimizer.js").OptimizedParameter} OptimizedParameter */
/** @typedef {import("./optimizer.js").Slot} Slot */
/** @typedef {import("./optimizer.js").Step} Step */
/** @typedef {import("./optimizer.js").Update} Update */
/** @typedef {import("./template.js").Answer} Answer */
/** @typedef {import("./template.js").Content} Content */
/** @typedef {import("./template.js").Piece} Piece */
/** @typedef {import("./template.js").RenderOptions} RenderOptions */
/** @typedef {import("./template.js").Rendered} Rendered */
/** @typedef {import("./tensor.js").Dtype} Dtype */
