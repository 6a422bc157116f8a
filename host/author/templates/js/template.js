/** Describe the form that your conversations have. */

import { PluginError, Template } from "swift-plugin";

export default class PluginName extends Template {
  static summary = "Each turn on a line of its own: `user: 1 + 1?`.";

  /** What the user may say for `--template`. */
  names() {
    return ["plugin-name"];
  }

  render(name, messages, tools, options) {
    if (tools) throw new PluginError("the template has no form for tools");
    // The tokens that are no answers are trained on only where everything is.
    const other = options.training === "everything" ? 1 : 0;
    const pieces = [];
    const part = (content) => pieces.push({ content, weight: other });
    if (options.system != null && messages[0]?.role !== "system") part(`system: ${options.system}\n`);
    let question = "";
    for (const message of messages) {
      const { role, content, train, lossScale } = message;
      if (role !== "assistant") {
        question = content;
        part(`${role}: ${content}\n`);
        continue;
      }
      const trains = train ?? (options.training !== "last-round" || message === messages.at(-1));
      part("assistant: ");
      pieces.push({ content: `${content}\n`, weight: trains ? (lossScale ?? 1) : 0, answerTo: question });
    }
    if (messages.length > 0 && messages.at(-1).role !== "assistant") part(`assistant: ${options.responsePrefix ?? ""}`);
    return { pieces, suffix: ["\n"] };
  }
}
