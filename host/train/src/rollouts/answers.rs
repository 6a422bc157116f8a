use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use swift_infer::{Engine, EngineOptions, Finish, ModelBackend, Output, Request};
use swift_model::Model;

use super::RolloutOptions;
use crate::random::seed;
use crate::{Error, Result};

/// Tokens of a block of the cache.
const BLOCK: usize = 16;
/// The most bytes of the cache, unless a single answer needs more.
const CACHE_BYTES: usize = 4 << 30;
/// The most answers that are computed at once.
const AT_ONCE: usize = 256;

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// Its tokens, with the one that ended it.
    pub(crate) tokens: Vec<u32>,
    /// Whether it ended by itself.
    pub(crate) finished: bool,
}

/// What an engine gave so far, by prompt and answer.
type Collected = Arc<Mutex<BTreeMap<(usize, u32), Output>>>;

/// The answers to all prompts, those to the first one first. `model` is not copied; the engine and its cache, which know
/// nothing of earlier weights, are gone afterwards.
///
/// # Errors
/// If a prompt is too long, or the model fails.
pub(crate) fn answers(
    model: &Model,
    prompts: &[Vec<u32>],
    options: &RolloutOptions,
    run_seed: u64,
) -> Result<Vec<Answer>> {
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0) + options.max_completion_length;
    let context_length = longest.min(options.context_length);
    let of_one = context_length.div_ceil(BLOCK) + 1;
    let affordable = CACHE_BYTES / model.cache_shape(1, BLOCK).block_bytes(model.dtype()).max(1);
    let at_once = AT_ONCE.min(prompts.len() * options.num_generations).max(1);
    let blocks = (of_one * at_once).min(affordable).max(of_one);
    let backend = ModelBackend::new(model.share(), blocks, BLOCK, context_length)?;
    let engine_options = EngineOptions {
        max_sequences: AT_ONCE,
        max_waiting: prompts.len(),
        context_length,
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(backend, None, options.ends.clone(), engine_options);
    let collected = Collected::default();
    for (index, prompt) in prompts.iter().enumerate() {
        let here = collected.clone();
        let mut request = Request::new(prompt.clone(), move |part| collect(&here, index, part));
        request.n = options.num_generations as u32;
        request.sampling = options.sampling.clone();
        request.sampling.seed = Some(seed(&[run_seed, index as u64]));
        request.stop.max_tokens = Some(options.max_completion_length);
        engine.submit(request)?;
    }
    while !engine.is_idle() {
        engine.step();
    }
    let outputs = std::mem::take(&mut *collected.lock().unwrap_or_else(PoisonError::into_inner));
    outputs
        .into_values()
        .map(|Output { tokens, finish, .. }| match finish {
            Some(Finish::Failed(error)) => Err(Error::Generation(error)),
            finish => Ok(Answer { tokens, finished: matches!(finish, Some(Finish::Stop(_))) }),
        })
        .collect()
}

/// Adds a part to its answer.
fn collect(collected: &Collected, prompt: usize, part: Output) -> bool {
    let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
    match collected.entry((prompt, part.choice)) {
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(part);
        }
        std::collections::btree_map::Entry::Occupied(mut entry) => {
            entry.get_mut().tokens.extend(part.tokens);
            entry.get_mut().finish = part.finish;
        }
    }
    true
}
