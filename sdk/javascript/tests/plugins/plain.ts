/** A template in TypeScript, for the tests of the bridge to the host. */

import { Answer, Message, Piece, PluginError, RenderOptions, Rendered, Template, content } from "swift-plugin";

export default class Plain extends Template {
  static summary = "Nothing but what is said.";

  names(): string[] {
    return ["plain"];
  }

  agentTemplates(): string[] {
    return ["lines"];
  }

  render(name: string, messages: Message[], tools: any[] | null, options: RenderOptions): Rendered {
    if (tools) throw new PluginError("tools are not for this template");
    if (options.system !== null || options.enableThinking !== true) throw new Error(JSON.stringify(options));
    const begin = options.specialTokens.bos_token ? content.tokenId(7) : content.textBegin();
    const said: Piece[] = messages.map((message) => ({ content: message.content, weight: 1, answerTo: options.training }));
    return { pieces: [{ content: begin }, ...said, { content: content.tokenName(name) }], suffix: ["\n", content.textEnd()] };
  }

  readCalls(name: string, agentTemplate: string | null, answer: string): Answer {
    if (name !== "plain") throw new PluginError(`there is no template \`${name}\``);
    const [text, ...calls] = answer.split("\n");
    return { text: `${name} ${agentTemplate ?? "own"} ${text}`, calls: calls.map((call) => ({ name: call, arguments: "{}" })) };
  }
}
