/** The contract's functions for plugins that work on tensors or watch a run. */

import { Batch, Outputs } from "./batch.js";
import { call } from "./errors.js";
import { host } from "./host.js";
import { Run } from "./kinds.js";
import { Context } from "./model.js";
import { Generation } from "./sampler.js";
import { Tensor } from "./tensor.js";

const REQUIREMENTS = {
  input: "causal",
  trainedParts: "answers",
  reference: false,
  teacher: false,
  scoreHead: null,
  disableDropout: false,
};

/** What is logged: without a gradient, and floating-point, where comparisons give bytes. */
function observed(tensor) {
  const isWhole = ["int64", "uint32", "uint8"].includes(tensor.dtype);
  return (isWhole ? tensor.detach().cast("float32") : tensor.detach()).handle;
}

/** What is remembered, for losses and callbacks. */
const memory = (plugin) => ({
  saveState: { fails: "crash", call: () => plugin().saveState() },
  restoreState: { call: (state) => plugin().restoreState(state) },
});

export const loss = (plugin) => ({
  requires: { fails: "crash", call: () => ({ ...REQUIREMENTS, ...plugin().requirements() }) },
  compute: {
    fails: "tensor",
    call: (batch, policy, reference) => {
      const compared = reference == null ? null : new Outputs(reference);
      const report = plugin().compute(new Batch(batch), new Outputs(policy), compared);
      const metrics = report.metrics.map(([name, values, weights]) => ({
        name,
        values: observed(values),
        weights: weights && observed(weights),
      }));
      return { loss: report.loss.handle, metrics };
    },
  },
  ...memory(plugin),
});

export const metric = (plugin) => ({
  observe: { fails: "tensor", call: (batch, policy) => plugin().observe(new Batch(batch), new Outputs(policy)) },
  finish: {
    fails: "tensor",
    call: () => {
      const found = Object.entries(plugin().finish());
      plugin().forget();
      return found;
    },
  },
});

export const schedule = (plugin) => ({ factor: { call: (step, maxSteps) => plugin().factor(Number(step), Number(maxSteps)) } });

export const callback = (plugin) => ({
  onEvent: { call: (event, state, run) => plugin().onEvent(event, new Run(state, run)) },
  ...memory(plugin),
});

const numbers = (sizes) => Array.from(sizes, Number);
const bigs = (sizes) => BigUint64Array.from(sizes, BigInt);

/** Tells which handles can be given away: each once, and none that was lent. The others are made again, gradient and all. */
function giver(...lent) {
  const taken = new Set(lent);
  return ({ handle }) => {
    if (taken.has(handle)) return handle.addScalar(0);
    taken.add(handle);
    return handle;
  };
}

const optimized = ({ shape, ...rest }) => ({ ...rest, shape: numbers(shape) });

export const optimizer = (plugin) => ({
  slots: {
    fails: "crash",
    call: (parameter) => plugin().slots(optimized(parameter)).map(({ name, shape }) => ({ name, shape: bigs(shape) })),
  },
  update: {
    fails: "tensor",
    call: (parameter, value, gradient, slots, step) => {
      const [own, slope, kept] = [new Tensor(value), new Tensor(gradient), slots.map((slot) => new Tensor(slot))];
      const { number, learningRate } = step;
      const made = plugin().update(optimized(parameter), own, slope, kept, { number: Number(number), learningRate });
      const give = giver(value, gradient);
      return { value: give(made.value), slots: (made.slots ?? []).map(give) };
    },
  },
});

const architecture = ({ hiddenSize, vocabSize, parameters, ignored = [], rotaryTables = [], head, ...rest }) => ({
  ...rest,
  hiddenSize: BigInt(hiddenSize),
  vocabSize: BigInt(vocabSize),
  parameters: parameters.map((parameter) => ({ ...parameter, shape: bigs(parameter.shape) })),
  ignored,
  rotaryTables: rotaryTables.map(({ inverseFrequencies, scale = 1, interleaved = false }) => ({
    inverseFrequencies: Float64Array.from(inverseFrequencies),
    scale,
    interleaved,
  })),
  head: { weight: head.weight, bias: head.bias ?? undefined },
});

/** Says by functions what the contract's record of an architecture, which is frozen, has no field for. */
function declare({ head: { softCap, normalised }, longestSequence, untrained, fullPrecision, cachedValues, longerSequences = [], stacks = [] }) {
  if (softCap != null) call(() => host("nn").headSoftCap(softCap));
  if (normalised) call(() => host("nn").normalisedHead());
  if (longestSequence != null) call(() => host("nn").longestSequence(BigInt(longestSequence)));
  if (untrained?.length) call(() => host("nn").untrained(Uint32Array.from(untrained)));
  if (fullPrecision?.length) call(() => host("nn").fullPrecision(Uint32Array.from(fullPrecision)));
  if (cachedValues != null) call(() => host("nn").cachedValues(cachedValues));
  for (const { table, tokens, inverseFrequencies, growth = 0 } of longerSequences) {
    call(() => host("nn").longerSequences(table, BigInt(tokens), Float64Array.from(inverseFrequencies), growth));
  }
  for (const { name, parts } of stacks) {
    call(() => host("nn").stacked(name, parts.map((part) => Uint32Array.from(part))));
  }
}

export const model = (plugin) => ({
  supports: { fails: "crash", call: (name, modelType) => plugin().supports(name, modelType) },
  load: {
    fails: "tensor",
    call: (config) => {
      const loaded = plugin().load(JSON.parse(config));
      declare(loaded);
      return architecture(loaded);
    },
  },
  forward: {
    fails: "tensor",
    call: (stage, input, context) => {
      const given = input == null ? null : new Tensor(input);
      return giver(input)(plugin().forward(stage, given, new Context(context)));
    },
  },
});

export const sampler = (plugin) => ({
  adjust: {
    fails: "tensor",
    call: (logits, generation) => giver(logits)(plugin().adjust(new Tensor(logits), new Generation(generation))),
  },
});
