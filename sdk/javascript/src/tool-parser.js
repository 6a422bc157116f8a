/** Plugins that find calls of tools in answers. */

import { missing } from "./missing.js";
import { Plugin } from "./plugin.js";

/** @typedef {import("./template.js").Answer} Answer */

/** Finds calls of tools in what a model answers. @abstract */
export class ToolParser extends Plugin {
  /**
   * Takes apart an answer that is `finished`, or as far as it goes now: then only what no later word can change. What is given for
   * a longer part of an answer begins with what was given for a shorter one, and depends on nothing else. `tools` are the tools
   * that may be called; the arguments of a call are a JSON object. An answer that calls nothing, or not as it should, is text.
   *
   * @param {string} answer
   * @param {boolean} finished
   * @param {any[]} tools
   * @returns {Answer}
   */
  parse(answer, finished, tools) {
    return missing("parse", answer, finished, tools);
  }
}
