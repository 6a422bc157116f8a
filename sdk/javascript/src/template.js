/** Plugins that turn conversations into text. */

import { missing } from "./missing.js";
import { Plugin } from "./plugin.js";

/** @typedef {import("./kinds.js").Message} Message */

/**
 * How to render.
 *
 * @typedef {object} RenderOptions
 * @property {"none" | "answers" | "last-round" | "everything"} training Which parts are trained on; with `none` the text is a
 *   prompt.
 * @property {string | null} system The system text for conversations without one; null for the template's own.
 * @property {boolean | null} enableThinking Whether the model shall think before it answers; null for the template's own way.
 * @property {boolean | null} preserveThinking Whether thoughts of earlier answers are kept; null for the template's own way.
 * @property {boolean} addNonThinkingPrefix Whether answers without thoughts get the template's sign for that.
 * @property {string | null} responsePrefix What a prompt ends with, as the beginning of the answer; null for the template's
 *   own.
 * @property {string | null} agentTemplate How tools are described and called; null for the template's own way.
 * @property {string} date The day that templates with a date in them name: `2025-03-14`.
 * @property {Record<string, string>} specialTokens Words that the tokeniser has for a purpose, by their name: `eos_token`.
 */

/**
 * What a piece of a rendered conversation is made of: a text, or one of `content`.
 *
 * @typedef {string | { tag: string, val?: unknown }} Content
 */

/** What a piece of a rendered conversation can be made of besides text. */
export const content = {
  /** One token, by its id. @param {number} id @returns {Content} */
  tokenId: (id) => ({ tag: "token-id", val: id }),
  /** One token, by its name in the tokeniser's configuration: `bos_token_id`. @param {string} name @returns {Content} */
  tokenName: (name) => ({ tag: "token-name", val: name }),
  /** The tokens that the tokeniser puts before every text, if it does. @returns {Content} */
  textBegin: () => ({ tag: "text-begin" }),
  /** The tokens that the tokeniser puts after every text, if it does. @returns {Content} */
  textEnd: () => ({ tag: "text-end" }),
};

/**
 * A piece of a rendered conversation.
 *
 * @typedef {object} Piece
 * @property {Content} content What it is made of.
 * @property {number} [weight] Factor on the loss of its tokens; by default 0, not trained on.
 * @property {string | null} [answerTo] For an answer: the question before it, which rules for loss weights may look at.
 */

/**
 * A rendered conversation.
 *
 * @typedef {object} Rendered
 * @property {Piece[]} pieces Its pieces, in order.
 * @property {Content[]} [suffix] The text that ends an answer. Where a run of untrained tokens after an answer begins with it,
 *   it is trained on.
 */

/**
 * An answer, taken apart: what it says before it calls tools, and the calls, with a JSON object as arguments or whatever the
 * model wrote in its place.
 *
 * @typedef {{ text: string, calls?: { name: string, arguments: string }[] }} Answer
 */

/** A set of chat templates. @abstract */
export class Template extends Plugin {
  /** The templates by name. @returns {string[]} */
  names() {
    return missing("names");
  }

  /** The ways to describe and to call tools, by name; by default there is none but the templates' own. @returns {string[]} */
  agentTemplates() {
    return [];
  }

  /**
   * Renders a conversation with one of the templates. `tools` is a list of tools, if there are any. A conversation that throws
   * is left out for that reason; the host counts the rows by reason and shows the first.
   *
   * @param {string} name
   * @param {Message[]} messages
   * @param {any[] | null} tools
   * @param {RenderOptions} options
   * @returns {Rendered}
   */
  render(name, messages, tools, options) {
    return missing("render", name, messages, tools, options);
  }

  /**
   * Takes apart what a model answers, with tools called in the way `agentTemplate`, or in the template's own. By default no
   * answer calls a tool.
   *
   * @param {string} name
   * @param {string | null} agentTemplate
   * @param {string} answer
   * @returns {Answer}
   */
  readCalls(name, agentTemplate, answer) {
    return { text: answer, calls: [] };
  }
}
