import assert from "node:assert/strict";
import { test } from "node:test";

import { check } from "swift-plugin/testing";

import PluginName from "./plugin_name.js";

const CONFIG = { model_type: "plugin_name", hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 2, vocab_size: 5 };

test("a stage has the parameters that it uses", () => {
  const { stages, parameters, rotaryTables } = PluginName.create().load(CONFIG);
  assert.equal(stages, 4);
  assert.deepEqual(parameters.filter(({ stage }) => stage === 3), [{ name: "norm.weight", shape: [8], role: "norm", stage: 3 }]);
  assert.equal(parameters.filter(({ stage }) => stage === 1).length, 5);
  assert.deepEqual(rotaryTables, [{ inverseFrequencies: [1, 0.01] }]);
});

test("sizes that do not fit are named", () => {
  const load = () => PluginName.create().load({ ...CONFIG, hidden_size: 6 });
  assert.throws(load, /`hidden_size` is 6, not a multiple of twice `num_attention_heads`, 2/);
});

// In the host, for tensors are the host's.
test("the host runs it and finds nothing wrong", () => check("plugin_name.js", {}, { config: CONFIG }));
