/** What can be tested without a host: declarations, what is generated, and messages of the build command. */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import Focal from "../examples/focal.js";
import { model } from "../src/exports-training.js";
import { KINDS } from "../src/exports.js";
import { install } from "../src/host.js";
import {
  Batch,
  Callback,
  Context,
  Generation,
  Outputs,
  PluginError,
  Run,
  Tensor,
  parameter,
  remembered,
} from "../src/index.js";
import { TARGET, generate } from "../tools/generate-operations.js";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));

class Watching extends Callback {
  labelSmoothing = parameter.number("How much.", { default: 0.1, maximum: 1 });
  mode = parameter.text("How.", { default: null, choices: ["slow", "fast"] });
  seen = remembered([]);
}

test("the operations are those of the contract", () => {
  assert.equal(readFileSync(TARGET, "utf8"), generate());
});

test("the types are those of the sources", () => {
  const folder = mkdtempSync(join(tmpdir(), "types-"));
  execFileSync(join(PACKAGE, "node_modules/.bin/tsc"), ["--outDir", folder], { cwd: PACKAGE });
  const read = (from) => readdirSync(from).sort().map((file) => [file, readFileSync(join(from, file), "utf8")]);
  assert.deepEqual(read(join(PACKAGE, "types")), read(folder));
  rmSync(folder, { recursive: true });
});

test("plugins in TypeScript pass the type checker", () => {
  execFileSync(join(PACKAGE, "node_modules/.bin/tsc"), ["--project", "tests"], { cwd: PACKAGE, stdio: "inherit" });
});

test("every kind of the contract is one of this package", () => {
  const worlds = readFileSync(join(PACKAGE, "../../wit/worlds.wit"), "utf8").matchAll(/^world (.*)-plugin \{/gm);
  assert.deepEqual(KINDS.map(({ world }) => world).sort(), [...worlds].map(([, kind]) => `${kind}-plugin`).sort());
});

const CONTRACT = readdirSync(join(PACKAGE, "../../wit"))
  .map((file) => readFileSync(join(PACKAGE, "../../wit", file), "utf8"))
  .join("\n");
const camel = (name) => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
/** The text between braces, which end at an indentation, and the functions at another. */
const body = (head, indent) => CONTRACT.match(new RegExp(`^ *${head} \\{\n(.*?)^ {${indent}}\\}`, "ms"))[1];
const functions = (text, indent) =>
  [...text.matchAll(new RegExp(`^ {${indent}}%?([a-z0-9-]+): func`, "gm"))].map(([, name]) => camel(name));
const IMPORTED = [...new Set([...CONTRACT.matchAll(/^ +import ([a-z-]+);/gm)].map(([, name]) => name))].sort();

test("what plugins are lent has every function of the contract", () => {
  const classes = { tensor: Tensor, batch: Batch, outputs: Outputs, run: Run, context: Context, generation: Generation };
  const found = IMPORTED.flatMap((name) => [...body(`interface ${name}`, 0).matchAll(/resource ([a-z-]+) \{/g)]);
  assert.deepEqual(found.map(([, name]) => name).sort(), Object.keys(classes).sort());
  for (const [name, ours] of Object.entries(classes)) {
    const missing = functions(body(`resource ${name}`, 4), 8).filter((each) => !(each in ours.prototype));
    assert.deepEqual(missing, [], name);
  }
});

test("every function that is of no such thing is called by somebody", () => {
  const called = [];
  const recorder = new Proxy({}, { get: (_, name) => () => called.push(name) });
  install({ nn: recorder });
  const head = { weight: 0, softCap: 30, normalised: true };
  const longerSequences = [{ table: 0, tokens: 1, inverseFrequencies: [1] }];
  const stacks = [{ name: "x", parts: [[0]] }];
  const declared = { longestSequence: 1, untrained: [0], fullPrecision: [0], cachedValues: 0, longerSequences, stacks };
  const loaded = { hiddenSize: 1, vocabSize: 1, parameters: [], head, ...declared };
  model(() => ({ load: () => loaded })).load.call("{}");
  install(undefined);
  const sources = readdirSync(join(PACKAGE, "src")).map((file) => readFileSync(join(PACKAGE, "src", file), "utf8")).join("\n");
  for (const name of IMPORTED) {
    const free = functions(body(`interface ${name}`, 0), 4);
    if (name === "nn") assert.deepEqual(called, free);
    const unknown = free.filter((each) => !sources.includes(`.${each}(`) && !sources.includes(`"${each}"`));
    assert.deepEqual(unknown, [], name);
  }
});

test("hyper-parameters describe themselves as the user writes them", () => {
  const summary = "How much well-predicted tokens are held back; 0 is cross-entropy.";
  assert.deepEqual(Focal.describe(), [{ name: "gamma", summary, type: "number", defaultJson: "2" }]);
  assert.deepEqual(Watching.describe().map(({ name, defaultJson }) => [name, defaultJson]), [
    ["label_smoothing", "0.1"],
    ["mode", "null"],
  ]);
});

test("a value that a hyper-parameter does not take is refused in words", () => {
  const message = (values) => {
    try {
      return Watching.create(values).labelSmoothing;
    } catch (error) {
      assert(error instanceof PluginError);
      return error.message;
    }
  };
  assert.equal(message({ label_smoothing: 0.5 }), 0.5);
  assert.equal(message({ labelSmoothing: 2 }), "parameter `label_smoothing` is 2, and must be at most 1");
  assert.equal(message({ mode: "odd" }), 'parameter `mode` is "odd", and must be one of "slow", "fast"');
  assert.equal(message({ mode: null }), 0.1);
  assert.equal(message({ other: 1 }), "there is no parameter `other`; there are `label_smoothing`, `mode`");
});

test("what is remembered is saved, restored and forgotten", () => {
  const [first, second] = [Watching.create(), Watching.create()];
  first.seen.push(1);
  second.restoreState(first.saveState());
  assert.deepEqual(second.seen, [1]);
  second.forget();
  assert.deepEqual([first.seen, second.seen, Watching.create().seen], [[1], [], []]);
  assert.throws(() => second.restoreState('{"other": 1}'), /the state is not one of this plugin/);
  assert.equal(Focal.create().saveState(), "");
});

test("what can't be built is told in one line", () => {
  const build = (...words) => {
    const { stderr } = spawnSync("node", [join(PACKAGE, "src/build.js"), ...words], { encoding: "utf8" });
    return stderr.trim();
  };
  assert.equal(build("none.js"), "error: there is no file `none.js`");
  assert.match(build(), /^error: usage: swift-plugin-build/);
  const empty = join(PACKAGE, "src/host.js");
  assert.equal(build(empty), `error: there is no plugin in \`${empty}\`: no \`export default class … extends Loss\``);
});
