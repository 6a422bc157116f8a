import assert from "node:assert/strict";
import { test } from "node:test";

import PluginName from "./plugin_name.js";

test("it falls from one to zero", () => {
  const schedule = PluginName.create();
  assert.deepEqual([0, 2, 4].map((step) => schedule.factor(step, 4)), [1, 0.25, 0]);
});
