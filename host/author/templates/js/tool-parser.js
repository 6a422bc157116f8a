/** Describe how your model writes calls of tools. */

import { ToolParser } from "swift-plugin";

export default class PluginName extends ToolParser {
  static summary = 'Calls that are written as one JSON object: `{"name": "add", "parameters": {"a": 2}}` (Llama 3.1).';

  parse(answer, finished) {
    // What begins otherwise is text, and can be given out while it grows.
    if (!answer.trimStart().startsWith("{")) return { text: answer };
    if (!finished) return { text: "" };
    try {
      const { name, parameters } = JSON.parse(answer);
      if (typeof name !== "string" || parameters?.constructor !== Object) return { text: answer };
      return { text: "", calls: [{ name, arguments: JSON.stringify(parameters) }] };
    } catch {
      return { text: answer };
    }
  }
}
