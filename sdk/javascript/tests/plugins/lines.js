/** A parser of tool calls, for the tests of the bridge to the host. */

import { PluginError, ToolParser } from "swift-plugin";

export default class Lines extends ToolParser {
  static summary = "Calls are lines.";

  parse(answer, finished, tools) {
    if (answer === "odd") throw new PluginError("this is odd");
    const [text, ...calls] = answer.split("\n");
    if (!finished || !calls.length) return { text: finished ? answer : "" };
    return { text, calls: calls.map((name) => ({ name, arguments: JSON.stringify({ known: tools.includes(name) }) })) };
  }
}
