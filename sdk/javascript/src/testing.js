/** What helps to test plugins in Node.js: `import { check, runWith } from "swift-plugin/testing"`. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

import { build, defaultName } from "./build.js";
import { Run } from "./kinds.js";

/**
 * Makes the component of a plugin's source, beside it, and has the host check it: that gradients are those of finite
 * differences, that the same call gives the same, and that golden values beside the component are met. Throws what is wrong.
 * Runs `swift-host` from the path, or what the environment variable `SWIFT_HOST` names. A model is run with random weights if
 * `config` is given, the `config.json` of a small one.
 *
 * @param {string} source
 * @param {Record<string, unknown>} [parameters] Hyper-parameters, as the user writes them.
 * @param {{ config?: Record<string, unknown> }} [options]
 */
export async function check(source, parameters = {}, { config } = {}) {
  const component = join(dirname(resolve(source)), `${defaultName(source)}.wasm`);
  await build(source, component);
  const values = Object.entries(parameters).flatMap(([name, value]) => ["--plugin-arg", `${name}=${JSON.stringify(value)}`]);
  const executable = process.env.SWIFT_HOST ?? "swift-host";
  const folder = mkdtempSync(join(tmpdir(), "check-"));
  try {
    if (config) {
      const file = join(folder, "config.json");
      writeFileSync(file, JSON.stringify(config));
      values.push("--config", file);
    }
    const { error, status, stdout, stderr } = spawnSync(executable, ["plugin", "check", component, ...values], { encoding: "utf8" });
    if (error) throw new Error(`can't run \`${executable}\`; set SWIFT_HOST to where it is`, { cause: error });
    if (status !== 0) throw new Error(`the host finds something wrong:\n${stdout}${stderr}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * A run for a callback's `onEvent`: where it is, what was logged, and no parameters.
 *
 * @param {{ step?: number, maxSteps?: number, epoch?: number, learningRate?: number, metrics?: Record<string, number> }} [state]
 */
export function runWith({ step = 1, maxSteps = 10, epoch = 0, learningRate = 0, metrics = {} } = {}) {
  const state = { step, maxSteps, epoch, learningRate, metrics: Object.entries(metrics) };
  return new Run(state, { parameterNames: () => [], parameter: () => null });
}
