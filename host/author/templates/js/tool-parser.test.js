import assert from "node:assert/strict";
import { test } from "node:test";

import { check } from "swift-plugin/testing";

import PluginName from "./plugin_name.js";

test("an object is a call and everything else text", () => {
  const parser = PluginName.create();
  const calls = [{ name: "add", arguments: '{"a":2}' }];
  assert.deepEqual(parser.parse('{"name": "add", "parameters": {"a": 2}}', true), { text: "", calls });
  assert.deepEqual(parser.parse('{"name": "add"', false), { text: "" });
  assert.deepEqual(parser.parse('{"name": "add"', true), { text: '{"name": "add"' });
  assert.deepEqual(parser.parse("It is", false), { text: "It is" });
});

test("the host finds nothing wrong", () => check("plugin_name.js"));
