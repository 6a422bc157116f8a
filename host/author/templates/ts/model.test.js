import { test } from "node:test";

import { check } from "swift-plugin/testing";

const CONFIG = { model_type: "plugin_name", hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 2, vocab_size: 5 };

test("the host runs it and finds nothing wrong", () => check("plugin_name.ts", {}, { config: CONFIG }));
