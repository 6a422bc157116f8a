import assert from "node:assert/strict";
import { test } from "node:test";

import { check } from "swift-plugin/testing";

import PluginName from "./plugin_name.js";

test("the scale is a number", () => {
  assert.equal(PluginName.create().scale, 1);
  assert.throws(() => PluginName.create({ scale: "much" }), /must be a number/);
});

// In the host, for tensors are the host's. What the loss must be is in `plugin-name.golden.json`, which
// `swift-host plugin check ./plugin-name.wasm --write-golden` writes when the formula is another.
test("the loss is what it was, and its gradient that of finite differences", () => check("plugin_name.js"));
