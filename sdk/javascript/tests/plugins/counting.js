/** A sampler that remembers, for the tests of the bridge to the host. */

import { PluginError, Sampler } from "swift-plugin";

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

export default class Counting extends Sampler {
  static summary = "Adds up what it sees.";

  adjust(logits, generation) {
    const memory = generation.memory() ?? [];
    if (memory.length !== generation.step()) throw new PluginError("what was remembered is not as long as the answer");
    generation.remember([...memory, Number(generation.seed() % 97n)]);
    const said = sum(generation.prompt()) + 10 * sum(generation.answer()) + 100 * sum(memory);
    return said ? logits.add(said) : logits;
  }
}
