//! From logits to a token.

mod filter;
mod logprobs;
mod penalties;
mod plugin;
mod random;

pub(crate) use logprobs::{log_softmax, most_probable, token_logprobs};
pub use plugin::Sampler;
pub(crate) use random::{seed, uniform};

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
        return greatest(logits);
    }
    filter::sample(logits, options, uniform)
}

/// The token with the greatest logit, the first of equals.
fn greatest(logits: &[f32]) -> Option<u32> {
    /// Numbers that are compared side by side.
    const LANES: usize = 16;
    let mut greatest = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = logits.as_chunks::<LANES>();
    for logits in whole {
        for (greatest, &logit) in greatest.iter_mut().zip(logits) {
            // What is not a number is not greater.
            *greatest = if logit > *greatest { logit } else { *greatest };
        }
    }
    let greatest = greatest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    let place = logits.iter().position(|&logit| logit == greatest && logit > f32::NEG_INFINITY)?;
    u32::try_from(place).ok()
}

#[cfg(test)]
mod tests;
