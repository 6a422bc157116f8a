/** Describe the rows that your adapter reads. */

import { Dataset, PluginError } from "swift-plugin";

export default class PluginName extends Dataset {
  static summary = "Rows of a `problem` and its `proof`.";

  matches(columns) {
    return columns.includes("problem") && columns.includes("proof") ? 100 : 0;
  }

  convert(row) {
    const text = (name) => {
      if (typeof row[name] !== "string") throw new PluginError(`\`${name}\` is no text`);
      return row[name];
    };
    return {
      messages: [
        { role: "user", content: text("problem") },
        { role: "assistant", content: text("proof") },
      ],
    };
  }
}
