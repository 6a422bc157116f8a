//! A conversation in the terminal, or with the lines of stdin.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::channel;

use serde_json::{Map, Value, json};
use swift_data::Template;
use swift_infer::{Engine, Finish, ModelBackend, Output};

use super::commands::{Entry, HELP, parameter, parse};
use super::input::{Input, Line};
use super::sampling::Generation;
use super::unknown_adapter;
use crate::console::Console;
use crate::report::INTERRUPTED;

/// Nothing is being answered.
const IDLE: u8 = 0;
/// An answer grows.
const ANSWERING: u8 = 1;
/// The answer shall stop.
const STOPPING: u8 = 2;

/// A conversation, and what answers.
pub(crate) struct Chat {
    engine: Engine<ModelBackend>,
    template: Template,
    generation: Generation,
    /// Names of the adapters.
    names: Vec<String>,
    adapter: Option<String>,
    system: Option<String>,
    /// Without the system prompt.
    messages: Vec<Value>,
    /// Answers so far.
    answers: u64,
    state: Arc<AtomicU8>,
}

impl Chat {
    pub(crate) fn new(
        engine: Engine<ModelBackend>,
        template: Template,
        generation: Generation,
        names: Vec<String>,
        adapter: Option<String>,
        system: Option<String>,
    ) -> Self {
        let (messages, state) = (Vec::new(), Arc::new(AtomicU8::new(IDLE)));
        Self { engine, template, generation, names, adapter, system, messages, answers: 0, state }
    }

    /// Answers line after line. Answers go to stdout, everything else to stderr.
    pub(crate) fn hold(mut self, stream: bool, console: &Console) -> anyhow::Result<ExitCode> {
        let state = self.state.clone();
        ctrlc::set_handler(move || {
            // The second time, and where there is no answer to stop.
            if state.compare_exchange(ANSWERING, STOPPING, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                std::process::exit(INTERRUPTED.into());
            }
        })?;
        let mut input = Input::start()?;
        if input.is_terminal() {
            console.line("`/help` lists commands; Ctrl-C stops an answer, Ctrl-D ends the chat");
        }
        loop {
            let line = match input.read("<<< ")? {
                Line::Text(line) => line,
                Line::Dropped => continue,
                Line::End => break,
            };
            match parse(&line) {
                Entry::Exit => break,
                Entry::Help => console.line(HELP),
                Entry::Clear => {
                    self.messages.clear();
                    console.line("the conversation is forgotten");
                }
                Entry::System(text) => {
                    self.system = (!text.is_empty()).then(|| text.to_owned());
                    self.messages.clear();
                    console.line("a new conversation, with another system prompt");
                }
                Entry::Adapter(name) => console.line(&self.switch(name)),
                Entry::Parameter(name, value) => {
                    let said = parameter(&mut self.generation, &name, value);
                    console.line(&said.unwrap_or_else(|error| format!("error: {error}")));
                }
                Entry::Multi => {
                    if let Some(text) = several_lines(&mut input)? {
                        self.say(&text, stream, console)?;
                    }
                }
                Entry::Message(text) => {
                    if let Some(text) = continued(text, &mut input)?.filter(|text| !text.trim().is_empty()) {
                        self.say(&text, stream, console)?;
                    }
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Answers with another adapter from now on.
    fn switch(&mut self, name: &str) -> String {
        match name {
            "" => {
                let now = self.adapter.as_deref().unwrap_or("none");
                let all: Vec<&str> = self.names.iter().map(String::as_str).chain(["none"]).collect();
                format!("`{now}` answers; there are `{}`", all.join("`, `"))
            }
            "none" => {
                self.adapter = None;
                "the model alone answers".into()
            }
            name if self.names.iter().any(|known| known == name) => {
                self.adapter = Some(name.to_owned());
                format!("`{name}` answers")
            }
            name => format!("error: {}", unknown_adapter(name, &self.names)),
        }
    }

    /// Answers a message. What can't be answered is forgotten.
    fn say(&mut self, text: &str, stream: bool, console: &Console) -> anyhow::Result<()> {
        self.messages.push(json!({ "role": "user", "content": text }));
        let system = self.system.as_ref().map(|text| json!({ "role": "system", "content": text }));
        let conversation: Vec<Value> = system.iter().chain(&self.messages).cloned().collect();
        let answer = match self.template.prompt(&conversation, None, &Map::new(), false)? {
            Ok(prompt) => self.answer(prompt, stream),
            Err(unfit) => Ok(Err(unfit.to_string())),
        };
        match answer? {
            Ok(answer) => self.messages.push(json!({ "role": "assistant", "content": answer })),
            Err(error) => {
                self.messages.pop();
                console.line(&format!("error: {error}"));
            }
        }
        Ok(())
    }

    /// Prints the answer as it comes, and gives it as far as it came; the inner error says why there is none.
    fn answer(&mut self, prompt: Vec<u32>, stream: bool) -> anyhow::Result<Result<String, String>> {
        let (sender, parts) = channel();
        let receiver = move |output: Output| sender.send(output).is_ok();
        let request = self.generation.request(prompt, self.answers, self.adapter.clone(), receiver);
        let request = match self.engine.submit(request) {
            Ok(request) => request,
            Err(error @ swift_infer::Error::PromptTooLong { .. }) => {
                return Ok(Err(format!("{error}; `/clear` begins anew")));
            }
            Err(error) => return Ok(Err(error.to_string())),
        };
        self.answers += 1;
        self.state.store(ANSWERING, Ordering::SeqCst);
        let (mut answer, mut failed) = (String::new(), None);
        let mut out = std::io::stdout();
        while !self.engine.is_idle() {
            if self.state.load(Ordering::SeqCst) == STOPPING {
                self.engine.cancel(request);
            }
            self.engine.step();
            for part in parts.try_iter() {
                answer.push_str(&part.text);
                if stream && !part.text.is_empty() {
                    write!(out, "{}", part.text)?;
                    out.flush()?;
                }
                if let Some(Finish::Failed(error)) = part.finish {
                    failed = Some(error.to_string());
                }
            }
        }
        self.state.store(IDLE, Ordering::SeqCst);
        if !stream {
            write!(out, "{answer}")?;
        }
        writeln!(out)?;
        out.flush()?;
        Ok(failed.map_or(Ok(answer), Err))
    }
}

/// A message that goes on in further lines as long as one ends with a backslash; none if it was dropped.
fn continued(first: &str, input: &mut Input) -> anyhow::Result<Option<String>> {
    let mut text = first.to_owned();
    while text.ends_with('\\') {
        text.pop();
        match input.read("... ")? {
            Line::Text(line) => text = format!("{text}\n{line}"),
            Line::Dropped => return Ok(None),
            Line::End => break,
        }
    }
    Ok(Some(text))
}

/// The lines up to `/end`; none if they were dropped or there are none.
fn several_lines(input: &mut Input) -> anyhow::Result<Option<String>> {
    let mut lines = Vec::new();
    loop {
        match input.read("... ")? {
            Line::Text(line) if line.trim() == "/end" => break,
            Line::Text(line) => lines.push(line),
            Line::Dropped => return Ok(None),
            Line::End => break,
        }
    }
    let text = lines.join("\n");
    Ok((!text.trim().is_empty()).then_some(text))
}
