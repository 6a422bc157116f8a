//! Answers of a chat.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use swift_infer::{Output, TokenLogprobs};

use crate::ToolCallParser;
use crate::app::{App, now};
use crate::error::Result;
use crate::generation::{Usage, finish_reason, stop_reason};
use crate::logprobs::{of_chat, of_prompt};
use crate::parser::{Parser, Piece};
use crate::sampling::Options;
use crate::stream::{Answer, head, put};
use crate::tool_parser::Reader;
use crate::words::Words;

/// Tokens at the end of a prompt in which its template may have begun the answer's thoughts, or ended them.
const PROMPT_END: usize = 32;

/// The answers to one chat, and how they are shown.
pub(crate) struct ChatAnswer {
    id: String,
    created: u64,
    model: Arc<str>,
    words: Words,
    prompt: Vec<u32>,
    logprobs: bool,
    prompt_logprobs: Option<Vec<TokenLogprobs>>,
    return_token_ids: bool,
    stream: Option<bool>,
    /// Whether the request says which function to call, where OpenAI's word for a good end is another one.
    is_named: bool,
    /// Whether there may be more than one call.
    parallel: bool,
    usage: Usage,
    choices: BTreeMap<u32, Choice>,
}

/// How calls of tools are found.
pub(crate) struct Calls {
    pub(crate) parser: Option<&'static ToolCallParser>,
    /// A plugin that does it.
    pub(crate) reader: Option<Reader>,
    /// Whether there may be more than one.
    pub(crate) parallel: bool,
    /// Whether the request says which function to call.
    pub(crate) is_named: bool,
}

struct Choice {
    parser: Parser,
    reader: Option<Reader>,
    content: String,
    reasoning: String,
    calls: Vec<Value>,
    tokens: Vec<u32>,
    logprobs: Vec<Value>,
    finish: Value,
    stop: Value,
}

impl ChatAnswer {
    pub(crate) fn new(
        app: &App,
        model: String,
        prompt: Vec<u32>,
        Calls { parser, reader, parallel, is_named }: Calls,
        logprobs: bool,
        options: &Options,
    ) -> Result<Self> {
        // A form that is forced has no room for thoughts.
        let reasoning = app.options.reasoning_parser.filter(|_| options.constraint.is_none());
        let words = Words::of(app);
        let prompt_end = match (&words.tokenizer, reasoning) {
            (Some(tokenizer), Some(_)) => {
                let end = prompt.get(prompt.len().saturating_sub(PROMPT_END)..).unwrap_or_default();
                tokenizer.decode(end).map_err(swift_infer::Error::from)?
            }
            _ => String::new(),
        };
        let choice = |index| {
            let choice = Choice {
                parser: Parser::new(parser, reasoning, &prompt_end),
                reader: reader.clone(),
                content: String::new(),
                reasoning: String::new(),
                calls: Vec::new(),
                tokens: Vec::new(),
                logprobs: Vec::new(),
                finish: Value::Null,
                stop: Value::Null,
            };
            (index, choice)
        };
        Ok(Self {
            id: app.new_id("chatcmpl"),
            created: now(),
            model: model.into(),
            words,
            usage: Usage { prompt: prompt.len(), ..Usage::default() },
            prompt,
            logprobs,
            prompt_logprobs: options.prompt_logprobs.map(|_| Vec::new()),
            return_token_ids: options.return_token_ids,
            stream: options.stream,
            is_named,
            parallel,
            choices: (0..options.n).map(choice).collect(),
        })
    }

    fn head(&self, object: &str, choices: Vec<Value>) -> Value {
        let mut value = head(&self.id, object, self.created, &self.model);
        put(&mut value, "choices", choices.into());
        value
    }

    fn chunk(&self, choices: Vec<Value>) -> Value {
        let mut chunk = self.head("chat.completion.chunk", choices);
        if self.stream == Some(true) {
            put(&mut chunk, "usage", Value::Null);
        }
        chunk
    }
}

impl Answer for ChatAnswer {
    fn begin(&mut self) -> Vec<Value> {
        let role = |index: &u32| {
            let delta = json!({ "role": "assistant", "content": "" });
            json!({ "index": index, "delta": delta, "logprobs": null, "finish_reason": null })
        };
        let mut chunks: Vec<Value> = self.choices.keys().map(|index| self.chunk(vec![role(index)])).collect();
        if let Some(first) = chunks.first_mut().filter(|_| self.return_token_ids) {
            put(first, "prompt_token_ids", json!(self.prompt));
        }
        chunks
    }

    fn add(&mut self, index: u32, output: Output) -> Result<Vec<Value>> {
        let Some(choice) = self.choices.get_mut(&index) else { return Ok(Vec::new()) };
        if index == 0 && choice.tokens.is_empty() {
            self.usage.cached = output.cached_tokens;
        }
        self.usage.completion += output.tokens.len();
        if let Some(prompt_logprobs) = &mut self.prompt_logprobs {
            prompt_logprobs.extend(output.prompt_logprobs);
        }
        let mut pieces = choice.parser.push(&output.text);
        if let Some(finish) = &output.finish {
            pieces.extend(choice.parser.finish());
            choice.stop = stop_reason(Some(finish));
            choice.finish = finish_reason(finish).into();
        }
        let mut delta = Map::new();
        let most_calls = if self.parallel { usize::MAX } else { 1 };
        for piece in choice.read(pieces, output.finish.is_some())? {
            if !matches!(piece, Piece::Call { .. }) || choice.calls.len() < most_calls {
                choice.take(piece, &self.id, index, &mut delta);
            }
        }
        if choice.finish == "stop" && !choice.calls.is_empty() && !self.is_named {
            choice.finish = "tool_calls".into();
        }
        let logprobs = of_chat(&self.words, &output.logprobs)?;
        choice.tokens.extend(&output.tokens);
        if self.stream.is_none() {
            choice.logprobs.extend(logprobs);
            return Ok(Vec::new());
        }
        // What is held back goes along with what follows.
        choice.logprobs.extend(logprobs);
        if delta.is_empty() && choice.finish.is_null() && !self.logprobs && !self.return_token_ids {
            return Ok(Vec::new());
        }
        let logprobs = std::mem::take(&mut choice.logprobs);
        let mut shown = json!({
            "index": index,
            "delta": delta,
            "logprobs": if self.logprobs { json!({ "content": logprobs }) } else { Value::Null },
            "finish_reason": choice.finish,
            "stop_reason": choice.stop,
        });
        if self.return_token_ids {
            put(&mut shown, "token_ids", json!(output.tokens));
        }
        Ok(vec![self.chunk(vec![shown])])
    }

    fn end(&mut self) -> Vec<Value> {
        let usage = self.stream.unwrap_or(false).then(|| {
            let mut chunk = self.head("chat.completion.chunk", Vec::new());
            put(&mut chunk, "usage", self.usage.json());
            chunk
        });
        usage.into_iter().collect()
    }

    fn whole(self) -> Value {
        let choices = self.choices.iter().map(|(index, choice)| {
            let mut message = json!({ "role": "assistant" });
            let only_calls = choice.content.is_empty() && !choice.calls.is_empty();
            put(
                &mut message,
                "content",
                if only_calls { Value::Null } else { choice.content.as_str().into() },
            );
            if !choice.reasoning.is_empty() {
                put(&mut message, "reasoning_content", choice.reasoning.as_str().into());
            }
            if !choice.calls.is_empty() {
                let mut calls = choice.calls.clone();
                calls.iter_mut().filter_map(Value::as_object_mut).for_each(|call| {
                    call.shift_remove("index");
                });
                put(&mut message, "tool_calls", calls.into());
            }
            let mut shown = json!({
                "index": index,
                "message": message,
                "logprobs": if self.logprobs { json!({ "content": choice.logprobs }) } else { Value::Null },
                "finish_reason": choice.finish,
                "stop_reason": choice.stop,
            });
            if self.return_token_ids {
                put(&mut shown, "token_ids", json!(choice.tokens));
            }
            shown
        });
        let mut value = self.head("chat.completion", choices.collect());
        put(&mut value, "usage", self.usage.json());
        if let Some(logprobs) = &self.prompt_logprobs {
            // A word that can't be shown has failed the request before.
            put(&mut value, "prompt_logprobs", of_prompt(&self.words, logprobs).unwrap_or_default());
        }
        if self.return_token_ids {
            put(&mut value, "prompt_token_ids", json!(self.prompt));
        }
        value
    }
}

impl Choice {
    /// What a plugin makes of the text among the pieces, if there is one.
    fn read(&mut self, pieces: Vec<Piece>, finished: bool) -> Result<Vec<Piece>> {
        let Some(reader) = &mut self.reader else { return Ok(pieces) };
        let (mut read, mut content) = (Vec::new(), String::new());
        for piece in pieces {
            match piece {
                Piece::Content(text) => content.push_str(&text),
                other => read.push(other),
            }
        }
        if finished || !content.is_empty() {
            read.extend(reader.push(&content, finished)?);
        }
        Ok(read)
    }

    /// Adds a piece to the answer, and to what is said of it now.
    fn take(&mut self, piece: Piece, id: &str, index: u32, delta: &mut Map<String, Value>) {
        let mut add = |name: &str, text: &str| match delta.get_mut(name) {
            Some(Value::String(known)) => known.push_str(text),
            _ => drop(delta.insert(name.to_owned(), text.into())),
        };
        match piece {
            Piece::Content(text) => {
                add("content", &text);
                self.content.push_str(&text);
            }
            Piece::Reasoning(text) => {
                add("reasoning_content", &text);
                self.reasoning.push_str(&text);
            }
            Piece::Call { name, arguments } => {
                let number = self.calls.len();
                let call_id = format!("call-{}-{index}-{number}", id.trim_start_matches("chatcmpl-"));
                let function = json!({ "name": name, "arguments": arguments });
                let call =
                    json!({ "index": number, "id": call_id, "type": "function", "function": function });
                self.calls.push(call.clone());
                match delta.get_mut("tool_calls") {
                    Some(Value::Array(calls)) => calls.push(call),
                    _ => drop(delta.insert("tool_calls".into(), vec![call].into())),
                }
            }
        }
    }
}
