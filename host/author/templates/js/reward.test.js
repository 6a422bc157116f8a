import assert from "node:assert/strict";
import { test } from "node:test";

import PluginName from "./plugin_name.js";

test("an answer with the solution is rewarded", () => {
  const score = (text, columns) => PluginName.create().score({ text, columns, messages: [], tokenIds: [], finished: true });
  assert.equal(score("it is 42", { solution: 42 }), 1);
  assert.equal(score("it is 7", { solution: 42 }), 0);
  assert.equal(score("it is 42", {}), null);
});
