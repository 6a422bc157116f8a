use swift_kernels::token_logps as kernel;

use crate::storage::{make, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor, checks};

/// What the output projection says of each token, without the logits `[tokens, vocab]` ever existing.
#[derive(Clone, Debug)]
pub struct TokenStatistics {
    /// `[tokens]` `float32` (`float64` from `float64`): log-probability of each label. The only differentiable part.
    pub token_logps: Tensor,
    /// `[tokens]` `int64`: the most likely token, the first of several.
    pub predictions: Tensor,
    /// `[tokens]`: entropy in nats.
    pub entropies: Tensor,
    /// `[tokens]`: mean of the logits over the vocabulary.
    pub mean_logits: Tensor,
}

/// `log_softmax(logits)` at each label with `logits = hidden weight^T + bias`, each then `cap * tanh(logit / cap)` if there is a
/// `soft_cap`, and statistics of the same distribution. `hidden` `[tokens, width]`,
/// `weight` `[vocab, width]`, `labels` `[tokens]` `int64`, each below `vocab`.
///
/// The logits are formed a tile at a time. With a frozen projection the gradient of the hidden states is
/// `dlogp * (weight[label] - sum over v of softmax[v] weight[v])`; that direction is formed on the way there, so the way
/// back needs no second product with the vocabulary. A trained projection's logits are computed again from the saved
/// log-sum-exp.
///
/// # Errors
/// If shapes don't fit, the cap is not above 0, or a label is outside of the vocabulary.
pub fn token_statistics(
    hidden: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    soft_cap: Option<f64>,
    labels: &Tensor,
) -> Result<TokenStatistics> {
    const OP: &str = "token_statistics";
    let (&[tokens, width], &[vocab, width_of_weight]) = (hidden.dims(), weight.dims()) else {
        return Err(Error::shapes(OP, hidden.dims(), weight.dims()));
    };
    if width != width_of_weight
        || labels.dims() != [tokens]
        || bias.is_some_and(|bias| bias.dims() != [vocab])
    {
        return Err(Error::shapes(OP, hidden.dims(), weight.dims()));
    }
    checks::same_dtype(OP, hidden, weight)?;
    let labels = checks::indices(OP, labels.value(), vocab)?;
    let trains_head = weight.requires_grad() || bias.is_some_and(Tensor::requires_grad);
    let with_direction = crate::tape::is_recording() && hidden.requires_grad() && !trains_head;
    let (hidden_value, weight_value) = (hidden.value().clone(), weight.value().clone());
    let bias_value = bias.map(|bias| bias.value().clone());
    let mut operands = vec![hidden, weight];
    operands.extend(bias);

    with_real!(OP, hidden.dtype(), T => {
        type Compute = <T as swift_kernels::Element>::Compute;
        let per_token = || zeros::<Compute>(tokens);
        let (mut logps, mut entropies, mut mean_logits, mut log_sum_exp) =
            (per_token(), per_token(), per_token(), per_token());
        let mut predictions = vec![0i64; tokens];
        let mut direction = with_direction.then(|| zeros::<T>(tokens * width));
        with_inputs::<T, _>(&hidden_value, &weight_value, bias_value.as_ref(), (&labels, soft_cap), |inputs| {
            let statistics = kernel::TokenStatistics {
                logps: &mut logps,
                predictions: &mut predictions,
                entropies: &mut entropies,
                mean_logits: &mut mean_logits,
                log_sum_exp: &mut log_sum_exp,
            };
            Ok(kernel::forward(inputs, statistics, direction.as_deref_mut())?)
        })?;
        let constant = |values: Vec<Compute>| Ok::<_, Error>(Tensor::constant(make(values, &[tokens])?));
        let token_logps = record(OP, make(logps, &[tokens])?, &operands, move |gradient, wanted| {
            read::<Compute, _>(gradient, |dlogp| {
                if let Some(mut direction) = direction {
                    use rayon::prelude::*;
                    direction.par_chunks_mut(width.max(1)).zip(dlogp).for_each(|(row, &dlogp)| {
                        for x in row {
                            *x = <T as swift_kernels::Element>::store(swift_kernels::Element::load(*x) * dlogp);
                        }
                    });
                    return Ok(vec![Some(make(direction, &[tokens, width])?), None, None]);
                }
                let [want_hidden, want_weight, want_bias] = [0, 1, 2].map(|i| wanted.get(i) == Some(&true));
                let mut dhidden = want_hidden.then(|| zeros::<T>(tokens * width));
                let mut dweight = want_weight.then(|| zeros::<Compute>(vocab * width));
                let mut dbias = want_bias.then(|| zeros::<Compute>(vocab));
                with_inputs::<T, _>(&hidden_value, &weight_value, bias_value.as_ref(), (&labels, soft_cap), |inputs| {
                    let gradients = kernel::TokenLogpsGradients {
                        dhidden: dhidden.as_deref_mut(),
                        dweight: dweight.as_deref_mut(),
                        dbias: dbias.as_deref_mut(),
                    };
                    Ok(kernel::backward(dlogp, inputs, &log_sum_exp, gradients)?)
                })?;
                Ok(vec![
                    dhidden.map(|x| make(x, &[tokens, width])).transpose()?,
                    dweight.map(|x| make(x, &[vocab, width])).transpose()?,
                    dbias.map(|x| make(x, &[vocab])).transpose()?,
                ])
            })
        })?;
        Ok(TokenStatistics {
            token_logps,
            predictions: Tensor::constant(make(predictions, &[tokens])?),
            entropies: constant(entropies)?,
            mean_logits: constant(mean_logits)?,
        })
    })
}

fn with_inputs<T: crate::storage::Real, R>(
    hidden: &candle_core::Tensor,
    weight: &candle_core::Tensor,
    bias: Option<&candle_core::Tensor>,
    (labels, soft_cap): (&[i64], Option<f64>),
    f: impl FnOnce(&kernel::TokenLogpsInputs<'_, T>) -> Result<R>,
) -> Result<R> {
    let width = hidden.dim(1)?;
    read::<T, _>(hidden, |hidden| {
        read::<T, _>(weight, |weight| match bias {
            Some(bias) => read::<T, _>(bias, |bias| {
                f(&kernel::TokenLogpsInputs { hidden, weight, bias: Some(bias), labels, width, soft_cap })
            }),
            None => f(&kernel::TokenLogpsInputs { hidden, weight, bias: None, labels, width, soft_cap }),
        })
    })
}
