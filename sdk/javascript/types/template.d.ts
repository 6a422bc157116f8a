/** Plugins that turn conversations into text. */
import { Plugin } from "./plugin.js";
export type Message = import("./kinds.js").Message;
export type RenderOptions = {
    /**
     * Which parts are trained on; with `none` the text is a
     * prompt.
     */
    training: "none" | "answers" | "last-round" | "everything";
    /**
     * The system text for conversations without one; null for the template's own.
     */
    system: string | null;
    /**
     * Whether the model shall think before it answers; null for the template's own way.
     */
    enableThinking: boolean | null;
    /**
     * Whether thoughts of earlier answers are kept; null for the template's own way.
     */
    preserveThinking: boolean | null;
    /**
     * Whether answers without thoughts get the template's sign for that.
     */
    addNonThinkingPrefix: boolean;
    /**
     * What a prompt ends with, as the beginning of the answer; null for the template's
     * own.
     */
    responsePrefix: string | null;
    /**
     * How tools are described and called; null for the template's own way.
     */
    agentTemplate: string | null;
    /**
     * The day that templates with a date in them name: `2025-03-14`.
     */
    date: string;
    /**
     * Words that the tokeniser has for a purpose, by their name: `eos_token`.
     */
    specialTokens: Record<string, string>;
};
export type Content = string | {
    tag: string;
    val?: unknown;
};
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
export declare const content: {
    /** One token, by its id. @param {number} id @returns {Content} */
    tokenId: (id: number) => Content;
    /** One token, by its name in the tokeniser's configuration: `bos_token_id`. @param {string} name @returns {Content} */
    tokenName: (name: string) => Content;
    /** The tokens that the tokeniser puts before every text, if it does. @returns {Content} */
    textBegin: () => Content;
    /** The tokens that the tokeniser puts after every text, if it does. @returns {Content} */
    textEnd: () => Content;
};
export type Piece = {
    /**
     * What it is made of.
     */
    content: Content;
    /**
     * Factor on the loss of its tokens; by default 0, not trained on.
     */
    weight?: number;
    /**
     * For an answer: the question before it, which rules for loss weights may look at.
     */
    answerTo?: string | null;
};
export type Rendered = {
    /**
     * Its pieces, in order.
     */
    pieces: Piece[];
    /**
     * The text that ends an answer. Where a run of untrained tokens after an answer begins with it,
     * it is trained on.
     */
    suffix?: Content[];
};
export type Answer = {
    text: string;
    calls?: {
        name: string;
        arguments: string;
    }[];
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
export declare class Template extends Plugin {
    /** The templates by name. @returns {string[]} */
    names(): string[];
    /** The ways to describe and to call tools, by name; by default there is none but the templates' own. @returns {string[]} */
    agentTemplates(): string[];
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
    render(name: string, messages: Message[], tools: any[] | null, options: RenderOptions): Rendered;
    /**
     * Takes apart what a model answers, with tools called in the way `agentTemplate`, or in the template's own. By default no
     * answer calls a tool.
     *
     * @param {string} name
     * @param {string | null} agentTemplate
     * @param {string} answer
     * @returns {Answer}
     */
    readCalls(name: string, agentTemplate: string | null, answer: string): Answer;
}
