//! Parsers of tool calls.

use swift_runtime::{ParsedAnswer, Result, ToolParserPlugin};

use crate::bench::Bench;

/// The tools that answers may call.
const TOOLS: &str = r#"[{"type": "function", "function": {"name": "add", "parameters": {"type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}}}]"#;

/// An answer that calls nothing, whatever the form of calls is.
const TEXT: &str = "It is four – 四 – أربعة 🙂.";

/// Answers that call tools in one form or another, or begin to.
const ANSWERS: [&str; 9] = [
    TEXT,
    "",
    "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 2, \"b\": 2}}\n</tool_call>",
    "[add(a=2, b=2), add(a=1, b=3)]",
    "{\"name\": \"add\", \"parameters\": {\"a\": 2, \"b\": 2}}",
    "[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {\"a\": 2, \"b\": 2}}]",
    "<function=add>{\"a\": 2, \"b\": 2}</function>",
    "Action: add\nAction Input: {\"a\": 2, \"b\": 2}\n",
    "<tool_call>\n{\"name\": \"add\", \"argum",
];

pub(crate) fn check(bench: &mut Bench) -> Result<()> {
    let (plugin, options) = (bench.plugin.clone(), bench.options);
    let start = || plugin.tool_parser(&options.arguments, &options.limits);
    let mut first = start()?;
    let parsed = all(&mut first)?;
    let same = told(&all(&mut start()?)?) == told(&parsed);

    let mut taken_back = None;
    for (answer, whole) in ANSWERS.into_iter().zip(&parsed) {
        let mut given = ParsedAnswer { text: String::new(), calls: Vec::new() };
        for (end, _) in answer.char_indices() {
            let part = first.parse(answer.get(..end).unwrap_or_default(), false, TOOLS)?;
            if !begins(&given, &part) {
                taken_back.get_or_insert(answer);
            }
            given = part;
        }
        if !begins(&given, whole) {
            taken_back.get_or_insert(answer);
        }
    }
    bench.expect(
        taken_back.is_none(),
        "What is given of a part of an answer is the beginning of what is given of the whole",
        &format!("Something that was given of a part of `{}` is taken back later", taken_back.unwrap_or("")),
        "of an answer that is not finished only what is certain is given; the rest can wait for its end",
    );
    let text = parsed.first().is_some_and(|parsed| parsed.text == TEXT && parsed.calls.is_empty());
    bench.expect(
        text,
        "An answer that calls nothing is given as it is",
        "An answer that calls nothing is not given as it is",
        "what is no call is text",
    );
    let calling = parsed.iter().filter(|parsed| !parsed.calls.is_empty()).count();
    bench.passed(format!("{calling} of {} answers call tools, with JSON objects", ANSWERS.len()));
    bench.expect_same(same);
    bench.measure(|| all(&mut first).map(drop))
}

fn all(parser: &mut ToolParserPlugin) -> Result<Vec<ParsedAnswer>> {
    ANSWERS.into_iter().map(|answer| parser.parse(answer, true, TOOLS)).collect()
}

/// Whether one is the beginning of the other.
fn begins(part: &ParsedAnswer, whole: &ParsedAnswer) -> bool {
    let alike =
        part.calls.iter().zip(&whole.calls).all(|(a, b)| (&a.name, &a.arguments) == (&b.name, &b.arguments));
    whole.text.starts_with(&part.text) && part.calls.len() <= whole.calls.len() && alike
}

fn told(parsed: &[ParsedAnswer]) -> Vec<String> {
    parsed.iter().map(|parsed| format!("{parsed:?}")).collect()
}
