//! `POST /v1/completions`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use serde_json::{Value, json};
use swift_infer::{Output, TokenLogprobs};

use crate::app::{App, now};
use crate::error::Result;
use crate::fields::Fields;
use crate::form::constraint;
use crate::generation::{Generation, Usage, finish_reason, stop_reason};
use crate::logprobs::{Lists, of_prompt};
use crate::prompt::{prompts, truncate};
use crate::sampling::Options;
use crate::stream::{Answer, events, head, put, whole};
use crate::words::Words;

/// Tokens of an answer when a request does not say, as in OpenAI's interface.
const DEFAULT_MAX_TOKENS: usize = 16;

pub(crate) async fn completions(app: &Arc<App>, body: &[u8]) -> Result<Response> {
    let mut fields = Fields::parse(body)?;
    let model: Option<String> = fields.take("model")?;
    let adapter = app.adapter(model.clone()).await?;
    let mut options = Options::read(&mut fields, app)?;
    let mut prompts = prompts(&mut fields, "prompt", app)?;
    truncate(&mut prompts, options.truncate_prompt_tokens);
    let logprobs = fields.take("logprobs")?;
    let echo = fields.flag("echo")?;
    fields.finish(&["user"])?;
    let limit = app.options.max_output_tokens.unwrap_or(usize::MAX);
    options.stop.max_tokens.get_or_insert(DEFAULT_MAX_TOKENS.max(options.stop.min_tokens).min(limit));
    let shows_prompt_logprobs = options.prompt_logprobs.is_some();
    if echo && logprobs.is_some() {
        options.prompt_logprobs = options.prompt_logprobs.max(logprobs);
    }
    options.constraint = constraint(app, options.form.take()).await?;
    let generation = Generation::start(app, prompts.clone(), adapter.as_deref(), &options, logprobs).await?;
    let completion = Completion {
        id: app.new_id("cmpl"),
        created: now(),
        model: model.unwrap_or_else(|| app.options.model.clone()).into(),
        words: Words::of(app),
        usage: Usage { prompt: prompts.iter().map(Vec::len).sum(), ..Usage::default() },
        prompts,
        n: options.n,
        echo,
        logprobs: logprobs.is_some(),
        shows_prompt_logprobs,
        return_token_ids: options.return_token_ids,
        stream: options.stream,
        prompt_logprobs: BTreeMap::new(),
        choices: BTreeMap::new(),
    };
    match options.stream {
        None => whole(generation, completion).await,
        Some(_) => Ok(events(generation, completion)),
    }
}

struct Completion {
    id: String,
    created: u64,
    model: Arc<str>,
    words: Words,
    prompts: Vec<Vec<u32>>,
    n: u32,
    echo: bool,
    logprobs: bool,
    shows_prompt_logprobs: bool,
    return_token_ids: bool,
    stream: Option<bool>,
    usage: Usage,
    /// Of the prompts; they come with the first part of each one's first answer.
    prompt_logprobs: BTreeMap<u32, Vec<TokenLogprobs>>,
    choices: BTreeMap<u32, Choice>,
}

#[derive(Default)]
struct Choice {
    text: String,
    tokens: Vec<u32>,
    lists: Lists,
    /// Characters of the tokens so far.
    offset: usize,
    prompt_logprobs: Value,
    finish: Value,
    stop: Value,
}

impl Completion {
    /// What a part brings, as an answer of its own.
    fn part(&mut self, choice: u32, output: Output) -> Result<Choice> {
        let Self { words, prompts, prompt_logprobs, .. } = self;
        let index = choice / self.n.max(1);
        let prompt = prompts.get(index as usize).map_or(&[][..], Vec::as_slice);
        let of_the_prompt = prompt_logprobs.entry(index).or_insert(output.prompt_logprobs);
        let is_first = !self.choices.contains_key(&choice);
        let known = self.choices.entry(choice).or_default();
        let mut part = Choice { offset: known.offset, ..Choice::default() };
        if is_first && choice.is_multiple_of(self.n.max(1)) {
            self.usage.cached += output.cached_tokens;
        }
        if is_first && self.echo {
            part.text = match &words.tokenizer {
                Some(tokenizer) => tokenizer.text(prompt, false).map_err(swift_infer::Error::from)?,
                None => String::new(),
            };
            if let Some(first) = prompt.first().filter(|_| self.logprobs) {
                part.lists.add_first(words, *first, &mut part.offset)?;
                part.lists.add(words, of_the_prompt, &mut part.offset)?;
            }
        }
        if is_first && self.shows_prompt_logprobs {
            part.prompt_logprobs = of_prompt(words, of_the_prompt)?;
        }
        part.lists.add(words, &output.logprobs, &mut part.offset)?;
        self.usage.completion += output.tokens.len();
        part.text.push_str(&output.text);
        part.tokens = output.tokens;
        part.finish = output.finish.as_ref().map(finish_reason).into();
        part.stop = stop_reason(output.finish.as_ref());
        known.offset = part.offset;
        Ok(part)
    }

    fn choice(&self, index: u32, choice: &Choice, shows_prompt: bool) -> Value {
        let mut shown = json!({
            "index": index,
            "text": choice.text,
            "logprobs": if self.logprobs { choice.lists.json() } else { Value::Null },
            "finish_reason": choice.finish,
            "stop_reason": choice.stop,
        });
        if self.shows_prompt_logprobs && shows_prompt {
            put(&mut shown, "prompt_logprobs", choice.prompt_logprobs.clone());
        }
        if self.return_token_ids {
            put(&mut shown, "token_ids", json!(choice.tokens));
            if shows_prompt {
                put(
                    &mut shown,
                    "prompt_token_ids",
                    json!(self.prompts.get((index / self.n.max(1)) as usize)),
                );
            }
        }
        shown
    }

    fn with(&self, choices: Vec<Value>, usage: Option<Value>) -> Value {
        let mut value = head(&self.id, "text_completion", self.created, &self.model);
        put(&mut value, "choices", choices.into());
        if let Some(usage) = usage {
            put(&mut value, "usage", usage);
        }
        value
    }
}

impl Answer for Completion {
    fn begin(&mut self) -> Vec<Value> {
        Vec::new()
    }

    fn add(&mut self, index: u32, output: Output) -> Result<Vec<Value>> {
        let is_first = !self.choices.contains_key(&index);
        let part = self.part(index, output)?;
        if let Some(include_usage) = self.stream {
            let shown = self.choice(index, &part, is_first);
            return Ok(vec![self.with(vec![shown], include_usage.then_some(Value::Null))]);
        }
        let choice = self.choices.entry(index).or_default();
        choice.text.push_str(&part.text);
        choice.tokens.extend(part.tokens);
        choice.lists.append(part.lists);
        if is_first {
            choice.prompt_logprobs = part.prompt_logprobs;
        }
        (choice.finish, choice.stop) = (part.finish, part.stop);
        Ok(Vec::new())
    }

    fn end(&mut self) -> Vec<Value> {
        let usage = self.stream.unwrap_or(false).then(|| self.with(Vec::new(), Some(self.usage.json())));
        usage.into_iter().collect()
    }

    fn whole(self) -> Value {
        let choices = self.choices.iter().map(|(index, choice)| self.choice(*index, choice, true));
        self.with(choices.collect(), Some(self.usage.json()))
    }
}
