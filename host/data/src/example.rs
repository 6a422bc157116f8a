//! From a sample to the sequences that a loss wants.

use serde_json::Value;

use crate::dataset::{LoadOptions, RowShape};
use crate::error::Result;
use crate::rows::{Encoded, Example, Field, Message, Outcome, Prompt, Sample};
use crate::template::{Draft, Finisher, RowColumns, Template, TrainedParts, Unfit, ends_with_answer};
use crate::truncate::Truncation;

/// The columns that the template sees: the tools that a conversation may call, and variables.
const OF_THE_TEMPLATE: [&str; 2] = ["tools", "chat_template_kwargs"];

/// Columns that change what a conversation means and that nothing here reads, with what is said of rows that have them.
const UNREAD: [(&str, &str); 6] = [
    ("images", "images are not read by this build"),
    ("videos", "videos are not read by this build"),
    ("audios", "sound is not read by this build"),
    ("objects", "boxes in images are not read by this build"),
    ("tools", "tools of one answer only are not read"),
    ("chat_template_kwargs", "`chat_template_kwargs` of one answer only are not read"),
];

impl RowShape {
    /// Whether what is trained on are tokens.
    fn has_labels(self) -> bool {
        matches!(self, Self::Conversation | Self::Pair)
    }

    /// What stands before the names of columns that are about one of its conversations.
    fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Conversation | Self::Text | Self::Prompt => &[""],
            Self::Pair => &["", "rejected_"],
            Self::Group => &["", "positive_", "negative_"],
        }
    }
}

/// A row whose conversations have been rendered.
pub(crate) struct Row {
    drafts: Vec<Draft>,
    fields: Fields,
    prompt: Option<Prompt>,
}

/// Renders the conversations of a row; the inner error says why it cannot be used.
///
/// # Errors
/// A plugin fails.
pub(crate) fn draft(
    template: &mut Template,
    options: &LoadOptions,
    outcome: Outcome,
) -> Result<Result<Row, Unfit>> {
    let mut prompt = None;
    let taken = match outcome {
        Outcome::Sample(mut sample) => {
            if options.shape == RowShape::Prompt {
                remove_answer(&mut sample.messages);
            }
            prompt = (options.shape == RowShape::Prompt)
                .then(|| Prompt { messages: sample.messages.clone(), columns: sample.columns.clone() });
            let columns = columns_of_the_template(&sample.columns);
            let refused = refuse_unread(&sample.columns, options.shape);
            refused.and_then(|()| Ok((taken(sample, options.shape)?, columns)))
        }
        Outcome::Skipped(reason) => Err(Unfit::new(reason, "")),
    };
    let ((conversations, fields), [tools, chat_template_kwargs]) = match taken {
        Ok(taken) => taken,
        Err(unfit) => return Ok(Err(unfit)),
    };
    let columns = RowColumns { tools: tools.as_ref(), chat_template_kwargs: chat_template_kwargs.as_ref() };
    let mut drafts = Vec::with_capacity(conversations.len());
    for messages in &conversations {
        // Of a text that is judged as a whole, nothing is trained on; it may be a question alone.
        let parts = match options.shape.has_labels() {
            false if !ends_with_answer(messages) => TrainedParts::None,
            false => TrainedParts::Answers,
            true => options.trained_parts,
        };
        match template.draft(messages, columns, parts)? {
            Ok(draft) => drafts.push(draft),
            Err(unfit) => return Ok(Err(unfit)),
        }
    }
    Ok(Ok(Row { drafts, fields, prompt }))
}

/// What became of a row.
pub(crate) struct Finished {
    /// Its examples: one, or several if it was split.
    pub(crate) examples: Vec<Example>,
    /// Whether it was too long.
    pub(crate) is_truncated: bool,
    /// Why it is left out, or parts of it if it was split.
    pub(crate) left_out: Vec<Unfit>,
}

impl Row {
    /// Its examples.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn finish(self, finisher: &Finisher, options: &LoadOptions) -> Result<Finished, Unfit> {
        let has_labels = options.shape.has_labels();
        let is_split = options.truncation == Truncation::Split;
        let mut finished = Finished { examples: Vec::new(), is_truncated: false, left_out: Vec::new() };
        let mut sequences = Vec::with_capacity(self.drafts.len());
        for draft in self.drafts {
            let mut encoded = finisher.finish(draft)?;
            if !has_labels {
                encoded.weights.fill(0.0);
            }
            match options.max_length {
                Some(max_length) => {
                    finished.is_truncated |= encoded.input_ids.len() > max_length;
                    sequences.extend(options.truncation.apply(encoded, max_length)?);
                }
                None => sequences.push(encoded),
            }
        }
        let parts: Vec<Vec<Encoded>> =
            if is_split { sequences.into_iter().map(|part| vec![part]).collect() } else { vec![sequences] };
        let count = parts.len();
        for (index, sequences) in parts.into_iter().enumerate() {
            // A step on nothing but such would divide by no labels.
            if has_labels && sequences.iter().any(|sequence| sequence.label_count() == 0) {
                let detail = match (finished.is_truncated, is_split) {
                    (false, _) => String::new(),
                    (true, false) => "after it was shortened".into(),
                    (true, true) => format!("part {} of {count}", index + 1),
                };
                finished.left_out.push(Unfit::new("nothing in it is trained on", detail));
            } else {
                finished.examples.push(Example {
                    sequences,
                    fields: self.fields.clone(),
                    prompt: self.prompt.clone(),
                });
            }
        }
        Ok(finished)
    }
}

/// Columns with numbers.
type Fields = Vec<(String, Field)>;

/// What a shape takes of a sample.
fn taken(sample: Sample, shape: RowShape) -> Result<(Vec<Vec<Message>>, Fields), Unfit> {
    let Sample { messages, rejected, positives, negatives, columns } = sample;
    let numeric = |(name, value): (String, Value)| Some((name, Field::from_json(&value)?));
    let mut fields: Fields = columns.into_iter().filter_map(numeric).collect();
    let mut conversations = vec![messages];
    match shape {
        RowShape::Conversation | RowShape::Text => {}
        RowShape::Prompt if conversations.iter().all(Vec::is_empty) => {
            return Err(Unfit::new("nothing comes before the answer", ""));
        }
        RowShape::Prompt => {}
        RowShape::Pair => {
            let rejected = rejected.ok_or_else(|| Unfit::new("there is no rejected answer", ""))?;
            if conversations.contains(&rejected) {
                return Err(Unfit::new("the chosen and the rejected answer are the same", ""));
            }
            conversations.push(rejected);
        }
        RowShape::Group => {
            if positives.is_empty() && negatives.is_empty() {
                return Err(Unfit::new("there is no text to compare with", ""));
            }
            fields.push(("positive_count".into(), Field::Number(positives.len() as f64)));
            conversations.extend(positives.into_iter().chain(negatives));
        }
    }
    if shape.has_labels() {
        conversations.iter().try_for_each(|messages| answered(messages))?;
    }
    Ok((conversations, fields))
}

/// Refuses a conversation that does not end with an answer that says something.
fn answered(messages: &[Message]) -> Result<(), Unfit> {
    match messages.last() {
        Some(last) if !["assistant", "tool_call"].contains(&last.role.as_str()) => {
            Err(Unfit::new("there is no answer", ""))
        }
        Some(last) if last.content.trim().is_empty() => Err(Unfit::new("the answer is empty", "")),
        // The template says what else is wrong.
        Some(_) | None => Ok(()),
    }
}

/// Takes the answer away that a conversation ends with, calls of tools included, and gives what its messages say.
pub(crate) fn remove_answer(messages: &mut Vec<Message>) -> Vec<String> {
    let mut answer = Vec::new();
    while ends_with_answer(messages) {
        answer.extend(messages.pop().map(|last| last.content));
    }
    answer.reverse();
    answer
}

/// The values of [`OF_THE_TEMPLATE`] that are there.
pub(crate) fn columns_of_the_template(columns: &[(String, Value)]) -> [Option<Value>; 2] {
    OF_THE_TEMPLATE.map(|wanted| {
        let found = columns.iter().find(|(name, value)| name == wanted && is_filled(value));
        found.map(|(_, value)| value.clone())
    })
}

fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Refuses what would be left out of the conversations without a word.
pub(crate) fn refuse_unread(columns: &[(String, Value)], shape: RowShape) -> Result<(), Unfit> {
    for (name, reason) in UNREAD {
        for prefix in shape.prefixes() {
            // Those of the row itself go to the template.
            let name = format!("{prefix}{name}");
            if !OF_THE_TEMPLATE.contains(&name.as_str())
                && columns.iter().any(|(column, value)| *column == name && is_filled(value))
            {
                return Err(Unfit::new(reason, ""));
            }
        }
    }
    Ok(())
}
