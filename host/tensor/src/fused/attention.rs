use std::sync::Arc;

use swift_kernels::attention as kernel;
pub use swift_kernels::attention::AttentionOptions;

use crate::storage::{make, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor, checks};

/// Causal attention inside each of the sequences that lie end to end: `q` `[tokens, heads, head_dim]`, `k` and `v`
/// `[tokens, kv_heads, head_dim]`, to `[tokens, heads, head_dim]`.
///
/// Memory grows with the number of tokens, not with its square; the way back computes the scores again from the
/// log-sum-exp of each row (Dao et al. 2022, "FlashAttention").
///
/// # Errors
/// If shapes don't fit, or `lengths` don't add up to the number of tokens.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    lengths: &Arc<[usize]>,
    options: &AttentionOptions,
) -> Result<Tensor> {
    attention_with([q, k, v], HeadScores::default(), lengths, options)
}

/// What each head adds to scores, if it does.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScores<'a> {
    /// A sink that the head attends to besides: a score, `[heads]`, and a value of zero (Agarwal et al. 2025, "gpt-oss").
    pub sinks: Option<&'a Tensor>,
    /// A slope for each head, or none: `slope * (j - p)` is added, before the soft cap, for the query at position `p` and the key
    /// at `j` (Press et al. 2022, "ALiBi", section 3).
    pub slopes: &'a [f64],
}

impl HeadScores<'_> {
    pub(super) fn check(&self, heads: usize) -> Result<()> {
        if let Some(sinks) = self.sinks {
            checks::same_shape(OP, sinks.dims(), &[heads])?;
        }
        if ![0, heads].contains(&self.slopes.len()) || self.slopes.iter().any(|slope| !slope.is_finite()) {
            return Err(Error::invalid(
                OP,
                format!("slopes are not {heads} finite numbers, one for each head"),
            ));
        }
        Ok(())
    }
}

const OP: &str = "attention";

/// Values with zeros for the components that keys have and they don't.
pub(super) fn widened(v: &Tensor, head_dim: usize) -> Result<Option<Tensor>> {
    let &[tokens, heads, width] = v.dims() else { return Ok(None) };
    if width == 0 || width >= head_dim {
        return Ok(None);
    }
    let shape = (tokens, heads, head_dim - width);
    let zeros = Tensor::constant(candle_core::Tensor::zeros(shape, v.dtype(), v.value().device())?);
    crate::cat(&[v, &zeros], 2).map(Some)
}

/// As [`attention`], with what heads add to scores.
///
/// # Errors
/// As [`attention`], and if there is not one sink or slope for each head.
pub fn attention_with(
    [q, k, v]: [&Tensor; 3],
    added: HeadScores<'_>,
    lengths: &Arc<[usize]>,
    options: &AttentionOptions,
) -> Result<Tensor> {
    let (&[tokens, heads, head_dim], &[_, kv_heads, _]) = (q.dims(), k.dims()) else {
        return Err(Error::shapes(OP, q.dims(), k.dims()));
    };
    if let Some(wide) = widened(v, head_dim)? {
        let width = v.dims().last().copied().unwrap_or_default();
        return attention_with([q, k, &wide], added, lengths, options)?.narrow(2, 0, width as u64);
    }
    checks::same_shape(OP, k.dims(), &[tokens, kv_heads, head_dim])?;
    checks::same_shape(OP, v.dims(), k.dims())?;
    checks::same_dtype(OP, q, k)?;
    checks::same_dtype(OP, q, v)?;
    added.check(heads)?;
    let HeadScores { sinks, slopes } = added;
    let (lengths, options, slopes) = (lengths.clone(), *options, slopes.to_vec());
    let operands: Vec<&Tensor> = [q, k, v].into_iter().chain(sinks).collect();
    let sinks = sinks.map(|sinks| sinks.value().clone());
    let values = [q, k, v].map(|tensor| tensor.value().clone());
    with_real!(OP, q.dtype(), T => {
        type Compute = <T as swift_kernels::Element>::Compute;
        let [q_value, k_value, v_value] = &values;
        let (out, lse) = read::<T, _>(q_value, |q| read::<T, _>(k_value, |k| read::<T, _>(v_value, |v| {
            let mut out = zeros::<T>(q.len());
            let mut lse = zeros::<Compute>(heads * tokens);
            let shape = kernel::AttentionShape { lengths: &lengths, heads, kv_heads, head_dim };
            let scores = sink_scores::<Compute>(sinks.as_ref())?;
            let inputs = kernel::AttentionInputs { q, k, v, slopes: &slopes };
            kernel::forward_with_sinks(&inputs, &shape, &options, &scores, &mut out, &mut lse)?;
            Ok((make(out, &[tokens, heads, head_dim])?, lse))
        })))?;
        let kept = out.clone();
        record(OP, out, &operands, move |gradient, _| {
            let [q_value, k_value, v_value] = &values;
            read::<T, _>(gradient, |dout| read::<T, _>(&kept, |out| {
                read::<T, _>(q_value, |q| read::<T, _>(k_value, |k| read::<T, _>(v_value, |v| {
                    let mut dq = zeros::<T>(q.len());
                    let (mut dk, mut dv) = (zeros::<T>(k.len()), zeros::<T>(v.len()));
                    let gradients = kernel::AttentionGradients { dq: &mut dq, dk: &mut dk, dv: &mut dv };
                    let inputs = kernel::AttentionInputs { q, k, v, slopes: &slopes };
                    let shape = kernel::AttentionShape { lengths: &lengths, heads, kv_heads, head_dim };
                    kernel::backward(dout, &inputs, out, &lse, &shape, &options, gradients)?;
                    let mut gradients = vec![
                        Some(make(dq, q_value.dims())?),
                        Some(make(dk, k_value.dims())?),
                        Some(make(dv, v_value.dims())?),
                    ];
                    if let Some(sinks) = &sinks {
                        let scores = sink_scores::<Compute>(Some(sinks))?;
                        let sums = sink_gradients::<T>(&scores, [dout, out], &lse, [tokens, head_dim]);
                        gradients.push(Some(make(sums, &[heads])?.to_dtype(sinks.dtype())?));
                    }
                    Ok(gradients)
                })))
            }))
        })
    })
}

/// The scores of sinks in the precision that attention computes in.
pub(super) fn sink_scores<C: candle_core::WithDType>(sinks: Option<&candle_core::Tensor>) -> Result<Vec<C>> {
    Ok(sinks.map(|sinks| sinks.to_dtype(C::DTYPE)?.to_vec1::<C>()).transpose()?.unwrap_or_default())
}

/// For each head the sum over tokens of `-exp(sink - lse) * rowsum(dout * out)`.
fn sink_gradients<T: crate::storage::Real>(
    sinks: &[T::Compute],
    [dout, out]: [&[T]; 2],
    lse: &[T::Compute],
    [tokens, head_dim]: [usize; 2],
) -> Vec<f64> {
    use swift_kernels::Float;
    let heads = sinks.len();
    let of_head = |(head, sink): (usize, &T::Compute)| {
        let rows = dout.chunks_exact(head_dim).zip(out.chunks_exact(head_dim)).skip(head).step_by(heads);
        let lse = lse.iter().skip(head * tokens).take(tokens);
        let terms = rows.zip(lse).map(|((dout, out), lse)| {
            let products = dout.iter().zip(out).map(|(dout, out)| dout.load().widen() * out.load().widen());
            (sink.widen() - lse.widen()).exp() * products.sum::<f64>()
        });
        -terms.sum::<f64>()
    };
    sinks.iter().enumerate().map(of_head).collect()
}
