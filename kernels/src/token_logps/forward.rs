//! Token log-probabilities, forward.

use rayon::prelude::*;

use super::TokenLogpsInputs;
use super::softmax::Running;
use super::tiles::{TOKENS, cap_slope, cap_slopes, logits, rows, scale_by, shrink, tiles};
use crate::matrix::{Matrix, Workers, multiply, rounded};
use crate::{Element, Float, KernelError, check};

/// Where the results go, each `[tokens]`.
#[derive(Debug)]
pub struct TokenStatistics<'a, C> {
    /// Log-probability of the label, in nats.
    pub logps: &'a mut [C],
    /// The index of the greatest logit, the first if several are.
    pub predictions: &'a mut [i64],
    /// Entropy of the predicted distribution, in nats.
    pub entropies: &'a mut [C],
    /// Mean of the logits over the vocabulary.
    pub mean_logits: &'a mut [C],
    /// Logarithm of the sum of the exponentials of the logits, which [`super::backward`] needs.
    pub log_sum_exp: &'a mut [C],
}

/// Writes the statistics of the logits and, if asked for, `direction` `[tokens, hidden]`
/// `= weight[label] - sum over v of softmax(logits)[v] weight[v]`, the gradient of `logp` with respect to `hidden`: where
/// the weight is frozen (each `weight[v]` times the derivative of the cap at the logit of `v`), `dhidden = dlogp * direction` needs no logits again. It takes one more matrix product of the
/// size of the logits'.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit, [`KernelError::Index`] if a label is not below the size of the
/// vocabulary, [`KernelError::Rule`] if the width is zero.
pub fn forward<T: Element>(
    inputs: &TokenLogpsInputs<'_, T>,
    statistics: TokenStatistics<'_, T::Compute>,
    direction: Option<&mut [T]>,
) -> Result<(), KernelError> {
    const OPERATION: &str = "token_logps";
    let (tokens, width) = (inputs.tokens(), inputs.width);
    inputs.check(OPERATION)?;
    let TokenStatistics { logps, predictions, entropies, mean_logits, log_sum_exp } = statistics;
    check::length(OPERATION, "logps", logps, &[tokens])?;
    check::length(OPERATION, "predictions", predictions, &[tokens])?;
    check::length(OPERATION, "entropies", entropies, &[tokens])?;
    check::length(OPERATION, "mean_logits", mean_logits, &[tokens])?;
    check::length(OPERATION, "log_sum_exp", log_sum_exp, &[tokens])?;
    direction.as_ref().map_or(Ok(()), |x| check::length(OPERATION, "direction", x, &[tokens, width]))?;

    if tokens == 0 {
        return Ok(());
    }
    let vocab = inputs.vocab() as f64;
    let mut directions = direction.map(|direction| direction.chunks_mut(TOKENS * width));
    let results =
        logps.chunks_mut(TOKENS).zip(predictions.chunks_mut(TOKENS)).zip(entropies.chunks_mut(TOKENS));
    let results = results.zip(mean_logits.chunks_mut(TOKENS)).zip(log_sum_exp.chunks_mut(TOKENS));
    for (first, ((((logps, predictions), entropies), mean_logits), log_sum_exp)) in
        (0..).step_by(TOKENS).zip(results)
    {
        let direction = directions.as_mut().and_then(Iterator::next);
        let states = chunk(inputs, first..first + logps.len(), direction)?;
        let results = logps.iter_mut().zip(predictions).zip(entropies).zip(mean_logits).zip(log_sum_exp);
        for (state, ((((logp, prediction), entropy), mean_logit), log_sum_exp)) in states.iter().zip(results)
        {
            *logp = T::Compute::of(state.label - state.log_sum_exp());
            *prediction = state.prediction as i64;
            *entropy = T::Compute::of(state.entropy());
            *mean_logit = T::Compute::of(state.total / vocab);
            *log_sum_exp = T::Compute::of(state.log_sum_exp());
        }
    }
    Ok(())
}

/// The statistics of a chunk of tokens.
fn chunk<T: Element>(
    inputs: &TokenLogpsInputs<'_, T>,
    tokens: std::ops::Range<usize>,
    direction: Option<&mut [T]>,
) -> Result<Vec<Running>, KernelError> {
    let (count, width) = (tokens.len(), inputs.width);
    let hidden = rows(inputs.hidden, &tokens, width)?;
    let labels = inputs.labels.get(tokens).unwrap_or_default();
    let mut states = vec![Running::NEW; count];
    let mut shrinks = vec![T::Compute::ONE; count];
    let mut means = direction.as_ref().map(|_| vec![T::Compute::ZERO; count * width]);
    let (mut tile, mut buffer, mut slopes) = (Vec::new(), Vec::new(), Vec::new());
    let cap = inputs.soft_cap.map(T::Compute::of);
    for entries in tiles(inputs) {
        let weight = rows(inputs.weight, &entries, width)?;
        tile.resize(count * entries.len(), T::Compute::ZERO);
        logits(hidden, weight, inputs, &entries, &mut tile)?;
        if let (Some(cap), Some(_)) = (cap, &means) {
            cap_slopes(&tile, cap, &mut slopes);
        }
        let rows = tile.par_chunks_exact_mut(entries.len()).zip(&mut states).zip(&mut shrinks).zip(labels);
        rows.for_each(|(((logits, state), shrink), &label)| {
            *shrink = state.take(logits, entries.start, label)
        });
        if let Some(means) = &mut means {
            let means_of_tokens = means.par_chunks_exact_mut(width).zip(&shrinks);
            means_of_tokens.for_each(|(mean, &factor)| shrink(mean, factor));
            if cap.is_some() {
                scale_by(&mut tile, &slopes);
            }
            let weights = Matrix::new(rounded(&tile, &mut buffer, Workers::Pool), count, entries.len())?;
            multiply(weights, weight, means, true, Workers::Pool)?;
        }
    }
    if let (Some(direction), Some(means)) = (direction, means) {
        let rows =
            direction.par_chunks_exact_mut(width).zip(means.par_chunks_exact(width)).zip(labels).zip(&states);
        rows.for_each(|(((direction, means), &label), state)| {
            let weight = inputs.weight.iter().skip(label as usize * width);
            let total = T::Compute::of(state.weight);
            let slope = cap.map_or(T::Compute::ONE, |cap| cap_slope(T::Compute::of(state.label), cap));
            for ((direction, &mean), weight) in direction.iter_mut().zip(means).zip(weight) {
                *direction = T::store(slope * weight.load() - mean / total);
            }
        });
    }
    Ok(states)
}
