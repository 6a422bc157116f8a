/** The contract's functions for plugins that work on conversations and answers. */

const columnsOf = (pairs) => Object.fromEntries(pairs.map(([name, json]) => [name, JSON.parse(json)]));

export const reward = (plugin) => ({
  score: {
    call: (completions) =>
      plugin().scoreAll(
        completions.map(({ messagesJson, columns, ...rest }) => ({
          ...rest,
          tokenIds: [...rest.tokenIds],
          messages: JSON.parse(messagesJson),
          columns: columnsOf(columns),
        })),
      ),
  },
});

const conversation = (messages) => messages.map((message) => ({ train: null, lossScale: null, ...message }));

function sample({ messages, rejected, positives = [], negatives = [], columns = {} }) {
  return {
    messages: conversation(messages),
    rejected: rejected ? conversation(rejected) : null,
    positives: positives.map(conversation),
    negatives: negatives.map(conversation),
    columns: Object.entries(columns).map(([name, value]) => [name, JSON.stringify(value)]),
  };
}

export const dataset = (plugin, reason) => ({
  matches: { fails: "crash", call: (columns) => plugin().matches(columns) },
  convert: {
    call: (rows) =>
      rows.map((row) => {
        try {
          return { tag: "sample", val: sample(plugin().convert(JSON.parse(row))) };
        } catch (error) {
          return { tag: "skipped", val: reason(error) };
        }
      }),
  },
});

export const lossScale = (plugin) => ({ weigh: { call: (answer, question) => plugin().weigh(answer, question ?? null) } });

const part = (content) => (typeof content === "string" ? { tag: "text", val: content } : content);

/** The host's record, with null for what is not set. */
const optionsOf = (options) => ({
  ...Object.fromEntries(Object.entries(options).map(([name, value]) => [name, value ?? null])),
  specialTokens: Object.fromEntries(options.specialTokens),
});

const takenApart = ({ text, calls = [] }) => ({ text, calls });

export const toolParser = (plugin) => ({
  parse: { call: (answer, finished, tools) => takenApart(plugin().parse(answer, finished, JSON.parse(tools))) },
});

export const template = (plugin) => ({
  names: { fails: "crash", call: () => plugin().names() },
  agentTemplates: { fails: "crash", call: () => plugin().agentTemplates() },
  render: {
    fails: "reason",
    call: (name, messages, tools, options) => {
      const said = messages.map(({ role, content, train = null, lossScale = null }) => ({ role, content, train, lossScale }));
      const given = tools == null ? null : JSON.parse(tools);
      const { pieces, suffix = [] } = plugin().render(name, said, given, optionsOf(options));
      const made = pieces.map(({ content, weight = 0, answerTo = null }) => ({ content: part(content), weight, answerTo }));
      return { pieces: made, suffix: suffix.map(part) };
    },
  },
  readCalls: {
    fails: "reason",
    call: (name, agentTemplate, answer) => takenApart(plugin().readCalls(name, agentTemplate ?? null, answer)),
  },
});
