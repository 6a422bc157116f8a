import { test } from "node:test";

import { check } from "swift-plugin/testing";

test("the host finds nothing wrong", () => check("plugin_name.ts"));
