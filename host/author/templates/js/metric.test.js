import assert from "node:assert/strict";
import { test } from "node:test";

import { check } from "swift-plugin/testing";

import PluginName from "./plugin_name.js";

test("hits are divided by labels", () => {
  const metric = PluginName.create();
  Object.assign(metric, { hits: 3, labels: 4 });
  assert.deepEqual(metric.finish(), { accuracy: 0.75 });
});

// In the host, for tensors are the host's.
test("the host finds nothing wrong", () => check("plugin_name.js"));
