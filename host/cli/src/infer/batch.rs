//! Answers to the rows of files.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use swift_data::{Question, Report, Tokenizer, Unfit};
use swift_infer::{Engine, Finish, ModelBackend, Output, TokenLogprobs};

use super::results::Results;
use super::sampling::Generation;
use crate::console::Console;
use crate::interrupt;
use crate::report::INTERRUPTED;

/// How often numbers are shown.
const SHOWN_EVERY: Duration = Duration::from_secs(5);

/// Questions, and what answers them.
pub(crate) struct Job {
    pub(crate) engine: Engine<ModelBackend>,
    pub(crate) tokenizer: Tokenizer,
    /// All that can be used, in their order.
    pub(crate) questions: Vec<Question>,
    pub(crate) defaults: Generation,
    /// Names of the adapters.
    pub(crate) names: Vec<String>,
    /// The one that answers where a row names none.
    pub(crate) adapter: Option<String>,
    /// The most requests that wait in the engine.
    pub(crate) most_waiting: usize,
}

/// An answer that grows.
#[derive(Default)]
struct Answer {
    text: String,
    tokens: usize,
    logprobs: Vec<TokenLogprobs>,
    finish: Option<Finish>,
}

impl Answer {
    fn add(&mut self, part: Output) {
        self.text.push_str(&part.text);
        self.tokens += part.tokens.len();
        self.logprobs.extend(part.logprobs);
        self.finish = part.finish;
    }
}

impl Job {
    /// Answers what `path` does not answer yet, all questions at once, and writes answers in the order of the questions.
    pub(crate) fn run(mut self, path: &Path, console: &Console) -> anyhow::Result<ExitCode> {
        let (mut results, found) = Results::open(path, &self.questions)?;
        if found.repaired {
            console.note(&format!("a half-written line of `{}` has been taken away", path.display()));
        }
        if found.questions > 0 {
            let shown = path.display();
            console.line(&format!("{} answers are in `{shown}` already", found.answers));
        }
        let message = "interrupted: what is written stays; press Ctrl-C again to stop at once";
        let stop = interrupt::watch(console.clone(), message)?;
        let started = Instant::now();
        console.begin(self.questions.len() as u64, found.questions as u64);
        let mut left_out = Report::default();
        let outcome = self.answer(&mut results, found.questions, &stop, &mut left_out, console);
        console.end();
        results.finish()?;
        left_out.dropped.iter().for_each(|dropped| console.line(&dropped.to_string()));
        let written = outcome?;
        let statistics = self.engine.statistics();
        let seconds = started.elapsed().as_secs_f64();
        console.line(&format!(
            "{written} answers in {seconds:.1} s: {} tokens read, {} generated, {:.1} tokens/s",
            statistics.prompt_tokens,
            statistics.generated_tokens,
            statistics.generated_tokens as f64 / seconds.max(1e-9),
        ));
        if stop.load(Ordering::SeqCst) {
            console.line("hint: the same command goes on from there");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        println!("results: {}", path.display());
        Ok(ExitCode::SUCCESS)
    }

    /// Answers the questions from `first` on, and gives the number of answers that were written.
    fn answer(
        &mut self,
        results: &mut Results,
        first: usize,
        stop: &AtomicBool,
        left_out: &mut Report,
        console: &Console,
    ) -> anyhow::Result<usize> {
        let (sender, parts) = channel();
        let total = self.questions.len();
        let (mut asked, mut next, mut written) = (first, first, 0);
        let mut answers: BTreeMap<usize, Answer> = BTreeMap::new();
        let began = Instant::now();
        let mut shown = began;
        while next < total && !stop.load(Ordering::SeqCst) {
            while asked < total && self.engine.statistics().waiting < self.most_waiting {
                let number = asked;
                asked += 1;
                let sender = sender.clone();
                let receiver = move |output| sender.send((number, output)).is_ok();
                if let Err(unfit) = self.ask(number, receiver) {
                    let failed = Finish::Failed(std::sync::Arc::new(swift_infer::Error::NoToken));
                    answers.insert(number, Answer { finish: Some(failed), ..Answer::default() });
                    self.leave_out(number, unfit, left_out);
                }
            }
            self.engine.step();
            for (number, part) in parts.try_iter() {
                if let Some(Finish::Failed(error)) = &part.finish {
                    let unfit = Unfit::new("it could not be answered", error.to_string());
                    self.leave_out(number, unfit, left_out);
                }
                answers.entry(number).or_default().add(part);
            }
            while answers.get(&next).is_some_and(|answer| answer.finish.is_some()) {
                let (answer, question) = (answers.remove(&next), self.questions.get(next));
                next += 1;
                let (Some(answer), Some(question)) = (answer, question) else { continue };
                if !matches!(answer.finish, Some(Finish::Failed(_) | Finish::Cancelled)) {
                    let logprobs = self.defaults.logprobs.map(|_| self.logprobs(&answer.logprobs));
                    results.add(question, &answer.text, logprobs.transpose()?.unwrap_or(Value::Null))?;
                    written += 1;
                }
            }
            console.advance(next as u64);
            if shown.elapsed() >= SHOWN_EVERY {
                let done = next - first;
                let statistics = self.engine.statistics();
                console.show(
                    next as u64,
                    total as u64,
                    &format!(
                        "{done} answered, {} running, {} tokens generated, {:.1} tokens/s",
                        statistics.running,
                        statistics.generated_tokens,
                        statistics.generated_tokens as f64 / began.elapsed().as_secs_f64()
                    ),
                );
                shown = Instant::now();
            }
            if self.engine.is_idle() && asked == total && next < total && !answers.contains_key(&next) {
                anyhow::bail!("The engine has lost a question");
            }
        }
        Ok(written)
    }

    /// Asks the engine a question; the error says why it can't be.
    fn ask(
        &mut self,
        number: usize,
        receiver: impl Fn(Output) -> bool + Send + Sync + 'static,
    ) -> Result<(), Unfit> {
        let Some(question) = self.questions.get(number) else { return Ok(()) };
        let named = question.columns.iter().find(|(name, _)| name == "adapter" && !self.names.is_empty());
        let adapter = match named.map(|(_, value)| value) {
            None | Some(Value::Null) => self.adapter.clone(),
            Some(Value::String(name)) if name == "none" => None,
            Some(Value::String(name)) if self.names.contains(name) => Some(name.clone()),
            Some(other) => {
                return Err(Unfit::new("it names an adapter that is not loaded", other.to_string()));
            }
        };
        let request = self.defaults.request(question.prompt.clone(), number as u64, adapter, receiver);
        let submitted = self.engine.submit(request);
        submitted.map(drop).map_err(|error| Unfit::new("it can't be asked", error.to_string()))
    }

    fn leave_out(&self, number: usize, unfit: Unfit, left_out: &mut Report) {
        if let Some(question) = self.questions.get(number) {
            left_out.add_dropped(&question.path, question.line, unfit);
        }
    }

    /// Log-probabilities in the form of OpenAI's interface, as ms-swift writes them.
    fn logprobs(&self, tokens: &[TokenLogprobs]) -> anyhow::Result<Value> {
        let entry = |token: u32, logprob: f32| {
            let text = self.tokenizer.text(&[token], false)?;
            anyhow::Ok(json!({ "token": text, "logprob": logprob, "bytes": text.as_bytes() }))
        };
        let content = tokens.iter().map(|position| {
            let mut value = entry(position.token, position.logprob)?;
            let top = position.top.iter().map(|(token, logprob)| entry(*token, *logprob));
            let top = top.collect::<anyhow::Result<Vec<_>>>()?;
            if let Some(entry) = value.as_object_mut() {
                entry.insert("top_logprobs".into(), top.into());
            }
            anyhow::Ok(value)
        });
        Ok(json!({ "content": content.collect::<anyhow::Result<Vec<_>>>()? }))
    }
}
