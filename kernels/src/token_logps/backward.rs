//! Token log-probabilities, backward: computes the logits again, tile by tile.

use std::borrow::Cow;

use rayon::prelude::*;

use super::TokenLogpsInputs;
use super::tiles::{TOKENS, cap_slopes, logits, rows, scale_by, tiles};
use crate::element::store_into;
use crate::matrix::{Matrix, Workers, multiply, rounded};
use crate::vectorised::vectorised;
use crate::{Element, Float, KernelError, check};

/// Where the gradients go. What is not asked for is not computed.
#[derive(Debug)]
pub struct TokenLogpsGradients<'a, T: Element> {
    /// `[tokens, hidden]`, overwritten.
    pub dhidden: Option<&'a mut [T]>,
    /// `[vocab, hidden]`, added to.
    pub dweight: Option<&'a mut [T::Compute]>,
    /// `[vocab]`, added to.
    pub dbias: Option<&'a mut [T::Compute]>,
}

/// Gradients for `dlogp` `[tokens]`, with the `log_sum_exp` `[tokens]` of the forward pass:
/// `dlogits = dlogp (onehot(label) - exp(logits - log_sum_exp))` (times the derivative of the cap), `dhidden = dlogits weight`,
/// `dweight += dlogits^T hidden`, `dbias += sum over tokens of dlogits`.
///
/// # Errors
/// As [`super::forward`].
pub fn backward<T: Element>(
    dlogp: &[T::Compute],
    inputs: &TokenLogpsInputs<'_, T>,
    log_sum_exp: &[T::Compute],
    gradients: TokenLogpsGradients<'_, T>,
) -> Result<(), KernelError> {
    const OPERATION: &str = "token_logps backward";
    let (tokens, width) = (inputs.tokens(), inputs.width);
    inputs.check(OPERATION)?;
    let TokenLogpsGradients { dhidden, mut dweight, mut dbias } = gradients;
    check::length(OPERATION, "dlogp", dlogp, &[tokens])?;
    check::length(OPERATION, "log_sum_exp", log_sum_exp, &[tokens])?;
    dhidden.as_ref().map_or(Ok(()), |x| check::length(OPERATION, "dhidden", x, &[tokens, width]))?;
    dweight.as_ref().map_or(Ok(()), |x| check::length(OPERATION, "dweight", x, &[inputs.vocab(), width]))?;
    dbias.as_ref().map_or(Ok(()), |x| check::length(OPERATION, "dbias", x, &[inputs.vocab()]))?;

    if tokens == 0 {
        return Ok(());
    }
    let mut dhiddens = dhidden.map(|dhidden| dhidden.chunks_mut(TOKENS * width));
    let chunks = dlogp.chunks(TOKENS).zip(log_sum_exp.chunks(TOKENS)).zip(inputs.labels.chunks(TOKENS));
    let (mut tile, mut buffer, mut slopes) = (Vec::new(), Vec::new(), Vec::new());
    let cap = inputs.soft_cap.map(T::Compute::of);
    for (first, ((dlogp, log_sum_exp), labels)) in (0..).step_by(TOKENS).zip(chunks) {
        let count = labels.len();
        let hidden = rows(inputs.hidden, &(first..first + count), width)?;
        let wide_hidden = match dweight {
            Some(_) => hidden.converted(Workers::Pool),
            None => Cow::default(),
        };
        let dhidden = dhiddens.as_mut().and_then(Iterator::next);
        let mut sums = dhidden.as_ref().map(|_| vec![T::Compute::ZERO; count * width]);
        for entries in tiles(inputs) {
            let weight = rows(inputs.weight, &entries, width)?;
            tile.resize(count * entries.len(), T::Compute::ZERO);
            logits(hidden, weight, inputs, &entries, &mut tile)?;
            if let Some(cap) = cap {
                cap_slopes(&tile, cap, &mut slopes);
            }
            let rows = tile.par_chunks_exact_mut(entries.len()).zip(dlogp).zip(log_sum_exp).zip(labels);
            rows.for_each(|(((logits, &dlogp), &log_sum_exp), &label)| {
                pull(logits, dlogp, log_sum_exp);
                let label =
                    (label as usize).checked_sub(entries.start).and_then(|index| logits.get_mut(index));
                if let Some(logit) = label {
                    *logit += dlogp;
                }
            });
            if cap.is_some() {
                scale_by(&mut tile, &slopes);
            }
            if let Some(sums) = &mut sums {
                let dlogits = rounded(&tile, &mut buffer, Workers::Pool);
                let dlogits = Matrix::new(dlogits, count, entries.len())?;
                multiply(dlogits, weight, sums, true, Workers::Pool)?;
            }
            let rows_of_weight = entries.start * width..entries.end * width;
            if let Some(dweight) = dweight.as_mut().and_then(|dweight| dweight.get_mut(rows_of_weight)) {
                // Rounding errors would add up over the tokens, so nothing is rounded.
                let dlogits = Matrix::new(&tile, count, entries.len())?;
                let hidden = Matrix::new(&wide_hidden, count, width)?;
                multiply(dlogits.transposed(), hidden, dweight, true, Workers::Pool)?;
            }
            if let Some(dbias) = dbias.as_mut().and_then(|dbias| dbias.get_mut(entries.clone())) {
                for dlogits in tile.chunks_exact(entries.len()) {
                    for (dbias, &dlogit) in dbias.iter_mut().zip(dlogits) {
                        *dbias += dlogit;
                    }
                }
            }
        }
        if let (Some(dhidden), Some(sums)) = (dhidden, sums) {
            let rows = dhidden.par_chunks_exact_mut(width).zip(sums.par_chunks_exact(width));
            rows.for_each(|(dhidden, sums)| store_into(sums, dhidden));
        }
    }
    Ok(())
}

vectorised! {
    /// From logits to the part of their gradients that all entries of the vocabulary have.
    fn pull<C: Float>(logits: &mut [C], dlogp: C, log_sum_exp: C) {
        for logit in logits {
            *logit = -dlogp * (*logit - log_sum_exp).exponential();
        }
    }
}
