import assert from "node:assert/strict";
import { test } from "node:test";

import { check } from "swift-plugin/testing";

import PluginName from "./plugin_name.js";

test("the least probability is what it is told", () => {
  assert.equal(PluginName.create({ epsilon: 0.01 }).epsilon, 0.01);
});

// In the host, for tensors are the host's.
test("the host finds nothing wrong", () => check("plugin_name.js", { epsilon: 0.01 }));
