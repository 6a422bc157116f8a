import assert from "node:assert/strict";
import { test } from "node:test";

import PluginName from "./plugin_name.js";

test("a row becomes a question and an answer", () => {
  const messages = [
    { role: "user", content: "1 + 1" },
    { role: "assistant", content: "2" },
  ];
  assert.deepEqual(PluginName.create().convert({ problem: "1 + 1", proof: "2" }), { messages });
});

test("a row without text is left out", () => {
  assert.throws(() => PluginName.create().convert({ problem: "1 + 1", proof: 2 }), /`proof` is no text/);
});
