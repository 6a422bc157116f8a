import assert from "node:assert/strict";
import { test } from "node:test";

import PluginName from "./plugin_name.js";

test("the parts are the answer", () => {
  const parts = PluginName.create().weigh("so… Answer: 4", null);
  assert.deepEqual(parts, [["so… ", 0.1], ["Answer: 4", 1]]);
});
