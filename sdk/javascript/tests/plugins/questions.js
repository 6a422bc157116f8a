/** A dataset, for the tests of the bridge to the host. */

import { Dataset, PluginError } from "swift-plugin";

export default class Questions extends Dataset {
  static summary = "Rows of questions and answers.";

  matches(columns) {
    if (!columns.length) throw new PluginError("there are no columns");
    return columns.includes("q") ? 7 : 0;
  }

  convert({ q, a }) {
    if (q === null) throw new PluginError("the question is missing");
    const messages = [
      { role: "user", content: q },
      { role: "assistant", content: a.trim(), train: true, lossScale: 0.5 },
    ];
    return { messages, rejected: messages.slice(0, 1), columns: { margin: 2 } };
  }
}
