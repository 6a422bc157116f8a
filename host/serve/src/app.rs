//! What all requests share.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use swift_data::{Template, Tokenizer};
use swift_infer::{Grammars, Sampler};
use tokio::sync::{Mutex, Semaphore, watch};

use crate::error::{ApiError, Result};
use crate::metrics::Metrics;
use crate::{Generator, Reply, ServeOptions, ToolParser};

/// What is served.
pub struct Service {
    /// The engine.
    pub generator: Arc<dyn Generator>,
    /// Without one, prompts and answers are token ids.
    pub tokenizer: Option<Tokenizer>,
    /// How conversations become prompts; without one, there is no chat.
    pub template: Option<Template>,
    /// What makes answers follow a grammar; without it, none can be asked to.
    pub grammars: Option<Arc<Grammars>>,
    /// What requests may name to change how their tokens are chosen.
    pub samplers: Vec<Sampler>,
    /// What finds calls of tools in answers where no call is forced, in the place of the parser in the options.
    pub tool_parser: Option<ToolParser>,
    /// Tokens that the model has room for, prompt and answer together.
    pub context_length: usize,
}

/// How far the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// What runs is answered, nothing new is begun.
    Draining,
    /// Nothing is answered any more.
    Ending,
}

/// What all requests share.
pub(crate) struct App {
    pub(crate) generator: Arc<dyn Generator>,
    pub(crate) tokenizer: Option<Tokenizer>,
    pub(crate) template: Option<Arc<Mutex<Template>>>,
    pub(crate) grammars: Option<Arc<Grammars>>,
    pub(crate) samplers: Vec<Sampler>,
    pub(crate) tool_parser: Option<ToolParser>,
    pub(crate) context_length: usize,
    pub(crate) options: ServeOptions,
    /// The folder that adapters may lie in, without symbolic links.
    pub(crate) adapters_dir: Option<PathBuf>,
    pub(crate) metrics: Metrics,
    pub(crate) slots: Arc<Semaphore>,
    /// The turn of a text to be embedded.
    pub(crate) embedding: Mutex<()>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) started: u64,
    count: AtomicU64,
    random: RandomState,
}

impl App {
    pub(crate) fn new(
        service: Service,
        options: ServeOptions,
        phase: watch::Receiver<Phase>,
    ) -> std::io::Result<Self> {
        let Service { generator, tokenizer, template, grammars, samplers, tool_parser, context_length } =
            service;
        let adapters_dir = options.adapters_dir.as_ref().map(std::fs::canonicalize).transpose()?;
        Ok(Self {
            generator,
            tokenizer,
            template: template.map(|template| Arc::new(Mutex::new(template))),
            grammars,
            samplers,
            tool_parser,
            context_length,
            adapters_dir,
            metrics: Metrics::default(),
            slots: Arc::new(Semaphore::new(options.max_concurrent_requests.min(Semaphore::MAX_PERMITS))),
            embedding: Mutex::new(()),
            options,
            phase,
            started: now(),
            count: AtomicU64::new(0),
            random: RandomState::new(),
        })
    }

    /// A name that nothing else has: `prefix-…`.
    pub(crate) fn new_id(&self, prefix: &str) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}-{:016x}{count:08x}", self.random.hash_one(count))
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// The adapter that a request means by `model`; none for the model itself.
    pub(crate) async fn adapter(&self, model: Option<String>) -> Result<Option<String>> {
        let Some(name) = model.filter(|name| *name != self.options.model) else { return Ok(None) };
        if wait(self.generator.adapters()).await?.contains(&name) {
            return Ok(Some(name));
        }
        Err(ApiError::unknown_model(&name))
    }
}

/// What the engine replies.
pub(crate) async fn wait<T>(reply: Reply<T>) -> Result<T> {
    match reply.await {
        Ok(result) => Ok(result?),
        Err(_) => Err(swift_infer::Error::Stopped.into()),
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
