import assert from "node:assert/strict";
import { test } from "node:test";

import { action } from "swift-plugin";
import { runWith } from "swift-plugin/testing";

import PluginName from "./plugin_name.js";

test("it ends the run below the limit", () => {
  const callback = PluginName.create({ limit: 0.5 });
  const logged = (loss) => callback.onEvent("log", runWith({ metrics: { loss } }));
  assert.deepEqual(logged(0.6), []);
  assert.deepEqual(logged(0.4), [action.stop("the loss 0.4 is below 0.5 after 2 lines")]);
});
