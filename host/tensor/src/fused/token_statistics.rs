use candle_core::Tensor as Value;
use swift_kernels::token_logps as kernel;

use crate::storage::{Real, make, on_device, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor, checks};

const OP: &str = "token_statistics";

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
    let mut operands = vec![hidden, weight];
    operands.extend(bias);
    let head = Head {
        hidden: hidden.value().clone(),
        weight: weight.value().clone(),
        bias: bias.map(|bias| bias.value().clone()),
        labels,
        soft_cap,
    };
    let Statistics { logps, predictions, entropies, mean_logits, log_sum_exp, direction } = on_device!(OP, hidden.value().device(),
        cpu: head.forward(with_direction),
        cuda: crate::cuda::logits_forward(&head, with_direction),
    )?;
    let token_logps = record(OP, logps, &operands, move |dlogp, wanted| {
        if let Some(direction) = direction {
            let dhidden = on_device!(OP, dlogp.device(),
                cpu: direction_gradient(dlogp, &direction),
                cuda: crate::cuda::direction_gradient(dlogp, &direction),
            )?;
            return Ok(vec![Some(dhidden), None, None]);
        }
        let wanted = [0, 1, 2].map(|i| wanted.get(i) == Some(&true));
        let gradients = on_device!(OP, dlogp.device(),
            cpu: head.backward(dlogp, &log_sum_exp, wanted),
            cuda: crate::cuda::logits_backward(dlogp, &head, &log_sum_exp, wanted),
        )?;
        Ok(gradients.into())
    })?;
    let [predictions, entropies, mean_logits] = [predictions, entropies, mean_logits].map(Tensor::constant);
    Ok(TokenStatistics { token_logps, predictions, entropies, mean_logits })
}

/// The output projection and what it is applied to; shapes and labels have been checked.
pub(crate) struct Head {
    /// `[tokens, width]`.
    pub(crate) hidden: Value,
    /// `[vocab, width]`.
    pub(crate) weight: Value,
    /// `[vocab]`.
    pub(crate) bias: Option<Value>,
    /// Each below `vocab`.
    pub(crate) labels: Vec<i64>,
    pub(crate) soft_cap: Option<f64>,
}

/// What is known of each token, `[tokens]`.
pub(crate) struct Statistics {
    pub(crate) logps: Value,
    pub(crate) predictions: Value,
    pub(crate) entropies: Value,
    pub(crate) mean_logits: Value,
    pub(crate) log_sum_exp: Value,
    /// The gradient of each log-probability with respect to the token's hidden state, `[tokens, width]`, if it was asked for.
    pub(crate) direction: Option<Value>,
}

impl Head {
    fn forward(&self, with_direction: bool) -> Result<Statistics> {
        let (tokens, width) = self.hidden.dims2()?;
        with_real!(OP, self.hidden.dtype(), T => {
            let per_token = || zeros::<<T as swift_kernels::Element>::Compute>(tokens);
            let (mut logps, mut entropies, mut mean_logits, mut log_sum_exp) =
                (per_token(), per_token(), per_token(), per_token());
            let mut predictions = vec![0i64; tokens];
            let mut direction = with_direction.then(|| zeros::<T>(tokens * width));
            self.with_inputs::<T, _>(|inputs| {
                let statistics = kernel::TokenStatistics {
                    logps: &mut logps,
                    predictions: &mut predictions,
                    entropies: &mut entropies,
                    mean_logits: &mut mean_logits,
                    log_sum_exp: &mut log_sum_exp,
                };
                Ok(kernel::forward(inputs, statistics, direction.as_deref_mut())?)
            })?;
            Ok(Statistics {
                logps: make(logps, &[tokens])?,
                predictions: make(predictions, &[tokens])?,
                entropies: make(entropies, &[tokens])?,
                mean_logits: make(mean_logits, &[tokens])?,
                log_sum_exp: make(log_sum_exp, &[tokens])?,
                direction: direction.map(|direction| make(direction, &[tokens, width])).transpose()?,
            })
        })
    }

    fn backward(&self, dlogp: &Value, log_sum_exp: &Value, wanted: [bool; 3]) -> Result<[Option<Value>; 3]> {
        let ((tokens, width), vocab) = (self.hidden.dims2()?, self.weight.dim(0)?);
        let [want_hidden, want_weight, want_bias] = wanted;
        with_real!(OP, self.hidden.dtype(), T => {
            type Compute = <T as swift_kernels::Element>::Compute;
            let mut dhidden = want_hidden.then(|| zeros::<T>(tokens * width));
            let mut dweight = want_weight.then(|| zeros::<Compute>(vocab * width));
            let mut dbias = want_bias.then(|| zeros::<Compute>(vocab));
            read::<Compute, _>(dlogp, |dlogp| read::<Compute, _>(log_sum_exp, |log_sum_exp| {
                self.with_inputs::<T, _>(|inputs| {
                    let gradients = kernel::TokenLogpsGradients {
                        dhidden: dhidden.as_deref_mut(),
                        dweight: dweight.as_deref_mut(),
                        dbias: dbias.as_deref_mut(),
                    };
                    Ok(kernel::backward(dlogp, inputs, log_sum_exp, gradients)?)
                })
            }))?;
            Ok([
                dhidden.map(|x| make(x, &[tokens, width])).transpose()?,
                dweight.map(|x| make(x, &[vocab, width])).transpose()?,
                dbias.map(|x| make(x, &[vocab])).transpose()?,
            ])
        })
    }

    fn with_inputs<T: Real, R>(
        &self,
        f: impl FnOnce(&kernel::TokenLogpsInputs<'_, T>) -> Result<R>,
    ) -> Result<R> {
        let (width, labels, soft_cap) = (self.hidden.dim(1)?, &self.labels, self.soft_cap);
        read::<T, _>(&self.hidden, |hidden| {
            read::<T, _>(&self.weight, |weight| {
                let inputs = kernel::TokenLogpsInputs { hidden, weight, bias: None, labels, width, soft_cap };
                match &self.bias {
                    Some(bias) => {
                        read::<T, _>(bias, |bias| f(&kernel::TokenLogpsInputs { bias: Some(bias), ..inputs }))
                    }
                    None => f(&inputs),
                }
            })
        })
    }
}

/// From the direction that the way there left behind to the gradient of the hidden states.
fn direction_gradient(dlogp: &Value, direction: &Value) -> Result<Value> {
    use rayon::prelude::*;
    use swift_kernels::Element;
    let width = direction.dim(1)?;
    with_real!(OP, direction.dtype(), T => {
        read::<<T as Element>::Compute, _>(dlogp, |dlogp| read::<T, _>(direction, |elements| {
            let mut gradient = zeros::<T>(elements.len());
            let rows = gradient.par_chunks_mut(width.max(1)).zip(elements.par_chunks(width.max(1))).zip(dlogp);
            rows.for_each(|((gradient, row), &dlogp)| {
                for (gradient, x) in gradient.iter_mut().zip(row) {
                    *gradient = T::store(x.load() * dlogp);
                }
            });
            make(gradient, direction.dims())
        }))
    })
}
