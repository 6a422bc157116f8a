//! From logits to a token.

mod filter;
mod logprobs;
mod penalties;
mod plugin;
mod random;

pub(crate) use logprobs::{log_softmax, most_probable, token_logprobs};
pub use plugin::Sampler;
pub(crate) use random::{seed, uniform};

use swift_kernels::softmax;

use crate::{Result, SamplingOptions};

/// Changes logits before a token is chosen: a sampler plugin, or a grammar that the answer must follow.
pub trait LogitsProcessor: Send {
    /// Changes `logits` `[vocab]` for the token that follows. Minus infinity rules a token out.
    ///
    /// # Errors
    /// If it can't; the request ends with what it says.
    fn process(&mut self, progress: &Progress<'_>, logits: &mut [f32]) -> Result<()>;

    /// Takes note of the token that was chosen, before the logits for the next one are computed. Gives whether the answer ends
    /// with it.
    ///
    /// # Errors
    /// If it can't go on; the request ends with what it says.
    fn accept(&mut self, token: u32) -> Result<bool> {
        let _ = token;
        Ok(false)
    }

    /// Another one in the same state, for an answer that goes its own way from here.
    fn fork(&self) -> Box<dyn LogitsProcessor>;
}

/// How far an answer is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Token ids of the prompt.
    pub prompt: &'a [u32],
    /// Token ids of the answer so far.
    pub generated: &'a [u32],
    /// A number for this token of this answer, from the request's seed.
    pub seed: u64,
}

/// Biases, bans and penalties, which are the same however a token is chosen afterwards.
pub(crate) fn adjust(
    logits: &mut [f32],
    options: &SamplingOptions,
    banned: impl Iterator<Item = u32>,
    prompt: &[u32],
    generated: &[u32],
) {
    if let Some(allowed) = &options.allowed_token_ids {
        let place = |id: &u32| *id as usize;
        let kept: Vec<_> = allowed.iter().map(|id| (place(id), logits.get(place(id)).copied())).collect();
        logits.fill(f32::NEG_INFINITY);
        for (place, logit) in kept {
            if let Some((into, logit)) = logits.get_mut(place).zip(logit) {
                *into = logit;
            }
        }
    }
    for &(id, bias) in &options.logit_bias {
        if let Some(logit) = logits.get_mut(id as usize) {
            *logit += bias;
        }
    }
    for id in banned {
        if let Some(logit) = logits.get_mut(id as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
    penalties::apply(logits, options, prompt, generated);
}

/// The token, or none if all are ruled out. `uniform` is in `0 .. 1`, from the request's seed.
pub(crate) fn choose(logits: &[f32], options: &SamplingOptions, uniform: f64) -> Option<u32> {
    if options.temperature == 0.0 {
        return softmax::argmax(logits).and_then(|place| u32::try_from(place).ok());
    }
    filter::sample(logits, options, uniform)
}

#[cfg(test)]
mod tests;
