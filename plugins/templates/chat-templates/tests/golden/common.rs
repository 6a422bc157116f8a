//! Reading the golden files, and the way from the plugin's pieces to tokens.

use std::path::{Path, PathBuf};

use plugin_chat_templates::ChatTemplates;
use serde_json::Value;
use swift_data::{Encoded, Rendered, RenderedPiece, Tokenizer};
use swift_plugin::{Content, Message, RenderOptions, Template as _};

pub(crate) fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/golden").join(path)
}

pub(crate) fn read(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(path)).unwrap()).unwrap()
}

pub(crate) fn tokenizer(name: &str) -> Tokenizer {
    Tokenizer::load(&golden(name)).unwrap()
}

pub(crate) fn messages(value: &Value) -> Vec<Message> {
    let message = |message: &Value| Message {
        role: message["role"].as_str().unwrap().into(),
        content: message["content"].as_str().unwrap().into(),
        train: message["loss"].as_bool(),
        loss_scale: message["loss_scale"].as_f64(),
    };
    value.as_array().unwrap().iter().map(message).collect()
}

/// The options of the golden cases.
pub(crate) fn options() -> RenderOptions {
    let special = [("bos_token", "<s>"), ("eos_token", "<|im_end|>"), ("pad_token", "<|endoftext|>")];
    RenderOptions {
        date: "2025-03-14".into(),
        special_tokens: special.map(|(name, word)| (name.to_owned(), word.to_owned())).into(),
        ..RenderOptions::default()
    }
}

/// What the plugin makes of a conversation, as the host has it.
pub(crate) fn render(
    name: &str,
    messages: &[Message],
    tools: Option<&Value>,
    options: &RenderOptions,
) -> Result<Rendered, String> {
    let rendered = ChatTemplates::default().render(name, messages, tools, options);
    let rendered = rendered.map_err(|error| error.message().to_owned())?;
    let content = |content: Content| match content {
        Content::Text(text) => swift_data::PieceContent::Text(text),
        Content::TokenId(id) => swift_data::PieceContent::TokenId(id),
        Content::TokenName(name) => swift_data::PieceContent::TokenName(name),
        Content::TextBegin => swift_data::PieceContent::TextBegin,
        Content::TextEnd => swift_data::PieceContent::TextEnd,
    };
    Ok(Rendered {
        pieces: rendered
            .pieces
            .into_iter()
            .map(|piece| RenderedPiece {
                content: content(piece.content),
                weight: piece.weight,
                answer_to: piece.answer_to,
            })
            .collect(),
        suffix: rendered.suffix.into_iter().map(content).collect(),
    })
}

/// Runs of trained tokens, `[start, end)`.
pub(crate) fn spans(encoded: &Encoded) -> Vec<[usize; 2]> {
    let mut spans: Vec<[usize; 2]> = Vec::new();
    for (index, weight) in encoded.weights.iter().enumerate() {
        match spans.last_mut() {
            _ if *weight == 0.0 => {}
            Some([_, end]) if *end == index => *end += 1,
            _ => spans.push([index, index + 1]),
        }
    }
    spans
}

/// What is wrong with tokens, and with what is trained on unless the case says nothing of that. `prefix` is what the
/// case's fields begin with.
pub(crate) fn compare(
    case: &Value,
    prefix: &str,
    encoded: &Encoded,
    tokenizer: &Tokenizer,
) -> Result<(), String> {
    let field = |name: &str| &case[format!("{prefix}{name}")];
    let ids: Vec<u32> = serde_json::from_value(field("input_ids").clone()).unwrap();
    if encoded.input_ids != ids {
        let [actual, expected] = [&encoded.input_ids, &ids].map(|ids| tokenizer.decode(ids).unwrap());
        return Err(format!("tokens\n  is     {actual:?}\n  should {expected:?}"));
    }
    if let Ok(expected) = serde_json::from_value::<Vec<[usize; 2]>>(field("label_spans").clone())
        && spans(encoded) != expected
    {
        return Err(format!("labels\n  are       {:?}\n  should be {expected:?}", spans(encoded)));
    }
    if let Ok(mut expected) = serde_json::from_value::<Vec<f32>>(field("loss_scale").clone()) {
        // The first token is never trained on, whatever its factor.
        expected[0] = 0.0;
        if encoded.weights != expected {
            return Err(format!("weights\n  are       {:?}\n  should be {expected:?}", encoded.weights));
        }
    }
    Ok(())
}

/// A case in which the reference has other tokens for a reason that is no template's: `word` is there more or less often, by
/// `by` times, and everything else is compared.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) word: &'static str,
    pub(crate) by: isize,
}

impl Known {
    /// What else is wrong.
    pub(crate) fn compare(
        &self,
        case: &Value,
        encoded: &Encoded,
        tokenizer: &Tokenizer,
    ) -> Result<(), String> {
        let word = tokenizer.encode(self.word).unwrap()[0];
        let ids: Vec<u32> = serde_json::from_value(case["input_ids"].clone()).unwrap();
        let rest = |ids: &[u32]| ids.iter().copied().filter(|id| *id != word).collect::<Vec<u32>>();
        assert_eq!(rest(&encoded.input_ids), rest(&ids), "{}", self.name);
        assert_eq!(ids.len() as isize - encoded.input_ids.len() as isize, self.by, "{}", self.name);
        let spans: Vec<[usize; 2]> = serde_json::from_value(case["label_spans"].clone()).unwrap();
        assert_eq!(
            encoded.label_count(),
            spans.iter().map(|[start, end]| end - start).sum::<usize>(),
            "{}",
            self.name
        );
        if let Ok(weights) = serde_json::from_value::<Vec<f32>>(case["loss_scale"].clone()) {
            assert_eq!(encoded.weights.iter().sum::<f32>(), weights.iter().sum::<f32>(), "{}", self.name);
        }
        Ok(())
    }
}

/// Fails with all failures of a golden file, or prints how many cases passed, `known` of which are [`Known`].
pub(crate) fn report(file: &str, results: Vec<(String, Result<(), String>)>, expected: usize, known: usize) {
    let failures: Vec<String> = results
        .iter()
        .filter_map(|(name, result)| Some(format!("{name}: {}", result.as_ref().err()?)))
        .collect();
    let shown = failures.join("\n");
    assert!(failures.is_empty(), "{shown}\n{} of {} cases of {file} fail", failures.len(), results.len());
    assert_eq!(results.len(), expected, "cases of {file}");
    println!("{file}: {} of {expected} cases pass, {known} of them but for what is known", results.len());
}
