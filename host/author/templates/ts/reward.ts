/** Describe what your reward is for. */

import { Completion, Reward } from "swift-plugin";

export default class PluginName extends Reward {
  static summary = "1 for answers that hold what the row's column `solution` says, 0 for others.";

  score({ text, columns }: Completion): number | null {
    if (columns.solution === undefined) return null;
    return text.includes(String(columns.solution)) ? 1 : 0;
  }
}
