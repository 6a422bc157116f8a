//! Requests on their way through the engine.

use std::sync::Arc;
use std::time::Instant;

use swift_infer::{Finish, LogitsProcessor, Output, Request, RequestId, Stop};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use crate::Generator;
use crate::app::{App, Phase, wait};
use crate::error::{ApiError, Result};
use crate::sampling::Options;

/// Answers that are being generated. When it is dropped, because the client has gone or everything was said, the engine
/// gives back what they have.
pub(crate) struct Generation {
    app: Arc<App>,
    parts: mpsc::UnboundedReceiver<(u32, Output)>,
    /// Ends what is running.
    _guards: Vec<Guard>,
    phase: watch::Receiver<Phase>,
    /// Answers that have not ended.
    open: usize,
    started: Instant,
    any: bool,
    _slot: OwnedSemaphorePermit,
}

struct Guard {
    generator: Arc<dyn Generator>,
    request: RequestId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.generator.cancel(self.request);
    }
}

/// Numbers for the field `usage`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) prompt: usize,
    pub(crate) cached: usize,
    pub(crate) completion: usize,
}

impl Usage {
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": { "cached_tokens": self.cached },
        })
    }
}

impl Generation {
    /// Has all prompts answered. Their answers are numbered one after the other.
    pub(crate) async fn start(
        app: &Arc<App>,
        prompts: Vec<Vec<u32>>,
        adapter: Option<&str>,
        options: &Options,
        logprobs: Option<u32>,
    ) -> Result<Self> {
        let slot = slot(app)?;
        let (sender, parts) = mpsc::unbounded_channel();
        let mut requests = Vec::with_capacity(prompts.len());
        let count = prompts.len();
        for (index, prompt) in (0..).zip(prompts) {
            check_length(app, &prompt)?;
            let (sender, n) = (sender.clone(), options.n);
            let receiver = move |output: Output| sender.send((index * n + output.choice, output)).is_ok();
            let mut request = Request::new(prompt, receiver);
            request.sampling = options.sampling.clone();
            request.stop = options.stop.clone();
            (request.n, request.best_of, request.beams) = (options.n, options.best_of, options.beams);
            (request.logprobs, request.prompt_logprobs) = (logprobs, options.prompt_logprobs);
            request.adapter = adapter.map(str::to_owned);
            request.skip_special_tokens = options.skip_special_tokens;
            // A sampler sees what a form leaves, and can't bring back what it rules out.
            let samplers = options.samplers.iter().map(LogitsProcessor::fork);
            request.processors = options.constraint.iter().map(|form| form.fork()).chain(samplers).collect();
            requests.push(request);
        }
        let requests = wait(app.generator.submit(requests)).await?.into_iter();
        let guards = requests.map(|request| Guard { generator: app.generator.clone(), request }).collect();
        Ok(Self {
            app: app.clone(),
            parts,
            _guards: guards,
            phase: app.phase.clone(),
            open: count * options.n as usize,
            started: Instant::now(),
            any: false,
            _slot: slot,
        })
    }

    /// The next part of an answer, with the answer's number; none when all have ended.
    ///
    /// # Errors
    /// The engine fails, or the server ends.
    pub(crate) async fn next(&mut self) -> Result<Option<(u32, Output)>> {
        if self.open == 0 {
            return Ok(None);
        }
        let part = tokio::select! {
            part = self.parts.recv() => part,
            _ = self.phase.wait_for(|phase| *phase == Phase::Ending) => return Err(ApiError::shutting_down()),
        };
        let Some((choice, output)) = part else { return Err(swift_infer::Error::Stopped.into()) };
        let metrics = &self.app.metrics;
        if !self.any {
            self.any = true;
            metrics.first_token.observe(self.started.elapsed());
        }
        match &output.finish {
            Some(Finish::Failed(error)) => return Err((&**error).into()),
            Some(Finish::Cancelled) => return Err(ApiError::shutting_down()),
            Some(_) => self.open -= 1,
            None => {}
        }
        if self.open == 0 {
            metrics.latency.observe(self.started.elapsed());
        }
        Ok(Some((choice, output)))
    }
}

/// A place among the requests that are answered at the same time.
pub(crate) fn slot(app: &App) -> Result<OwnedSemaphorePermit> {
    let message = "Too many requests are being answered";
    app.slots.clone().try_acquire_owned().map_err(|_| ApiError::overloaded(message))
}

pub(crate) fn check_length(app: &App, prompt: &[u32]) -> Result<()> {
    match app.options.max_prompt_tokens {
        Some(most) if prompt.len() > most => Err(ApiError {
            code: Some("context_length_exceeded"),
            ..ApiError::invalid(format!(
                "The prompt has {} tokens, but this server takes {most}",
                prompt.len()
            ))
        }),
        _ => Ok(()),
    }
}

/// OpenAI's word for why an answer ended.
pub(crate) fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop(_) => "stop",
        Finish::Length => "length",
        Finish::Cancelled | Finish::Failed(_) => "abort",
    }
}

/// vLLM's `stop_reason`: the token or text that was asked for.
pub(crate) fn stop_reason(finish: Option<&Finish>) -> serde_json::Value {
    match finish {
        Some(Finish::Stop(Stop::Token(token))) => (*token).into(),
        Some(Finish::Stop(Stop::String(text))) => text.as_str().into(),
        _ => serde_json::Value::Null,
    }
}
