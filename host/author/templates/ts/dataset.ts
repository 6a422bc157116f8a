/** Describe the rows that your adapter reads. */

import { Dataset, PluginError, Sample } from "swift-plugin";

export default class PluginName extends Dataset {
  static summary = "Rows of a `problem` and its `proof`.";

  matches(columns: string[]): number {
    return columns.includes("problem") && columns.includes("proof") ? 100 : 0;
  }

  convert(row: Record<string, any>): Sample {
    const text = (name: string): string => {
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
