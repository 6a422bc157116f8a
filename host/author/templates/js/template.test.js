import assert from "node:assert/strict";
import { test } from "node:test";

import { check } from "swift-plugin/testing";

import PluginName from "./plugin_name.js";

const TURNS = [
  { role: "user", content: "1 + 1?" },
  { role: "assistant", content: "2" },
  { role: "user", content: "2 + 2?" },
  { role: "assistant", content: "4" },
];
const TEXT = "user: 1 + 1?\nassistant: 2\nuser: 2 + 2?\nassistant: 4\n";

/** The text, and the parts that are trained on. */
function render(messages, training) {
  const { pieces } = PluginName.create().render("plugin-name", messages, null, { training });
  const contents = (pieces) => pieces.map(({ content }) => content);
  return { text: contents(pieces).join(""), parts: contents(pieces.filter(({ weight }) => weight > 0)) };
}

test("answers are trained on", () => {
  assert.deepEqual(render(TURNS, "answers"), { text: TEXT, parts: ["2\n", "4\n"] });
  assert.deepEqual(render(TURNS, "last-round").parts, ["4\n"]);
  assert.equal(render(TURNS, "everything").parts.join(""), TEXT);
  assert.equal(render(TURNS.slice(0, 3), "none").text, "user: 1 + 1?\nassistant: 2\nuser: 2 + 2?\nassistant: ");
});

test("a conversation with tools is left out", () => {
  const rendered = () => PluginName.create().render("plugin-name", TURNS, [{}], { training: "answers" });
  assert.throws(rendered, /the template has no form for tools/);
});

test("the host finds nothing wrong", () => check("plugin_name.js"));
