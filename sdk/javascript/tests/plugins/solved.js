/** A reward, for the tests of the bridge to the host. */

import { Reward } from "swift-plugin";

export default class Solved extends Reward {
  static summary = "Whether the answer is the solution.";

  score({ text, finished, messages, columns, tokenIds }) {
    return finished ? Number(text === columns.solution) + messages.length + tokenIds.length : null;
  }
}
