//! Thoughts and calls of tools in the text of an answer, found while it grows.

use serde_json::Value;

/// How an answer writes calls of tools: JSON with `name` and `arguments` between two words.
#[derive(Debug)]
pub struct ToolCallParser {
    /// Its name, as vLLM has it.
    pub name: &'static str,
    /// Before a call.
    pub begin: &'static str,
    /// After a call.
    pub end: &'static str,
}

/// How an answer writes its thoughts.
#[derive(Debug)]
pub struct ReasoningParser {
    /// Its name, as vLLM has it.
    pub name: &'static str,
    /// Before the thoughts.
    pub begin: &'static str,
    /// After the thoughts.
    pub end: &'static str,
    /// Whether an answer begins with thoughts although it does not say so, since its prompt ends with the beginning.
    pub starts_inside: bool,
}

/// The ways of calling tools that are known.
pub const TOOL_CALL_PARSERS: &[ToolCallParser] =
    &[ToolCallParser { name: "hermes", begin: "<tool_call>", end: "</tool_call>" }];

/// The ways of thinking that are known.
pub const REASONING_PARSERS: &[ReasoningParser] = &[
    ReasoningParser { name: "qwen3", begin: "<think>", end: "</think>", starts_inside: false },
    ReasoningParser { name: "deepseek_r1", begin: "<think>", end: "</think>", starts_inside: true },
];

/// Something that was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Content(String),
    Reasoning(String),
    Call {
        name: String,
        /// JSON.
        arguments: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Content,
    Reasoning,
    Call,
}

/// Reads an answer.
#[derive(Debug)]
pub(crate) struct Parser {
    tools: Option<&'static ToolCallParser>,
    reasoning: Option<&'static ReasoningParser>,
    state: State,
    /// Text that is not certain to be what it seems.
    held: String,
    /// White space before the call that is being read.
    gap: String,
    /// Whether white space that follows is left out, as it only sets thoughts and calls apart.
    trims: bool,
    /// Whether thoughts may follow: they come first, and once.
    may_think: bool,
}

impl Parser {
    /// For an answer to a prompt that ends with this text: chat templates may begin the thoughts of an answer, or end them before
    /// they begin.
    pub(crate) fn new(
        tools: Option<&'static ToolCallParser>,
        reasoning: Option<&'static ReasoningParser>,
        prompt: &str,
    ) -> Self {
        let ends_with = |word: &str| prompt.trim_end().ends_with(word);
        let inside =
            reasoning.is_some_and(|way| ends_with(way.begin) || way.starts_inside && !ends_with(way.end));
        let state = if inside { State::Reasoning } else { State::Content };
        Self {
            tools,
            reasoning,
            state,
            held: String::new(),
            gap: String::new(),
            trims: false,
            may_think: !inside && !reasoning.is_some_and(|way| ends_with(way.end)),
        }
    }

    /// The words that change the state from here, and to what.
    fn words(&self) -> Vec<(&'static str, State)> {
        match self.state {
            State::Call => self.tools.iter().map(|tools| (tools.end, State::Content)).collect(),
            // A model may begin its thoughts in words although its prompt did already.
            State::Reasoning => self
                .reasoning
                .iter()
                .flat_map(|way| [(way.end, State::Content), (way.begin, State::Reasoning)])
                .collect(),
            State::Content => {
                let reasoning = self.reasoning.filter(|_| self.may_think);
                let reasoning = reasoning.map(|way| (way.begin, State::Reasoning));
                reasoning.into_iter().chain(self.tools.map(|tools| (tools.begin, State::Call))).collect()
            }
        }
    }

    /// Adds text, and gives what is certain.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        let mut pieces = Vec::new();
        loop {
            let words = self.words();
            let found = words
                .iter()
                .filter_map(|(word, state)| Some((self.held.find(word)?, *word, *state)))
                .filter(|(at, _, next)| {
                    let before = self.held.get(..*at).unwrap_or_default();
                    (self.state, *next) != (State::Content, State::Reasoning) || before.trim().is_empty()
                })
                .min_by_key(|(at, ..)| *at);
            let Some((at, word, next)) = found else {
                if self.state != State::Call {
                    let keep = words.iter().map(|(word, _)| overlap(&self.held, word)).max().unwrap_or(0);
                    let mut certain = self.held.len() - keep;
                    if self.state == State::Content && !words.is_empty() {
                        certain = self.held.get(..certain).unwrap_or_default().trim_end().len();
                    }
                    let rest = self.held.split_off(certain);
                    let certain = std::mem::replace(&mut self.held, rest);
                    pieces.extend(self.piece(certain, true));
                }
                return pieces;
            };
            let rest = self.held.split_off(at + word.len());
            let mut before = std::mem::replace(&mut self.held, rest);
            before.truncate(at);
            if self.state == State::Content {
                self.gap = before.split_off(before.trim_end().len());
            }
            pieces.extend(self.piece(before, true));
            self.trims |= next != State::Call && self.state != State::Call;
            self.may_think &= next != State::Reasoning;
            self.state = next;
        }
    }

    /// What is left when the answer has ended.
    pub(crate) fn finish(&mut self) -> Option<Piece> {
        let rest = std::mem::take(&mut self.held);
        self.piece(rest, false)
    }

    /// What a text is in the present state.
    fn piece(&mut self, text: String, is_closed: bool) -> Option<Piece> {
        match self.state {
            State::Content => {
                let text = if self.trims { text.trim_start() } else { &text };
                (!text.is_empty()).then(|| {
                    self.may_think &= text.trim().is_empty();
                    self.trims = false;
                    Piece::Content(text.to_owned())
                })
            }
            State::Reasoning => (!text.is_empty()).then_some(Piece::Reasoning(text)),
            State::Call => Some(match call(&text) {
                Some(call) => {
                    self.trims = true;
                    call
                }
                None => {
                    // What can't be read is shown as it was written.
                    self.may_think = false;
                    let (begin, end) = self.tools.map_or(("", ""), |tools| (tools.begin, tools.end));
                    let end = if is_closed { end } else { "" };
                    Piece::Content(format!("{}{begin}{text}{end}", std::mem::take(&mut self.gap)))
                }
            }),
        }
    }
}

/// A call as JSON.
fn call(text: &str) -> Option<Piece> {
    let call: Value = serde_json::from_str(text.trim()).ok()?;
    let arguments = match call.get("arguments").or_else(|| call.get("parameters")) {
        None => "{}".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(arguments) => arguments.to_string(),
    };
    Some(Piece::Call { name: call.get("name")?.as_str()?.to_owned(), arguments })
}

/// Bytes at the end of `text` that may be the beginning of `word`.
fn overlap(text: &str, word: &str) -> usize {
    let fits = |count: &usize| word.get(..*count).is_some_and(|beginning| text.ends_with(beginning));
    (1..word.len()).rev().find(fits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a text, however it is cut.
    fn found(reasoning: Option<usize>, text: &str) -> (String, String, Vec<(String, String)>) {
        found_after("<|im_start|>assistant\n", reasoning, text)
    }

    fn found_after(
        prompt: &str,
        reasoning: Option<usize>,
        text: &str,
    ) -> (String, String, Vec<(String, String)>) {
        let read = |size: usize| {
            let reasoning = reasoning.map(|index| &REASONING_PARSERS[index]);
            let mut parser = Parser::new(TOOL_CALL_PARSERS.first(), reasoning, prompt);
            let characters: Vec<char> = text.chars().collect();
            let mut pieces: Vec<Piece> = characters
                .chunks(size)
                .flat_map(|part| parser.push(&part.iter().collect::<String>()))
                .collect();
            pieces.extend(parser.finish());
            let mut sum = (String::new(), String::new(), Vec::new());
            for piece in pieces {
                match piece {
                    Piece::Content(text) => sum.0.push_str(&text),
                    Piece::Reasoning(text) => sum.1.push_str(&text),
                    Piece::Call { name, arguments } => sum.2.push((name, arguments)),
                }
            }
            sum
        };
        let whole = read(usize::MAX);
        (1..9).for_each(|size| assert_eq!(read(size), whole, "{text} in parts of {size}"));
        whole
    }

    #[test]
    fn calls_are_found() {
        let text = "Let me see.<tool_call>\n{\"name\": \"a\", \"arguments\": {\"x\": [1, \"<\"]}}\n</tool_call>\n\
                    <tool_call>{\"name\": \"b\"}</tool_call>";
        let calls = vec![("a".into(), "{\"x\":[1,\"<\"]}".into()), ("b".into(), "{}".into())];
        assert_eq!(found(None, text), ("Let me see.".into(), String::new(), calls));
    }

    #[test]
    fn what_is_no_call_stays_text() {
        let text = "a <tool <tool_call>{\"name\": 1}</tool_call> b < c";
        assert_eq!(found(None, text), (text.into(), String::new(), vec![]));
    }

    #[test]
    fn thoughts_are_found() {
        let (content, reasoning, _) = found(Some(0), "<think>\nso <so>\n</think>\n\nYes, <think> too");
        assert_eq!((content.as_str(), reasoning.as_str()), ("Yes, <think> too", "\nso <so>\n"));
        let (content, reasoning, calls) =
            found(Some(1), "well</think>\n<tool_call>{\"name\": \"f\", \"arguments\": \"{}\"}</tool_call>");
        assert_eq!((content.as_str(), reasoning.as_str()), ("", "well"));
        assert_eq!(calls, [("f".to_owned(), "{}".to_owned())]);
        let (content, reasoning, _) = found(Some(0), "No thoughts");
        assert_eq!((content.as_str(), reasoning.as_str()), ("No thoughts", ""));
    }

    #[test]
    fn the_prompt_says_whether_thoughts_have_begun_or_ended() {
        for parser in [0, 1] {
            let (content, reasoning, _) =
                found_after("assistant\n<think>\n", Some(parser), "so\n</think>\n\nYes");
            assert_eq!((content.as_str(), reasoning.as_str()), ("Yes", "so\n"));
            let (content, reasoning, _) =
                found_after("assistant\n<think>\n\n</think>\n\n", Some(parser), "<think> is a word");
            assert_eq!((content.as_str(), reasoning.as_str()), ("<think> is a word", ""));
        }
    }
}
