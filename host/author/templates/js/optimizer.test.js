import assert from "node:assert/strict";
import { test } from "node:test";

import { check } from "swift-plugin/testing";

import PluginName from "./plugin_name.js";

test("there is a slot in the shape of its parameter", () => {
  const slots = PluginName.create().slots({ name: "w", shape: [2, 3], weightDecay: 0 });
  assert.deepEqual(slots, [{ name: "momentum", shape: [2, 3] }]);
});

// In the host, for tensors are the host's.
test("the host finds nothing wrong", () => check("plugin_name.js"));
