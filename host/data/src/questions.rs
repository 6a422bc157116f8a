//! Rows whose answers a model is to give.

use std::fmt;
use std::path::PathBuf;

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::adapter::Adapter;
use crate::dataset::{LoadOptions, RowShape};
use crate::error::Result;
use crate::example::{columns_of_the_template, refuse_unread, remove_answer};
use crate::reading::read_rows;
use crate::report::Report;
use crate::rows::{Message, Outcome, Sample};
use crate::source::{DataFile, DatasetSpec};
use crate::template::{Draft, RowColumns, Template, TrainedParts, Unfit};

/// A row that a model is to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The file that it is in.
    pub path: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// The conversation, without the answer that the row may have had at its end.
    pub messages: Vec<Message>,
    /// That answer.
    pub labels: Option<String>,
    /// What else the row says.
    pub columns: Vec<(String, Value)>,
    /// Token ids of the prompt, `[tokens]`.
    pub prompt: Vec<u32>,
}

/// The rows of a dataset that a model is to answer, in their order.
#[derive(Debug, Default)]
pub struct Questions {
    /// At least one.
    pub questions: Vec<Question>,
    report: Report,
}

impl Questions {
    /// Reads rows by the same adapters as [`Dataset::load`](crate::Dataset::load), takes the last answer off, and renders
    /// prompts. Of `options`, the columns' names, the seed and the greatest length count. Rows that cannot be used are left
    /// out and reported.
    ///
    /// # Errors
    /// A file is missing, empty or not what its name says, no adapter reads it, a plugin fails, or no row is left.
    pub fn load(
        specs: &[DatasetSpec],
        adapters: &mut [Box<dyn Adapter + '_>],
        template: &mut Template,
        options: &LoadOptions,
    ) -> Result<Self> {
        let mut all = Self::default();
        for spec in specs {
            all.read(spec, adapters, template, options)?;
        }
        if all.questions.is_empty() {
            return Err(all.report.nothing_left());
        }
        Ok(all)
    }

    /// What became of the rows.
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn read(
        &mut self,
        spec: &DatasetSpec,
        adapters: &mut [Box<dyn Adapter + '_>],
        template: &mut Template,
        options: &LoadOptions,
    ) -> Result<()> {
        let file = DataFile::read(&spec.path)?;
        let source = read_rows(&file, spec, adapters, options, |lines, outcomes| {
            let drafts: Vec<Result<(Question, Draft), Unfit>> = outcomes
                .into_iter()
                .zip(&lines)
                .map(|(outcome, line)| draft(template, outcome, &file.path, *line))
                .collect::<Result<_>>()?;
            let finisher = template.finisher();
            let finished: Vec<Result<Question, Unfit>> = drafts
                .into_par_iter()
                .map(|drafted| {
                    let (question, draft) = drafted?;
                    let prompt = finisher.finish(draft)?.input_ids;
                    match options.max_length {
                        Some(most) if prompt.len() > most => Err(Unfit::new(
                            format!("the prompt has more than {most} tokens"),
                            format!("{} of them", prompt.len()),
                        )),
                        _ => Ok(Question { prompt, ..question }),
                    }
                })
                .collect();
            for (question, line) in finished.into_iter().zip(lines) {
                match question {
                    Err(unfit) => self.report.add_dropped(&file.path, line, unfit),
                    Ok(question) => {
                        self.report.add_example(question.prompt.len(), 0);
                        self.questions.push(question);
                    }
                }
            }
            Ok(())
        })?;
        self.report.add_source(source);
        Ok(())
    }
}

impl fmt::Display for Questions {
    /// One line for all rows, and one for each reason to leave rows out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { rows, examples, lengths, dropped, .. } = &self.report;
        write!(formatter, "{rows} rows, {examples} prompts of {} to {} tokens", lengths.min, lengths.max)?;
        dropped.iter().try_for_each(|dropped| write!(formatter, "\n{dropped}"))
    }
}

/// A row without its answer, and its conversation as the template has it. The inner error says why it cannot be used.
fn draft(
    template: &mut Template,
    outcome: Outcome,
    path: &std::path::Path,
    line: usize,
) -> Result<Result<(Question, Draft), Unfit>> {
    let sample = match outcome {
        Outcome::Skipped(reason) => return Ok(Err(Unfit::new(reason, ""))),
        Outcome::Sample(sample) => sample,
    };
    if let Err(unfit) = refuse_unread(&sample.columns, RowShape::Text) {
        return Ok(Err(unfit));
    }
    let Sample { mut messages, rejected, positives, negatives, mut columns } = sample;
    let answer = remove_answer(&mut messages);
    let labels = (!answer.is_empty()).then(|| answer.join("\n"));
    if messages.iter().all(|message| message.role == "system") {
        return Ok(Err(Unfit::new("there is no question", "")));
    }
    let [tools, chat_template_kwargs] = columns_of_the_template(&columns);
    let of_row = RowColumns { tools: tools.as_ref(), chat_template_kwargs: chat_template_kwargs.as_ref() };
    let draft = match template.draft(&messages, of_row, TrainedParts::None)? {
        Ok(draft) => draft,
        Err(unfit) => return Ok(Err(unfit)),
    };
    // Other conversations of the row are nothing to answer, but what a reader of the answers may want to compare.
    columns.extend(rejected.map(|messages| ("rejected_messages".to_owned(), json!(messages))));
    for (name, conversations) in [("positive_messages", positives), ("negative_messages", negatives)] {
        columns.extend((!conversations.is_empty()).then(|| (name.to_owned(), json!(conversations))));
    }
    let question = Question { path: path.into(), line, messages, labels, columns, prompt: Vec::new() };
    Ok(Ok((question, draft)))
}
