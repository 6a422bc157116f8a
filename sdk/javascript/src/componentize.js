/**
 * Has ComponentizeJS make a component: `node --single-threaded-gc componentize.js OPTIONS OUTPUT`. In a process of its own for
 * the sake of the flag: ComponentizeJS grows its memory a page at a time, thousands of times, on each of which the collector
 * of garbage begins anew, and with threads that takes twice the time of everything else.
 */

import { writeFileSync } from "node:fs";

import { required, told } from "./build.js";

const [options, output] = process.argv.slice(2);
try {
  const { componentize } = await required("@bytecodealliance/componentize-js");
  const { component } = await componentize(JSON.parse(options));
  writeFileSync(output, component);
} catch (error) {
  console.error(told(error));
  process.exitCode = 1;
}
